/*
 * drivers/slice.c - driver "raw": a file as a disk, all of it or a window.
 *
 * Bytes are passed on as they are, whatever format they look like.  The window
 * [offset, offset + size) lies inside the child, and nothing outside of it is
 * touched; without a size it goes on to the child's end, wherever that is.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <inttypes.h>

#include "blockcore/driver.h"
#include "blockcore/edge-io.h"

typedef struct Slice {
    BlkEdge *file;
    uint64_t offset;
    uint64_t size; /* with has_size */
    bool has_size;
} Slice;

static const BlkOptionSpec slice_options[] = {
    {
        .name = "file",
        .type = BLK_OPT_NODE,
        .required = true,
        .help = "where the bytes are",
    },
    {
        .name = "offset",
        .type = BLK_OPT_SIZE,
        .fallback = "0",
        .help = "where in the file the disk begins, in bytes",
    },
    {
        .name = "size",
        .type = BLK_OPT_SIZE,
        .help = "size of the disk in bytes; without it, the rest of the file",
    },
    { .name = NULL },
};

/* ---- open ---- */

/* The window lies inside the child. */
static bool
slice_check(const Slice *slice, GError **error)
{
    uint64_t child_size = blk_edge_size(slice->file);

    if (slice->offset > child_size) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "offset %" PRIu64 " is past the end of the file, which "
                    "has %" PRIu64 " bytes",
                    slice->offset, child_size);
        return false;
    }
    if (slice->has_size && slice->size > child_size - slice->offset) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "offset %" PRIu64 " and size %" PRIu64 " reach past the "
                    "end of the file, which has %" PRIu64 " bytes",
                    slice->offset, slice->size, child_size);
        return false;
    }
    return true;
}

static bool coroutine_fn
slice_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    Slice *slice = blk_node_state(node);
    BlkRole role = BLK_ROLE_PRIMARY;

    slice->has_size = blk_options_has(opts, "size");
    if (!blk_options_take_uint(opts, blk_option_find(slice_options, "offset"),
                               &slice->offset, error) ||
        !blk_options_take_uint(opts, blk_option_find(slice_options, "size"),
                               &slice->size, error)) {
        return false;
    }
    /* All of the file is exactly its data; a window is a part of it. */
    role |= slice->offset == 0 && !slice->has_size ? BLK_ROLE_FILTERED
                                                   : BLK_ROLE_DATA;
    return blk_node_co_open_child(node, opts, "file", role, true, &slice->file,
                                  error) &&
           slice_check(slice, error);
}

static int coroutine_fn
slice_co_size(BlkNode *node, uint64_t *ret)
{
    const Slice *slice = blk_node_state(node);

    *ret = slice->has_size ? slice->size
                           : blk_edge_size(slice->file) - slice->offset;
    return 0;
}

/* The child's alignments count from its own start. */
static void
slice_get_limits(BlkNode *node, BlkLimits *ret)
{
    const Slice *slice = blk_node_state(node);

    if (ret->trim_align > 0 && slice->offset % ret->trim_align != 0) {
        ret->trim_align = 0;
        ret->max_trim = 0;
    }
    if (ret->zero_align > 0 && slice->offset % ret->zero_align != 0) {
        ret->zero_align = 0;
        ret->max_zero = 0;
    }
}

/* ---- requests ---- */

static inline BlkRange
slice_map(const Slice *slice, BlkRange range)
{
    return blk_range(slice->offset + range.offset, range.bytes);
}

/* A parent that may resize its file writes past the end; a window has one. */
static inline bool
slice_is_outside(const Slice *slice, BlkRange range)
{
    return (slice->has_size && !blk_range_is_inside(range, slice->size)) ||
           blk_range_end(range) > INT64_MAX - slice->offset;
}

static int coroutine_fn
slice_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
              BlkReqFlags flags)
{
    const Slice *slice = blk_node_state(node);

    return blk_edge_co_read(slice->file, slice_map(slice, range), iov, flags);
}

static int
slice_try_read(BlkNode *node, BlkRange range, const IoVec *iov)
{
    const Slice *slice = blk_node_state(node);

    return blk_edge_try_read(slice->file, slice_map(slice, range), iov);
}

static int coroutine_fn
slice_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
               BlkReqFlags flags)
{
    const Slice *slice = blk_node_state(node);

    if (slice_is_outside(slice, range)) {
        return -ENOSPC;
    }
    return blk_edge_co_write(slice->file, slice_map(slice, range), iov, flags);
}

static int coroutine_fn
slice_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    const Slice *slice = blk_node_state(node);

    if (slice_is_outside(slice, range)) {
        return -ENOSPC;
    }
    return blk_edge_co_zero(slice->file, slice_map(slice, range), flags);
}

static int coroutine_fn
slice_co_trim(BlkNode *node, BlkRange range)
{
    const Slice *slice = blk_node_state(node);

    return blk_edge_co_trim(slice->file, slice_map(slice, range));
}

static int coroutine_fn
slice_co_prefetch(BlkNode *node, BlkRange range)
{
    const Slice *slice = blk_node_state(node);

    return blk_edge_co_prefetch(slice->file, slice_map(slice, range));
}

static int coroutine_fn
slice_co_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    const Slice *slice = blk_node_state(node);

    *ret = (BlkExtent){
        .bytes = range.bytes,
        .status = (unsigned)BLK_STATUS_RAW | BLK_STATUS_OFFSET_VALID,
        .host_offset = slice->offset + range.offset,
        .file = blk_edge_child(slice->file),
    };
    return 0;
}

static int
slice_map_file(BlkNode *node, BlkRange range, BlkFileRange *ret)
{
    const Slice *slice = blk_node_state(node);

    return blk_edge_map_file(slice->file, slice_map(slice, range), ret);
}

const BlkDriver blk_driver_raw = {
    .name = "raw",
    .help = "a file as a disk, byte for byte: all of it or a window",
    .kind = BLK_FORMAT,
    .state_bytes = sizeof(Slice),
    .options = slice_options,
    .write_flags =
        (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_UNCHANGED | BLK_REQ_COMPRESSED,
    .zero_flags = (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_MAY_UNMAP |
                  BLK_REQ_NO_FALLBACK | BLK_REQ_UNCHANGED,
    .co_open = slice_co_open,
    .co_size = slice_co_size,
    .get_limits = slice_get_limits,
    .co_read = slice_co_read,
    .co_write = slice_co_write,
    .co_zero = slice_co_zero,
    .co_trim = slice_co_trim,
    .co_status = slice_co_status,
    .map_file = slice_map_file,
    .try_read = slice_try_read,
    .co_prefetch = slice_co_prefetch,
};
