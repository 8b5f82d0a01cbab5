/*
 * drivers/host-device.c - the driver "host_device": a block device of the host.
 *
 * Space.  Zeros that may be deallocated are asked of the device in a way that
 * it refuses unless it is quick.  Otherwise the kernel zeroes, by writing if
 * need be, so that is not done where a slow way is unwanted.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <limits.h>

#include "base/bits.h"
#include "drivers/file-common.h"
#include "drivers/file.h"

#define DEVICE_TRIM_MAX ASH_GIB
#define DEVICE_OPT_TRANSFER 4096U

static bool coroutine_fn
device_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    return file_co_open(node, opts, true, error);
}

static void
device_get_limits(BlkNode *node, BlkLimits *ret)
{
    const File *f = blk_node_state(node);
    /* The kernel takes whole sectors only. */
    uint32_t sector = (uint32_t)ash_max(f->st.logical_block, f->align);

    ret->request_align = f->align;
    ret->mem_align = f->mem_align;
    ret->opt_transfer =
        (uint32_t)ash_max(DEVICE_OPT_TRANSFER, f->st.physical_block);
    ret->opt_transfer = (uint32_t)ash_max(ret->opt_transfer, f->align);
    ret->max_iov = IOV_MAX;
    ret->trim_align = sector;
    ret->zero_align = sector;
    ret->max_trim = DEVICE_TRIM_MAX;
    ret->rotational = f->st.rotational;
    ret->fast_zero = true;
}

static int coroutine_fn
device_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    File *f = blk_node_state(node);
    int ret = -ENOTSUP;

    if ((flags & BLK_REQ_MAY_UNMAP) != 0 &&
        blk_node_options(node)->discard_unmap && !f->no_punch) {
        ret = file_co_space(node, AIO_SPACE_BLKPUNCH, range);
        if (ret == -ENOTSUP) {
            f->no_punch = true;
        }
    }
    if (ret == -ENOTSUP && (flags & BLK_REQ_NO_FALLBACK) == 0 && !f->no_zero) {
        ret = file_co_space(node, AIO_SPACE_BLKZEROOUT, range);
        if (ret == -ENOTSUP) {
            f->no_zero = true;
        }
    }
    return ret;
}

static int coroutine_fn
device_co_trim(BlkNode *node, BlkRange range)
{
    return file_co_space(node, AIO_SPACE_BLKDISCARD, range);
}

const BlkDriver blk_driver_host_device = {
    .name = "host_device",
    .help = "a block device of the host",
    .kind = BLK_PROTOCOL,
    .state_bytes = sizeof(File),
    .options = file_option_specs,
    .write_flags = BLK_REQ_FUA,
    .zero_flags = BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK,
    .co_open = device_co_open,
    .co_close = file_co_close,
    .co_size = file_co_size,
    .get_limits = device_get_limits,
    .co_check_perm = file_co_check_perm,
    .co_set_perm = file_co_set_perm,
    .co_abort_perm = file_co_abort_perm,
    .attach_loop = file_attach_loop,
    .co_read = file_co_read,
    .co_write = file_co_write,
    .co_zero = device_co_zero,
    .co_trim = device_co_trim,
    .co_flush_disk = file_co_flush_disk,
    .co_status = file_co_status,
    .map_file = file_map,
    .try_read = file_try_read,
};
