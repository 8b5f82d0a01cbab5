/*
 * coro/loop.h - a loop: the ready queue, timers, watched fds, messages.
 *
 * A Loop is one thread's world.  What touches the outside (clock, waiting,
 * fds, offload, randomness, the choice of the next coroutine) goes through its
 * LoopOps: coro/loop-uv.c implements them with libuv, tests/lib/sim-loop.c with
 * a virtual clock and a seed.  What is the same for both (ready queue, timer
 * heap, deferred calls, message queue) is in coro/loop.c.
 *
 * A turn: run ready coroutines until none is left, then the deferred calls
 * (submit I/O, send replies), again while these made something ready; then
 * wait for the outside.  Coroutines that are always ready do not keep it from
 * looking there now and then.
 *
 * Layer:   coro.      Thread: the loop's own, except where "any thread" stands.
 * Yields:  co_sleep_ns, co_pause, co_wait_fd, co_work.
 * Method:  loop.c (turns, messages), loop-timer.c, loop-fd.c, loop-uv.c (the
 *          outside), spin.c (when to poll).
 * Tests:   tests/unit/coro/test-loop.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/error.h"
#include "base/list.h"
#include "coro/coro.h"

struct uv_loop_s;
struct AioEngineSet; /* drivers/aio: the engines of this loop */

/* ---- messages between loops ---- */

typedef struct LoopMsg {
    struct LoopMsg *next;
    void (*fn)(struct LoopMsg *msg); /* runs on the target, must not block */
} LoopMsg;

/* Any thread: run @msg->fn on @loop.  @msg must stay until then, and is not
 * touched afterwards; order is kept between two messages of one sender. */
void loop_post(Loop *loop, LoopMsg *msg);

/* ---- deferred calls ---- */

/* One call at the end of this turn, before the loop waits.  Adding what is
 * already queued does nothing. */
typedef struct LoopDefer {
    AshList link;
    void (*fn)(struct LoopDefer *defer);
} LoopDefer;

void loop_defer_init(LoopDefer *defer, void (*fn)(LoopDefer *defer));
void loop_defer(Loop *loop, LoopDefer *defer);
void loop_defer_cancel(LoopDefer *defer);

/* ---- timers ---- */

typedef struct LoopTimer {
    Loop *loop;
    uint64_t deadline_ns;
    uint64_t number;   /* timers of one deadline fire in the order of arming */
    size_t heap_index; /* 1 + place in the heap, 0: not armed */
    void (*fn)(struct LoopTimer *timer);
} LoopTimer;

void loop_timer_init(LoopTimer *timer, Loop *loop,
                     void (*fn)(LoopTimer *timer));
/* (Re)arm for now + @delay_ns. */
void loop_timer_start(LoopTimer *timer, uint64_t delay_ns);
/* Idempotent. */
void loop_timer_stop(LoopTimer *timer);

/* ---- watched file descriptors ---- */

typedef enum {
    LOOP_FD_READ = 1,
    LOOP_FD_WRITE = 2,
} LoopFdEvents;

/* A watch on one fd, of one loop.  At most one coroutine waits for each of
 * read and write. */
typedef struct LoopFd LoopFd;

/* Borrow @fd until loop_fd_free(), which comes before close(); make it
 * nonblocking.  One watch an fd and loop.  Error: IO if the fd can't be watched
 * (a regular file, say). */
LoopFd *loop_fd_new(Loop *loop, int fd, GError **error);
/* Nobody waits on it any more. */
void loop_fd_free(LoopFd *watch);

/**
 * co_wait_fd() - wait until the fd is ready.
 * @event:       one of LOOP_FD_READ, LOOP_FD_WRITE
 * @timeout_ns:  UINT64_MAX for no limit
 *
 * Errors:  -ETIMEDOUT; -ECANCELED after loop_fd_cancel().
 */
int coroutine_fn co_wait_fd(LoopFd *watch, LoopFdEvents event,
                            uint64_t timeout_ns);

/* Whoever waits on it, now or later, gets -ECANCELED. */
void loop_fd_cancel(LoopFd *watch);

/* ---- coroutine conveniences ---- */

void coroutine_fn co_sleep_ns(uint64_t ns);

/* Let everything else that is ready run first. */
void coroutine_fn co_pause(void);

/**
 * co_work() - run a blocking function on the pool and resume here.
 * @fn:     runs on another thread; may touch only what @arg reaches
 */
void coroutine_fn co_work(void (*fn)(void *arg), void *arg);

/* ---- life ---- */

/* A libuv loop for the calling thread or, with loop_thread_start(), for one of
 * its own.  Error: IO. */
Loop *loop_new(const char *name, GError **error);
/* Nothing watched, armed or posted is left, and nobody will post any more;
 * waits for threads that are still about to return from loop_post(). */
void loop_free(Loop *loop);
/* Run until loop_stop(), and then what is ready or posted by then. */
void loop_run(Loop *loop);
/* Any thread.  Before loop_run(), it makes that return at once. */
void loop_stop(Loop *loop);
/* Run @loop on a new thread / wait for that thread after loop_stop().  The
 * thread asserts that no coroutine is left on it. */
bool loop_thread_start(Loop *loop, GError **error);
void loop_thread_join(Loop *loop);

/* Spin the current loop until @fn has returned.  Start-up and tests only. */
void no_coroutine_fn loop_run_coroutine(Loop *loop, CoroFn *fn, void *arg);

/* The loop of this thread, NULL on others. */
Loop *loop_current(void);
const char *loop_name(const Loop *loop);
/* Monotonic time, read afresh. */
uint64_t loop_now_ns(Loop *loop);
/* Not for secrets; seeded in simulation. */
uint64_t loop_random(Loop *loop);
/* Things that the caller below owns and that hang on the loop. */
struct AioEngineSet *loop_engines(Loop *loop);
void loop_set_engines(Loop *loop, struct AioEngineSet *set);
/* How long a busy loop polls before it sleeps; 0 turns that off.  Default
 * LOOP_SPIN_NS. */
void loop_set_spin_ns(Loop *loop, uint64_t spin_ns);

#define LOOP_SPIN_NS ((uint64_t)20000)
