/*
 * drivers/fault.c - driver "fault": a filter that makes things go wrong.
 *
 * Each request first happens as an event of its kind, which may stop it
 * (drivers/fault.h), then the rules are asked.  Who is not delayed or failed
 * goes to the child, whole or in random pieces.  With options, requests have
 * the alignments and maxima of a device that does not exist.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/fault.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "blockcore/edge-io.h"
#include "drivers/fault-priv.h"

/* A short request goes on in at most this many pieces. */
#define FAULT_PIECES_MAX 8U

/* ---- open, close ---- */

static bool coroutine_fn
fault_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    const BlkRole role = (BlkRole)BLK_ROLE_FILTERED | BLK_ROLE_PRIMARY;
    Fault *fault = blk_node_state(node);

    fault->rules = g_array_new(FALSE, FALSE, sizeof(FaultRule));
    ash_list_init(&fault->breaks);
    co_queue_init(&fault->watchers);
    if (fault_take_options(fault, opts, error) &&
        blk_node_co_open_child(node, opts, "file", role, true, &fault->file,
                               error)) {
        return true;
    }
    g_array_free(fault->rules, TRUE);
    return false;
}

static void coroutine_fn
fault_co_close(BlkNode *node)
{
    Fault *fault = blk_node_state(node);

    fault_break_done(fault);
    g_array_free(fault->rules, TRUE);
}

static void coroutine_fn
fault_co_set_perm(BlkNode *node, BlkPerm perm, BlkPerm shared)
{
    Fault *fault = blk_node_state(node);

    (void)shared;
    fault->may_resize = perm & BLK_PERM_RESIZE;
}

/* What the child wants, as multiples of @align. */
static void
fault_raise_limits(BlkLimits *l, uint32_t align)
{
    l->opt_transfer = (uint32_t)ash_round_up(l->opt_transfer, align);
    l->zero_align = (uint32_t)ash_round_up(l->zero_align, align);
    l->trim_align = (uint32_t)ash_round_up(l->trim_align, align);
    if (l->max_transfer > 0) {
        l->max_transfer =
            ash_max(ash_round_down(l->max_transfer, align), align);
    }
    if (l->max_zero > 0) {
        l->max_zero = ash_max(ash_round_down(l->max_zero, align), align);
    }
    if (l->max_trim > 0) {
        l->max_trim = ash_max(ash_round_down(l->max_trim, align), align);
    }
}

/* What the options say wins; the core checks that it fits together. */
static void
fault_get_limits(BlkNode *node, BlkLimits *ret)
{
    const Fault *fault = blk_node_state(node);
    const BlkLimits *own = &fault->limits;

    if (own->request_align > 0) {
        ret->request_align = own->request_align;
        if (ash_is_pow2(own->request_align)) {
            fault_raise_limits(ret, own->request_align);
        }
    }
    if (own->max_transfer > 0) {
        ret->max_transfer = own->max_transfer;
        ret->opt_transfer = 0;
    }
    if (own->zero_align > 0 || own->max_zero > 0) {
        ret->zero_align = own->zero_align;
        ret->max_zero = own->max_zero;
    }
    if (own->trim_align > 0 || own->max_trim > 0) {
        ret->trim_align = own->trim_align;
        ret->max_trim = own->max_trim;
    }
}

/* ---- what happens first ---- */

static void coroutine_fn
fault_co_event(Fault *fault, const char *event)
{
    fault_arm(fault, event);
    fault_co_break(fault, event);
}

/* 0 or -errno; *ret_short: go on in pieces. */
static int coroutine_fn
fault_co_enter(Fault *fault, FaultOp op, BlkRange range, bool *ret_short)
{
    FaultVerdict verdict;

    fault_co_event(fault, fault_op_names[op]);
    verdict = fault_judge(fault, op, range);
    if (verdict.delay_ns > 0) {
        co_sleep_ns(verdict.delay_ns);
    }
    if (verdict.err != 0 && !verdict.immediately) {
        co_pause();
    }
    if (ret_short) {
        *ret_short = verdict.short_io;
    }
    return verdict.err;
}

