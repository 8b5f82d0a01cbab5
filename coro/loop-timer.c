/*
 * coro/loop-timer.c - timers of a loop; see coro/loop.h.
 *
 * Method: a binary heap of pointers, each timer knows its place in it.  Timers
 * are ordered by deadline, then by the order of arming.
 *
 * Invariants:
 *   T1  heap[i] is not before heap[(i - 1) / 2]
 *   T2  heap[i]->heap_index == i + 1; a timer that is not armed has 0
 *   T3  the implementation's alarm is heap[0]'s deadline, or none
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "base/assert.h"
#include "coro/loop-priv.h"

static bool
loop_timer_is_before(const LoopTimer *a, const LoopTimer *b)
{
    if (a->deadline_ns != b->deadline_ns) {
        return a->deadline_ns < b->deadline_ns;
    }
    return a->number < b->number;
}

static void
loop_heap_set(Loop *loop, size_t i, LoopTimer *timer)
{
    loop->heap[i] = timer;
    timer->heap_index = i + 1;
}

/* Put @timer at @i or, while it is before its parent, further up. */
static void
loop_heap_up(Loop *loop, size_t i, LoopTimer *timer)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;

        if (!loop_timer_is_before(timer, loop->heap[parent])) {
            break;
        }
        loop_heap_set(loop, i, loop->heap[parent]);
        i = parent;
    }
    loop_heap_set(loop, i, timer);
}

/* Put @timer at @i or, while a child is before it, further down. */
static void
loop_heap_down(Loop *loop, size_t i, LoopTimer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= loop->n_heap) {
            break;
        }
        if (child + 1 < loop->n_heap &&
            loop_timer_is_before(loop->heap[child + 1], loop->heap[child])) {
            child++;
        }
        if (!loop_timer_is_before(loop->heap[child], timer)) {
            break;
        }
        loop_heap_set(loop, i, loop->heap[child]);
        i = child;
    }
    loop_heap_set(loop, i, timer);
}

static void
loop_heap_insert(Loop *loop, LoopTimer *timer)
{
    if (loop->n_heap == loop->heap_capacity) {
        loop->heap_capacity = MAX(16, loop->heap_capacity * 2);
        loop->heap = g_renew(LoopTimer *, loop->heap, loop->heap_capacity);
    }
    loop_heap_up(loop, loop->n_heap++, timer);
}

static void
loop_heap_remove(Loop *loop, LoopTimer *timer)
{
    size_t i = timer->heap_index - 1;
    LoopTimer *last = loop->heap[--loop->n_heap];

    ash_assert(loop->heap[i] == timer || last == timer);
    timer->heap_index = 0;
    if (last == timer) {
        return;
    }
    if (i > 0 && loop_timer_is_before(last, loop->heap[(i - 1) / 2])) {
        loop_heap_up(loop, i, last);
    } else {
        loop_heap_down(loop, i, last);
    }
}

static void
loop_timer_set_alarm(Loop *loop)
{
    loop->ops->set_alarm(loop, loop->n_heap > 0 ? loop->heap[0]->deadline_ns
                                                : UINT64_MAX);
}

void
loop_timer_init(LoopTimer *timer, Loop *loop, void (*fn)(LoopTimer *timer))
{
    *timer = (LoopTimer){ .loop = loop, .fn = fn };
}

void
loop_timer_start(LoopTimer *timer, uint64_t delay_ns)
{
    Loop *loop = timer->loop;
    uint64_t now_ns = loop->ops->now_ns(loop);

    if (timer->heap_index > 0) {
        loop_heap_remove(loop, timer);
    }
    timer->deadline_ns =
        delay_ns < UINT64_MAX - now_ns ? now_ns + delay_ns : UINT64_MAX;
    timer->number = loop->n_timer_starts++;
    loop_heap_insert(loop, timer);
    loop_timer_set_alarm(loop);
}

void
loop_timer_stop(LoopTimer *timer)
{
    if (timer->heap_index > 0) {
        loop_heap_remove(timer->loop, timer);
        loop_timer_set_alarm(timer->loop);
    }
}

void
loop_run_timers(Loop *loop)
{
    uint64_t limit = loop->n_timer_starts;
    uint64_t now_ns;
    bool any = false;

    if (loop->n_heap == 0) {
        return;
    }
    now_ns = loop->ops->now_ns(loop);
    while (loop->n_heap > 0) {
        LoopTimer *timer = loop->heap[0];

        /* What is armed from here on waits for the next turn, or a timer
         * without delay could keep us here. */
        if (timer->deadline_ns > now_ns || timer->number >= limit) {
            break;
        }
        loop_heap_remove(loop, timer);
        any = true;
        timer->fn(timer);
    }
    if (any) {
        loop_timer_set_alarm(loop);
    }
}

typedef struct LoopSleep {
    LoopTimer timer;
    Coro *co;
} LoopSleep;

static void
loop_sleep_cb(LoopTimer *timer)
{
    coro_wake(ash_container_of(timer, LoopSleep, timer)->co);
}

void coroutine_fn
co_sleep_ns(uint64_t ns)
{
    LoopSleep sleep = { .co = coro_self() };

    loop_timer_init(&sleep.timer, loop_current(), loop_sleep_cb);
    loop_timer_start(&sleep.timer, ns);
    co_yield();
}
