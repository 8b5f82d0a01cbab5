/*
 * coro/loop-fd.c - watched file descriptors; see coro/loop.h.
 *
 * Method: once somebody has waited for an event it stays asked of the
 * implementation until it comes and nobody waits for it.  So a coroutine that
 * reads, waits, reads and waits changes nothing in the kernel.
 *
 * Whoever wakes a waiter (event, timeout, cancel) takes it out of its slot, so
 * the others find nothing to wake.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>

#include "base/assert.h"
#include "coro/coro-priv.h"
#include "coro/loop-priv.h"

LoopFd *
loop_fd_new(Loop *loop, int fd, GError **error)
{
    LoopFd *watch = loop->ops->fd_new(loop, fd, error);

    if (watch) {
        watch->loop = loop;
        loop->n_fds++;
    }
    return watch;
}

void
loop_fd_free(LoopFd *watch)
{
    if (!watch) {
        return;
    }
    ash_assert(watch->waiter_read == NULL);
    ash_assert(watch->waiter_write == NULL);
    watch->loop->n_fds--;
    watch->loop->ops->fd_free(watch);
}

static bool
loop_fd_wake(Coro **slot)
{
    Coro *co = *slot;

    if (!co) {
        return false;
    }
    *slot = NULL;
    coro_wake(co);
    return true;
}

void
loop_fd_ready(LoopFd *watch, unsigned events)
{
    unsigned unwanted = 0;

    if (events & LOOP_FD_READ && !loop_fd_wake(&watch->waiter_read)) {
        unwanted |= LOOP_FD_READ;
    }
    if (events & LOOP_FD_WRITE && !loop_fd_wake(&watch->waiter_write)) {
        unwanted |= LOOP_FD_WRITE;
    }
    watch->loop->n_events++;
    if (watch->wanted & unwanted) {
        watch->wanted &= ~unwanted;
        watch->loop->ops->fd_want(watch, watch->wanted);
    }
}

void
loop_fd_cancel(LoopFd *watch)
{
    watch->canceled = true;
    ash_maybe(loop_fd_wake(&watch->waiter_read));
    ash_maybe(loop_fd_wake(&watch->waiter_write));
}

typedef struct LoopFdTimeout {
    LoopTimer timer;
    Coro **slot;
    Coro *co;
    bool expired;
} LoopFdTimeout;

static void
loop_fd_timeout_cb(LoopTimer *timer)
{
    LoopFdTimeout *timeout = ash_container_of(timer, LoopFdTimeout, timer);

    /* Else it has been woken and will run. */
    if (*timeout->slot == timeout->co) {
        timeout->expired = loop_fd_wake(timeout->slot);
    }
}

/* Wait in @slot; true if the time ran out first. */
static bool coroutine_fn
loop_fd_co_wait_timeout(LoopFd *watch, Coro **slot, uint64_t timeout_ns)
{
    LoopFdTimeout timeout = { .slot = slot, .co = *slot };

    loop_timer_init(&timeout.timer, watch->loop, loop_fd_timeout_cb);
    loop_timer_start(&timeout.timer, timeout_ns);
    co_yield();
    loop_timer_stop(&timeout.timer);
    return timeout.expired;
}

int coroutine_fn
co_wait_fd(LoopFd *watch, LoopFdEvents event, uint64_t timeout_ns)
{
    Coro **slot =
        event == LOOP_FD_READ ? &watch->waiter_read : &watch->waiter_write;

    ash_assert(event == LOOP_FD_READ || event == LOOP_FD_WRITE);
    ash_assert(*slot == NULL);
    ash_assert_slow(watch->loop == loop_current());
    if (watch->canceled) {
        return -ECANCELED;
    }
    *slot = coro_self();
    if (!(watch->wanted & event)) {
        watch->wanted |= event;
        watch->loop->ops->fd_want(watch, watch->wanted);
    }
    if (timeout_ns == UINT64_MAX) {
        co_yield();
    } else if (loop_fd_co_wait_timeout(watch, slot, timeout_ns)) {
        return -ETIMEDOUT;
    }
    return watch->canceled ? -ECANCELED : 0;
}
