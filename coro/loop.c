/*
 * coro/loop.c - what all loops have in common: ready queue, deferred calls,
 * messages, turns.  Timers are in loop-timer.c, watched fds in loop-fd.c.
 *
 * Method: messages go onto a stack, by compare-and-swap from any thread; the
 * loop takes the whole stack with one exchange and turns it around, so a
 * sender's messages keep their order.
 *
 * The message may be what ends the loop, while its sender has yet to see
 * whether the loop must be woken.  So senders are counted from before the
 * message is there until they are done, and loop_free() waits for them.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/loop.h"

#include <glib.h>
#include <sched.h>

#include "base/assert.h"
#include "coro/coro-priv.h"
#include "coro/loop-priv.h"

/* ---- messages ---- */

void
loop_post(Loop *loop, LoopMsg *msg)
{
    LoopMsg *head = __atomic_load_n(&loop->inbox, __ATOMIC_RELAXED);

    __atomic_fetch_add(&loop->n_posting, 1, __ATOMIC_RELAXED);
    do {
        msg->next = head;
    } while (!__atomic_compare_exchange_n(&loop->inbox, &head, msg, true,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    loop->ops->wakeup(loop);
    __atomic_fetch_sub(&loop->n_posting, 1, __ATOMIC_RELEASE);
}

static LoopMsg *
loop_inbox_take(Loop *loop)
{
    LoopMsg *newest;
    LoopMsg *oldest = NULL;

    if (!__atomic_load_n(&loop->inbox, __ATOMIC_RELAXED)) {
        return NULL;
    }
    newest = __atomic_exchange_n(&loop->inbox, NULL, __ATOMIC_ACQUIRE);
    while (newest) {
        LoopMsg *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void
loop_run_inbox(Loop *loop)
{
    LoopMsg *msg = loop_inbox_take(loop);

    while (msg) {
        LoopMsg *next = msg->next;

        loop->n_events++;
        msg->fn(msg);
        msg = next;
    }
}

/* ---- deferred calls ---- */

void
loop_defer_init(LoopDefer *defer, void (*fn)(LoopDefer *defer))
{
    ash_list_init(&defer->link);
    defer->fn = fn;
}

void
loop_defer(Loop *loop, LoopDefer *defer)
{
    if (ash_list_is_empty(&defer->link)) {
        ash_list_append(&loop->deferred, &defer->link);
    }
}

void
loop_defer_cancel(LoopDefer *defer)
{
    ash_list_remove(&defer->link);
}

/* Run those that are there now; what they defer comes in the next turn. */
static bool
loop_run_deferred(Loop *loop)
{
    AshList now;

    if (ash_list_is_empty(&loop->deferred)) {
        return false;
    }
    ash_list_init(&now);
    ash_list_splice(&now, &loop->deferred);
    while (!ash_list_is_empty(&now)) {
        LoopDefer *defer = ash_list_first(&now, LoopDefer, link);

        ash_list_remove(&defer->link);
        defer->fn(defer);
    }
    return true;
}

/* ---- turns ---- */

bool
loop_run_ready(Loop *loop)
{
    unsigned left = LOOP_RUN_MAX;
    bool any = false;

    do {
        unsigned n = coro_run_ready(loop, left);

        left -= n;
        any |= loop_run_deferred(loop) || n > 0;
    } while (left > 0 && loop->n_ready > 0);
    return any;
}

void
loop_run_due(Loop *loop)
{
    loop_run_timers(loop);
    loop_run_inbox(loop);
}

bool
loop_is_busy(const Loop *loop)
{
    return loop->n_ready > 0 || !ash_list_is_empty(&loop->deferred) ||
           __atomic_load_n(&loop->inbox, __ATOMIC_SEQ_CST) != NULL;
}

/* Turn until *@stop, which is looked at before each wait. */
static void
loop_turn_until(Loop *loop, const bool *stop)
{
    Loop *before = loop_current();

    ash_assert(!coro_is_inside());
    loop_set_current(loop);
    for (;;) {
        loop_run_due(loop);
        loop_run_ready(loop);
        if (*stop) {
            break;
        }
        loop->ops->wait(loop, !loop_is_busy(loop));
    }
    while (loop_is_busy(loop)) {
        loop_run_inbox(loop);
        loop_run_ready(loop);
    }
    loop_set_current(before);
}

void
loop_run(Loop *loop)
{
    loop_turn_until(loop, &loop->stopping);
    loop->stopping = false;
}

static void
loop_stop_cb(LoopMsg *msg)
{
    Loop *loop = ash_container_of(msg, Loop, stop_msg);

    __atomic_store_n(&loop->stop_posted, false, __ATOMIC_RELEASE);
    loop->stopping = true;
}

void
loop_stop(Loop *loop)
{
    if (!__atomic_exchange_n(&loop->stop_posted, true, __ATOMIC_ACQ_REL)) {
        loop_post(loop, &loop->stop_msg);
    }
}

typedef struct LoopRunCall {
    CoroFn *fn;
    void *arg;
    bool done;
} LoopRunCall;

static void coroutine_fn
loop_co_run_call(void *arg)
{
    LoopRunCall *call = arg;

    call->fn(call->arg);
    call->done = true;
}

void no_coroutine_fn
loop_run_coroutine(Loop *loop, CoroFn *fn, void *arg)
{
    LoopRunCall call = { .fn = fn, .arg = arg };
    Loop *before = loop_current();

    loop_set_current(loop);
    coro_spawn_later(loop_co_run_call, &call);
    loop_set_current(before);
    loop_turn_until(loop, &call.done);
}

/* ---- offload ---- */

typedef struct LoopCoWork {
    LoopWork work;
    Coro *co;
} LoopCoWork;

static void
loop_work_done_cb(LoopWork *work)
{
    work->loop->n_works--;
    work->loop->n_events++;
    coro_wake(ash_container_of(work, LoopCoWork, work)->co);
}

void coroutine_fn
co_work(void (*fn)(void *arg), void *arg)
{
    Loop *loop = loop_current();
    LoopCoWork call = {
        .work = { .fn = fn,
                  .arg = arg,
                  .done = loop_work_done_cb,
                  .loop = loop },
        .co = coro_self(),
    };

    ash_list_init(&call.work.link);
    loop->n_works++;
    loop->ops->work(loop, &call.work);
    co_yield();
}

void coroutine_fn
co_pause(void)
{
    coro_wake(coro_self());
    co_yield();
}

/* ---- life ---- */

void
loop_init(Loop *loop, const LoopOps *ops, const char *name)
{
    *loop = (Loop){ .ops = ops, .spin_ns = LOOP_SPIN_NS };
    loop->name = g_strdup(name);
    loop->stop_msg.fn = loop_stop_cb;
    ash_list_init(&loop->ready);
    ash_list_init(&loop->deferred);
}

void
loop_done(Loop *loop)
{
    ash_assert(loop->n_ready == 0);
    ash_assert(ash_list_is_empty(&loop->deferred));
    ash_assert(__atomic_load_n(&loop->inbox, __ATOMIC_ACQUIRE) == NULL);
    ash_assert(loop->n_heap == 0);
    ash_assert(loop->n_fds == 0);
    ash_assert(loop->n_works == 0);
    ash_assert(loop->engines == NULL);
    g_free(loop->heap);
    g_free(loop->name);
}

void
loop_free(Loop *loop)
{
    while (__atomic_load_n(&loop->n_posting, __ATOMIC_ACQUIRE) > 0) {
        sched_yield();
    }
    loop->ops->free(loop);
}

void
loop_set_current(Loop *loop)
{
    coro_thread()->loop = loop;
}

Loop *
loop_current(void)
{
    return coro_thread()->loop;
}

const char *
loop_name(const Loop *loop)
{
    return loop->name;
}

uint64_t
loop_now_ns(Loop *loop)
{
    return loop->ops->now_ns(loop);
}

uint64_t
loop_random(Loop *loop)
{
    return loop->ops->random(loop);
}

struct AioEngineSet *
loop_engines(Loop *loop)
{
    return loop->engines;
}

void
loop_set_engines(Loop *loop, struct AioEngineSet *set)
{
    loop->engines = set;
}

void
loop_set_spin_ns(Loop *loop, uint64_t spin_ns)
{
    loop->spin_ns = spin_ns;
}
