/*
 * tests/lib/sim-engine-priv.h - one operation on a SimDisk; sim-engine.c and
 * sim-transfer.c only.
 *
 * Method: an operation waits, takes effect in one instant, waits again, and is
 * complete.  Both waits are drawn, so operations overtake each other.  Between
 * effect and completion it is visible but no flush covers it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <fcntl.h>

#include "tests/lib/sim-disk-priv.h"

/* One operation on its way. */
typedef struct SimIo {
    SimDisk *disk;
    SimFile *file;
    unsigned op;
    uint64_t offset;
    uint64_t bytes;
    uint64_t delay_ns; /* after the effect */
    bool in_flight;
    bool faulty;
    SimRule fault;
    SimWait wait;
} SimIo;

/* Submit; returns when the operation is to take effect, or -EIO. */
int coroutine_fn sim_io_co_begin(SimIo *io, AioFile *f, SimOp op,
                                 uint64_t offset, uint64_t bytes);
/* The effect, if any, is there (operation @store_op of the store, 0: none);
 * report @ret. */
int64_t coroutine_fn sim_io_co_end(SimIo *io, uint64_t store_op, int64_t ret);

static inline bool
sim_io_has(const SimIo *io, SimFaultKind kind)
{
    return io->faulty && io->fault.kind == kind;
}

static inline void
sim_inode_changed(SimDisk *disk, SimInode *inode)
{
    inode->ctime_ns = sim_world_now_ns(disk->world);
}

static inline bool
sim_is_writable(const AioFile *f)
{
    return (f->open_flags & O_ACCMODE) != O_RDONLY;
}

int64_t coroutine_fn sim_engine_co_readv(AioFile *f, uint64_t offset,
                                         const IoVec *iov);
int64_t coroutine_fn sim_engine_co_writev(AioFile *f, uint64_t offset,
                                          const IoVec *iov, unsigned flags);
int coroutine_fn sim_engine_co_flush(AioFile *f);
int64_t sim_engine_try_readv(AioFile *f, uint64_t offset, const IoVec *iov);
int64_t sim_engine_try_writev(AioFile *f, uint64_t offset, const IoVec *iov);
