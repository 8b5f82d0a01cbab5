/*
 * coro/loop-uv.c - the loop on libuv; see coro/loop.h.
 *
 * Waiting.  A loop with nothing to do blocks in uv_run().  Whoever posts a
 * message wakes it through a uv_async, but only if it sleeps: the loop sets
 * asleep before it looks at its inbox for the last time, a sender looks at
 * asleep after it put its message there, and both orders are sequentially
 * consistent, so one of them sees the other.
 *
 * Spinning.  After events from outside the loop first polls for spin_ns,
 * while that pays; see coro/spin.h.
 *
 * Time.  libuv's timers count milliseconds, so the alarm is a timerfd.  It is
 * set only when the loop goes to sleep and only to make it ring earlier; an
 * alarm that is no longer wanted rings once for nothing.
 *
 * Watches.  An event that nobody waits for is ignored while the loop merely
 * looks; it is unwanted only when it would keep the loop from sleeping.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "coro/loop-priv.h"
#include "coro/spin.h"

#define LOOP_NS_PER_S ((uint64_t)1000000000)

typedef struct LoopUv {
    Loop loop;
    uv_loop_t uv;
    uv_async_t async;
    uv_poll_t alarm;
    int alarm_fd;
    uint64_t alarm_ns; /* wanted */
    uint64_t armed_ns; /* what the timerfd is set to, UINT64_MAX: nothing */
    bool asleep;       /* atomic */
    bool sleeping;     /* in the uv_run() that may block */
    Spin spin;
    uint64_t n_events_seen; /* n_events at the last sleep */
    uint64_t random_state;
    uv_thread_t thread;
} LoopUv;

typedef struct LoopUvFd {
    LoopFd watch;
    uv_poll_t poll;
} LoopUvFd;

typedef struct LoopUvWork {
    uv_work_t request;
    LoopWork *work;
} LoopUvWork;

static LoopUv *
loop_uv_of(Loop *loop)
{
    return ash_container_of(loop, LoopUv, loop);
}

static uint64_t
loop_uv_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * LOOP_NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t
loop_uv_now_ns(Loop *loop)
{
    ash_maybe(loop != NULL);
    return loop_uv_clock_ns();
}

/* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
 * Generators", 2014). */
