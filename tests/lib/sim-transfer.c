/*
 * tests/lib/sim-transfer.c - reads, writes and flushes of a SimDisk; see
 * tests/lib/sim-engine-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>

#include "base/bits.h"
#include "tests/lib/sim-engine-priv.h"

/* What O_DIRECT asks for. */
static bool
sim_is_aligned(const AioFile *f, uint64_t offset, const IoVec *iov)
{
    return !(f->open_flags & O_DIRECT) ||
           (ash_is_aligned(offset, SIM_SECTOR) &&
            iov_is_aligned(iov, (size_t)SIM_SECTOR));
}

/* How much of a transfer takes place: all, or whole sectors of the file. */
static size_t
sim_transfer_cut(SimDisk *disk, uint64_t offset, size_t bytes, bool to_nothing)
{
    uint64_t first = ash_round_up(offset + 1, SIM_SECTOR) - offset;
    uint64_t n;

    if (first >= bytes) {
        return to_nothing ? 0 : bytes;
    }
    n = (bytes - first) / SIM_SECTOR; /* cuts after the first one */
    n = sim_rng_below(&disk->rng, n + 1 + to_nothing);
    if (to_nothing && n == 0) {
        return 0;
    }
    return (size_t)(first + (n - to_nothing) * SIM_SECTOR);
}

/* A short transfer.  A direct one that is repeated does not end short at the
 * same place again: that would be the end of the file. */
static size_t
sim_transfer_shorten(SimDisk *disk, SimFile *file, uint64_t offset,
                     size_t bytes)
{
    size_t n = sim_transfer_cut(disk, offset, bytes, false);

    for (unsigned i = 0; i < SIM_CUTS; i++) {
        if (file->base.open_flags & O_DIRECT && file->cuts[i] == offset + n) {
            return bytes;
        }
    }
    if (n < bytes) {
        file->cuts[file->n_cuts++ % SIM_CUTS] = offset + n;
        disk->stats.n_short++;
    }
    return n;
}

/* ---- reads ---- */

static int64_t
sim_read_apply(SimDisk *disk, SimFile *file, uint64_t offset, const IoVec *iov,
               size_t bytes)
{
    SimStore *store = file->inode->store;
    uint64_t size = sim_store_size(store);
    g_autofree uint8_t *buf = NULL;

    if (offset >= size) {
        return 0;
    }
    bytes = (size_t)ash_min(bytes, size - offset);
    if (sim_rng_chance(&disk->rng, disk->config.short_permille)) {
        bytes = sim_transfer_shorten(disk, file, offset, bytes);
    }
    buf = g_malloc(bytes);
    sim_store_read(store, offset, buf, bytes);
    sim_trace(disk->world, "disk-data", sim_hash_bytes(0, buf, bytes), offset,
              bytes);
    iov_from_buf(iov, 0, buf, bytes);
    return (int64_t)bytes;
}

int64_t coroutine_fn
sim_engine_co_readv(AioFile *f, uint64_t offset, const IoVec *iov)
{
    SimIo io = { 0 };
    int64_t r = sim_io_co_begin(&io, f, SIM_OP_READ, offset, iov->bytes);

    if (r == 0 && !sim_is_aligned(f, offset, iov)) {
        r = -EINVAL;
    } else if (r == 0 && sim_io_has(&io, SIM_FAULT_ERROR)) {
        r = -io.fault.err;
    } else if (r == 0) {
        r = sim_read_apply(io.disk, io.file, offset, iov, iov->bytes);
    }
    if (r > 0 && sim_io_has(&io, SIM_FAULT_BITFLIP)) {
        uint64_t bit = sim_rng_below(&io.disk->rng, (uint64_t)r * 8);
        uint8_t byte;

        iov_to_buf(iov, bit / 8, &byte, 1);
        byte ^= (uint8_t)(1U << bit % 8);
        iov_from_buf(iov, bit / 8, &byte, 1);
    }
    return sim_io_co_end(&io, 0, r);
}

