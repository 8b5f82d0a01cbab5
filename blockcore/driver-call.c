/*
 * blockcore/driver-call.c - see blockcore/driver-call.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/driver-call.h"

#include <errno.h>

#include "base/assert.h"
#include "base/bits.h"
#include "blockcore/driver.h"

/* What every range given to a driver fulfils.  A write may pass the end when a
 * parent may resize the node. */
static inline void
blk_driver_check_range(const BlkNode *node, BlkRange range, bool may_grow)
{
    uint32_t align = node->limits.request_align;

    ash_assert(range.bytes > 0);
    ash_assert(blk_range_is_aligned(range, align));
    if (!may_grow) {
        ash_assert(blk_range_end(range) <= ash_round_up(node->size, align));
    }
}

static inline void
blk_driver_check_transfer(const BlkNode *node, BlkRange range, const IoVec *iov)
{
    /* With max_transfer 0 the right side is the largest number. */
    ash_assert(range.bytes - 1 <= node->limits.max_transfer - 1);
    ash_assert(range.bytes <= BLK_TRANSFER_MAX);
    ash_assert(iov->bytes == range.bytes);
}

/* Never short, never positive, and an errno. */
static inline int
blk_driver_check_result(int ret)
{
    ash_assert(ret <= 0);
    ash_assert(ret > -4096);
    return ret;
}

/* The same for what a driver says is durable.  Of two syncs at a time the host
 * tells one that it lost data; the other's success is worth nothing then. */
static int
blk_driver_check_durable(const BlkNode *node, int ret)
{
    ret = blk_driver_check_result(ret);
    return ret == 0 && node->failed != 0 ? -EIO : ret;
}

int coroutine_fn
blk_driver_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
                   BlkReqFlags flags)
{
    blk_driver_check_range(node, range, false);
    blk_driver_check_transfer(node, range, iov);
    return blk_driver_check_result(
        node->driver->co_read(node, range, iov, flags));
}

int coroutine_fn
blk_driver_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
                    BlkReqFlags flags)
{
    int ret;

    blk_driver_check_range(node, range, node->perm & BLK_PERM_RESIZE);
    blk_driver_check_transfer(node, range, iov);
    ash_assert((flags & ~node->driver->write_flags) == 0);
    ash_assert(!node->read_only);
    ret = node->driver->co_write(node, range, iov, flags);
    return flags & BLK_REQ_FUA ? blk_driver_check_durable(node, ret)
                               : blk_driver_check_result(ret);
}

int coroutine_fn
blk_driver_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    int ret;

    blk_driver_check_range(node, range, node->perm & BLK_PERM_RESIZE);
    if (node->limits.zero_align > 0) {
        ash_assert(blk_range_is_aligned(range, node->limits.zero_align));
    }
    ash_assert(range.bytes - 1 <= node->limits.max_zero - 1);
    ash_assert((flags & ~node->driver->zero_flags) == 0);
    ash_assert(!node->read_only);
    ret = node->driver->co_zero(node, range, flags);
    return flags & BLK_REQ_FUA ? blk_driver_check_durable(node, ret)
                               : blk_driver_check_result(ret);
}

int coroutine_fn
blk_driver_co_trim(BlkNode *node, BlkRange range)
{
    blk_driver_check_range(node, range, false);
    if (node->limits.trim_align > 0) {
        ash_assert(blk_range_is_aligned(range, node->limits.trim_align));
    }
    ash_assert(range.bytes - 1 <= node->limits.max_trim - 1);
    ash_assert(!node->read_only);
    return blk_driver_check_result(node->driver->co_trim(node, range));
}

int coroutine_fn
blk_driver_co_prefetch(BlkNode *node, BlkRange range)
{
    blk_driver_check_range(node, range, false);
    return blk_driver_check_result(node->driver->co_prefetch(node, range));
}

int coroutine_fn
blk_driver_co_flush_os(BlkNode *node)
{
    if (!node->driver->co_flush_os) {
        return 0;
    }
    return blk_driver_check_result(node->driver->co_flush_os(node));
}

int coroutine_fn
blk_driver_co_flush_disk(BlkNode *node)
{
    if (!node->driver->co_flush_disk) {
        return 0;
    }
    return blk_driver_check_durable(node, node->driver->co_flush_disk(node));
}

/* Without a status slot everything is data; a filter's is its child's. */
static void
blk_driver_default_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    ret->bytes = range.bytes;
    ret->status = BLK_STATUS_DATA;
    ret->host_offset = range.offset;
    ret->file = NULL;
    if (node->driver->kind == BLK_FILTER && node->primary) {
        ret->status = BLK_STATUS_RAW | BLK_STATUS_OFFSET_VALID;
        ret->file = node->primary->child;
    } else if (node->driver->kind == BLK_PROTOCOL) {
        ret->status |= BLK_STATUS_OFFSET_VALID;
        ret->file = node;
    }
}

/* A driver's answer may come from a peer or a damaged image. */
static int
blk_driver_check_extent(const BlkNode *node, BlkRange range, BlkExtent *ret)
{
    unsigned core = BLK_STATUS_ALLOCATED | BLK_STATUS_EOF;

    ash_assert((ret->status & core) == 0);
    if (ret->status & BLK_STATUS_OFFSET_VALID) {
        ash_assert(ret->file);
    }
    if (ret->status & BLK_STATUS_RAW) {
        ash_assert(ret->status & BLK_STATUS_OFFSET_VALID);
        ash_assert(ret->file != node);
    }
    /* 2^63 is a multiple of every alignment. */
    ret->bytes = ash_min(ret->bytes, ((uint64_t)1 << 63) - range.offset);
    ret->bytes = ash_round_down(ret->bytes, node->limits.request_align);
    return ret->bytes > 0 ? 0 : -EIO;
}

int coroutine_fn
blk_driver_co_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    BlkExtent ext = { 0 };
    int err;

    blk_driver_check_range(node, range, false);
    if (!node->driver->co_status) {
        blk_driver_default_status(node, range, ret);
        return 0;
    }
    err = blk_driver_check_result(node->driver->co_status(node, range, &ext));
    if (err == 0) {
        err = blk_driver_check_extent(node, range, &ext);
    }
    if (err == 0) {
        *ret = ext;
    }
    return err;
}

int
blk_driver_map_file(BlkNode *node, BlkRange range, BlkFileRange *ret)
{
    if (!node->driver->map_file ||
        !blk_range_is_aligned(range, node->limits.request_align)) {
        return -ENOTSUP;
    }
    blk_driver_check_range(node, range, false);
    return blk_driver_check_result(node->driver->map_file(node, range, ret));
}

int
blk_driver_try_read(BlkNode *node, BlkRange range, const IoVec *iov)
{
    if (!node->driver->try_read) {
        return -EAGAIN;
    }
    blk_driver_check_range(node, range, false);
    blk_driver_check_transfer(node, range, iov);
    return blk_driver_check_result(node->driver->try_read(node, range, iov));
}

int coroutine_fn
blk_driver_co_refresh_size(BlkNode *node)
{
    uint64_t size;
    int ret;

    if (!node->driver->variable_size || !node->driver->co_size) {
        return 0;
    }
    ret = blk_driver_check_result(node->driver->co_size(node, &size));
    if (ret == 0) {
        node->size = size;
    }
    return ret;
}

void coroutine_fn
blk_driver_co_debug_event(BlkNode *node, const char *event)
{
    while (!node->driver->co_debug_event) {
        if (!node->primary) {
            return;
        }
        node = node->primary->child;
    }
    node->driver->co_debug_event(node, event);
}
