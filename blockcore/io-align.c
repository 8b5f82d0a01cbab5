/*
 * blockcore/io-align.c - see blockcore/io-align.h.
 *
 * Method.  An aligned range whose memory fits goes to the driver as it is.
 * Otherwise the range is padded to whole blocks: the padding is memory of ours
 * before and after the caller's vector, so a read drops it there, and a write
 * fills it first from the blocks at the edges (each read once; one block when
 * both edges are in the same).  What lies past the end is zero and not read.
 * The padded vector then moves in pieces that fit, each through a bounce
 * buffer if its memory is not aligned.
 *
 * Invariants:
 *  A1  An unaligned write serialises over its whole blocks from before it
 *      reads them until it has written them.
 *  A2  No byte of the padding gets to the caller, and padding that is written
 *      was read before or is zero.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/io-align.h"

#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "blockcore/driver-call.h"
#include "blockcore/driver.h"
#include "blockcore/flush.h"
#include "blockcore/inflight.h"
#include "blockcore/io-fallback.h"

#define BLK_FEW_PIECES 16U

/* ---- memory ---- */

bool
blk_bounce_init(BlkBounce *bounce, const BlkNode *node, size_t bytes)
{
    size_t align = ash_max(node->limits.mem_align, 16);
    uintptr_t start;

    bounce->mem = g_try_malloc(bytes + align);
    start = (uintptr_t)ash_round_up((uintptr_t)bounce->mem, align);
    bounce->buf = bounce->mem ? (uint8_t *)start : NULL;
    return bounce->mem != NULL;
}

void
blk_bounce_done(BlkBounce *bounce)
{
    g_free(bounce->mem);
}

/* An array of pieces, on the stack when it is short. */
typedef struct BlkPieces {
    struct iovec *v;
    struct iovec few[BLK_FEW_PIECES];
} BlkPieces;

static bool
blk_pieces_init(BlkPieces *pieces, unsigned n)
{
    pieces->v = n <= BLK_FEW_PIECES ? pieces->few : g_try_new(struct iovec, n);
    return pieces->v != NULL;
}

static void
blk_pieces_done(BlkPieces *pieces)
{
    if (pieces->v != pieces->few) {
        g_free(pieces->v);
    }
}

/* ---- aligned ranges: pieces that fit the driver ---- */

static inline unsigned
blk_align_max_iov(const BlkNode *node)
{
    uint32_t max = node->limits.max_iov;

    return max > 0 && max < IOV_MAX ? max : IOV_MAX;
}

/* Can the driver take this as it is? */
static inline bool
blk_align_fits(const BlkNode *node, const IoVec *iov)
{
    const BlkLimits *limits = &node->limits;

    /* With max_transfer 0 the right side is the largest number. */
    if (iov->bytes - 1 > limits->max_transfer - 1 ||
        iov->bytes > BLK_TRANSFER_MAX) {
        return false;
    }
    if (iov->n > 1 && iov->n > blk_align_max_iov(node)) {
        return false;
    }
    return limits->mem_align <= 1 || iov_is_aligned(iov, limits->mem_align);
}

static inline int coroutine_fn
blk_align_co_call(BlkNode *node, BlkRange range, const IoVec *iov,
                  BlkReqFlags flags, bool write)
{
    return write ? blk_driver_co_write(node, range, iov, flags)
                 : blk_driver_co_read(node, range, iov, flags);
}

/* One transfer in pieces. */
typedef struct BlkSplit {
    BlkNode *node;
    const IoVec *iov;
    size_t done; /* of iov->bytes */
    bool write;
    BlkReqFlags flags;
    BlkPieces pieces;
    BlkBounce bounce;
} BlkSplit;

/* How much of the vector from split->done on one call may take: whole blocks,
 * 0 if max_iov pieces don't hold a block. */
static size_t
blk_split_bytes(const BlkSplit *split)
{
    const BlkLimits *limits = &split->node->limits;
    unsigned n_left = blk_align_max_iov(split->node);
    size_t skip = split->done;
    size_t bytes = 0;
    size_t bytes_max = BLK_TRANSFER_MAX;

    if (limits->max_transfer > 0 && limits->max_transfer < bytes_max) {
        bytes_max = limits->max_transfer;
    }
    for (unsigned i = 0; i < split->iov->n && n_left > 0; i++) {
        size_t len = split->iov->v[i].iov_len;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        bytes += len - skip;
        skip = 0;
        n_left--;
        if (bytes >= bytes_max) {
            bytes = bytes_max;
            break;
        }
    }
    return ash_round_down(bytes, limits->request_align);
}

