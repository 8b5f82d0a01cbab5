/*
 * drivers/aio/uring.c - the engine on io_uring.
 *
 * Method.  A request is a coroutine that fills an entry of the submission queue
 * and yields.  At the end of the loop's turn all entries enter the kernel with
 * one system call.  While any is there, one coroutine (the reaper) waits for
 * the ring's fd to be readable, takes all completions and wakes their owners.
 *
 *  U1  submitted + prepared <= in_flight_max <= size of the completion queue,
 *      so that queue never overflows.
 *  U2  A request's memory (its UringReq, vector and buffers) is left alone
 *      until its completion has come; nothing is ever cancelled.
 *  U3  Entries name files by their slot in the ring's table, never by fd, and a
 *      slot is given back when nothing of its file is prepared or submitted: an
 *      entry cannot reach a file that was opened later.
 *  U4  The reaper exists iff submitted > 0 (or ends in this turn).
 *
 * What the ring can't take (no free slot, no such operation, the kernel says
 * EAGAIN for good, a broken ring) goes to the pool instead.
 *
 * The ring is enabled on first use, by the loop's thread: it belongs to it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>

#include "base/assert.h"
#include "coro/co-lock.h"
#include "drivers/aio/engine-priv.h"
#include "drivers/aio/posix-io.h"
#include "drivers/aio/posix.h"
#include "drivers/aio/uring-probe.h"

/* The kernel was out of memory for a request: ask again then. */
#define URING_RETRY_NS ((uint64_t)1000000)

typedef struct Uring {
    AioEngine engine; /* first */
    struct io_uring ring;
    AioUringTraits traits;
    bool started;
    bool broken; /* takes no more requests */
    bool reaping;
    unsigned submitted; /* in the kernel */
    unsigned in_flight_max;
    CoQueue room; /* who waits for room */
    LoopFd *watch;
    LoopDefer submit;
    LoopTimer retry;
    unsigned n_free; /* slots */
    unsigned free_slots[AIO_URING_SLOTS_MAX];
} Uring;

/* One operation; the fields are those of a submission queue entry. */
typedef struct UringOp {
    int opcode;
    const void *addr;
    unsigned len;
    uint64_t offset;
    uint32_t flags;
} UringOp;

/* No errno: the ring did not do it. */
#define URING_DECLINED INT_MIN

typedef struct UringReq {
    Coro *co;
    int res;
} UringReq;

/* A slot to give back, told to the ring's thread. */
typedef struct UringSlotMsg {
    LoopMsg msg; /* first */
    Uring *uring;
    int slot;
} UringSlotMsg;

static Uring *
uring_of(const AioFile *file)
{
    return ash_container_of(file->engine, Uring, engine);
}

/* ---- completions ---- */

static void
uring_reap(Uring *u)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;

    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        UringReq *req = io_uring_cqe_get_data(cqe);

        req->res = cqe->res;
        coro_wake(req->co);
        n++;
    }
    io_uring_cq_advance(&u->ring, n);
    ash_assert(n <= u->submitted);
    u->submitted -= n;
    for (; n > 0; n--) {
        co_queue_wake_one(&u->room);
    }
    if (io_uring_sq_ready(&u->ring) > 0) {
        loop_defer(u->engine.loop, &u->submit);
    }
}

static void coroutine_fn
uring_co_reap(void *arg)
{
    Uring *u = arg;

    while (u->submitted > 0) {
        co_wait_fd(u->watch, LOOP_FD_READ, UINT64_MAX);
        uring_reap(u);
    }
    u->reaping = false;
}

/* ---- submissions ---- */

/* The kernel refused the queue for good.  What it did not take goes to the
 * pool; it takes entries only while it is being entered, so these are ours. */
static ASH_COLD void
uring_break(Uring *u)
{
    struct io_uring_sq *sq = &u->ring.sq;
    unsigned n = io_uring_sq_ready(&u->ring);

    u->broken = true;
    for (unsigned i = sq->sqe_tail - n; i != sq->sqe_tail; i++) {
        UringReq *req =
            (UringReq *)(uintptr_t)sq->sqes[i & sq->ring_mask].user_data;

        req->res = URING_DECLINED;
        coro_wake(req->co);
    }
    co_queue_wake_all(&u->room);
}

