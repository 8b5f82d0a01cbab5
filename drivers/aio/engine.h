/*
 * drivers/aio/engine.h - files, asynchronously: the seam between the daemon and
 * the host's storage.
 *
 * An AioFile is an open file of one engine on one loop.  Drivers call the
 * aio_file_*() functions; these deal with short counts, EINTR and EAGAIN, which
 * never leave this layer.  An engine (io_uring, libaio, threads, or a simulated
 * disk in the tests) implements AioEngineOps for raw, possibly short,
 * transfers.
 *
 * The engines of a loop hang on it (loop_engines()); aio_engine_set_new() makes
 * the real ones, each on first use, tests set their own.
 *
 * Layer:   drivers/aio.      Thread: the file's loop.
 * Yields:  the co_ functions.
 * Method:  engine.c (choice of an engine), transfer.c (loops over short
 *          transfers), posix*.c and stall.c (what all real engines share),
 *          uring.c, uring-probe.c, libaio.c, threads.c.
 * Tests:   tests/unit/aio/, one run per engine.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/error.h"
#include "base/iov.h"
#include "coro/loop.h"

typedef struct AioEngine AioEngine;
typedef struct AioEngineSet AioEngineSet;
typedef struct AioFile AioFile;

/* The values of the option "aio". */
typedef enum {
    AIO_AUTO, /* io_uring, else native (direct I/O only), else threads */
    AIO_THREADS,
    AIO_NATIVE, /* libaio; needs O_DIRECT */
    AIO_IO_URING,
} AioKind;
extern const char *const aio_kind_names[]; /* NULL-terminated, by AioKind */

/* What to do to a piece of the file's space. */
typedef enum {
    AIO_SPACE_PUNCH, /* deallocate, reads zero: PUNCH_HOLE|KEEP_SIZE */
    /* reads zero, stays allocated, extends the file: ZERO_RANGE */
    AIO_SPACE_ZERO,
    AIO_SPACE_ALLOCATE,   /* extends the file: fallocate(0) */
    AIO_SPACE_BLKDISCARD, /* block devices: contents undefined */
    AIO_SPACE_BLKZEROOUT, /* block devices: reads zero */
    /* block devices: reads zero, may deallocate, fails if that is slow:
     * fallocate(PUNCH_HOLE|KEEP_SIZE) on the device */
    AIO_SPACE_BLKPUNCH,
} AioSpaceOp;

typedef enum {
    AIO_WRITE_FUA = 1, /* RWF_DSYNC: durable when it returns */
} AioWriteFlags;

#define AIO_SPACE_LOST (-ENOTRECOVERABLE)

typedef struct AioStat {
    uint64_t size;      /* bytes; of a block device, its capacity */
    uint64_t allocated; /* bytes on disk */
    uint64_t dev, ino;  /* identity; for block devices, rdev in dev */
    int64_t ctime_ns;
    int64_t btime_ns; /* birth, 0 if the file system has none */
    bool is_block;
    bool is_regular;
    bool rotational;        /* block devices: says the queue */
    uint32_t logical_block; /* block devices: sector size, else 0 */
    uint32_t physical_block;
    uint32_t dio_mem_align; /* statx DIOALIGN; 0 if the host can't say */
    uint32_t dio_offset_align;
    /* A sync may return before one of the same file that runs beside it has
     * made durable what both cover, so there must be one at a time. */
    bool sync_alone;
} AioStat;

struct AioFile {
    AioEngine *engine;
    int fd;         /* -1 in simulation */
    int open_flags; /* O_* it was opened with */
    int slot;       /* place among the ring's registered files, -1: none */
    char *path;     /* for messages */
};

struct AioEngine {
    const struct AioEngineOps *ops;
    Loop *loop;
};

