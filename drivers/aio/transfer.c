/*
 * drivers/aio/transfer.c - whole transfers out of short ones, and no EINTR or
 * EAGAIN to the outside; see drivers/aio/engine.h.
 *
 * Method.  After a short transfer the rest is asked for.  With O_DIRECT it has
 * to begin at an aligned place again, so what comes after the last multiple of
 * TRANSFER_ALIGN is repeated; "progress" is what lies beyond what was done
 * before.  Only a read without progress means the end of the file, and only a
 * write without progress a full disk; if the step may just have been as short
 * as the one before, that is found out by another, which begins exactly where
 * it stopped if it is a read.
 *
 * EAGAIN is answered by waiting and asking again, longer each time.  A host
 * that says nothing else for many seconds is broken: EIO.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "base/bits.h"
#include "drivers/aio/engine.h"

/* No device aligns to more (BLK_ALIGN_MAX). */
#define TRANSFER_ALIGN ((uint64_t)64 << 10)
/* A direct transfer that ends inside a sector has met the end of the file. */
#define TRANSFER_SECTOR 512U

/* 1, 2, 4, ... ms, then 16 ms each: about 16 s together. */
#define AGAIN_FIRST_NS ((uint64_t)1000000)
#define AGAIN_LAST_NS ((uint64_t)16000000)
#define AGAIN_MAX 1000U

/* How often a call was put off, without progress in between. */
typedef struct AioAgain {
    unsigned n;
    uint64_t wait_ns;
} AioAgain;

/* Should the call that gave @ret be made again?  Else *ret is final. */
static bool coroutine_fn
aio_co_again(AioAgain *again, int64_t *ret)
{
    if (ash_likely(*ret != -EINTR && *ret != -EAGAIN)) {
        return false;
    }
    if (++again->n > AGAIN_MAX) {
        *ret = -EIO;
        return false;
    }
    if (*ret == -EAGAIN) {
        again->wait_ns = again->wait_ns == 0
                             ? AGAIN_FIRST_NS
                             : ash_min(2 * again->wait_ns, AGAIN_LAST_NS);
        co_sleep_ns(again->wait_ns);
    }
    return true;
}

/* What is left of a transfer. */
typedef struct AioRest {
    const IoVec *iov;
    struct iovec *space; /* for slices, made when first needed */
    bool direct;
    bool exact;     /* begin where it stopped, not at an aligned place before */
    uint64_t done;  /* bytes moved */
    uint64_t start; /* where the present step begins */
    IoVec part;
} AioRest;

/* The vector of the next step, beginning at rest->start. */
static const IoVec *
aio_rest_next(AioRest *rest)
{
    rest->start = rest->done;
    if (rest->direct && !rest->exact) {
        rest->start = ash_round_down(rest->done, TRANSFER_ALIGN);
    }
    if (rest->start == 0 && rest->iov->n <= IOV_MAX) {
        return rest->iov;
    }
    if (!rest->space) {
        rest->space = g_new(struct iovec, rest->iov->n);
    }
    iov_slice(rest->iov, rest->start, rest->iov->bytes - rest->start,
              rest->space, &rest->part);
    if (rest->part.n > IOV_MAX) {
        iov_init_array(&rest->part, rest->space, IOV_MAX);
    }
    return &rest->part;
}

/* What a step gave, seen from rest->start.  One that did not even repeat what
 * was done before says nothing: as good as interrupted. */
static int64_t
aio_rest_judge(const AioRest *rest, int64_t ret)
{
    if (ret >= 0 && rest->start + (uint64_t)ret < rest->done) {
        return -EINTR;
    }
    return ret;
}

/* @n bytes were moved from rest->start on.  Is that any further? */
static bool
aio_rest_advance(AioRest *rest, int64_t n)
{
    uint64_t done = rest->start + (uint64_t)n;
    bool further = done > rest->done;

    ash_assert(done <= rest->iov->bytes);
    rest->done = done;
    return further;
}

static AioRest
aio_rest_new(const AioFile *file, const IoVec *iov)
{
    return (AioRest){
        .iov = iov,
        .direct = (file->open_flags & O_DIRECT) != 0,
    };
}

