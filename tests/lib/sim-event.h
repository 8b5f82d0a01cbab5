/*
 * tests/lib/sim-event.h - for the parts of a simulated world: events at a
 * virtual time, and waits that a report can name.
 *
 * Layer:   tests/lib.      Yields: sim_co_delay().
 * Method:  sim-loop.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/list.h"
#include "coro/loop.h"
#include "tests/lib/sim-loop.h"

/* A call at a virtual time, outside of any coroutine. */
typedef struct SimEvent {
    SimWorld *world;
    void (*fn)(struct SimEvent *event);
    uint64_t when_ns;
    uint64_t order;    /* among events of one instant: drawn */
    size_t heap_index; /* 1 + place in the heap, 0: not pending */
} SimEvent;

void sim_event_init(SimEvent *event, SimWorld *world,
                    void (*fn)(SimEvent *event));
/* (Re)arm for now + @delay_ns. */
void sim_event_start(SimEvent *event, uint64_t delay_ns);
/* Idempotent. */
void sim_event_stop(SimEvent *event);
static inline bool
sim_event_is_pending(const SimEvent *event)
{
    return event->heap_index != 0;
}

/* Something that a coroutine waits for, for sim_world_describe(). */
typedef struct SimWait {
    AshList link;
    const char *what;   /* a constant */
    const char *object; /* borrowed while it waits */
    uint64_t a, b;
} SimWait;

void sim_wait_begin(SimWorld *world, SimWait *wait, const char *what,
                    const char *object, uint64_t a, uint64_t b);
void sim_wait_end(SimWait *wait);

/* coro_wake(), from an event: with the coroutine's loop as the current one. */
void sim_wake(Coro *co);

/* Wait @ns of virtual time on the current loop; always yields. */
void coroutine_fn sim_co_delay(SimWorld *world, uint64_t ns);
