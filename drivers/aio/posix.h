/*
 * drivers/aio/posix.h - an open file of the real engines, and what they all do
 * alike: open, close, space, identity, locks.
 *
 * What may block runs on the loop's pool.  The pool is libuv's: one for the
 * whole process, 4 threads unless UV_THREADPOOL_SIZE says otherwise.  A dead
 * disk holds a thread per call, so one file may have at most a quarter of the
 * pool (but 2 calls); its other calls wait in line, and other files go on.
 *
 * Layer:   drivers/aio.      Thread: the file's loop.
 * Yields:  the co_ functions.
 * Method:  posix.c, posix-stat.c, posix-lock.c.
 * Tests:   tests/unit/aio/, through each engine.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "coro/co-lock.h"
#include "drivers/aio/engine.h"
#include "drivers/aio/stall.h"

#define AIO_POOL_DEFAULT 4U /* libuv's size of the pool */
#define AIO_POOL_SHARE 4U   /* one file gets 1/4 of it ... */
#define AIO_POOL_MIN 2U     /* ... but this much */

/* How a read without waiting is done. */
typedef enum {
    AIO_TRY_NEVER,  /* direct I/O; the file system refuses the flag */
    AIO_TRY_NOWAIT, /* preadv2(RWF_NOWAIT) */
    AIO_TRY_PLAIN,  /* preadv: all of the file is in memory (tmpfs) */
} AioTryRead;

/* What every file of a real engine is. */
typedef struct AioPosix {
    AioFile file; /* first */
    AioTryRead try_read;
    bool inline_write;    /* writes go to a page cache of this host */
    unsigned n_exclusive; /* truncate and space in flight: they hold the
                             inode's lock, so an inline write would wait */
    bool no_nowait;       /* native: the file system lacks RWF_NOWAIT */
    uint64_t page_mask;   /* writes of whole pages never read first */
    AioStall stall;

    unsigned in_flight; /* operations that use the fd */
    CoQueue idle;       /* who waits for in_flight == 0 */
    unsigned in_pool;   /* of these, on the pool */
    unsigned in_pool_max;
    CoQueue pool; /* who waits for a place there */
} AioPosix;

static inline AioPosix *
aio_posix(AioFile *file)
{
    return ash_container_of(file, AioPosix, file);
}

/* An operation that uses the fd begins and ends. */
static inline void
aio_posix_begin(AioPosix *p)
{
    p->in_flight++;
}

static inline void
aio_posix_end(AioPosix *p)
{
    p->in_flight--;
    if (p->in_flight == 0) {
        co_queue_wake_all(&p->idle);
    }
}

/* Wait until no operation uses the fd. */
void coroutine_fn aio_posix_co_idle(AioPosix *p);
/* Run @fn on the pool, within the file's share; begins and ends. */
void coroutine_fn aio_posix_co_run(AioPosix *p, void (*fn)(void *arg),
                                   void *arg);

/* The mode for fallocate(2), -1: it is an ioctl. */
int aio_posix_space_mode(AioSpaceOp op);
/* -ENOTSUP for every errno that means so. */
int aio_posix_space_result(int ret);
/* Of a block device: only on the pool, which writes back its pages first. */
bool aio_posix_space_is_device(AioSpaceOp op);

/* ---- for AioEngineOps ---- */

int coroutine_fn aio_posix_co_open(AioEngine *engine, const char *path,
                                   int open_flags, unsigned mode,
                                   AioFile **ret);
void coroutine_fn aio_posix_co_close(AioFile *file);
int coroutine_fn aio_posix_co_stat(AioFile *file, AioStat *ret);
int coroutine_fn aio_posix_co_truncate(AioFile *file, uint64_t size);
int coroutine_fn aio_posix_co_space(AioFile *file, AioSpaceOp op,
                                    uint64_t offset, uint64_t bytes);
int coroutine_fn aio_posix_co_seek(AioFile *file, uint64_t offset, int whence,
                                   uint64_t *ret);
int aio_posix_lock(AioFile *file, uint64_t offset, uint64_t bytes, short type,
                   bool test);
int coroutine_fn aio_posix_co_lock_owner(AioFile *file, uint64_t offset,
                                         uint64_t bytes);
void aio_posix_detach(AioFile *file);
bool aio_posix_attach(AioFile *file, AioEngine *engine, GError **error);
