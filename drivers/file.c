/*
 * drivers/file.c - the driver "file": a regular file of the host.
 *
 * Space.  Zeros that may be deallocated are a hole; others are a zero range,
 * which keeps the space.  Both are fast or refused, never emulated here, and a
 * refusal is remembered.  A hole that can't be punched for lack of space (the
 * extent map would grow) is zeroed by writing instead, which needs none.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file.h"

#include <errno.h>
#include <limits.h>

#include "base/bits.h"
#include "drivers/file-common.h"

/* One step: quick enough to let others go first in between. */
#define FILE_SPACE_MAX ASH_GIB
/* What page caches and file systems like. */
#define FILE_OPT_TRANSFER 4096U

static bool coroutine_fn
regular_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    return file_co_open(node, opts, false, error);
}

static void
regular_get_limits(BlkNode *node, BlkLimits *ret)
{
    const File *f = blk_node_state(node);

    ret->request_align = f->align;
    ret->mem_align = f->mem_align;
    ret->opt_transfer = (uint32_t)ash_max(FILE_OPT_TRANSFER, f->align);
    ret->max_iov = IOV_MAX;
    ret->max_trim = FILE_SPACE_MAX;
    ret->max_zero = FILE_SPACE_MAX;
    ret->fast_zero = true;
    ret->zero_init = true;
    ret->fua_by_flush = f->st.sync_alone;
}

static int coroutine_fn
regular_co_punch(BlkNode *node, BlkRange range)
{
    File *f = blk_node_state(node);
    int ret = -ENOTSUP;

    if (!f->no_punch) {
        ret = file_co_space(node, AIO_SPACE_PUNCH, range);
        if (ret == -ENOTSUP && range.offset < blk_node_size(node)) {
            f->no_punch = true;
        }
    }
    return ret == -ENOSPC ? -ENOTSUP : ret;
}

static int coroutine_fn
regular_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    File *f = blk_node_state(node);
    int ret = -ENOTSUP;

    if (f->may_resize && blk_range_end(range) > blk_node_size(node)) {
        return -ENOTSUP; /* writing zeros makes the file larger */
    }
    if ((flags & BLK_REQ_MAY_UNMAP) != 0 &&
        blk_node_options(node)->discard_unmap) {
        ret = regular_co_punch(node, range);
    }
    if (ret == -ENOTSUP && !f->no_zero) {
        ret = file_co_space(node, AIO_SPACE_ZERO, range);
        if (ret == -ENOTSUP) {
            f->no_zero = true;
        }
    }
    return ret;
}

static int coroutine_fn
regular_co_trim(BlkNode *node, BlkRange range)
{
    return regular_co_punch(node, range);
}

const BlkDriver blk_driver_file = {
    .name = "file",
    .help = "a regular file of the host",
    .kind = BLK_PROTOCOL,
    .state_bytes = sizeof(File),
    .options = file_option_specs,
    .write_flags = BLK_REQ_FUA,
    .zero_flags = BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK,
    .co_open = regular_co_open,
    .co_close = file_co_close,
    .co_size = file_co_size,
    .get_limits = regular_get_limits,
    .co_check_perm = file_co_check_perm,
    .co_set_perm = file_co_set_perm,
    .co_abort_perm = file_co_abort_perm,
    .attach_loop = file_attach_loop,
    .co_read = file_co_read,
    .co_write = file_co_write,
    .co_zero = regular_co_zero,
    .co_trim = regular_co_trim,
    .co_flush_disk = file_co_flush_disk,
    .co_status = file_co_status,
    .map_file = file_map,
    .try_read = file_try_read,
};