int coroutine_fn
aio_file_co_read(AioFile *file, uint64_t offset, const IoVec *iov,
                 size_t *ret_bytes)
{
    AioRest rest = aio_rest_new(file, iov);
    AioAgain again = { 0 };
    bool stuck = false;
    int64_t n = 0;

    while (rest.done < iov->bytes) {
        const IoVec *part = aio_rest_next(&rest);

        n = file->engine->ops->co_readv(file, offset + rest.start, part);
        n = aio_rest_judge(&rest, n);
        if (aio_co_again(&again, &n)) {
            continue;
        }
        if (n == -EINVAL && rest.exact) {
            n = 0; /* too odd a place for the host */
        }
        if (n < 0) {
            break;
        }
        if (aio_rest_advance(&rest, n)) {
            stuck = false;
            rest.exact = false;
            again = (AioAgain){ 0 };
        } else if (n == 0 || stuck) {
            break;
        } else {
            /* btrfs stops where something lies that it can't read together
             * with what is before, and would stop there for ever. */
            stuck = true;
            rest.exact = true;
        }
        if (rest.direct && rest.done % TRANSFER_SECTOR != 0) {
            break;
        }
    }
    g_free(rest.space);
    if (n < 0) {
        return (int)n;
    }
    *ret_bytes = rest.done;
    return 0;
}

int coroutine_fn
aio_file_co_write(AioFile *file, uint64_t offset, const IoVec *iov,
                  unsigned flags)
{
    AioRest rest = aio_rest_new(file, iov);
    AioAgain again = { 0 };
    bool stuck = false;
    int64_t n = 0;

    while (rest.done < iov->bytes) {
        const IoVec *part = aio_rest_next(&rest);

        n = file->engine->ops->co_writev(file, offset + rest.start, part,
                                         flags);
        n = aio_rest_judge(&rest, n);
        if (aio_co_again(&again, &n)) {
            continue;
        }
        if (n < 0) {
            break;
        }
        if (aio_rest_advance(&rest, n)) {
            stuck = false;
            again = (AioAgain){ 0 };
        } else if (!stuck) {
            stuck = true;
        } else {
            n = -ENOSPC;
            break;
        }
    }
    g_free(rest.space);
    return n < 0 ? (int)n : 0;
}

int coroutine_fn
aio_file_co_flush(AioFile *file)
{
    AioAgain again = { 0 };
    int64_t ret;

    /* EINTR and EAGAIN say that nothing was tried; any other error is final,
     * and asking again would hide it (docs/durability.md, C7). */
    do {
        ret = file->engine->ops->co_flush(file);
    } while (aio_co_again(&again, &ret));
    return (int)ret;
}

/* ---- control ---- */

int coroutine_fn
aio_file_co_open(AioEngine *engine, const char *path, int open_flags,
                 unsigned mode, AioFile **ret)
{
    AioAgain again = { 0 };
    int64_t result;

    do {
        result = engine->ops->co_open(engine, path, open_flags, mode, ret);
    } while (aio_co_again(&again, &result));
    return (int)result;
}

void coroutine_fn
aio_file_co_close(AioFile *file)
{
    if (file) {
        file->engine->ops->co_close(file);
    }
}

int coroutine_fn
aio_file_co_stat(AioFile *file, AioStat *ret)
{
    AioAgain again = { 0 };
    int64_t result;

    do {
        result = file->engine->ops->co_stat(file, ret);
    } while (aio_co_again(&again, &result));
    return (int)result;
}

int coroutine_fn
aio_file_co_truncate(AioFile *file, uint64_t size)
{
    AioAgain again = { 0 };
    int64_t ret;

    do {
        ret = file->engine->ops->co_truncate(file, size);
    } while (aio_co_again(&again, &ret));
    return (int)ret;
}

int coroutine_fn
aio_file_co_space(AioFile *file, AioSpaceOp op, uint64_t offset, uint64_t bytes)
{
    AioAgain again = { 0 };
    int64_t ret;

    do {
        ret = file->engine->ops->co_space(file, op, offset, bytes);
    } while (aio_co_again(&again, &ret));
    return (int)ret;
}

int coroutine_fn
aio_file_co_seek(AioFile *file, uint64_t offset, int whence, uint64_t *ret)
{
    AioAgain again = { 0 };
    int64_t result;

    do {
        result = file->engine->ops->co_seek(file, offset, whence, ret);
    } while (aio_co_again(&again, &result));
    return (int)result;
}