static void
uring_submit(Uring *u)
{
    bool full = io_uring_sq_space_left(&u->ring) == 0;

    while (!u->broken && io_uring_sq_ready(&u->ring) > 0) {
        int n = io_uring_submit(&u->ring);

        if (n > 0) {
            u->submitted += (unsigned)n;
        } else if (n == 0 || n == -EAGAIN || n == -EBUSY || n == -ENOMEM) {
            loop_timer_start(&u->retry, URING_RETRY_NS);
            break;
        } else if (n != -EINTR) {
            uring_break(u);
        }
    }
    if (full && io_uring_sq_space_left(&u->ring) > 0) {
        co_queue_wake_all(&u->room);
    }
    if (u->submitted > 0 && !u->reaping) {
        u->reaping = true;
        coro_spawn(uring_co_reap, u);
    }
}

static void
uring_submit_deferred(LoopDefer *defer)
{
    uring_submit(ash_container_of(defer, Uring, submit));
}

static void
uring_submit_again(LoopTimer *timer)
{
    uring_submit(ash_container_of(timer, Uring, retry));
}

/* ---- slots ---- */

static void
uring_start(Uring *u)
{
    u->started = true;
    u->watch = loop_fd_new(u->engine.loop, u->ring.ring_fd, NULL);
    u->broken = !u->watch || aio_uring_enable(&u->ring, &u->traits) < 0;
}

/* Does the file have a place in the ring's table, now? */
static bool
uring_take_slot(Uring *u, AioFile *file)
{
    unsigned slot;

    if (ash_likely(file->slot >= 0)) {
        return true;
    }
    if (!u->started) {
        uring_start(u);
    }
    if (u->broken || u->n_free == 0) {
        return false;
    }
    slot = u->free_slots[u->n_free - 1];
    if (io_uring_register_files_update(&u->ring, slot, &file->fd, 1) != 1) {
        return false;
    }
    u->n_free--;
    file->slot = (int)slot;
    return true;
}

static void
uring_release_slot(Uring *u, int slot)
{
    int none = -1;

    io_uring_register_files_update(&u->ring, (unsigned)slot, &none, 1);
    u->free_slots[u->n_free++] = (unsigned)slot;
}

static void
uring_release_slot_msg(LoopMsg *msg)
{
    UringSlotMsg *m = ash_container_of(msg, UringSlotMsg, msg);

    uring_release_slot(m->uring, m->slot);
    g_free(m);
}

static void
uring_detach(AioFile *file)
{
    Uring *u = uring_of(file);
    int slot = file->slot;

    aio_posix_detach(file);
    file->slot = -1;
    if (slot < 0) {
        return;
    }
    if (loop_current() == u->engine.loop) {
        uring_release_slot(u, slot);
    } else {
        UringSlotMsg *m = g_new0(UringSlotMsg, 1);

        m->msg.fn = uring_release_slot_msg;
        m->uring = u;
        m->slot = slot;
        loop_post(u->engine.loop, &m->msg);
    }
}

/* ---- requests ---- */

/* A free entry, or NULL: the pool must do it. */
static struct io_uring_sqe *coroutine_fn
uring_co_get_sqe(Uring *u)
{
    if (!co_queue_is_empty(&u->room)) {
        co_queue_co_wait(&u->room);
    }
    while (!u->broken) {
        unsigned n = u->submitted + io_uring_sq_ready(&u->ring);

        if (n < u->in_flight_max) {
            struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

            if (!sqe) {
                uring_submit(u);
                sqe = io_uring_get_sqe(&u->ring);
            }
            if (sqe) {
                return sqe;
            }
        }
        co_queue_co_wait(&u->room);
    }
    return NULL;
}

/* The result of @op, or URING_DECLINED: the pool must do it. */
static int coroutine_fn
uring_co_run(AioFile *file, const UringOp *op)
{
    Uring *u = uring_of(file);
    UringReq req = { .co = coro_self() };
    struct io_uring_sqe *sqe;

    if (!uring_take_slot(u, file)) {
        return URING_DECLINED;
    }
    aio_posix_begin(aio_posix(file));
    sqe = uring_co_get_sqe(u);
    if (sqe) {
        io_uring_prep_rw(op->opcode, sqe, file->slot, op->addr, op->len,
                         op->offset);
        sqe->rw_flags = (int)op->flags;
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data(sqe, &req);
        loop_defer(u->engine.loop, &u->submit);
        co_yield();
    } else {
        req.res = URING_DECLINED;
    }
    aio_posix_end(aio_posix(file));
    return req.res == -EAGAIN ? URING_DECLINED : req.res;
}

