/*
 * blockcore/io-fallback.h - zero writes, trim and prefetch on a node, with
 * what the core does when the driver can't.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: the _co_ ones.
 * Method:  io-fallback.c.  Tests: tests/unit/blockcore/test-fallback.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "blockcore/node-priv.h"
#include "blockcore/range.h"
#include "blockcore/types.h"

/* Zeros are written from memory this much at a time. */
#define BLK_ZERO_WRITE_BYTES ((size_t)1 << 20)

/**
 * blk_node_co_zero() - make a range read as zeros.
 * @range:  not empty; inside the size, or see blk_node_co_write(); as long as
 *          there is, for it goes in steps with pauses
 * @flags:  FUA, MAY_UNMAP (only heard with discard=unmap), NO_FALLBACK,
 *          UNCHANGED, SERIALISING
 *
 * Whole units of zero_align go to the driver, the rest is written as data.
 * On failure any part of the range may be zero.
 *
 * Errors:  -EIO if the node has failed; -ENOTSUP only with NO_FALLBACK, and
 *          then nothing was changed; -ENOMEM; the driver's.
 */
int coroutine_fn blk_node_co_zero(BlkNode *node, BlkRange range,
                                  BlkReqFlags flags);

/* The same without in-flight count and statistics. */
int coroutine_fn blk_fallback_co_zero(BlkNode *node, BlkRange range,
                                      BlkReqFlags flags);

/**
 * blk_node_co_trim() - the contents of a range are not needed any more.
 * @range:  not empty, inside the size; the units of trim_align in it are
 *          trimmed, its edges left alone
 *
 * Does nothing with discard=ignore, and where the driver can't.
 *
 * Errors:  -EIO if the node has failed; the driver's.
 */
int coroutine_fn blk_node_co_trim(BlkNode *node, BlkRange range);

/* Bring @range (not empty, inside the size) into caches.
 * Errors: -ENOMEM; the driver's. */
int coroutine_fn blk_node_co_prefetch(BlkNode *node, BlkRange range);
