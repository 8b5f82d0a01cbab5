/*
 * drivers/aio/libaio.c - the engine "native": the kernel's older asynchronous
 * interface, for direct I/O.
 *
 * Method.  As in uring.c: requests queue up, enter the kernel together at the
 * end of the turn, and a reaper waits on an eventfd while any is there.
 *
 * io_submit() itself blocks where a request has to wait for something other
 * than the disk (space to allocate, the inode's lock), and would take the loop
 * with it.  RWF_NOWAIT makes it say EAGAIN then, and the pool does the request.
 * Without O_DIRECT io_submit() does the whole request at once, so such files
 * (the end of an image of odd size) always use the pool.
 *
 *  L1  submitted <= n_events, the size of the kernel's ring.
 *  L2  A request's memory is left alone until its completion has come.
 *  L3  The reaper exists iff submitted > 0 (or ends in this turn).
 *  L4  A file is closed when none of its requests is queued or submitted.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/list.h"
#include "drivers/aio/engine-priv.h"
#include "drivers/aio/posix-io.h"
#include "drivers/aio/posix.h"

#define NATIVE_RETRY_NS ((uint64_t)1000000)
#define NATIVE_BATCH 64U

typedef struct Native {
    AioEngine engine; /* first */
    io_context_t context;
    int event_fd;
    bool reaping;
    bool no_fdsync;     /* the kernel lacks IOCB_CMD_FDSYNC */
    unsigned submitted; /* in the kernel */
    unsigned n_events;
    AshList queue; /* of NativeReq, not yet in the kernel */
    LoopFd *watch;
    LoopDefer submit;
    LoopTimer retry;
} Native;

typedef struct NativeReq {
    struct iocb iocb;
    AshList link;
    Coro *co;
    int64_t res;
} NativeReq;

static Native *
native_of(const AioFile *file)
{
    return ash_container_of(file->engine, Native, engine);
}

static void
native_finish(NativeReq *req, int64_t res)
{
    req->res = res;
    coro_wake(req->co);
}

/* ---- completions ---- */

