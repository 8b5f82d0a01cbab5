/*
 * blockcore/io-fallback.c - see blockcore/io-fallback.h.
 *
 * Method of a zero write: the units of zero_align inside the range are the
 * bulk, in front and behind are edges, each shorter than a unit.
 *
 *      offset                                   end
 *      | head |  bulk: steps of max_zero | tail |
 *             unit boundaries
 *
 * The bulk comes first: its first step tells whether the driver can, before
 * anything was changed.  Where it can't, the step is written as data; so are
 * the edges, as ordinary requests that may be unaligned.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/io-fallback.h"

#include <errno.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/iov.h"
#include "blockcore/driver-call.h"
#include "blockcore/driver.h"
#include "blockcore/flush.h"
#include "blockcore/inflight.h"
#include "blockcore/io-align.h"
#include "blockcore/tracked.h"
#include "coro/loop.h"

/* ---- zeros from memory ---- */

#define BLK_ZEROES_BYTES ((size_t)64 << 10)
#define BLK_ZEROES_PIECES (BLK_ZERO_WRITE_BYTES / BLK_ZEROES_BYTES)

/* Never written; large enough that few pieces make a request. */
static const _Alignas(4096) uint8_t blk_zeroes[BLK_ZEROES_BYTES];

/* A vector of @bytes zeros, at most BLK_ZERO_WRITE_BYTES. */
static void
blk_zeroes_iov(struct iovec *space, IoVec *iov, size_t bytes)
{
    unsigned n = 0;

    ash_assert(bytes <= BLK_ZERO_WRITE_BYTES);
    while (bytes > 0) {
        size_t len = ash_min(bytes, sizeof(blk_zeroes));

        space[n].iov_base = (void *)(uintptr_t)blk_zeroes;
        space[n].iov_len = len;
        n++;
        bytes -= len;
    }
    iov_init_array(iov, space, n);
}

/* Bytes from @offset to the first multiple of BLK_ZERO_WRITE_BYTES, so that
 * what is split is split at whole blocks. */
static size_t
blk_zeroes_step(BlkRange range)
{
    size_t past = range.offset % BLK_ZERO_WRITE_BYTES;

    return ash_min(range.bytes, BLK_ZERO_WRITE_BYTES - past);
}

/* Write zeros to any range, as requests of their own (@req NULL) or within the
 * tracked request @req, whose range is aligned. */
static int coroutine_fn
blk_zeroes_co_write(BlkNode *node, const BlkTracked *req, BlkRange range,
                    BlkReqFlags flags)
{
    struct iovec space[BLK_ZEROES_PIECES];
    int ret = 0;

    while (ret == 0 && range.bytes > 0) {
        size_t bytes = blk_zeroes_step(range);
        BlkRange step = blk_range_head(range, bytes);
        IoVec iov;

        blk_zeroes_iov(space, &iov, bytes);
        if (req) {
            ret = blk_align_co_transfer(node, step, &iov, flags, true);
        } else {
            ret = blk_align_co_write(node, step, &iov, flags);
        }
        range = blk_range_skip(range, bytes);
        if (range.bytes > 0) {
            co_pause();
        }
    }
    return ret;
}

/* ---- zero writes ---- */

/* A zero write under way. */
typedef struct BlkZero {
    BlkNode *node;
    bool can_zero;  /* co_zero has not said -ENOTSUP */
    bool must_zero; /* NO_FALLBACK, and nothing was changed yet */
    BlkReqFlags serialising;
    BlkReqFlags zero_flags;  /* for co_zero */
    BlkReqFlags write_flags; /* for the data that replaces it */
} BlkZero;

static uint64_t
blk_zero_unit(const BlkNode *node)
{
    return ash_max(node->limits.zero_align, node->limits.request_align);
}

