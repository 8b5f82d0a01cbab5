/*
 * blockcore/blk-io.c - see blockcore/blk-io.h.
 *
 * Method: a request is checked (medium, read-only, bounds), waits while the Blk
 * is quiesced and is checked again, for the root may be another then; it
 * counts as in flight from there to its end.  What comes after is the node's
 * part: io-align.c, io-fallback.c, io-status.c, flush.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/blk-io.h"

#include <errno.h>

#include "base/assert.h"
#include "base/bits.h"
#include "blockcore/driver-call.h"
#include "blockcore/driver.h"
#include "blockcore/flush.h"
#include "blockcore/inflight.h"
#include "blockcore/io-align.h"
#include "blockcore/io-fallback.h"
#include "blockcore/io-status.h"
#include "blockcore/node-priv.h"
#include "coro/co-lock.h"

/* ---- a request begins and ends ---- */

/* The permission one needs to modify with @flags. */
static inline BlkPerm
blk_perm_to_modify(BlkReqFlags flags)
{
    if (ash_unlikely(flags & BLK_REQ_UNCHANGED)) {
        return (BlkPerm)BLK_PERM_WRITE | BLK_PERM_WRITE_UNCHANGED;
    }
    return BLK_PERM_WRITE;
}

/* @need: any of these permissions, 0 to read */
static inline int
blk_check(const Blk *blk, BlkRange range, BlkPerm need, int past_end)
{
    const BlkEdge *root = blk->root;

    if (ash_unlikely(!root)) {
        return -ENOMEDIUM;
    }
    ash_assert_slow(loop_current() == root->child->loop);
    if (need && ash_unlikely(!(root->perm & need) || root->child->read_only)) {
        return -EROFS;
    }
    if (ash_unlikely(!blk_range_is_inside(range, root->child->size))) {
        return past_end;
    }
    return 0;
}

/* Did the size of a node that changes by itself grow? */
static void coroutine_fn
blk_co_refresh_size(BlkNode *node)
{
    blk_inflight_begin(node);
    ash_maybe(blk_driver_co_refresh_size(node));
    blk_inflight_end(node);
}

static ASH_NOINLINE int coroutine_fn
blk_co_enter_slow(Blk *blk, BlkRange range, BlkPerm need, int past_end)
{
    bool refreshed = false;

    for (;;) {
        int ret = blk_check(blk, range, need, past_end);
        bool may_grow = ret == past_end && !refreshed && blk->root &&
                        blk->root->child->driver->variable_size;

        if (ret != 0 && !may_grow) {
            return ret;
        }
        if (blk->quiesce > 0) {
            co_queue_co_wait(&blk->resumed);
            refreshed = false;
        } else if (may_grow) {
            blk_co_refresh_size(blk->root->child);
            refreshed = true;
        } else {
            return 0;
        }
    }
}

/* 0: the request is in flight until blk_leave(). */
static inline int coroutine_fn
blk_co_enter(Blk *blk, BlkRange range, BlkPerm need, int past_end)
{
    int ret = blk_check(blk, range, need, past_end);

    if (ash_unlikely(ret != 0 || blk->quiesce > 0)) {
        ret = blk_co_enter_slow(blk, range, need, past_end);
    }
    if (ash_likely(ret == 0)) {
        blk->stats.in_flight++;
    }
    return ret;
}

/* What a client may see of an error below. */
static ASH_COLD int
blk_error(int err)
{
    switch (err) {
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return -ENOSPC;
    case -ENOMEDIUM:
    case -ENOMEM:
    case -EROFS:
    case -ESHUTDOWN:
        return err;
    default:
        return -EIO;
    }
}

static inline int
blk_leave(Blk *blk, BlkOp op, uint64_t bytes, int ret)
{
    blk_stats_count(&blk->stats.op[op], bytes, ret);
    ash_assert(blk->stats.in_flight > 0);
    if (--blk->stats.in_flight == 0 && ash_unlikely(blk->quiesce > 0)) {
        co_queue_wake_all(&blk->resumed);
    }
    return ash_likely(ret == 0) ? 0 : blk_error(ret);
}

