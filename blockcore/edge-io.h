/*
 * blockcore/edge-io.h - what a driver may do to its children.
 *
 * Each call is a full request on the child: bounds, alignment, tracking and
 * permissions are the core's, so a driver may ask for any byte range inside
 * the child.  What a read asks past the child's end is zero.  A write there
 * moves the end if the edge has BLK_PERM_RESIZE.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: co_ ones.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "base/iov.h"
#include "blockcore/range.h"
#include "blockcore/types.h"

BlkNode *blk_edge_child(const BlkEdge *edge);
uint64_t blk_edge_size(const BlkEdge *edge);

/* All return 0 or -errno; see blockcore/blk-io.h for the errors. */
int coroutine_fn blk_edge_co_read(BlkEdge *edge, BlkRange range,
                                  const IoVec *iov, BlkReqFlags flags);
int coroutine_fn blk_edge_co_write(BlkEdge *edge, BlkRange range,
                                   const IoVec *iov, BlkReqFlags flags);
int coroutine_fn blk_edge_co_zero(BlkEdge *edge, BlkRange range,
                                  BlkReqFlags flags);
int coroutine_fn blk_edge_co_trim(BlkEdge *edge, BlkRange range);
int coroutine_fn blk_edge_co_flush(BlkEdge *edge);
int coroutine_fn blk_edge_co_prefetch(BlkEdge *edge, BlkRange range);
int blk_edge_map_file(BlkEdge *edge, BlkRange range, BlkFileRange *ret);
int blk_edge_try_read(BlkEdge *edge, BlkRange range, const IoVec *iov);
void coroutine_fn blk_edge_co_debug_event(BlkEdge *edge, const char *event);
