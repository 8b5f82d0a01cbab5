/*
 * tests/lib/sim-event.c - the event heap, waits and the trace of a world; see
 * tests/lib/sim-event.h and tests/lib/sim-loop.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "tests/lib/sim-loop-priv.h"

/* ---- trace ---- */

void
sim_trace(SimWorld *w, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t h = w->hash ^ w->now_ns;

    for (const char *p = what; *p; p++) {
        h = h * 31 + (unsigned char)*p;
    }
    h = sim_mix64(h) ^ a;
    h = sim_mix64(h) ^ b;
    w->hash = sim_mix64(h) ^ c;
    if (ash_unlikely(w->trace)) {
        fprintf(stderr,
                "%12.3f us  %-14s %#" PRIx64 " %#" PRIx64 " %#" PRIx64 "\n",
                (double)w->now_ns / 1000.0, what, a, b, c);
    }
}

uint64_t
sim_world_hash(const SimWorld *w)
{
    return w->hash;
}

/* ---- events ---- */

static SimEvent *
sim_heap_get(SimWorld *w, size_t i)
{
    return g_ptr_array_index(w->heap, i);
}

static void
sim_heap_put(SimWorld *w, size_t i, SimEvent *event)
{
    g_ptr_array_index(w->heap, i) = event;
    event->heap_index = i + 1;
}

static bool
sim_event_before(const SimEvent *a, const SimEvent *b)
{
    return a->when_ns != b->when_ns ? a->when_ns < b->when_ns
                                    : a->order < b->order;
}

static void
sim_heap_up(SimWorld *w, size_t i)
{
    SimEvent *event = sim_heap_get(w, i);

    while (i > 0 && sim_event_before(event, sim_heap_get(w, (i - 1) / 2))) {
        sim_heap_put(w, i, sim_heap_get(w, (i - 1) / 2));
        i = (i - 1) / 2;
    }
    sim_heap_put(w, i, event);
}

static void
sim_heap_down(SimWorld *w, size_t i)
{
    SimEvent *event = sim_heap_get(w, i);

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->heap->len) {
            break;
        }
        if (child + 1 < w->heap->len &&
            sim_event_before(sim_heap_get(w, child + 1),
                             sim_heap_get(w, child))) {
            child++;
        }
        if (!sim_event_before(sim_heap_get(w, child), event)) {
            break;
        }
        sim_heap_put(w, i, sim_heap_get(w, child));
        i = child;
    }
    sim_heap_put(w, i, event);
}

void
sim_event_init(SimEvent *event, SimWorld *world, void (*fn)(SimEvent *event))
{
    memset(event, 0, sizeof(*event));
    event->world = world;
    event->fn = fn;
}

void
sim_event_start(SimEvent *event, uint64_t delay_ns)
{
    SimWorld *w = event->world;

    sim_event_stop(event);
    event->when_ns = w->now_ns + delay_ns;
    event->order = sim_rng_next(&w->rng_sched);
    g_ptr_array_add(w->heap, event);
    sim_heap_up(w, w->heap->len - 1);
}

void
sim_event_stop(SimEvent *event)
{
    SimWorld *w = event->world;
    size_t i = event->heap_index;
    SimEvent *last;

    if (i == 0) {
        return;
    }
    event->heap_index = 0;
    last = sim_heap_get(w, w->heap->len - 1);
    g_ptr_array_set_size(w->heap, (int)w->heap->len - 1);
    if (last != event) {
        sim_heap_put(w, i - 1, last);
        sim_heap_up(w, i - 1);
        sim_heap_down(w, last->heap_index - 1);
    }
}

/* ---- waits ---- */

void
sim_wait_begin(SimWorld *w, SimWait *wait, const char *what, const char *object,
               uint64_t a, uint64_t b)
{
    wait->what = what;
    wait->object = object;
    wait->a = a;
    wait->b = b;
    ash_list_append(&w->waits, &wait->link);
}

void
sim_wait_end(SimWait *wait)
{
    ash_list_remove(&wait->link);
}

void
sim_wake(Coro *co)
{
    Loop *saved = loop_current();

    loop_set_current(coro_loop(co));
    coro_wake(co);
    loop_set_current(saved);
}

typedef struct SimDelay {
    SimEvent event;
    Coro *co;
} SimDelay;

static void
sim_delay_over(SimEvent *event)
{
    sim_wake(((SimDelay *)(void *)event)->co);
}

void coroutine_fn
sim_co_delay(SimWorld *w, uint64_t ns)
{
    SimDelay delay = { .co = coro_self() };

    sim_event_init(&delay.event, w, sim_delay_over);
    sim_event_start(&delay.event, ns);
    co_yield();
}