static int64_t coroutine_fn
uring_co_readv(AioFile *file, uint64_t offset, const IoVec *iov)
{
    UringOp op = {
        .opcode = IORING_OP_READV,
        .addr = iov->v,
        .len = iov->n,
        .offset = offset,
    };
    int ret = uring_co_run(file, &op);

    return ret == URING_DECLINED ? aio_posix_co_readv(file, offset, iov) : ret;
}

static int64_t coroutine_fn
uring_co_writev(AioFile *file, uint64_t offset, const IoVec *iov,
                unsigned flags)
{
    bool fua = (flags & AIO_WRITE_FUA) != 0;
    UringOp op = {
        .opcode = IORING_OP_WRITEV,
        .addr = iov->v,
        .len = iov->n,
        .offset = offset,
        .flags = fua ? (uint32_t)RWF_DSYNC : 0,
    };
    uint64_t start = aio_posix_now_ns();
    int ret = uring_co_run(file, &op);

    if (ret == URING_DECLINED || (fua && ret == -EOPNOTSUPP)) {
        return aio_posix_co_writev(file, offset, iov, flags);
    }
    aio_posix_note_write(aio_posix(file), flags, iov->bytes, start);
    return ret;
}

static int coroutine_fn
uring_co_flush(AioFile *file)
{
    UringOp op = {
        .opcode = IORING_OP_FSYNC,
        .flags = IORING_FSYNC_DATASYNC,
    };
    int ret = uring_co_run(file, &op);

    return ret == URING_DECLINED ? aio_posix_co_flush(file) : ret;
}

static int coroutine_fn
uring_co_space(AioFile *file, AioSpaceOp space_op, uint64_t offset,
               uint64_t bytes)
{
    AioPosix *p = aio_posix(file);
    int mode = aio_posix_space_mode(space_op);
    UringOp op = {
        .opcode = IORING_OP_FALLOCATE,
        .addr = (const void *)(uintptr_t)bytes,
        .len = (unsigned)mode,
        .offset = offset,
    };
    int ret = URING_DECLINED;

    if (mode >= 0 && !aio_posix_space_is_device(space_op) &&
        uring_of(file)->traits.fallocate) {
        p->n_exclusive++;
        ret = aio_posix_space_result(uring_co_run(file, &op));
        p->n_exclusive--;
    }
    return ret == URING_DECLINED
               ? aio_posix_co_space(file, space_op, offset, bytes)
               : ret;
}

static void coroutine_fn
uring_co_close(AioFile *file)
{
    aio_posix_co_idle(aio_posix(file));
    uring_detach(file);
    aio_posix_co_close(file);
}

/* ---- life ---- */

static void
uring_free(AioEngine *engine)
{
    Uring *u = ash_container_of(engine, Uring, engine);

    ash_assert(u->submitted == 0 && !u->reaping);
    loop_defer_cancel(&u->submit);
    loop_timer_stop(&u->retry);
    if (u->watch) {
        loop_fd_free(u->watch);
    }
    io_uring_queue_exit(&u->ring);
    g_free(u);
}

static const AioEngineOps uring_ops = {
    .name = "io_uring",
    .free = uring_free,
    .co_open = aio_posix_co_open,
    .co_close = uring_co_close,
    .co_stat = aio_posix_co_stat,
    .co_truncate = aio_posix_co_truncate,
    .co_space = uring_co_space,
    .co_seek = aio_posix_co_seek,
    .lock = aio_posix_lock,
    .co_lock_owner = aio_posix_co_lock_owner,
    .co_readv = uring_co_readv,
    .co_writev = uring_co_writev,
    .co_flush = uring_co_flush,
    .try_readv = aio_posix_try_readv,
    .try_writev = aio_posix_try_writev,
    .is_resident = aio_posix_is_resident,
    .detach = uring_detach,
    .attach = aio_posix_attach,
};

AioEngine *
aio_uring_new(Loop *loop, unsigned n_entries, GError **error)
{
    g_autofree Uring *u = g_new0(Uring, 1);

    if (!aio_uring_probe(&u->traits, error) ||
        !aio_uring_setup(&u->ring, n_entries, &u->traits, &u->n_free, error)) {
        return NULL;
    }
    for (unsigned i = 0; i < u->n_free; i++) {
        u->free_slots[i] = u->n_free - 1 - i;
    }
    u->engine.ops = &uring_ops;
    u->engine.loop = loop;
    u->in_flight_max = u->ring.cq.ring_entries;
    co_queue_init(&u->room);
    loop_defer_init(&u->submit, uring_submit_deferred);
    loop_timer_init(&u->retry, loop, uring_submit_again);
    return &g_steal_pointer(&u)->engine;
}