/* Inline transfers: never when a rule might want a say. */
static int64_t
sim_try(AioFile *f, SimOp op, uint64_t offset, const IoVec *iov)
{
    SimFile *file = sim_file(f);
    SimDisk *disk = sim_file_engine(file)->disk;

    if (sim_file_engine(file)->fate != SIM_ALIVE || f->open_flags & O_DIRECT ||
        sim_fault_is_possible(disk, op) ||
        sim_rng_chance(&disk->rng, disk->config.refuse_permille)) {
        disk->stats.n_refused++;
        return -EAGAIN;
    }
    disk->stats.n_ops[__builtin_ctz(op)]++;
    sim_trace(disk->world, "disk-try",
              file->inode->ino << 8 | (uint64_t)__builtin_ctz(op), offset,
              iov->bytes);
    return sim_retry(disk) < 0 ? -EAGAIN : 0;
}

int64_t
sim_engine_try_readv(AioFile *f, uint64_t offset, const IoVec *iov)
{
    int64_t r = sim_try(f, SIM_OP_READ, offset, iov);

    return r < 0 ? r
                 : sim_read_apply(sim_file_engine(sim_file(f))->disk,
                                  sim_file(f), offset, iov, iov->bytes);
}

/* ---- writes ---- */

/* How much of a write the quota allows. */
static size_t
sim_write_fit(SimDisk *disk, const SimStore *store, uint64_t offset,
              size_t bytes)
{
    uint64_t quota = disk->config.quota_pages;
    uint64_t used = quota ? sim_disk_n_allocated(disk) : 0;

    while (quota && bytes > 0 &&
           used + sim_store_n_missing(store, offset, bytes) > quota) {
        uint64_t last = ash_round_down(offset + bytes - 1, SIM_PAGE);

        bytes = last > offset ? (size_t)(last - offset) : 0;
    }
    return bytes;
}

/* Bytes written or -errno; *op is what the store did. */
static int64_t
sim_write_apply(SimDisk *disk, SimFile *file, uint64_t offset, const IoVec *iov,
                int fault, uint64_t *op)
{
    size_t bytes = iov->bytes;
    size_t fits = sim_write_fit(disk, file->inode->store, offset, bytes);
    g_autofree uint8_t *buf = NULL;

    if (fits == 0 && bytes > 0) {
        disk->stats.n_enospc++;
        return -ENOSPC;
    }
    bytes = fits;
    if (fault) {
        bytes = sim_transfer_cut(disk, offset, bytes, true);
    } else if (sim_rng_chance(&disk->rng, disk->config.short_permille)) {
        bytes = sim_transfer_shorten(disk, file, offset, bytes);
    }
    if (bytes > 0) {
        buf = g_malloc(bytes);
        iov_to_buf(iov, 0, buf, bytes);
        *op = sim_store_write(file->inode->store, offset, buf, bytes);
        sim_inode_changed(disk, file->inode);
        sim_trace(disk->world, "disk-data", sim_hash_bytes(1, buf, bytes),
                  offset, bytes);
    }
    return fault ? -fault : (int64_t)bytes;
}

/* A sync that gave @r: has this file description to be told about a failed
 * write-back?  That is when the caller learns of it: of two syncs at a time,
 * none succeeds while the other keeps the bad news to itself. */
static int64_t
sim_flush_report(SimDisk *disk, SimFile *file, int64_t r)
{
    SimInode *inode = file->inode;
    bool news = disk->config.report_once ? inode->reported != inode->errseq
                                         : file->errseq_seen != inode->errseq;

    file->errseq_seen = inode->errseq;
    inode->reported = inode->errseq;
    return news ? -inode->wb_error : r;
}

/* The host writes back on its own, and may fail at it. */
static void
sim_writeback(SimDisk *disk, SimFile *file)
{
    const SimRule *rule =
        sim_fault_find(disk, SIM_OP_WRITEBACK, file->inode->name, 0, 0);

    if (rule && rule->kind == SIM_FAULT_ERROR) {
        sim_fault_lose(disk, file->inode, rule->err);
    }
}

/* C15: what a dead process still writes must not meet a living one's. */
static void
sim_note_writer(const SimIo *io)
{
    io->file->has_written = true;
    if (!io->file->zombie) {
        return;
    }
    io->disk->stats.n_zombie_writes++;
    ash_list_foreach(link, &io->disk->files) {
        const SimFile *other = ash_container_of(link, SimFile, link);

        if (other->inode == io->file->inode && other->has_written &&
            sim_file_engine(other)->fate == SIM_ALIVE) {
            io->disk->stats.n_double_writers++;
            return;
        }
    }
}

/* RWF_DSYNC: @bytes that operation @op wrote become durable, or the sync
 * fails. */
