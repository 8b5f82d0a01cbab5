/*
 * tests/lib/sim-engine.c - the AioEngineOps of a SimDisk; see
 * tests/lib/sim-disk.h and, for how an operation runs, sim-engine-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/sim-engine-priv.h"

static const char *const sim_op_names[SIM_N_OPS] = {
    "open", "stat",  "truncate", "space",     "seek",
    "read", "write", "flush",    "writeback",
};

static SimEngine *
sim_engine(AioEngine *engine)
{
    return (SimEngine *)(void *)engine;
}

/* May the operation still take effect? */
static int
sim_io_check(const SimIo *io)
{
    const SimEngine *engine = sim_file_engine(io->file);

    return engine->fate == SIM_ALIVE || io->file->zombie ? 0 : -EIO;
}

static void coroutine_fn
sim_io_co_wait(SimIo *io, uint64_t ns)
{
    unsigned bit = (unsigned)__builtin_ctz(io->op);

    sim_wait_begin(io->disk->world, &io->wait, sim_op_names[bit],
                   io->file->base.path, io->offset, io->bytes);
    sim_co_delay(io->disk->world, ns);
    sim_wait_end(&io->wait);
}

int coroutine_fn
sim_io_co_begin(SimIo *io, AioFile *f, SimOp op, uint64_t offset,
                uint64_t bytes)
{
    const SimRule *rule;
    uint64_t ns, before;
    int ret;

    io->file = sim_file(f);
    io->disk = sim_file_engine(io->file)->disk;
    io->op = op;
    io->offset = offset;
    io->bytes = bytes;
    io->disk->stats.n_ops[__builtin_ctz(op)]++;
    sim_trace(io->disk->world, "disk-submit",
              io->file->inode->ino << 8 | (uint64_t)__builtin_ctz(op), offset,
              bytes);
    ns = sim_rng_skewed(&io->disk->rng, io->disk->config.delay_min_ns,
                        io->disk->config.delay_max_ns);
    before = sim_rng_between(&io->disk->rng, 0, ns);
    if (sim_file_engine(io->file)->fate != SIM_ALIVE) {
        sim_io_co_wait(io, before);
        return -EIO;
    }
    io->file->in_flight++;
    io->in_flight = true;
    rule = sim_fault_find(io->disk, op, io->file->inode->name, offset, bytes);
    if (rule) {
        io->faulty = true;
        io->fault = *rule;
        ns += rule->delay_ns;
        before += sim_rng_between(&io->disk->rng, 0, rule->delay_ns);
    }
    if (sim_io_has(io, SIM_FAULT_HANG)) {
        sim_fault_co_hang(io->disk, io->file->base.path);
    }
    sim_io_co_wait(io, before);
    io->delay_ns = ns - before;
    ret = sim_io_check(io);
    return ret < 0 || io->faulty ? ret : sim_retry(io->disk);
}

int64_t coroutine_fn
sim_io_co_end(SimIo *io, uint64_t store_op, int64_t ret)
{
    SimFile *file = io->file;

    if (io->in_flight) {
        sim_io_co_wait(io, io->delay_ns);
        file->in_flight--;
        if (sim_io_check(io) == 0) {
            if (store_op) {
                sim_store_complete(file->inode->store, store_op, io->offset,
                                   io->bytes);
            }
        } else {
            ret = -EIO;
        }
        if (file->zombie && file->in_flight == 0) {
            file->zombie = false;
            sim_file_drop_locks(file);
        }
        if (sim_file_engine(file)->fate != SIM_ALIVE) {
            ret = -EIO;
        }
    }
    sim_trace(io->disk->world, "disk-done",
              file->inode->ino << 8 | (uint64_t)__builtin_ctz(io->op),
              io->offset, (uint64_t)ret);
    return ret;
}

/* ---- open, close, identity ---- */

static int
sim_open_inode(SimDisk *disk, const char *path, int flags, SimInode **ret)
{
    SimInode *inode = sim_inode_find(disk, path);

    if (inode && flags & O_CREAT && flags & O_EXCL) {
        return -EEXIST;
    }
    if (!inode && !(flags & O_CREAT)) {
        return -ENOENT;
    }
    if (!inode) {
        inode = sim_inode_new(disk, path);
    }
    if (flags & O_TRUNC && (flags & O_ACCMODE) != O_RDONLY) {
        sim_store_truncate(inode->store, 0);
        sim_store_complete_all(inode->store);
    }
    *ret = inode;
    return 0;
}

