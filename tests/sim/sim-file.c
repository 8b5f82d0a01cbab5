/*
 * tests/sim/sim-file.c - a driver for files of the simulated disk, as small as
 * it can be.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/bits.h"
#include "blockcore/driver.h"
#include "drivers/aio/engine.h"
#include "tests/sim/sim-daemon.h"

typedef struct SimFileNode {
    AioFile *file;
} SimFileNode;

static const BlkOptionSpec sim_file_options[] = {
    { .name = "filename",
      .type = BLK_OPT_STRING,
      .required = true,
      .help = "name on the simulated disk" },
    { .name = NULL },
};

static AioFile *
sim_file_of(BlkNode *node)
{
    return ((SimFileNode *)blk_node_state(node))->file;
}

static bool coroutine_fn
sim_file_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    SimFileNode *s = blk_node_state(node);
    const BlkNodeOptions *no = blk_node_options(node);
    g_autofree char *name = NULL;
    int flags = blk_node_is_read_only(node) ? O_RDONLY : O_RDWR;
    AioEngine *engine;
    int r;

    if (!blk_options_take_string(opts, &sim_file_options[0], &name, error)) {
        return false;
    }
    engine = aio_engine_get(blk_node_loop(node), AIO_AUTO, no->cache_direct,
                            NULL, error);
    if (!engine) {
        return false;
    }
    flags |= no->cache_direct ? O_DIRECT : 0;
    r = aio_file_co_open(engine, name, flags | O_CLOEXEC, 0, &s->file);
    if (r < 0) {
        ash_set_error_errno(error, -r, "can't open '%s'", name);
    }
    return r == 0;
}

static void coroutine_fn
sim_file_co_close(BlkNode *node)
{
    aio_file_co_close(sim_file_of(node));
}

static int coroutine_fn
sim_file_co_size(BlkNode *node, uint64_t *ret)
{
    AioStat st;
    int r = aio_file_co_stat(sim_file_of(node), &st);

    if (r == 0) {
        *ret = st.size;
    }
    return r;
}

static void
sim_file_get_limits(BlkNode *node, BlkLimits *ret)
{
    if (blk_node_options(node)->cache_direct) {
        ret->request_align = 512;
        ret->mem_align = 512;
    }
}

static int coroutine_fn
sim_file_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
                 BlkReqFlags flags)
{
    AioFile *file = sim_file_of(node);
    size_t n = 0;
    int r = aio_file_try_read(file, range.offset, iov);

    (void)flags;
    if (r == -EAGAIN) {
        r = aio_file_co_read(file, range.offset, iov, &n);
        if (r == 0 && n < iov->bytes) {
            iov_memset(iov, n, 0, iov->bytes - n);
        }
    }
    return r;
}

static int coroutine_fn
sim_file_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
                  BlkReqFlags flags)
{
    AioFile *file = sim_file_of(node);
    int r = -EAGAIN;

    if (flags & BLK_REQ_FUA) {
        r = aio_file_co_write(file, range.offset, iov, AIO_WRITE_FUA);
        if (r < 0) {
            blk_node_fail(node, r);
        }
        return r;
    }
    r = aio_file_try_write(file, range.offset, iov);
    return r == -EAGAIN ? aio_file_co_write(file, range.offset, iov, 0) : r;
}

static int coroutine_fn
sim_file_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    return aio_file_co_space(sim_file_of(node),
                             flags & BLK_REQ_MAY_UNMAP ? AIO_SPACE_PUNCH
                                                       : AIO_SPACE_ZERO,
                             range.offset, range.bytes);
}

static int coroutine_fn
sim_file_co_trim(BlkNode *node, BlkRange range)
{
    return aio_file_co_space(sim_file_of(node), AIO_SPACE_PUNCH, range.offset,
                             range.bytes);
}

static int coroutine_fn
sim_file_co_flush_disk(BlkNode *node)
{
    int r = aio_file_co_flush(sim_file_of(node));

    if (r < 0) {
        blk_node_fail(node, r);
    }
    return r;
}

static int coroutine_fn
sim_file_co_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    AioFile *file = sim_file_of(node);
    uint64_t end = blk_range_end(range), data, hole;
    int r = aio_file_co_seek(file, range.offset, SEEK_DATA, &data);

    if (r == -ENXIO || (r == 0 && data > range.offset)) {
        ret->bytes = (r == 0 ? ash_min(data, end) : end) - range.offset;
        ret->status = BLK_STATUS_ZERO;
        return 0;
    }
    r = r < 0 ? r : aio_file_co_seek(file, range.offset, SEEK_HOLE, &hole);
    if (r == 0) {
        ret->bytes = ash_min(hole, end) - range.offset;
        ret->status = BLK_STATUS_DATA;
    }
    return r;
}

static bool
sim_file_attach_loop(BlkNode *node, Loop *loop, GError **error)
{
    return aio_file_move(sim_file_of(node), loop, error);
}

const BlkDriver sim_file_driver = {
    .name = "file",
    .kind = BLK_PROTOCOL,
    .state_bytes = sizeof(SimFileNode),
    .options = sim_file_options,
    .write_flags = BLK_REQ_FUA,
    .zero_flags = (BlkReqFlags)BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK,
    .co_open = sim_file_co_open,
    .co_close = sim_file_co_close,
    .co_size = sim_file_co_size,
    .get_limits = sim_file_get_limits,
    .attach_loop = sim_file_attach_loop,
    .co_read = sim_file_co_read,
    .co_write = sim_file_co_write,
    .co_zero = sim_file_co_zero,
    .co_trim = sim_file_co_trim,
    .co_flush_disk = sim_file_co_flush_disk,
    .co_status = sim_file_co_status,
};
