/*
 * blockcore/io-align.h - reads and writes of any range on a node.
 *
 * Whatever the range and the memory, the driver sees whole blocks of
 * request_align bytes, at most max_transfer and max_iov of them, in memory
 * aligned to mem_align.  A write of part of a block reads the rest of it first
 * and writes it back; nothing else gets between.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: the _co_ ones.
 * Method:  io-align.c.     Tests: tests/unit/blockcore/test-align.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "base/iov.h"
#include "blockcore/node-priv.h"
#include "blockcore/range.h"
#include "blockcore/tracked.h"
#include "blockcore/types.h"

/* One bounce buffer for misaligned memory is at most this long, unless a
 * block is longer. */
#define BLK_BOUNCE_BYTES ((size_t)256 << 10)

/**
 * blk_node_co_read() - a full read request on @node.
 * @range:  not empty, inside the size, at most BLK_TRANSFER_MAX
 * @iov:    @range.bytes of memory; on failure it may hold anything of ours
 *          that the driver left there
 * @flags:  BLK_REQ_NO_WAIT or none
 *
 * Errors:  -ENOMEM; the driver's.
 */
int coroutine_fn blk_node_co_read(BlkNode *node, BlkRange range,
                                  const IoVec *iov, BlkReqFlags flags);

/**
 * blk_node_co_write() - a full write request on @node.
 * @range:  not empty; inside the size, unless a parent may resize @node: then
 *          success moves the end
 * @iov:    @range.bytes of memory
 * @flags:  FUA, UNCHANGED, SERIALISING, COMPRESSED
 *
 * All-zero data becomes a zero write if the node detects zeroes.
 *
 * Errors:  -EIO if the node has failed; -ENOTSUP for COMPRESSED if the driver
 *          can't; -ENOMEM; the driver's, and those of the flush for FUA.
 */
int coroutine_fn blk_node_co_write(BlkNode *node, BlkRange range,
                                   const IoVec *iov, BlkReqFlags flags);

/* The file range behind a read of @range (not empty, inside the size), which
 * it then is.  Error: -ENOTSUP, also while a request serialises. */
int blk_node_map_file(BlkNode *node, BlkRange range, BlkFileRange *ret);
/* See driver.h; -EAGAIN also while a request on the node serialises, or when
 * the request would have to be padded or split. */
int blk_node_try_read(BlkNode *node, BlkRange range, const IoVec *iov);

/* ---- for io-fallback.c ---- */

/* As blk_node_co_write(), without in-flight count, zero detection, statistics,
 * flush and a new end: @flags within the driver's write_flags, plus
 * SERIALISING. */
int coroutine_fn blk_align_co_write(BlkNode *node, BlkRange range,
                                    const IoVec *iov, BlkReqFlags flags);

/* Aligned data inside a request that is tracked already. */
int coroutine_fn blk_align_co_transfer(BlkNode *node, BlkRange range,
                                       const IoVec *iov, BlkReqFlags flags,
                                       bool write);

/* A modification of @range completed, well or not. */
void blk_node_modified(BlkNode *node, BlkRange range, int ret);
/* A request wrote all of @range: the end is not before its end any more.  Not
 * for a part of a request, which may fail yet; and before the next yield, so
 * that whoever waited for the last block finds it inside. */
void blk_node_written(BlkNode *node, BlkRange range);

/* What makes a request with FUA durable when the driver can't: the flags
 * within @native, and in @ret_flush whether to flush afterwards. */
BlkReqFlags blk_node_durable_flags(const BlkNode *node, BlkReqFlags flags,
                                   BlkReqFlags native, bool *ret_flush);

/* Memory for bounces; NULL when there is none.  Free with
 * blk_bounce_free(). */
typedef struct BlkBounce {
    void *mem;
    uint8_t *buf; /* aligned, in @mem */
} BlkBounce;
bool blk_bounce_init(BlkBounce *bounce, const BlkNode *node, size_t bytes);
void blk_bounce_done(BlkBounce *bounce);