/* The next @bytes through the bounce buffer. */
static int coroutine_fn
blk_split_co_bounce(BlkSplit *split, BlkRange range)
{
    BlkNode *node = split->node;
    IoVec iov;
    int ret;

    if (!split->bounce.mem) {
        size_t len =
            ash_min(split->iov->bytes,
                    ash_max(BLK_BOUNCE_BYTES, node->limits.request_align));

        if (!blk_bounce_init(&split->bounce, node, len)) {
            return -ENOMEM;
        }
    }
    iov_init_one(&iov, split->bounce.buf, range.bytes);
    if (split->write) {
        iov_to_buf(split->iov, split->done, split->bounce.buf, range.bytes);
    }
    ret = blk_align_co_call(node, range, &iov, split->flags, split->write);
    if (ret == 0 && !split->write) {
        iov_from_buf(split->iov, split->done, split->bounce.buf, range.bytes);
    }
    node->stats.bounced_bytes += range.bytes;
    return ret;
}

/* Move the next piece of @range; *ret_bytes says how much that is. */
static int coroutine_fn
blk_split_co_step(BlkSplit *split, BlkRange range, size_t *ret_bytes)
{
    BlkNode *node = split->node;
    uint32_t align = node->limits.request_align;
    size_t bytes = ash_min(blk_split_bytes(split), range.bytes);
    size_t bounce_max = ash_max(BLK_BOUNCE_BYTES, align);
    IoVec slice;

    if (bytes > 0) {
        iov_slice(split->iov, split->done, bytes, split->pieces.v, &slice);
        if (node->limits.mem_align <= 1 ||
            iov_is_aligned(&slice, node->limits.mem_align)) {
            *ret_bytes = bytes;
            return blk_align_co_call(node, blk_range_head(range, bytes), &slice,
                                     split->flags, split->write);
        }
    } else {
        /* Very many tiny pieces. */
        bytes = range.bytes;
        if (node->limits.max_transfer > 0) {
            bytes = ash_min(bytes, node->limits.max_transfer);
        }
    }
    *ret_bytes = ash_min(bytes, bounce_max);
    return blk_split_co_bounce(split, blk_range_head(range, *ret_bytes));
}

static int coroutine_fn
blk_align_co_split(BlkNode *node, BlkRange range, const IoVec *iov,
                   BlkReqFlags flags, bool write)
{
    BlkSplit split = {
        .node = node,
        .iov = iov,
        .write = write,
        .flags = flags,
    };
    int ret = 0;

    if (!blk_pieces_init(&split.pieces, iov->n)) {
        return -ENOMEM;
    }
    while (ret == 0 && range.bytes > 0) {
        size_t bytes = 0;

        ret = blk_split_co_step(&split, range, &bytes);
        range = blk_range_skip(range, bytes);
        split.done += bytes;
    }
    blk_bounce_done(&split.bounce);
    blk_pieces_done(&split.pieces);
    return ret;
}

int coroutine_fn
blk_align_co_transfer(BlkNode *node, BlkRange range, const IoVec *iov,
                      BlkReqFlags flags, bool write)
{
    ash_assert(iov->bytes == range.bytes);
    if (ash_likely(blk_align_fits(node, iov))) {
        return blk_align_co_call(node, range, iov, flags, write);
    }
    return blk_align_co_split(node, range, iov, flags, write);
}

/* ---- unaligned ranges: padding ---- */

typedef struct BlkPad {
    BlkRange outer;   /* whole blocks around the request */
    size_t head;      /* bytes of padding before it */
    size_t tail;      /* ... and after it */
    BlkBounce bounce; /* the first block, then the last if it is another */
    uint8_t *last;    /* the last block in there */
    BlkPieces pieces;
    IoVec iov; /* padding, the caller's memory, padding */
} BlkPad;

static void
blk_pad_done(BlkPad *pad)
{
    blk_pieces_done(&pad->pieces);
    blk_bounce_done(&pad->bounce);
}

static bool
blk_pad_init(BlkPad *pad, const BlkNode *node, BlkRange range, const IoVec *iov)
{
    size_t align = node->limits.request_align;
    size_t apart = ash_max(align, node->limits.mem_align);
    struct iovec *v;

    pad->outer = blk_range_align_out(range, align);
    pad->head = range.offset - pad->outer.offset;
    pad->tail = blk_range_end(pad->outer) - blk_range_end(range);
    if (!blk_bounce_init(&pad->bounce, node, apart + align)) {
        return false;
    }
    if (!blk_pieces_init(&pad->pieces, iov->n + 2)) {
        blk_bounce_done(&pad->bounce);
        return false;
    }
    pad->last = pad->bounce.buf + (pad->outer.bytes == align ? 0 : apart);

    v = pad->pieces.v;
    if (pad->head > 0) {
        v->iov_base = pad->bounce.buf;
        v->iov_len = pad->head;
        v++;
    }
    memcpy(v, iov->v, iov->n * sizeof(*v));
    v += iov->n;
    if (pad->tail > 0) {
        v->iov_base = pad->last + align - pad->tail;
        v->iov_len = pad->tail;
        v++;
    }
    iov_init_array(&pad->iov, pad->pieces.v, (unsigned)(v - pad->pieces.v));
    return true;
}