static uint64_t
loop_uv_random(Loop *loop)
{
    uint64_t z = loop_uv_of(loop)->random_state += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* ---- alarm and wakeup ---- */

static void
loop_uv_set_alarm(Loop *loop, uint64_t deadline_ns)
{
    loop_uv_of(loop)->alarm_ns = deadline_ns;
}

static void
loop_uv_alarm_cb(uv_poll_t *alarm, int status, int events)
{
    LoopUv *u = ash_container_of(alarm, LoopUv, alarm);
    uint64_t n_rings;
    ssize_t r = read(u->alarm_fd, &n_rings, sizeof(n_rings));

    ash_maybe(status == 0 || events == 0);
    if (r == sizeof(n_rings)) {
        u->armed_ns = UINT64_MAX;
    }
}

/* See to it that the alarm rings no later than it should. */
static void
loop_uv_arm(LoopUv *u)
{
    struct itimerspec at = { 0 };
    int r;

    if (u->alarm_ns >= u->armed_ns) {
        return;
    }
    at.it_value.tv_sec = (time_t)(u->alarm_ns / LOOP_NS_PER_S);
    at.it_value.tv_nsec = (long)(u->alarm_ns % LOOP_NS_PER_S);
    if (u->alarm_ns == 0) {
        at.it_value.tv_nsec = 1; /* all zero would disarm */
    }
    r = timerfd_settime(u->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL);
    ash_assert(r == 0);
    u->armed_ns = u->alarm_ns;
}

static void
loop_uv_async_cb(uv_async_t *async)
{
    ash_maybe(async != NULL); /* it has woken us, which is all */
}

static void
loop_uv_wakeup(Loop *loop)
{
    LoopUv *u = loop_uv_of(loop);

    if (__atomic_load_n(&u->asleep, __ATOMIC_SEQ_CST)) {
        uv_async_send(&u->async);
    }
}

/* ---- waiting ---- */

static void
loop_uv_look(LoopUv *u)
{
    uv_run(&u->uv, UV_RUN_NOWAIT);
}

/* Poll until something comes, or until there is no hope; true: it came, or
 * a timer is due. */
static bool
loop_uv_spin(LoopUv *u, uint64_t begin_ns)
{
    uint64_t end_ns = begin_ns + u->loop.spin_ns;
    uint64_t now_ns;

    do {
        loop_uv_look(u);
        if (loop_is_busy(&u->loop)) {
            spin_end(&u->spin, true);
            u->loop.n_events++; /* or whatever else it was */
            return true;
        }
        now_ns = loop_uv_clock_ns();
        if (now_ns >= u->alarm_ns) {
            return true;
        }
    } while (now_ns < end_ns);
    spin_end(&u->spin, false);
    return false;
}

static void
loop_uv_sleep(LoopUv *u)
{
    loop_uv_arm(u);
    __atomic_store_n(&u->asleep, true, __ATOMIC_SEQ_CST);
    if (!loop_is_busy(&u->loop)) {
        u->sleeping = true;
        uv_run(&u->uv, UV_RUN_ONCE);
        u->sleeping = false;
    }
    __atomic_store_n(&u->asleep, false, __ATOMIC_RELAXED);
}

static void
loop_uv_wait(Loop *loop, bool block)
{
    LoopUv *u = loop_uv_of(loop);
    bool had_events = u->n_events_seen != loop->n_events;
    uint64_t begin_ns;

    if (!block) {
        loop_uv_look(u);
        return;
    }
    if (!had_events || loop->spin_ns == 0) {
        loop_uv_sleep(u);
        return;
    }
    u->n_events_seen = loop->n_events;
    begin_ns = loop_uv_clock_ns();
    if (!spin_begin(&u->spin)) {
        loop_uv_sleep(u);
        spin_slept(&u->spin, loop_uv_clock_ns() - begin_ns < loop->spin_ns);
    } else if (!loop_uv_spin(u, begin_ns)) {
        loop_uv_sleep(u);
    }
}

/* ---- offload ---- */

static void
loop_uv_work_cb(uv_work_t *request)
{
    LoopUvWork *w = ash_container_of(request, LoopUvWork, request);

    w->work->fn(w->work->arg);
}

static void
loop_uv_work_done_cb(uv_work_t *request, int status)
{
    LoopUvWork *w = ash_container_of(request, LoopUvWork, request);
    LoopWork *work = w->work;

    ash_assert(status == 0);
    g_free(w);
    work->done(work);
}

static void
loop_uv_work(Loop *loop, LoopWork *work)
{
    LoopUvWork *w = g_new(LoopUvWork, 1);
    int r;

    w->work = work;
    r = uv_queue_work(&loop_uv_of(loop)->uv, &w->request, loop_uv_work_cb,
                      loop_uv_work_done_cb);
    ash_assert(r == 0);
}

/* ---- watches ---- */

static void
loop_uv_fd_cb(uv_poll_t *poll, int status, int events)
{
    LoopUvFd *f = ash_container_of(poll, LoopUvFd, poll);
    LoopFd *watch = &f->watch;
    unsigned ready = 0;

    if (status < 0) {
        /* libuv has stopped it; what is wrong, read or write will tell. */
        watch->wanted = 0;
        loop_fd_ready(watch, LOOP_FD_READ | LOOP_FD_WRITE);
        return;
    }
    if (events & UV_READABLE) {
        ready |= LOOP_FD_READ;
    }
    if (events & UV_WRITABLE) {
        ready |= LOOP_FD_WRITE;
    }
    if (!loop_uv_of(watch->loop)->sleeping) {
        if (!watch->waiter_read) {
            ready &= ~(unsigned)LOOP_FD_READ;
        }
        if (!watch->waiter_write) {
            ready &= ~(unsigned)LOOP_FD_WRITE;
        }
    }
    if (ready) {
        loop_fd_ready(watch, ready);
    }
}

static LoopFd *
loop_uv_fd_new(Loop *loop, int fd, GError **error)
{
    LoopUvFd *f = g_new0(LoopUvFd, 1);
    int r = uv_poll_init(&loop_uv_of(loop)->uv, &f->poll, fd);

    if (r < 0) {
        g_free(f);
        ash_set_error_errno(error, -r, "file descriptor %d cannot be watched",
                            fd);
        return NULL;
    }
    return &f->watch;
}

static void
loop_uv_fd_close_cb(uv_handle_t *handle)
{
    uv_poll_t *poll = (uv_poll_t *)(void *)handle;

    g_free(ash_container_of(poll, LoopUvFd, poll));
}

static void
loop_uv_fd_free(LoopFd *watch)
{
    LoopUvFd *f = ash_container_of(watch, LoopUvFd, watch);

    uv_close((uv_handle_t *)(void *)&f->poll, loop_uv_fd_close_cb);
}

static void
loop_uv_fd_want(LoopFd *watch, unsigned events)
{
    LoopUvFd *f = ash_container_of(watch, LoopUvFd, watch);
    int wanted = 0;
    int r;

    if (events & LOOP_FD_READ) {
        wanted |= UV_READABLE;
    }
    if (events & LOOP_FD_WRITE) {
        wanted |= UV_WRITABLE;
    }
    r = wanted ? uv_poll_start(&f->poll, wanted, loop_uv_fd_cb)
               : uv_poll_stop(&f->poll);
    ash_assert(r == 0);
}

/* ---- life ---- */

static void
loop_uv_free(Loop *loop)
{
    LoopUv *u = loop_uv_of(loop);
    int r;

    loop_done(loop);
    uv_close((uv_handle_t *)(void *)&u->async, NULL);
    uv_close((uv_handle_t *)(void *)&u->alarm, NULL);
    uv_run(&u->uv, UV_RUN_DEFAULT);
    r = uv_loop_close(&u->uv);
    ash_assert(r == 0);
    close(u->alarm_fd);
    g_free(u);
}

static const LoopOps loop_uv_ops = {
    .now_ns = loop_uv_now_ns,
    .random = loop_uv_random,
    .set_alarm = loop_uv_set_alarm,
    .wakeup = loop_uv_wakeup,
    .wait = loop_uv_wait,
    .work = loop_uv_work,
    .fd_new = loop_uv_fd_new,
    .fd_free = loop_uv_fd_free,
    .fd_want = loop_uv_fd_want,
    .free = loop_uv_free,
};

/* Make the handles; 0 or a negative errno. */
static int
loop_uv_open(LoopUv *u)
{
    int r;

    u->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (u->alarm_fd < 0) {
        return -errno;
    }
    r = uv_loop_init(&u->uv);
    if (r < 0) {
        close(u->alarm_fd);
        return r;
    }
    r = uv_async_init(&u->uv, &u->async, loop_uv_async_cb);
    if (r == 0) {
        r = uv_poll_init(&u->uv, &u->alarm, u->alarm_fd);
    }
    if (r < 0) {
        uv_loop_close(&u->uv);
        close(u->alarm_fd);
        return r;
    }
    uv_poll_start(&u->alarm, UV_READABLE, loop_uv_alarm_cb);
    return 0;
}

Loop *
loop_new(const char *name, GError **error)
{
    LoopUv *u = g_new0(LoopUv, 1);
    int r = loop_uv_open(u);

    if (r < 0) {
        g_free(u);
        ash_set_error_errno(error, -r, "loop '%s' cannot be made", name);
        return NULL;
    }
    loop_init(&u->loop, &loop_uv_ops, name);
    spin_init(&u->spin);
    u->alarm_ns = UINT64_MAX;
    u->armed_ns = UINT64_MAX;
    if (getrandom(&u->random_state, sizeof(u->random_state), 0) !=
        sizeof(u->random_state)) {
        u->random_state = loop_uv_clock_ns();
    }
    return &u->loop;
}

/* ---- threads ---- */

static void
loop_thread_main(void *arg)
{
    Loop *loop = arg;
    char name[16]; /* what the kernel keeps, with the NUL */
    CoroStats stats;

    g_strlcpy(name, loop->name, sizeof(name));
    pthread_setname_np(pthread_self(), name);
    loop_run(loop);
    coro_get_stats(&stats);
    ash_assert(stats.n_live == 0);
    coro_pool_drain();
}

bool
loop_thread_start(Loop *loop, GError **error)
{
    LoopUv *u = loop_uv_of(loop);
    sigset_t blocked;
    sigset_t before;
    int r;

    /* Signals are the main thread's, except those that tell of a crash. */
    sigfillset(&blocked);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGILL);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGTRAP);
    sigdelset(&blocked, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    r = uv_thread_create(&u->thread, loop_thread_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0) {
        ash_set_error_errno(error, -r, "loop '%s': no thread", loop->name);
        return false;
    }
    return true;
}

void
loop_thread_join(Loop *loop)
{
    int r = uv_thread_join(&loop_uv_of(loop)->thread);

    ash_assert(r == 0);
}