typedef struct AioEngineOps {
    const char *name; /* as in the option "aio", or "sim" */

    void (*free)(AioEngine *engine); /* no file is open any more */

    /* Control: open, close, space, identity.  0 or -errno.
     * co_open: regular files and block devices only, -EISDIR for a directory,
     * -ENOTBLK for anything else; never waits for the other end of a FIFO;
     * -EROFS for a write-protected device that is to be written.
     * co_close waits for what is in flight. */
    int coroutine_fn (*co_open)(AioEngine *engine, const char *path,
                                int open_flags, unsigned mode, AioFile **ret);
    void coroutine_fn (*co_close)(AioFile *file);
    int coroutine_fn (*co_stat)(AioFile *file, AioStat *ret);
    int coroutine_fn (*co_truncate)(AioFile *file, uint64_t size);
    int coroutine_fn (*co_space)(AioFile *file, AioSpaceOp op, uint64_t offset,
                                 uint64_t bytes);
    /* @whence SEEK_DATA or SEEK_HOLE; -ENXIO past the last data. */
    int coroutine_fn (*co_seek)(AioFile *file, uint64_t offset, int whence,
                                uint64_t *ret);
    /* OFD lock on @bytes bytes at @offset.  @type F_RDLCK, F_WRLCK, F_UNLCK;
     * @test: only ask.  -EAGAIN: somebody else holds a conflicting one;
     * -ENOTSUP: there are no such locks here. */
    int (*lock)(AioFile *file, uint64_t offset, uint64_t bytes, short type,
                bool test);
    /* A living process that holds a lock on any of these bytes of the file,
     * 0: none is known.  NULL: never known. */
    int coroutine_fn (*co_lock_owner)(AioFile *file, uint64_t offset,
                                      uint64_t bytes);

    /* Transfers: bytes moved (short is allowed, 0: end of file) or -errno. */
    int64_t coroutine_fn (*co_readv)(AioFile *file, uint64_t offset,
                                     const IoVec *iov);
    int64_t coroutine_fn (*co_writev)(AioFile *file, uint64_t offset,
                                      const IoVec *iov, unsigned flags);
    int coroutine_fn (*co_flush)(AioFile *file); /* fdatasync */

    /* Without waiting; -EAGAIN: would block or can't tell.  NULL: always. */
    int64_t (*try_readv)(AioFile *file, uint64_t offset, const IoVec *iov);
    int64_t (*try_writev)(AioFile *file, uint64_t offset, const IoVec *iov);
    /* Are all pages in memory, so that splice() does not wait?  NULL: no. */
    bool (*is_resident)(AioFile *file, uint64_t offset, uint64_t bytes);

    /* Before/after the file changes loops; nothing is in flight.  Attaching
     * to the engine it was detached from always works. */
    void (*detach)(AioFile *file);
    bool (*attach)(AioFile *file, AioEngine *engine, GError **error);
} AioEngineOps;

/* ---- engines of a loop ---- */

/* The real engines for @loop, none of them started.  aio_engine_set_free()
 * when no file of theirs is open. */
AioEngineSet *aio_engine_set_new(Loop *loop);
/* A set with one engine that answers to every kind (taken). */
AioEngineSet *aio_engine_set_new_single(AioEngine *take_engine);
void aio_engine_set_free(AioEngineSet *set);

/**
 * aio_engine_get() - the engine of a kind on a loop, started if need be.
 * @kind:     AIO_AUTO tries what the machine allows and stays with it
 * @direct:   will files be opened with O_DIRECT?
 * @ret_why:  for AIO_AUTO, a sentence for the log on what was chosen and why
 *            other engines were not (owned by the set), else NULL; may be NULL
 *
 * Errors:  UNSUPPORTED, naming the kind and the kernel's reason.
 */
AioEngine *aio_engine_get(Loop *loop, AioKind kind, bool direct,
                          const char **ret_why, GError **error);

/* ---- files: what drivers call.  All return 0 or -errno ---- */

int coroutine_fn aio_file_co_open(AioEngine *engine, const char *path,
                                  int open_flags, unsigned mode, AioFile **ret);
void coroutine_fn aio_file_co_close(AioFile *file);

/* Reads until @iov is full or the file ends; *ret_bytes is what was read. */
int coroutine_fn aio_file_co_read(AioFile *file, uint64_t offset,
                                  const IoVec *iov, size_t *ret_bytes);
/* Writes everything or fails (-ENOSPC, -EIO, ...). */
int coroutine_fn aio_file_co_write(AioFile *file, uint64_t offset,
                                   const IoVec *iov, unsigned flags);
int coroutine_fn aio_file_co_flush(AioFile *file);
int coroutine_fn aio_file_co_stat(AioFile *file, AioStat *ret);
int coroutine_fn aio_file_co_truncate(AioFile *file, uint64_t size);
/* -ENOTSUP: not in this file system; nothing was changed then.
 * AIO_SPACE_LOST: dirty pages had to be written first, and were lost. */
int coroutine_fn aio_file_co_space(AioFile *file, AioSpaceOp op,
                                   uint64_t offset, uint64_t bytes);
int coroutine_fn aio_file_co_seek(AioFile *file, uint64_t offset, int whence,
                                  uint64_t *ret);
/* Move to the same kind of engine on @loop; nothing is in flight.  On error the
 * file stays where it was.  Thread: that of the old loop or the new one, while
 * nobody else uses the file. */
bool aio_file_move(AioFile *file, Loop *loop, GError **error);

/* Inline: the whole of @iov at once or -EAGAIN (or another error). */
static inline int
aio_file_try_read(AioFile *file, uint64_t offset, const IoVec *iov)
{
    int64_t n;

    if (!file->engine->ops->try_readv) {
        return -11; /* -EAGAIN */
    }
    n = file->engine->ops->try_readv(file, offset, iov);
    if (n == (int64_t)iov->bytes) {
        return 0;
    }
    return n < 0 ? (int)n : -11;
}

static inline int
aio_file_try_write(AioFile *file, uint64_t offset, const IoVec *iov)
{
    int64_t n;

    if (!file->engine->ops->try_writev) {
        return -11;
    }
    n = file->engine->ops->try_writev(file, offset, iov);
    if (n == (int64_t)iov->bytes) {
        return 0;
    }
    return n < 0 ? (int)n : -11;
}

/* See AioEngineOps.is_resident. */
static inline bool
aio_file_is_resident(AioFile *file, uint64_t offset, uint64_t bytes)
{
    return file->engine->ops->is_resident &&
           file->engine->ops->is_resident(file, offset, bytes);
}
