/*
 * blockcore/driver-call.h - the only callers of a driver's I/O slots.
 *
 * Each function asserts before the call what blockcore/driver.h promises the
 * driver, and after it what the driver promises.  It does no more: no tracking,
 * no statistics, no fallback.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: the _co_ ones.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "base/iov.h"
#include "blockcore/node-priv.h"
#include "blockcore/range.h"
#include "blockcore/types.h"

/* The slot must not be NULL in these.  All give the driver's -errno. */

int coroutine_fn blk_driver_co_read(BlkNode *node, BlkRange range,
                                    const IoVec *iov, BlkReqFlags flags);
/* @flags: within driver->write_flags */
int coroutine_fn blk_driver_co_write(BlkNode *node, BlkRange range,
                                     const IoVec *iov, BlkReqFlags flags);
/* @flags: within driver->zero_flags */
int coroutine_fn blk_driver_co_zero(BlkNode *node, BlkRange range,
                                    BlkReqFlags flags);
int coroutine_fn blk_driver_co_trim(BlkNode *node, BlkRange range);
int coroutine_fn blk_driver_co_prefetch(BlkNode *node, BlkRange range);

/* A NULL slot is success in these. */

int coroutine_fn blk_driver_co_flush_os(BlkNode *node);
int coroutine_fn blk_driver_co_flush_disk(BlkNode *node);

/**
 * blk_driver_co_status() - what the node's own layer says of @range.offset.
 * @range: aligned to request_align, inside the rounded size
 * @ret:   bytes > 0 and aligned, possibly past the range
 *
 * Errors:  -EIO when the driver's answer makes no progress; the driver's.
 */
int coroutine_fn blk_driver_co_status(BlkNode *node, BlkRange range,
                                      BlkExtent *ret);

/* -ENOTSUP when the slot is NULL or the range not aligned. */
int blk_driver_map_file(BlkNode *node, BlkRange range, BlkFileRange *ret);
int blk_driver_try_read(BlkNode *node, BlkRange range, const IoVec *iov);

/* Ask for the size afresh, if it may change by itself. */
int coroutine_fn blk_driver_co_refresh_size(BlkNode *node);

/* Tell the first listener down the primary children. */
void coroutine_fn blk_driver_co_debug_event(BlkNode *node, const char *event);