/* Up to the child's end: what rounding up to @align added is nobody's. */
static BlkRange
fault_clamp(const Fault *fault, BlkRange range)
{
    BlkRange all = blk_range(0, blk_edge_size(fault->file));

    return fault->may_resize ? range : blk_range_intersect(range, all);
}

/* ---- requests ---- */

static int coroutine_fn
fault_co_transfer(Fault *fault, FaultOp op, BlkRange range, const IoVec *iov,
                  BlkReqFlags flags)
{
    return op == FAULT_READ ? blk_edge_co_read(fault->file, range, iov, flags)
                            : blk_edge_co_write(fault->file, range, iov, flags);
}

/* The same in pieces of random length, in order. */
static int coroutine_fn
fault_co_pieces(Fault *fault, FaultOp op, BlkRange range, const IoVec *iov,
                BlkReqFlags flags)
{
    g_autofree struct iovec *space = g_new(struct iovec, iov->n);
    uint64_t done = 0;
    int ret = 0;

    for (unsigned i = 1; ret == 0 && done < range.bytes; i++) {
        BlkRange rest = blk_range_skip(range, done);
        uint64_t n =
            i < FAULT_PIECES_MAX ? fault_random(fault, rest.bytes) : rest.bytes;
        IoVec piece;

        iov_slice(iov, done, n, space, &piece);
        ret = fault_co_transfer(fault, op, blk_range_head(rest, n), &piece,
                                flags);
        done += n;
    }
    return ret;
}

static int coroutine_fn
fault_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
              BlkReqFlags flags)
{
    Fault *fault = blk_node_state(node);
    bool is_short;
    int ret = fault_co_enter(fault, FAULT_READ, range, &is_short);

    if (ret != 0) {
        return ret;
    }
    return is_short ? fault_co_pieces(fault, FAULT_READ, range, iov, flags)
                    : fault_co_transfer(fault, FAULT_READ, range, iov, flags);
}

static int
fault_try_read(BlkNode *node, BlkRange range, const IoVec *iov)
{
    const Fault *fault = blk_node_state(node);

    if (fault_touches(fault, FAULT_READ)) {
        return -EAGAIN;
    }
    return blk_edge_try_read(fault->file, range, iov);
}

/* FUA is a flush: dropped, or its failure hidden. */
static int coroutine_fn
fault_co_write_inside(Fault *fault, BlkRange range, const IoVec *iov,
                      BlkReqFlags flags, bool is_short)
{
    bool fua = flags & BLK_REQ_FUA;
    int ret;

    if (fault->drop_flush || fault->lie_flush) {
        flags &= ~(BlkReqFlags)BLK_REQ_FUA;
    }
    ret = is_short ? fault_co_pieces(fault, FAULT_WRITE, range, iov, flags)
                   : fault_co_transfer(fault, FAULT_WRITE, range, iov, flags);
    if (ret == 0 && fua && fault->lie_flush && !fault->drop_flush) {
        ash_maybe(blk_edge_co_flush(fault->file));
    }
    return ret;
}

static int coroutine_fn
fault_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
               BlkReqFlags flags)
{
    Fault *fault = blk_node_state(node);
    g_autofree struct iovec *space = NULL;
    BlkRange inside;
    bool is_short;
    IoVec part;
    int ret = fault_co_enter(fault, FAULT_WRITE, range, &is_short);

    if (ret != 0) {
        return ret;
    }
    inside = fault_clamp(fault, range);
    if (inside.bytes == range.bytes) {
        return fault_co_write_inside(fault, range, iov, flags, is_short);
    }
    space = g_new(struct iovec, iov->n);
    iov_slice(iov, 0, inside.bytes, space, &part);
    return fault_co_write_inside(fault, inside, &part, flags, is_short);
}