static int coroutine_fn
blk_pad_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
                BlkReqFlags flags)
{
    BlkPad pad;
    int ret;

    if (!blk_pad_init(&pad, node, range, iov)) {
        return -ENOMEM;
    }
    ret = blk_align_co_transfer(node, pad.outer, &pad.iov, flags, false);
    blk_pad_done(&pad);
    return ret;
}

/* Read one block at the edge of a write; past the end it is zero. */
static int coroutine_fn
blk_pad_co_fill_block(BlkNode *node, uint64_t offset, uint8_t *buf, bool head)
{
    uint32_t align = node->limits.request_align;
    uint64_t inside = offset < node->size ? node->size - offset : 0;
    IoVec iov;
    int ret;

    if (inside == 0) {
        memset(buf, 0, align);
        return 0;
    }
    blk_driver_co_debug_event(node,
                              head ? "pwritev_rmw_head" : "pwritev_rmw_tail");
    iov_init_one(&iov, buf, align);
    ret = blk_driver_co_read(node, blk_range(offset, align), &iov, 0);
    if (ret != 0) {
        return ret;
    }
    if (inside < align) {
        memset(buf + inside, 0, align - inside);
    }
    blk_driver_co_debug_event(node, head ? "pwritev_rmw_after_head"
                                         : "pwritev_rmw_after_tail");
    return 0;
}

/* Fill the padding of a write of @range. */
static int coroutine_fn
blk_pad_co_fill(BlkNode *node, BlkRange range, BlkPad *pad)
{
    uint32_t align = node->limits.request_align;
    uint64_t last_offset = blk_range_end(pad->outer) - align;
    bool tail_is_past_end = blk_range_end(range) >= node->size;
    int ret = 0;

    if (pad->head > 0) {
        ret = blk_pad_co_fill_block(node, pad->outer.offset, pad->bounce.buf,
                                    true);
    }
    if (ret != 0 || pad->tail == 0) {
        return ret;
    }
    if (tail_is_past_end) {
        memset(pad->last + align - pad->tail, 0, pad->tail);
        return 0;
    }
    if (pad->head > 0 && pad->outer.bytes == align) {
        return 0; /* the one block was read */
    }
    return blk_pad_co_fill_block(node, last_offset, pad->last, false);
}

static int coroutine_fn
blk_align_co_write_whole(BlkNode *node, BlkRange range, const IoVec *iov,
                         BlkReqFlags flags)
{
    int ret;

    blk_driver_co_debug_event(node, "pwritev");
    ret = blk_align_co_transfer(node, range, iov, flags, true);
    blk_driver_co_debug_event(node, "pwritev_done");
    return ret;
}

static int coroutine_fn
blk_pad_co_write(const BlkTracked *req, BlkRange range, const IoVec *iov,
                 BlkReqFlags flags)
{
    BlkNode *node = req->node;
    BlkPad pad;
    int ret;

    if (!blk_pad_init(&pad, node, range, iov)) {
        return -ENOMEM;
    }
    ret = blk_pad_co_fill(node, range, &pad);
    if (ret == 0) {
        ash_assert_slow(blk_tracked_is_alone(req));
        ret = blk_align_co_write_whole(node, pad.outer, &pad.iov, flags);
    }
    blk_pad_done(&pad);
    return ret;
}

/* ---- requests ---- */

void
blk_node_modified(BlkNode *node, BlkRange range, int ret)
{
    /* A failed write may have changed something too. */
    node->write_gen++;
    if (ret != 0) {
        return;
    }
    node->stats.wr_highest =
        ash_max(node->stats.wr_highest, blk_range_end(range));
}

void
blk_node_written(BlkNode *node, BlkRange range)
{
    node->size = ash_max(node->size, blk_range_end(range));
}

BlkReqFlags
blk_node_durable_flags(const BlkNode *node, BlkReqFlags flags,
                       BlkReqFlags native, bool *ret_flush)
{
    if (node->options.cache_no_flush || node->limits.fua_by_flush) {
        native &= ~(BlkReqFlags)BLK_REQ_FUA;
    }
    *ret_flush = (flags & ~native & BLK_REQ_FUA) != 0;
    return flags & native;
}