/* One step: the driver's way, else data. */
static int coroutine_fn
blk_zero_co_step_settled(BlkZero *zero, const BlkTracked *req, BlkRange step)
{
    BlkNode *node = zero->node;
    int ret = -ENOTSUP;

    if (node->failed != 0) {
        return -EIO;
    }
    if (zero->can_zero) {
        blk_driver_co_debug_event(node, "pwritev_zero");
        ret = blk_driver_co_zero(node, step, zero->zero_flags);
    }
    if (ret == -ENOTSUP && !zero->must_zero) {
        zero->can_zero = false;
        blk_driver_co_debug_event(node, "pwritev");
        ret = blk_zeroes_co_write(node, req, step, zero->write_flags);
    }
    blk_driver_co_debug_event(node, "pwritev_done");
    return ret;
}

static int coroutine_fn
blk_zero_co_step(BlkZero *zero, BlkRange step)
{
    BlkNode *node = zero->node;
    BlkTracked req;
    int ret;

    blk_tracked_begin(&req, node, step);
    if (zero->serialising) {
        blk_tracked_serialise(&req, node->limits.request_align);
    }
    blk_tracked_co_settle(&req);
    ret = blk_zero_co_step_settled(zero, &req, step);
    blk_node_modified(node, step, ret);
    blk_tracked_end(&req);
    return ret;
}

static int coroutine_fn
blk_zero_co_bulk(BlkZero *zero, BlkRange bulk)
{
    uint64_t unit = blk_zero_unit(zero->node);
    uint64_t step_max = zero->node->limits.max_zero;
    int ret = 0;

    if (step_max == 0) {
        step_max = ash_max(ash_round_down(BLK_ZERO_STEP, unit), unit);
    }
    while (ret == 0 && bulk.bytes > 0) {
        uint64_t bytes = ash_min(bulk.bytes, step_max);

        ret = blk_zero_co_step(zero, blk_range_head(bulk, bytes));
        bulk = blk_range_skip(bulk, bytes);
        if (ret == 0) {
            zero->must_zero = false;
        }
        if (bulk.bytes > 0) {
            co_pause();
        }
    }
    return ret;
}

/* An edge, as data. */
static int coroutine_fn
blk_zero_co_edge(const BlkZero *zero, BlkRange edge)
{
    return blk_zeroes_co_write(zero->node, NULL, edge,
                               zero->write_flags | zero->serialising);
}

static int coroutine_fn
blk_zero_co_run(BlkZero *zero, BlkRange range)
{
    BlkRange bulk = blk_range_align_in(range, blk_zero_unit(zero->node));
    uint64_t end = blk_range_end(range);
    int ret;

    if (blk_range_is_empty(bulk)) {
        return zero->must_zero ? -ENOTSUP : blk_zero_co_edge(zero, range);
    }
    ret = blk_zero_co_bulk(zero, bulk);
    if (ret == 0) {
        ret = blk_zero_co_edge(
            zero, blk_range(range.offset, bulk.offset - range.offset));
    }
    if (ret == 0) {
        ret = blk_zero_co_edge(
            zero, blk_range(blk_range_end(bulk), end - blk_range_end(bulk)));
    }
    return ret;
}

/* MAY_UNMAP counts only where the user allows to deallocate; FUA must be
 * native for both ways of doing it, or it is a flush at the end. */
static bool
blk_zero_init(BlkZero *zero, BlkNode *node, BlkReqFlags flags)
{
    const BlkDriver *driver = node->driver;
    BlkReqFlags fua = driver->zero_flags & driver->write_flags & BLK_REQ_FUA;
    BlkReqFlags durable;
    bool flush;

    if (!node->options.discard_unmap) {
        flags &= ~(BlkReqFlags)BLK_REQ_MAY_UNMAP;
    }
    durable = blk_node_durable_flags(node, flags, fua, &flush);
    flags = (flags & ~(BlkReqFlags)BLK_REQ_FUA) | durable;

    zero->node = node;
    zero->can_zero = driver->co_zero != NULL;
    zero->must_zero = (flags & BLK_REQ_NO_FALLBACK) != 0;
    zero->serialising = flags & BLK_REQ_SERIALISING;
    zero->zero_flags = flags & driver->zero_flags;
    zero->write_flags =
        flags & driver->write_flags & (BLK_REQ_FUA | BLK_REQ_UNCHANGED);
    return flush;
}

