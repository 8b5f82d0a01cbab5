/*
 * tests/fault/sweep-disk.c - see tests/fault/sweep-disk.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/fault/sweep-disk.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

const char *const sweep_kind_names[] = {
    "open", "stat",  "lock",     "space",     "seek",
    "read", "write", "try-read", "try-write", "flush",
};
const char *const sweep_mode_names[] = { "early", "late", "short", "forever" };

static SweepDisk *
sweep_disk(AioEngine *engine)
{
    return ash_container_of(engine, SweepDisk, engine);
}

/* ---- which call goes wrong ---- */

/* Can this kind of call give this error? */
static bool
sweep_is_possible(const SweepCall *call, const SweepFault *fault)
{
    if (fault->mode == SWEEP_SHORT) {
        return call->kind >= SWEEP_READ && call->kind <= SWEEP_TRY_WRITE;
    }
    /* It never waits, so nothing interrupts it. */
    return call->kind != SWEEP_LOCK || fault->err != -EINTR;
}

/* Count it; does it go wrong? */
static bool
sweep_fires(SweepDisk *d, const SweepCall *call)
{
    unsigned n = ++d->n_calls;
    bool hit = n == d->fault.nth;

    if (d->fired && call->kind == SWEEP_FLUSH) {
        d->n_flushes_since++;
    }
    if (d->fault.mode == SWEEP_FOREVER) {
        hit = d->fault.nth != 0 && n >= d->fault.nth;
    }
    if (!hit || !sweep_is_possible(call, &d->fault)) {
        return false;
    }
    if (!d->fired) {
        d->fired = true;
        d->call = *call;
    }
    return true;
}

/* How much of @bytes is done by a call that goes wrong. */
static uint64_t
sweep_part(const SweepDisk *d, const AioFile *file, uint64_t bytes)
{
    bool direct = (file->open_flags & O_DIRECT) != 0;
    uint64_t half = bytes / 2;

    switch (d->fault.mode) {
    case SWEEP_LATE:
        return d->fault.nth % 2 ? bytes : half;
    case SWEEP_SHORT:
        return direct ? ash_round_down(half, SWEEP_SECTOR) : half;
    case SWEEP_EARLY:
    case SWEEP_FOREVER:
    default:
        return 0;
    }
}

/* A call that the contract rules out. */
static void
sweep_check(SweepDisk *d, const AioFile *file, uint64_t offset,
            const IoVec *iov, bool write)
{
    bool direct = (file->open_flags & O_DIRECT) != 0;
    bool good = write ? offset + iov->bytes <= d->size : true;

    if (direct) {
        good = good && ash_is_aligned(offset, SWEEP_SECTOR) &&
               iov_is_aligned(iov, SWEEP_SECTOR);
    }
    if (!good) {
        d->n_bad++;
    }
}

/* ---- contents ---- */

static void
sweep_put(SweepDisk *d, uint64_t offset, const IoVec *iov, uint64_t bytes)
{
    g_autofree uint8_t *buf = g_malloc(iov->bytes);

    bytes = ash_min(bytes, d->size - ash_min(offset, d->size));
    iov_to_buf(iov, 0, buf, iov->bytes);
    memcpy(d->visible + offset, buf, bytes);
    for (uint64_t i = offset; i < offset + bytes; i++) {
        d->dirty[i / SWEEP_SECTOR] = true;
        d->hole[i / SWEEP_PAGE] = false;
    }
}

static void
sweep_zero(SweepDisk *d, uint64_t offset, uint64_t bytes, bool punch)
{
    uint64_t end = ash_min(offset + bytes, d->size);

    memset(d->visible + offset, 0, end - offset);
    for (uint64_t i = offset; i < end; i++) {
        uint64_t page = i - i % SWEEP_PAGE;

        d->dirty[i / SWEEP_SECTOR] = true;
        if (!punch) {
            d->hole[i / SWEEP_PAGE] = false;
        } else if (page >= offset && page + SWEEP_PAGE <= end) {
            d->hole[i / SWEEP_PAGE] = true;
        }
    }
}

/* Write dirty sectors of the range back, or lose them. */
static void
sweep_sync(SweepDisk *d, uint64_t offset, uint64_t bytes, bool lose)
{
    uint64_t end = ash_min(offset + bytes, d->size);

    offset = ash_round_down(offset, SWEEP_SECTOR);
    for (; offset < end; offset += SWEEP_SECTOR) {
        uint64_t n = ash_min(SWEEP_SECTOR, d->size - offset);

        if (d->dirty[offset / SWEEP_SECTOR] && !lose) {
            memcpy(d->durable + offset, d->visible + offset, n);
        }
        d->dirty[offset / SWEEP_SECTOR] = false;
    }
}

/* ---- calls ---- */