int coroutine_fn
blk_node_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
                 BlkReqFlags flags)
{
    BlkStatsOp *stats = &node->stats.op[BLK_OP_READ];
    BlkTracked req;
    int ret;

    blk_inflight_begin(node);
    blk_tracked_begin(&req, node, range);
    if (ash_likely(!(flags & BLK_REQ_NO_WAIT))) {
        blk_tracked_co_settle(&req);
    } else {
        req.no_wait = true;
    }
    if (ash_likely(blk_range_is_aligned(range, node->limits.request_align))) {
        ret = blk_align_co_transfer(node, range, iov, flags, false);
    } else {
        ret = blk_pad_co_read(node, range, iov, flags);
    }
    blk_tracked_end(&req);
    blk_stats_count(stats, range.bytes, ret);
    blk_inflight_end(node);
    return ret;
}

int
blk_node_try_read(BlkNode *node, BlkRange range, const IoVec *iov)
{
    const BlkLimits *limits = &node->limits;
    int ret;

    /* What does not yield overlaps with nothing, so it is not tracked. */
    if (ash_unlikely(node->n_serialising > 0 ||
                     !blk_range_is_aligned(range, limits->request_align) ||
                     !blk_align_fits(node, iov))) {
        return -EAGAIN;
    }
    ret = blk_driver_try_read(node, range, iov);
    if (ash_likely(ret == 0)) {
        blk_stats_count(&node->stats.op[BLK_OP_READ], range.bytes, 0);
    }
    return ret;
}

int
blk_node_map_file(BlkNode *node, BlkRange range, BlkFileRange *ret)
{
    int err;

    if (node->n_serialising > 0) {
        return -ENOTSUP;
    }
    err = blk_driver_map_file(node, range, ret);
    if (err == 0) {
        blk_stats_count(&node->stats.op[BLK_OP_READ], range.bytes, 0);
    }
    return err;
}

int coroutine_fn
blk_align_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
                   BlkReqFlags flags)
{
    uint32_t align = node->limits.request_align;
    bool aligned = blk_range_is_aligned(range, align);
    BlkReqFlags driver_flags = flags & ~(BlkReqFlags)BLK_REQ_SERIALISING;
    BlkTracked req;
    int ret;

    blk_tracked_begin(&req, node, range);
    if (ash_unlikely(!aligned || (flags & BLK_REQ_SERIALISING))) {
        blk_tracked_serialise(&req, align);
    }
    blk_tracked_co_settle(&req);
    if (ash_unlikely(node->failed != 0)) {
        ret = -EIO;
    } else if (ash_likely(aligned)) {
        ret = blk_align_co_write_whole(node, range, iov, driver_flags);
    } else {
        ret = blk_pad_co_write(&req, range, iov, driver_flags);
    }
    blk_node_modified(node, range, ret);
    blk_tracked_end(&req);
    return ret;
}

/* What a node with detect_zeroes makes of all-zero data; 0: write it. */
static inline bool
blk_node_detects_zero(const BlkNode *node, const IoVec *iov, BlkReqFlags flags)
{
    return ash_unlikely(node->options.detect_zeroes != BLK_DETECT_ZEROES_OFF) &&
           !(flags & BLK_REQ_COMPRESSED) && iov_is_zero(iov);
}

static int coroutine_fn
blk_node_co_write_durable(BlkNode *node, BlkRange range, const IoVec *iov,
                          BlkReqFlags flags)
{
    BlkReqFlags native = node->driver->write_flags;
    bool flush;
    BlkReqFlags driver_flags =
        blk_node_durable_flags(node, flags, native, &flush);
    int ret;

    if (ash_unlikely(flags & ~native & BLK_REQ_COMPRESSED)) {
        return -ENOTSUP;
    }
    ret = blk_align_co_write(node, range, iov,
                             driver_flags | (flags & BLK_REQ_SERIALISING));
    if (ret == 0) {
        blk_node_written(node, range);
    }
    if (ret == 0 && flush) {
        ret = blk_node_co_flush(node);
    }
    return ret;
}

int coroutine_fn
blk_node_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
                  BlkReqFlags flags)
{
    BlkStatsOp *stats = &node->stats.op[BLK_OP_WRITE];
    int ret;

    blk_inflight_begin(node);
    if (blk_node_detects_zero(node, iov, flags)) {
        if (node->options.detect_zeroes == BLK_DETECT_ZEROES_UNMAP) {
            flags |= BLK_REQ_MAY_UNMAP;
        }
        ret = blk_fallback_co_zero(node, range, flags);
    } else {
        ret = blk_node_co_write_durable(node, range, iov, flags);
    }
    blk_stats_count(stats, range.bytes, ret);
    blk_inflight_end(node);
    return ret;
}