int coroutine_fn
blk_fallback_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    BlkZero zero;
    bool flush = blk_zero_init(&zero, node, flags);
    int ret;

    if (node->failed != 0) {
        return -EIO;
    }
    if (zero.must_zero &&
        (!zero.can_zero || !(zero.zero_flags & BLK_REQ_NO_FALLBACK))) {
        return -ENOTSUP;
    }
    ret = blk_zero_co_run(&zero, range);
    if (ret == 0) {
        blk_node_written(node, range);
    }
    if (ret == 0 && flush) {
        ret = blk_node_co_flush(node);
    }
    return ret;
}

int coroutine_fn
blk_node_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    int ret;

    blk_inflight_begin(node);
    ret = blk_fallback_co_zero(node, range, flags);
    blk_stats_count(&node->stats.op[BLK_OP_ZERO], range.bytes, ret);
    blk_inflight_end(node);
    return ret;
}

/* ---- trim ---- */

static int coroutine_fn
blk_trim_co_step(BlkNode *node, BlkRange step)
{
    BlkTracked req;
    int ret;

    blk_tracked_begin(&req, node, step);
    blk_tracked_co_settle(&req);
    ret = node->failed != 0 ? -EIO : blk_driver_co_trim(node, step);
    if (ret == -ENOTSUP) {
        ret = 0;
    }
    node->write_gen++;
    blk_tracked_end(&req);
    return ret;
}

static int coroutine_fn
blk_trim_co_run(BlkNode *node, BlkRange range)
{
    const BlkLimits *limits = &node->limits;
    uint64_t unit = ash_max(limits->trim_align, limits->request_align);
    uint64_t step_max = limits->max_trim;
    int ret = 0;

    range = blk_range_align_in(range, unit);
    if (step_max == 0) {
        step_max = ash_max(ash_round_down(BLK_ZERO_STEP, unit), unit);
    }
    while (ret == 0 && range.bytes > 0) {
        uint64_t bytes = ash_min(range.bytes, step_max);

        ret = blk_trim_co_step(node, blk_range_head(range, bytes));
        range = blk_range_skip(range, bytes);
        if (range.bytes > 0) {
            co_pause();
        }
    }
    return ret;
}

int coroutine_fn
blk_node_co_trim(BlkNode *node, BlkRange range)
{
    int ret = 0;

    blk_inflight_begin(node);
    if (node->failed != 0) {
        ret = -EIO;
    } else if (node->options.discard_unmap && node->driver->co_trim) {
        ret = blk_trim_co_run(node, range);
    }
    blk_stats_count(&node->stats.op[BLK_OP_TRIM], range.bytes, ret);
    blk_inflight_end(node);
    return ret;
}

/* ---- prefetch ---- */

static int coroutine_fn
blk_prefetch_co_run(BlkNode *node, BlkRange range)
{
    BlkBounce bounce;
    int ret = 0;

    if (!blk_bounce_init(&bounce, node,
                         ash_min(range.bytes, BLK_PREFETCH_BYTES))) {
        return -ENOMEM;
    }
    while (ret == 0 && range.bytes > 0) {
        size_t bytes = ash_min(range.bytes, BLK_PREFETCH_BYTES);
        IoVec iov;

        iov_init_one(&iov, bounce.buf, bytes);
        ret = blk_node_co_read(node, blk_range_head(range, bytes), &iov, 0);
        range = blk_range_skip(range, bytes);
        if (range.bytes > 0) {
            co_pause();
        }
    }
    blk_bounce_done(&bounce);
    return ret;
}

int coroutine_fn
blk_node_co_prefetch(BlkNode *node, BlkRange range)
{
    BlkRange whole = blk_range_align_out(range, node->limits.request_align);
    int ret;

    blk_inflight_begin(node);
    if (node->driver->co_prefetch) {
        ret = blk_driver_co_prefetch(node, whole);
    } else {
        whole.bytes = ash_min(whole.bytes, node->size - whole.offset);
        ret = blk_prefetch_co_run(node, whole);
    }
    blk_stats_count(&node->stats.op[BLK_OP_CACHE], range.bytes, ret);
    blk_inflight_end(node);
    return ret;
}
