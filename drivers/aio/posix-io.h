/*
 * drivers/aio/posix-io.h - transfers of the real engines: without waiting, and
 * on the pool.
 *
 * Layer:   drivers/aio.      Thread: the file's loop.
 * Yields:  the co_ functions.
 * Tests:   tests/unit/aio/, through each engine.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/annotate.h"
#include "drivers/aio/posix.h"

/* The real time, whatever clock the loop has. */
static inline uint64_t
aio_posix_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* An offloaded write, begun at @start_ns, has ended, whichever way it went. */
void aio_posix_note_write(AioPosix *p, unsigned flags, uint64_t bytes,
                          uint64_t start_ns);

/* ---- for AioEngineOps ---- */

/* On the pool. */
int64_t coroutine_fn aio_posix_co_readv(AioFile *file, uint64_t offset,
                                        const IoVec *iov);
/* FUA is RWF_DSYNC, or a flush where the kernel does not have it. */
int64_t coroutine_fn aio_posix_co_writev(AioFile *file, uint64_t offset,
                                         const IoVec *iov, unsigned flags);
int coroutine_fn aio_posix_co_flush(AioFile *file);

int64_t aio_posix_try_readv(AioFile *file, uint64_t offset, const IoVec *iov);
int64_t aio_posix_try_writev(AioFile *file, uint64_t offset, const IoVec *iov);
bool aio_posix_is_resident(AioFile *file, uint64_t offset, uint64_t bytes);