static void
sim_write_sync(const SimIo *io, uint64_t op, uint64_t bytes, bool fails)
{
    SimInode *inode = io->file->inode;

    if (fails) {
        sim_fault_lose(io->disk, inode, io->fault.err);
    } else if (!sim_io_has(io, SIM_FAULT_NO_FUA)) {
        sim_store_flush_op(inode->store, op, io->offset, bytes);
        inode->name_durable = true;
    }
}

int64_t coroutine_fn
sim_engine_co_writev(AioFile *f, uint64_t offset, const IoVec *iov,
                     unsigned flags)
{
    SimIo io = { 0 };
    int64_t r = sim_io_co_begin(&io, f, SIM_OP_WRITE, offset, iov->bytes);
    SimInode *inode = sim_file(f)->inode;
    bool fails = sim_io_has(&io, SIM_FAULT_ERROR), sync_fails = false;
    uint64_t op = 0;

    if (r == 0 && (!sim_is_writable(f) || !sim_is_aligned(f, offset, iov))) {
        r = sim_is_writable(f) ? -EINVAL : -EBADF;
    }
    if (r == 0 && sim_io_has(&io, SIM_FAULT_DROP)) {
        return sim_io_co_end(&io, 0, (int64_t)iov->bytes);
    }
    if (r == 0 && sim_io_has(&io, SIM_FAULT_LATE)) {
        sim_fault_write_late(io.disk, inode, offset, iov, io.fault.delay_ns);
        return sim_io_co_end(&io, 0, (int64_t)iov->bytes);
    }
    if (r == 0) {
        sim_note_writer(&io);
        io.offset += sim_io_has(&io, SIM_FAULT_MISDIRECT) ? SIM_SECTOR : 0;
        /* Either the write fails, or it is done and the sync does. */
        sync_fails = fails && flags & AIO_WRITE_FUA &&
                     sim_rng_chance(&io.disk->rng, 500);
        r = sim_write_apply(io.disk, io.file, io.offset, iov,
                            fails && !sync_fails ? io.fault.err : 0, &op);
    }
    if (r > 0 && flags & AIO_WRITE_FUA) {
        sim_write_sync(&io, op, (uint64_t)r, sync_fails);
    }
    r = sim_io_co_end(&io, op, r);
    if (r > 0 && flags & AIO_WRITE_FUA) {
        r = sim_flush_report(io.disk, io.file, r);
    }
    if (r > 0) {
        sim_writeback(io.disk, io.file);
    }
    return r;
}

int64_t
sim_engine_try_writev(AioFile *f, uint64_t offset, const IoVec *iov)
{
    SimFile *file = sim_file(f);
    SimDisk *disk = sim_file_engine(file)->disk;
    uint64_t op = 0;
    int64_t r =
        sim_is_writable(f) ? sim_try(f, SIM_OP_WRITE, offset, iov) : -EBADF;

    if (r == 0) {
        r = sim_write_apply(disk, file, offset, iov, 0, &op);
    }
    if (r > 0) {
        file->has_written = true;
        sim_store_complete(file->inode->store, op, offset, (uint64_t)r);
        sim_writeback(disk, file);
    }
    return r;
}

/* ---- flush ---- */

int coroutine_fn
sim_engine_co_flush(AioFile *f)
{
    SimIo io = { 0 };
    SimInode *inode = sim_file(f)->inode;
    uint64_t mark = sim_store_mark(inode->store);
    int64_t r = sim_io_co_begin(&io, f, SIM_OP_FLUSH, 0, 0);

    if (r == 0 && sim_io_has(&io, SIM_FAULT_DROP)) {
        return (int)sim_io_co_end(&io, 0, 0);
    }
    if (r == 0 && sim_io_has(&io, SIM_FAULT_ERROR)) {
        sim_fault_lose(io.disk, inode, io.fault.err);
    } else if (r == 0 && sim_io_has(&io, SIM_FAULT_LIE)) {
        sim_fault_lose(io.disk, inode, EIO);
        io.file->errseq_seen = inode->errseq;
        inode->reported = inode->errseq;
    } else if (r == 0) {
        sim_store_flush(inode->store, mark);
        inode->name_durable = true;
    }
    r = sim_io_co_end(&io, 0, r);
    return (int)(r == 0 ? sim_flush_report(io.disk, io.file, 0) : r);
}