/* The same, with -ENOTSUP an answer if the request asked for it. */
static inline int
blk_leave_unsupported(Blk *blk, BlkOp op, uint64_t bytes, int ret, bool asked)
{
    int err = blk_leave(blk, op, bytes, ret);

    return ash_unlikely(ret == -ENOTSUP && asked) ? ret : err;
}

/* The request did not get as far as the node. */
static ASH_COLD int
blk_refuse(Blk *blk, BlkOp op, int ret)
{
    blk->stats.op[op].n_failed++;
    return ret;
}

/* A range of data that is empty or larger than any request may be. */
static inline bool
blk_is_odd_transfer(BlkRange range)
{
    return range.bytes - 1 >= BLK_TRANSFER_MAX;
}

/* End a request of the client's that makes no sense, but is harmless. */
static ASH_COLD int
blk_leave_invalid(Blk *blk, BlkOp op)
{
    ash_maybe(blk_leave(blk, op, 0, -EINVAL));
    return -EINVAL;
}

static ASH_COLD int
blk_leave_odd(Blk *blk, BlkOp op, BlkRange range)
{
    return range.bytes == 0 ? blk_leave(blk, op, 0, 0)
                            : blk_leave_invalid(blk, op);
}

/* ---- requests ---- */

int coroutine_fn
blk_co_read(Blk *blk, BlkRange range, const IoVec *iov, BlkReqFlags flags)
{
    int ret = blk_co_enter(blk, range, 0, -EINVAL);

    ash_assert(iov->bytes == range.bytes);
    ash_assert((flags & ~(BlkReqFlags)BLK_REQ_NO_WAIT) == 0);
    if (ash_unlikely(ret != 0)) {
        return blk_refuse(blk, BLK_OP_READ, ret);
    }
    if (ash_unlikely(blk_is_odd_transfer(range))) {
        return blk_leave_odd(blk, BLK_OP_READ, range);
    }
    ret = blk_node_co_read(blk->root->child, range, iov, flags);
    return blk_leave(blk, BLK_OP_READ, range.bytes, ret);
}

/* A write or zero write ended with @ret: without a write cache it is durable
 * before the client hears of it. */
static inline int coroutine_fn
blk_co_written(Blk *blk, BlkRange range, int ret)
{
    if (ret == 0 && ash_unlikely(!blk->write_cache)) {
        ret = blk_node_co_flush(blk->root->child);
    }
    if (ret == 0) {
        blk->stats.wr_highest =
            ash_max(blk->stats.wr_highest, blk_range_end(range));
    }
    return ret;
}

