/*
 * blockcore/edge-io.c - see blockcore/edge-io.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/edge-io.h"

#include <errno.h>
#include <glib.h>

#include "base/assert.h"
#include "base/bits.h"
#include "blockcore/driver-call.h"
#include "blockcore/far-call.h"
#include "blockcore/flush.h"
#include "blockcore/io-align.h"
#include "blockcore/io-fallback.h"
#include "blockcore/io-status.h"
#include "blockcore/node-priv.h"

BlkNode *
blk_edge_child(const BlkEdge *edge)
{
    return edge->child;
}

uint64_t
blk_edge_size(const BlkEdge *edge)
{
    return edge->child->size;
}

/* ---- reads ---- */

static inline int coroutine_fn
blk_edge_co_read_inside(BlkEdge *edge, BlkRange range, const IoVec *iov,
                        BlkReqFlags flags)
{
    if (blk_node_is_far(edge->child)) {
        return blk_far_co_call(edge->child, BLK_OP_READ, range, iov, flags);
    }
    return blk_node_co_read(edge->child, range, iov, flags);
}

/* A read that passes the child's end: zeros there. */
static int coroutine_fn
blk_edge_co_read_past_end(BlkEdge *edge, BlkRange range, const IoVec *iov,
                          BlkReqFlags flags)
{
    uint64_t size = edge->child->size;
    size_t inside = range.offset < size ? size - range.offset : 0;
    int ret = 0;

    if (inside > 0) {
        g_autofree struct iovec *space = g_try_new(struct iovec, iov->n);
        IoVec part;

        if (!space) {
            return -ENOMEM;
        }
        iov_slice(iov, 0, inside, space, &part);
        ret = blk_edge_co_read_inside(edge, blk_range_head(range, inside),
                                      &part, flags);
    }
    if (ret == 0) {
        iov_memset(iov, inside, 0, iov->bytes - inside);
    }
    return ret;
}

int coroutine_fn
blk_edge_co_read(BlkEdge *edge, BlkRange range, const IoVec *iov,
                 BlkReqFlags flags)
{
    ash_assert(iov->bytes == range.bytes);
    /* Empty or too large. */
    if (ash_unlikely(range.bytes - 1 >= BLK_TRANSFER_MAX)) {
        return range.bytes == 0 ? 0 : -EINVAL;
    }
    if (ash_unlikely(!blk_range_is_inside(range, edge->child->size))) {
        return blk_edge_co_read_past_end(edge, range, iov, flags);
    }
    return blk_edge_co_read_inside(edge, range, iov, flags);
}

/* ---- modifications ---- */

/* May the edge modify with @flags? */
static inline bool
blk_edge_may_modify(const BlkEdge *edge, BlkReqFlags flags)
{
    BlkPerm need = BLK_PERM_WRITE;

    if (flags & BLK_REQ_UNCHANGED) {
        need |= BLK_PERM_WRITE_UNCHANGED;
    }
    return (edge->perm & need) && !edge->child->read_only;
}

/* May it write @range? */
static inline int
blk_edge_check_write(const BlkEdge *edge, BlkRange range, BlkReqFlags flags)
{
    if (!blk_edge_may_modify(edge, flags)) {
        return -EROFS;
    }
    if (!blk_range_is_inside(range, edge->child->size) &&
        !(edge->perm & BLK_PERM_RESIZE)) {
        return -ENOSPC;
    }
    return 0;
}

int coroutine_fn
blk_edge_co_write(BlkEdge *edge, BlkRange range, const IoVec *iov,
                  BlkReqFlags flags)
{
    int ret = blk_edge_check_write(edge, range, flags);

    ash_assert(iov->bytes == range.bytes);
    if (ash_unlikely(ret != 0)) {
        return ret;
    }
    if (ash_unlikely(range.bytes - 1 >= BLK_TRANSFER_MAX)) {
        return range.bytes == 0 ? 0 : -EINVAL;
    }
    if (blk_node_is_far(edge->child)) {
        return blk_far_co_call(edge->child, BLK_OP_WRITE, range, iov, flags);
    }
    return blk_node_co_write(edge->child, range, iov, flags);
}

int coroutine_fn
blk_edge_co_zero(BlkEdge *edge, BlkRange range, BlkReqFlags flags)
{
    int ret = blk_edge_check_write(edge, range, flags);

    if (ret != 0 || range.bytes == 0) {
        return ret;
    }
    if (blk_node_is_far(edge->child)) {
        return blk_far_co_call(edge->child, BLK_OP_ZERO, range, NULL, flags);
    }
    return blk_node_co_zero(edge->child, range, flags);
}

int coroutine_fn
blk_edge_co_trim(BlkEdge *edge, BlkRange range)
{
    if (!blk_edge_may_modify(edge, 0)) {
        return -EROFS;
    }
    if (!blk_range_is_inside(range, edge->child->size)) {
        return -EINVAL;
    }
    if (range.bytes == 0) {
        return 0;
    }
    if (blk_node_is_far(edge->child)) {
        return blk_far_co_call(edge->child, BLK_OP_TRIM, range, NULL, 0);
    }
    return blk_node_co_trim(edge->child, range);
}

int coroutine_fn
blk_edge_co_flush(BlkEdge *edge)
{
    if (blk_node_is_far(edge->child)) {
        return blk_far_co_call(edge->child, BLK_OP_FLUSH, blk_range(0, 0), NULL,
                               0);
    }
    return blk_node_co_flush(edge->child);
}

/* ---- the rest ---- */

int coroutine_fn
blk_edge_co_prefetch(BlkEdge *edge, BlkRange range)
{
    uint64_t size = edge->child->size;

    /* Past the end there is nothing to fetch. */
    range = blk_range_intersect(range, blk_range(0, size));
    if (range.bytes == 0) {
        return 0;
    }
    if (blk_node_is_far(edge->child)) {
        return blk_far_co_call(edge->child, BLK_OP_CACHE, range, NULL, 0);
    }
    return blk_node_co_prefetch(edge->child, range);
}

int
blk_edge_try_read(BlkEdge *edge, BlkRange range, const IoVec *iov)
{
    if (ash_unlikely(range.bytes == 0 ||
                     !blk_range_is_inside(range, edge->child->size))) {
        return -EAGAIN;
    }
    return blk_node_try_read(edge->child, range, iov);
}

int
blk_edge_map_file(BlkEdge *edge, BlkRange range, BlkFileRange *ret)
{
    if (range.bytes == 0 || !blk_range_is_inside(range, edge->child->size)) {
        return -ENOTSUP;
    }
    return blk_node_map_file(edge->child, range, ret);
}

void coroutine_fn
blk_edge_co_debug_event(BlkEdge *edge, const char *event)
{
    blk_driver_co_debug_event(edge->child, event);
}