static int coroutine_fn
sim_engine_co_open(AioEngine *base, const char *path, int open_flags,
                   unsigned mode, AioFile **ret)
{
    SimEngine *engine = sim_engine(base);
    SimDisk *disk = engine->disk;
    const SimRule *rule = sim_fault_find(disk, SIM_OP_OPEN, path, 0, 0);
    int err = rule && rule->kind == SIM_FAULT_ERROR ? rule->err : 0;
    SimInode *inode = NULL;
    SimFile *file;
    int r;

    (void)mode;
    disk->stats.n_ops[0]++;
    sim_co_delay(disk->world,
                 sim_rng_skewed(&disk->rng, disk->config.delay_min_ns,
                                disk->config.delay_max_ns));
    if (engine->fate != SIM_ALIVE) {
        return -EIO;
    }
    r = err ? -err : sim_open_inode(disk, path, open_flags, &inode);
    sim_trace(disk->world, "disk-open", inode ? inode->ino : 0,
              (uint64_t)open_flags, (uint64_t)r);
    if (r < 0) {
        return r;
    }
    file = g_new0(SimFile, 1);
    file->base.engine = base;
    file->base.fd = -1;
    file->base.slot = -1;
    file->base.open_flags = open_flags;
    file->base.path = g_strdup(path);
    file->inode = inode;
    /* An error that nobody has seen is told to who opens later, too. */
    file->errseq_seen =
        inode->errseq - (inode->reported != inode->errseq ? 1 : 0);
    ash_list_append(&disk->files, &file->link);
    *ret = &file->base;
    return 0;
}

static void coroutine_fn
sim_engine_co_close(AioFile *f)
{
    SimFile *file = sim_file(f);
    SimDisk *disk = sim_file_engine(file)->disk;

    sim_co_delay(disk->world, sim_rng_skewed(&disk->rng, 0, SIM_MS));
    sim_trace(disk->world, "disk-close", file->inode->ino, 0, 0);
    while (file->in_flight > 0) {
        sim_co_delay(disk->world, SIM_MS);
    }
    sim_file_drop_locks(file);
    ash_list_remove(&file->link);
    g_free(f->path);
    g_free(file);
}

static int coroutine_fn
sim_engine_co_stat(AioFile *f, AioStat *ret)
{
    SimIo io = { 0 };
    int r = sim_io_co_begin(&io, f, SIM_OP_STAT, 0, 0);
    const SimInode *inode = sim_file(f)->inode;
    AioStat st = { 0 };

    st.size = sim_store_size(inode->store);
    st.allocated = sim_store_n_allocated(inode->store) * SIM_PAGE;
    st.dev = 1;
    st.ino = inode->ino;
    st.ctime_ns = (int64_t)inode->ctime_ns;
    st.btime_ns = (int64_t)inode->btime_ns;
    st.is_regular = true;
    st.sync_alone = sim_file_engine(sim_file(f))->disk->config.sync_alone;
    st.dio_mem_align = (uint32_t)SIM_SECTOR;
    st.dio_offset_align = (uint32_t)SIM_SECTOR;
    if (sim_io_has(&io, SIM_FAULT_ERROR)) {
        r = -io.fault.err;
    }
    r = (int)sim_io_co_end(&io, 0, r);
    if (r == 0) {
        *ret = st;
    }
    return r;
}

/* ---- space ---- */

static int coroutine_fn
sim_engine_co_truncate(AioFile *f, uint64_t size)
{
    SimIo io = { 0 };
    int r = sim_io_co_begin(&io, f, SIM_OP_TRUNCATE, size, 0);
    SimInode *inode = sim_file(f)->inode;
    uint64_t op = 0;

    if (r == 0 && !sim_is_writable(f)) {
        r = -EINVAL;
    } else if (r == 0 && sim_io_has(&io, SIM_FAULT_ERROR)) {
        r = -io.fault.err;
    } else if (r == 0 && !sim_io_has(&io, SIM_FAULT_DROP)) {
        io.offset = ash_min(size, sim_store_size(inode->store));
        io.bytes = INT64_MAX - io.offset;
        op = sim_store_truncate(inode->store, size);
        sim_inode_changed(io.disk, inode);
    }
    return (int)sim_io_co_end(&io, op, r);
}

/* 0 or -errno; *op is what the store did. */
static int
sim_space_apply(SimIo *io, AioSpaceOp what, uint64_t *op)
{
    SimStore *store = io->file->inode->store;
    uint64_t quota = io->disk->config.quota_pages;
    uint64_t bytes = io->bytes, end = io->offset + io->bytes;

    if (what > AIO_SPACE_ALLOCATE) {
        return -EOPNOTSUPP;
    }
    if (sim_io_has(io, SIM_FAULT_ERROR)) {
        bytes =
            sim_rng_below(&io->disk->rng, bytes / SIM_SECTOR + 1) * SIM_SECTOR;
        end = io->offset + bytes;
    }
    if (what != AIO_SPACE_PUNCH && quota &&
        sim_disk_n_allocated(io->disk) +
                sim_store_n_missing(store, io->offset, bytes) >
            quota) {
        io->disk->stats.n_enospc++;
        return -ENOSPC;
    }
    if (what != AIO_SPACE_PUNCH && end > sim_store_size(store)) {
        uint64_t grow = sim_store_truncate(store, end);

        sim_store_complete(store, grow, end, 0);
    }
    end = ash_min(end, sim_store_size(store));
    if (io->offset < end) {
        *op = sim_store_space(store,
                              what == AIO_SPACE_PUNCH  ? SIM_STORE_PUNCH
                              : what == AIO_SPACE_ZERO ? SIM_STORE_ZERO
                                                       : SIM_STORE_ALLOCATE,
                              io->offset, end - io->offset);
    }
    return sim_io_has(io, SIM_FAULT_ERROR) ? -io->fault.err : 0;
}