static int coroutine_fn
fault_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    Fault *fault = blk_node_state(node);
    bool fua = flags & BLK_REQ_FUA;
    int ret = fault_co_enter(fault, FAULT_ZERO, range, NULL);

    if (ret != 0) {
        return ret;
    }
    if (fault->drop_flush || fault->lie_flush) {
        flags &= ~(BlkReqFlags)BLK_REQ_FUA;
    }
    ret = blk_edge_co_zero(fault->file, fault_clamp(fault, range), flags);
    if (ret == 0 && fua && fault->lie_flush && !fault->drop_flush) {
        ash_maybe(blk_edge_co_flush(fault->file));
    }
    return ret;
}

static int coroutine_fn
fault_co_trim(BlkNode *node, BlkRange range)
{
    Fault *fault = blk_node_state(node);
    int ret = fault_co_enter(fault, FAULT_DISCARD, range, NULL);

    if (ret != 0) {
        return ret;
    }
    return blk_edge_co_trim(fault->file, fault_clamp(fault, range));
}

static int coroutine_fn
fault_co_flush_disk(BlkNode *node)
{
    Fault *fault = blk_node_state(node);
    int ret = fault_co_enter(fault, FAULT_FLUSH, blk_range(0, 0), NULL);

    if (ret != 0 || fault->drop_flush) {
        return ret;
    }
    ret = blk_edge_co_flush(fault->file);
    return fault->lie_flush ? 0 : ret;
}

static int coroutine_fn
fault_co_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    Fault *fault = blk_node_state(node);
    int err = fault_co_enter(fault, FAULT_STATUS, range, NULL);

    if (err != 0) {
        return err;
    }
    *ret = (BlkExtent){
        .bytes = range.bytes,
        .status = (unsigned)BLK_STATUS_RAW | BLK_STATUS_OFFSET_VALID,
        .host_offset = range.offset,
        .file = blk_edge_child(fault->file),
    };
    return 0;
}

static int
fault_map_file(BlkNode *node, BlkRange range, BlkFileRange *ret)
{
    const Fault *fault = blk_node_state(node);

    if (fault_touches(fault, FAULT_READ)) {
        return -ENOTSUP;
    }
    return blk_edge_map_file(fault->file, range, ret);
}

static int coroutine_fn
fault_co_prefetch(BlkNode *node, BlkRange range)
{
    Fault *fault = blk_node_state(node);
    int ret = fault_co_enter(fault, FAULT_READ, range, NULL);

    if (ret != 0) {
        return ret;
    }
    return blk_edge_co_prefetch(fault->file, fault_clamp(fault, range));
}

static void coroutine_fn
fault_co_debug_event(BlkNode *node, const char *event)
{
    Fault *fault = blk_node_state(node);

    fault_co_event(fault, event);
    blk_edge_co_debug_event(fault->file, event);
}

const BlkDriver blk_driver_fault = {
    .name = "fault",
    .help = "a filter that injects errors and delays; to test",
    .kind = BLK_FILTER,
    .state_bytes = sizeof(Fault),
    .options = fault_options,
    .write_flags =
        (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_UNCHANGED | BLK_REQ_COMPRESSED,
    .zero_flags = (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_MAY_UNMAP |
                  BLK_REQ_NO_FALLBACK | BLK_REQ_UNCHANGED,
    .flushes_children = true,
    .co_open = fault_co_open,
    .co_close = fault_co_close,
    .get_limits = fault_get_limits,
    .co_set_perm = fault_co_set_perm,
    .co_read = fault_co_read,
    .co_write = fault_co_write,
    .co_zero = fault_co_zero,
    .co_trim = fault_co_trim,
    .co_flush_disk = fault_co_flush_disk,
    .co_status = fault_co_status,
    .map_file = fault_map_file,
    .try_read = fault_try_read,
    .co_prefetch = fault_co_prefetch,
    .co_debug_event = fault_co_debug_event,
};