static void
native_reap(Native *n)
{
    struct io_event events[NATIVE_BATCH];
    struct timespec now = { 0 };
    uint64_t count;
    int got;

    /* Cleared first: what comes later makes it readable again. */
    if (read(n->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN &&
        errno != EINTR) {
        return;
    }
    do {
        got = io_getevents(n->context, 0, (long)NATIVE_BATCH, events, &now);
        for (int i = 0; i < got; i++) {
            native_finish(events[i].data, (int64_t)events[i].res);
        }
        if (got > 0) {
            ash_assert((unsigned)got <= n->submitted);
            n->submitted -= (unsigned)got;
        }
    } while (got == (int)NATIVE_BATCH || got == -EINTR);
    if (!ash_list_is_empty(&n->queue)) {
        loop_defer(n->engine.loop, &n->submit);
    }
}

static void coroutine_fn
native_co_reap(void *arg)
{
    Native *n = arg;

    while (n->submitted > 0) {
        co_wait_fd(n->watch, LOOP_FD_READ, UINT64_MAX);
        native_reap(n);
    }
    n->reaping = false;
}

/* ---- submissions ---- */

/* The first requests of the queue, as many as fit. */
static unsigned
native_fill(Native *n, struct iocb **batch)
{
    unsigned room = n->n_events - n->submitted;
    unsigned k = 0;

    ash_list_foreach(link, &n->queue) {
        if (k == NATIVE_BATCH || k == room) {
            break;
        }
        batch[k++] = &ash_container_of(link, NativeReq, link)->iocb;
    }
    return k;
}

static void
native_submit(Native *n)
{
    for (;;) {
        struct iocb *batch[NATIVE_BATCH];
        unsigned k = native_fill(n, batch);
        int taken;

        if (k == 0) {
            break;
        }
        taken = io_submit(n->context, (long)k, batch);
        if (taken == -EINTR) {
            continue;
        }
        if (taken == 0 || taken == -EAGAIN) {
            /* The next completion makes room; without one, time does. */
            if (n->submitted == 0) {
                loop_timer_start(&n->retry, NATIVE_RETRY_NS);
            }
            break;
        }
        if (taken < 0) {
            /* It speaks of the first one. */
            NativeReq *req = ash_list_first(&n->queue, NativeReq, link);

            ash_list_remove(&req->link);
            native_finish(req, taken);
            continue;
        }
        n->submitted += (unsigned)taken;
        for (; taken > 0; taken--) {
            ash_list_remove(n->queue.next);
        }
    }
    if (n->submitted > 0 && !n->reaping) {
        n->reaping = true;
        coro_spawn(native_co_reap, n);
    }
}

static void
native_submit_deferred(LoopDefer *defer)
{
    native_submit(ash_container_of(defer, Native, submit));
}

static void
native_submit_again(LoopTimer *timer)
{
    native_submit(ash_container_of(timer, Native, retry));
}

/* ---- requests ---- */

/* The ring's eventfd is watched from the first request on, by the thread that
 * the loop runs on. */
static bool
native_can_run(Native *n, const AioFile *file)
{
    if ((file->open_flags & O_DIRECT) == 0) {
        return false;
    }
    if (!n->watch) {
        n->watch = loop_fd_new(n->engine.loop, n->event_fd, NULL);
    }
    return n->watch != NULL;
}

static int64_t coroutine_fn
native_co_run(AioFile *file, NativeReq *req)
{
    Native *n = native_of(file);

    io_set_eventfd(&req->iocb, n->event_fd);
    req->iocb.data = req;
    req->co = coro_self();
    aio_posix_begin(aio_posix(file));
    ash_list_append(&n->queue, &req->link);
    loop_defer(n->engine.loop, &n->submit);
    co_yield();
    aio_posix_end(aio_posix(file));
    return req->res;
}

/* Did the kernel decline to do it without waiting? */
static bool
native_is_declined(AioPosix *p, int64_t ret)
{
    if (ret == -EOPNOTSUPP || ret == -EINVAL) {
        /* EINVAL: maybe an older kernel without flags; the pool's answer
         * tells. */
        p->no_nowait = p->no_nowait || ret == -EOPNOTSUPP;
        return true;
    }
    return ret == -EAGAIN;
}

static int64_t coroutine_fn
native_co_readv(AioFile *file, uint64_t offset, const IoVec *iov)
{
    AioPosix *p = aio_posix(file);
    int64_t ret = -EAGAIN;
    NativeReq req;

    if (native_can_run(native_of(file), file)) {
        io_prep_preadv2(&req.iocb, file->fd, iov->v, (int)iov->n,
                        (int64_t)offset, p->no_nowait ? 0 : RWF_NOWAIT);
        ret = native_co_run(file, &req);
    }
    return native_is_declined(p, ret) ? aio_posix_co_readv(file, offset, iov)
                                      : ret;
}

static int64_t coroutine_fn
native_co_writev(AioFile *file, uint64_t offset, const IoVec *iov,
                 unsigned flags)
{
    AioPosix *p = aio_posix(file);
    int64_t ret = -EAGAIN;
    NativeReq req;

    if (native_can_run(native_of(file), file)) {
        int rw_flags = p->no_nowait ? 0 : RWF_NOWAIT;

        if ((flags & AIO_WRITE_FUA) != 0) {
            rw_flags |= RWF_DSYNC;
        }
        io_prep_pwritev2(&req.iocb, file->fd, iov->v, (int)iov->n,
                         (int64_t)offset, rw_flags);
        ret = native_co_run(file, &req);
    }
    return native_is_declined(p, ret)
               ? aio_posix_co_writev(file, offset, iov, flags)
               : ret;
}

static int coroutine_fn
native_co_flush(AioFile *file)
{
    Native *n = native_of(file);
    NativeReq req;
    int64_t ret;

    if (n->no_fdsync || !native_can_run(n, file)) {
        return aio_posix_co_flush(file);
    }
    io_prep_fdsync(&req.iocb, file->fd);
    ret = native_co_run(file, &req);
    if (ret == -EINVAL) {
        n->no_fdsync = true;
        return aio_posix_co_flush(file);
    }
    return (int)ret;
}

/* ---- life ---- */

static void
native_free(AioEngine *engine)
{
    Native *n = ash_container_of(engine, Native, engine);

    ash_assert(n->submitted == 0 && !n->reaping);
    ash_assert(ash_list_is_empty(&n->queue));
    loop_defer_cancel(&n->submit);
    loop_timer_stop(&n->retry);
    if (n->watch) {
        loop_fd_free(n->watch);
    }
    io_destroy(n->context);
    close(n->event_fd);
    g_free(n);
}

static const AioEngineOps native_ops = {
    .name = "native",
    .free = native_free,
    .co_open = aio_posix_co_open,
    .co_close = aio_posix_co_close,
    .co_stat = aio_posix_co_stat,
    .co_truncate = aio_posix_co_truncate,
    .co_space = aio_posix_co_space,
    .co_seek = aio_posix_co_seek,
    .lock = aio_posix_lock,
    .co_lock_owner = aio_posix_co_lock_owner,
    .co_readv = native_co_readv,
    .co_writev = native_co_writev,
    .co_flush = native_co_flush,
    .try_readv = aio_posix_try_readv,
    .try_writev = aio_posix_try_writev,
    .is_resident = aio_posix_is_resident,
    .detach = aio_posix_detach,
    .attach = aio_posix_attach,
};

AioEngine *
aio_native_new(Loop *loop, unsigned n_events, GError **error)
{
    g_autofree Native *n = g_new0(Native, 1);
    int ret = io_setup((int)n_events, &n->context);

    if (ret < 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED, "io_setup: %s%s",
                    g_strerror(-ret),
                    ret == -EAGAIN ? " (sysctl fs.aio-max-nr is too low)" : "");
        return NULL;
    }
    n->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->event_fd < 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED, "eventfd: %s",
                    g_strerror(errno));
        io_destroy(n->context);
        return NULL;
    }
    n->engine.ops = &native_ops;
    n->engine.loop = loop;
    n->n_events = n_events;
    ash_list_init(&n->queue);
    loop_defer_init(&n->submit, native_submit_deferred);
    loop_timer_init(&n->retry, loop, native_submit_again);
    return &g_steal_pointer(&n)->engine;
}