static int coroutine_fn
sweep_co_open(AioEngine *engine, const char *path, int open_flags,
              unsigned mode, AioFile **ret)
{
    SweepDisk *d = sweep_disk(engine);
    AioFile *file;

    co_pause();
    if (sweep_fires(d, &(SweepCall){ .kind = SWEEP_OPEN })) {
        return d->fault.err;
    }
    if (strcmp(path, "disk") != 0 || mode != 0) {
        return -ENOENT;
    }
    file = g_new0(AioFile, 1);
    file->engine = engine;
    file->fd = -1;
    file->slot = -1;
    file->open_flags = open_flags;
    file->path = g_strdup(path);
    d->n_open++;
    *ret = file;
    return 0;
}

static void coroutine_fn
sweep_co_close(AioFile *file)
{
    co_pause();
    sweep_disk(file->engine)->n_open--;
    g_free(file->path);
    g_free(file);
}

static int coroutine_fn
sweep_co_stat(AioFile *file, AioStat *ret)
{
    SweepDisk *d = sweep_disk(file->engine);

    co_pause();
    if (sweep_fires(d, &(SweepCall){ .kind = SWEEP_STAT })) {
        return d->fault.err;
    }
    *ret = (AioStat){
        .size = d->size,
        .dev = 1,
        .ino = 1,
        .btime_ns = 1,
        .is_regular = true,
        .sync_alone = d->sync_alone,
        .dio_mem_align = SWEEP_SECTOR,
        .dio_offset_align = SWEEP_SECTOR,
    };
    return 0;
}

static int coroutine_fn
sweep_co_space(AioFile *file, AioSpaceOp op, uint64_t offset, uint64_t bytes)
{
    SweepDisk *d = sweep_disk(file->engine);
    SweepCall call = {
        .kind = SWEEP_SPACE,
        .offset = offset,
        .bytes = bytes,
        .space = op,
    };
    bool fires;

    co_pause();
    fires = sweep_fires(d, &call);
    if (offset + bytes > d->size || op > AIO_SPACE_ZERO) {
        d->n_bad++;
        return -EINVAL;
    }
    /* -ENOTSUP: nothing was changed. */
    if (fires && d->fault.err != -ENOTSUP) {
        bytes = sweep_part(d, file, bytes);
    }
    if (!fires || d->fault.err != -ENOTSUP) {
        sweep_zero(d, offset, bytes, op == AIO_SPACE_PUNCH);
    }
    return fires ? d->fault.err : 0;
}

static int coroutine_fn
sweep_co_seek(AioFile *file, uint64_t offset, int whence, uint64_t *ret)
{
    SweepDisk *d = sweep_disk(file->engine);
    SweepCall call = { .kind = SWEEP_SEEK, .offset = offset, .bytes = 1 };
    uint64_t at = offset;

    co_pause();
    if (sweep_fires(d, &call)) {
        return d->fault.err;
    }
    while (at < d->size && d->hole[at / SWEEP_PAGE] != (whence == SEEK_HOLE)) {
        at = at - at % SWEEP_PAGE + SWEEP_PAGE;
    }
    if (offset >= d->size || (at >= d->size && whence == SEEK_DATA)) {
        return -ENXIO;
    }
    *ret = ash_min(at, d->size);
    return 0;
}

static int
sweep_lock(AioFile *file, uint64_t offset, uint64_t bytes, short type,
           bool test)
{
    SweepDisk *d = sweep_disk(file->engine);
    SweepCall call = {
        .kind = SWEEP_LOCK,
        .offset = offset,
        .bytes = bytes,
        .unlock = type == F_UNLCK,
    };

    ash_maybe(test);
    return sweep_fires(d, &call) ? d->fault.err : 0;
}

/* ---- transfers ---- */

static int64_t
sweep_read(SweepDisk *d, AioFile *file, const SweepCall *call, const IoVec *iov)
{
    uint64_t bytes = call->bytes;
    bool fires = sweep_fires(d, call);

    sweep_check(d, file, call->offset, iov, false);
    if (fires && d->fault.mode == SWEEP_SHORT) {
        uint64_t part = sweep_part(d, file, bytes);

        bytes = part > 0 ? part : bytes; /* nothing would be the end */
    } else if (fires) {
        iov_memset(iov, 0, 0xa5, sweep_part(d, file, bytes));
        return d->fault.err;
    }
    bytes = ash_min(bytes, d->size - ash_min(d->size, call->offset));
    iov_from_buf(iov, 0, d->visible + call->offset, bytes);
    return (int64_t)bytes;
}

static int64_t
sweep_write(SweepDisk *d, AioFile *file, const SweepCall *call,
            const IoVec *iov)
{
    uint64_t bytes = call->bytes;
    bool fires = sweep_fires(d, call);
    int64_t ret = (int64_t)bytes;

    sweep_check(d, file, call->offset, iov, true);
    if (fires) {
        bytes = sweep_part(d, file, bytes);
        ret = d->fault.mode == SWEEP_SHORT ? (int64_t)bytes : d->fault.err;
    }
    sweep_put(d, call->offset, iov, bytes);
    if (call->fua && ret >= 0) {
        sweep_sync(d, call->offset, call->bytes, false);
    } else if (call->fua && ret != -EINTR && ret != -EAGAIN) {
        sweep_sync(d, 0, d->size, true); /* of all, only this one is told */
    }
    return ret;
}