int coroutine_fn
blk_co_write(Blk *blk, BlkRange range, const IoVec *iov, BlkReqFlags flags)
{
    const BlkReqFlags known = (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_UNCHANGED |
                              BLK_REQ_SERIALISING | BLK_REQ_COMPRESSED;
    int ret = blk_co_enter(blk, range, blk_perm_to_modify(flags), -ENOSPC);

    ash_assert(iov->bytes == range.bytes);
    ash_assert((flags & ~known) == 0);
    if (ash_unlikely(ret != 0)) {
        return blk_refuse(blk, BLK_OP_WRITE, ret);
    }
    if (ash_unlikely(blk_is_odd_transfer(range))) {
        return blk_leave_odd(blk, BLK_OP_WRITE, range);
    }
    ret = blk_node_co_write(blk->root->child, range, iov, flags);
    ret = blk_co_written(blk, range, ret);
    return blk_leave_unsupported(blk, BLK_OP_WRITE, range.bytes, ret,
                                 flags & BLK_REQ_COMPRESSED);
}

int coroutine_fn
blk_co_zero(Blk *blk, BlkRange range, BlkReqFlags flags)
{
    const BlkReqFlags known = (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_MAY_UNMAP |
                              BLK_REQ_NO_FALLBACK | BLK_REQ_UNCHANGED |
                              BLK_REQ_SERIALISING;
    int ret = blk_co_enter(blk, range, blk_perm_to_modify(flags), -ENOSPC);

    ash_assert((flags & ~known) == 0);
    if (ret != 0) {
        return blk_refuse(blk, BLK_OP_ZERO, ret);
    }
    if (range.bytes > 0) {
        ret = blk_node_co_zero(blk->root->child, range, flags);
        ret = blk_co_written(blk, range, ret);
    }
    return blk_leave_unsupported(blk, BLK_OP_ZERO, range.bytes, ret,
                                 flags & BLK_REQ_NO_FALLBACK);
}

int coroutine_fn
blk_co_trim(Blk *blk, BlkRange range, BlkReqFlags flags)
{
    int ret = blk_co_enter(blk, range, BLK_PERM_WRITE, -EINVAL);

    ash_assert((flags & ~(BlkReqFlags)BLK_REQ_FUA) == 0);
    if (ret != 0) {
        return blk_refuse(blk, BLK_OP_TRIM, ret);
    }
    if (range.bytes > 0) {
        ret = blk_node_co_trim(blk->root->child, range);
        if (ret == 0 && ((flags & BLK_REQ_FUA) || !blk->write_cache)) {
            ret = blk_node_co_flush(blk->root->child);
        }
    }
    return blk_leave(blk, BLK_OP_TRIM, range.bytes, ret);
}

int coroutine_fn
blk_co_flush(Blk *blk)
{
    int ret = blk_co_enter(blk, blk_range(0, 0), 0, -EINVAL);

    if (ret != 0) {
        return blk_refuse(blk, BLK_OP_FLUSH, ret);
    }
    ret = blk_node_co_flush(blk->root->child);
    return blk_leave(blk, BLK_OP_FLUSH, 0, ret);
}

int coroutine_fn
blk_co_prefetch(Blk *blk, BlkRange range)
{
    int ret = blk_co_enter(blk, range, 0, -EINVAL);

    if (ret != 0) {
        return blk_refuse(blk, BLK_OP_CACHE, ret);
    }
    if (range.bytes > 0) {
        ret = blk_node_co_prefetch(blk->root->child, range);
    }
    return blk_leave(blk, BLK_OP_CACHE, range.bytes, ret);
}

int coroutine_fn
blk_co_status(Blk *blk, BlkRange range, BlkExtent *ret)
{
    int err = blk_co_enter(blk, range, 0, -EINVAL);

    if (err != 0) {
        return blk_refuse(blk, BLK_OP_STATUS, err);
    }
    if (range.bytes == 0) {
        return blk_leave_invalid(blk, BLK_OP_STATUS);
    }
    err = blk_node_co_status(blk->root->child, range, ret);
    return blk_leave(blk, BLK_OP_STATUS, 0, err);
}

int coroutine_fn
blk_co_allocation_depth(Blk *blk, BlkRange range, uint64_t *ret_bytes,
                        uint32_t *ret_depth)
{
    int err = blk_co_enter(blk, range, 0, -EINVAL);

    if (err != 0) {
        return blk_refuse(blk, BLK_OP_STATUS, err);
    }
    if (range.bytes == 0) {
        return blk_leave_invalid(blk, BLK_OP_STATUS);
    }
    err = blk_node_co_allocation_depth(blk->root->child, range, ret_bytes,
                                       ret_depth);
    return blk_leave(blk, BLK_OP_STATUS, 0, err);
}

int
blk_try_read(Blk *blk, BlkRange range, const IoVec *iov)
{
    int ret = blk_check(blk, range, 0, -EINVAL);

    if (ash_unlikely(ret != 0 || blk->quiesce > 0 || range.bytes == 0)) {
        return -EAGAIN;
    }
    ret = blk_node_try_read(blk->root->child, range, iov);
    if (ash_likely(ret == 0)) {
        blk_stats_count(&blk->stats.op[BLK_OP_READ], range.bytes, 0);
    }
    return ret;
}

int
blk_map_file(Blk *blk, BlkRange range, BlkFileRange *ret)
{
    int err = blk_check(blk, range, 0, -EINVAL);

    if (err != 0) {
        return err;
    }
    if (range.bytes == 0 || blk->quiesce > 0) {
        return -ENOTSUP;
    }
    err = blk_node_map_file(blk->root->child, range, ret);
    if (err == 0) {
        blk_stats_count(&blk->stats.op[BLK_OP_READ], range.bytes, 0);
    }
    return err;
}