static int coroutine_fn
sim_engine_co_space(AioFile *f, AioSpaceOp what, uint64_t offset,
                    uint64_t bytes)
{
    SimIo io = { 0 };
    int r = sim_io_co_begin(&io, f, SIM_OP_SPACE, offset, bytes);
    uint64_t op = 0;

    if (r == 0 && (!sim_is_writable(f) || bytes == 0)) {
        r = bytes == 0 ? -EINVAL : -EBADF;
    } else if (r == 0 && !sim_io_has(&io, SIM_FAULT_DROP)) {
        r = sim_space_apply(&io, what, &op);
        sim_inode_changed(io.disk, io.file->inode);
    }
    return (int)sim_io_co_end(&io, op, r);
}

static int coroutine_fn
sim_engine_co_seek(AioFile *f, uint64_t offset, int whence, uint64_t *ret)
{
    SimIo io = { 0 };
    int r = sim_io_co_begin(&io, f, SIM_OP_SEEK, offset, 0);
    const SimStore *store = sim_file(f)->inode->store;
    uint64_t found = 0;

    if (r == 0 && sim_io_has(&io, SIM_FAULT_ERROR)) {
        r = -io.fault.err;
    } else if (r == 0 &&
               (offset >= sim_store_size(store) ||
                !sim_store_seek(store, offset, whence == SEEK_DATA, &found))) {
        r = -ENXIO;
    }
    r = (int)sim_io_co_end(&io, 0, r);
    if (r == 0) {
        *ret = found;
    }
    return r;
}

/* ---- locks ---- */

static void
sim_lock_remove(GArray *locks, const SimFile *owner, uint64_t start,
                uint64_t end)
{
    for (unsigned i = locks->len; i-- > 0;) {
        SimLock l = g_array_index(locks, SimLock, i);

        if (l.owner != owner || l.start >= end || l.end <= start) {
            continue;
        }
        g_array_remove_index(locks, i);
        if (l.start < start) {
            SimLock head = l;

            head.end = start;
            g_array_append_val(locks, head);
        }
        if (l.end > end) {
            SimLock tail = l;

            tail.start = end;
            g_array_append_val(locks, tail);
        }
    }
}

static int
sim_engine_lock(AioFile *f, uint64_t offset, uint64_t bytes, short type,
                bool test)
{
    SimFile *file = sim_file(f);
    GArray *locks = file->inode->locks;
    SimLock lock = { .owner = file,
                     .start = offset,
                     .end = bytes ? offset + bytes : UINT64_MAX,
                     .type = type };
    int r = sim_file_engine(file)->fate == SIM_ALIVE ? 0 : -EIO;

    for (unsigned i = 0; r == 0 && type != F_UNLCK && i < locks->len; i++) {
        const SimLock *l = &g_array_index(locks, SimLock, i);

        if (l->owner != file && l->start < lock.end && lock.start < l->end &&
            (l->type == F_WRLCK || type == F_WRLCK)) {
            r = -EAGAIN;
        }
    }
    if (r == 0 && !test) {
        sim_lock_remove(locks, file, lock.start, lock.end);
        if (type != F_UNLCK) {
            g_array_append_val(locks, lock);
        }
    }
    sim_trace(sim_file_engine(file)->disk->world, "disk-lock", offset,
              (uint64_t)type << 1 | test, (uint64_t)r);
    return r;
}

/* ---- life ---- */

static void
sim_engine_free(AioEngine *base)
{
    SimEngine *engine = sim_engine(base);

    ash_list_foreach(link, &engine->disk->files) {
        ash_assert(ash_container_of(link, SimFile, link)->base.engine != base);
    }
    ash_list_remove(&engine->link);
    g_free(engine);
}

static void
sim_engine_detach(AioFile *f)
{
    ash_assert(sim_file(f)->in_flight == 0);
}

static bool
sim_engine_attach(AioFile *f, AioEngine *engine, GError **error)
{
    (void)error;
    ash_assert(engine->ops == &sim_engine_ops);
    f->engine = engine;
    return true;
}

const AioEngineOps sim_engine_ops = {
    .name = "sim",
    .free = sim_engine_free,
    .co_open = sim_engine_co_open,
    .co_close = sim_engine_co_close,
    .co_stat = sim_engine_co_stat,
    .co_truncate = sim_engine_co_truncate,
    .co_space = sim_engine_co_space,
    .co_seek = sim_engine_co_seek,
    .lock = sim_engine_lock,
    .co_readv = sim_engine_co_readv,
    .co_writev = sim_engine_co_writev,
    .co_flush = sim_engine_co_flush,
    .try_readv = sim_engine_try_readv,
    .try_writev = sim_engine_try_writev,
    .detach = sim_engine_detach,
    .attach = sim_engine_attach,
};