static int64_t coroutine_fn
sweep_co_readv(AioFile *file, uint64_t offset, const IoVec *iov)
{
    SweepCall call = {
        .kind = SWEEP_READ,
        .offset = offset,
        .bytes = iov->bytes,
    };

    co_pause();
    return sweep_read(sweep_disk(file->engine), file, &call, iov);
}

static int64_t coroutine_fn
sweep_co_writev(AioFile *file, uint64_t offset, const IoVec *iov,
                unsigned flags)
{
    SweepCall call = {
        .kind = SWEEP_WRITE,
        .offset = offset,
        .bytes = iov->bytes,
        .fua = (flags & AIO_WRITE_FUA) != 0,
    };

    co_pause();
    return sweep_write(sweep_disk(file->engine), file, &call, iov);
}

/* Only what an engine may say at once. */
static int64_t
sweep_at_once(int64_t ret)
{
    return ret == -EINTR ? -EAGAIN : ret;
}

static int64_t
sweep_try_readv(AioFile *file, uint64_t offset, const IoVec *iov)
{
    SweepDisk *d = sweep_disk(file->engine);
    SweepCall call = {
        .kind = SWEEP_TRY_READ,
        .offset = offset,
        .bytes = iov->bytes,
    };

    if (!d->inline_io || (file->open_flags & O_DIRECT) != 0) {
        return -EAGAIN;
    }
    return sweep_at_once(sweep_read(d, file, &call, iov));
}

static int64_t
sweep_try_writev(AioFile *file, uint64_t offset, const IoVec *iov)
{
    SweepDisk *d = sweep_disk(file->engine);
    SweepCall call = {
        .kind = SWEEP_TRY_WRITE,
        .offset = offset,
        .bytes = iov->bytes,
    };

    if (!d->inline_io || (file->open_flags & O_DIRECT) != 0) {
        return -EAGAIN;
    }
    return sweep_at_once(sweep_write(d, file, &call, iov));
}

static int coroutine_fn
sweep_co_flush(AioFile *file)
{
    SweepDisk *d = sweep_disk(file->engine);
    bool fires;

    co_pause();
    fires = sweep_fires(d, &(SweepCall){ .kind = SWEEP_FLUSH });
    if (fires && (d->fault.err == -EINTR || d->fault.err == -EAGAIN)) {
        return d->fault.err;
    }
    sweep_sync(d, 0, d->size, fires && d->fault.mode != SWEEP_LATE);
    return fires ? d->fault.err : 0;
}

static void
sweep_free(AioEngine *engine)
{
    g_assert_cmpuint(sweep_disk(engine)->n_open, ==, 0);
}

static const AioEngineOps sweep_ops = {
    .name = "sweep",
    .free = sweep_free,
    .co_open = sweep_co_open,
    .co_close = sweep_co_close,
    .co_stat = sweep_co_stat,
    .co_space = sweep_co_space,
    .co_seek = sweep_co_seek,
    .lock = sweep_lock,
    .co_readv = sweep_co_readv,
    .co_writev = sweep_co_writev,
    .co_flush = sweep_co_flush,
    .try_readv = sweep_try_readv,
    .try_writev = sweep_try_writev,
};

/* ---- life ---- */

SweepDisk *
sweep_disk_new(Loop *loop, uint64_t size)
{
    SweepDisk *d = g_new0(SweepDisk, 1);

    d->engine.ops = &sweep_ops;
    d->engine.loop = loop;
    d->size = size;
    d->visible = g_malloc(size);
    d->durable = g_malloc(size);
    d->dirty = g_new0(bool, size / SWEEP_SECTOR + 1);
    d->hole = g_new0(bool, size / SWEEP_PAGE + 1);
    return d;
}

void
sweep_disk_reset(SweepDisk *d, uint8_t fill)
{
    memset(d->visible, fill, d->size);
    memset(d->durable, fill, d->size);
    memset(d->dirty, 0, d->size / SWEEP_SECTOR + 1);
    memset(d->hole, 0, d->size / SWEEP_PAGE + 1);
    d->n_bad = 0;
}

void
sweep_disk_free(SweepDisk *d)
{
    g_free(d->visible);
    g_free(d->durable);
    g_free(d->dirty);
    g_free(d->hole);
    g_free(d);
}

void
sweep_disk_set_fault(SweepDisk *d, const SweepFault *fault)
{
    d->fault = *fault;
    d->n_calls = 0;
    d->fired = false;
    d->n_flushes_since = 0;
}
