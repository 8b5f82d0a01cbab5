/*
 * tests/lib/sim-loop-priv.h - struct SimWorld; sim-loop.c and sim-event.c only.
 *
 * Invariants:
 *  W1  now_ns never goes back.
 *  W2  The event heap is ordered by (when_ns, order).
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/list.h"
#include "coro/loop-priv.h"
#include "tests/lib/sim-event.h"

typedef struct SimLoop {
    Loop loop; /* first: LoopOps get a Loop */
    SimWorld *world;
    unsigned index;
    uint64_t alarm_ns;
    uint64_t stalled_ns; /* not scheduled before this time */
} SimLoop;

/* A named coroutine. */
typedef struct SimActor {
    AshList link;
    char *name;
    CoroFn *fn;
    void *arg;
} SimActor;

/* How sim_pick() chooses, drawn once a world. */
typedef enum {
    SIM_PICK_RANDOM,
    SIM_PICK_FIRST,
    SIM_PICK_LAST,
} SimPick;

struct SimWorld {
    SimRng rng_sched;
    SimRng rng_loops; /* loop_random() */
    SimRng rng_tests;
    SimRng rng_fork;
    uint64_t now_ns;
    uint64_t hash;
    bool trace;
    SimPick pick;
    unsigned stall_permille;
    SimLoop **loops;
    unsigned n_loops;
    GPtrArray *heap; /* of SimEvent */
    AshList actors;
    AshList waits;
};

/* The earliest event; there is one. */
static inline SimEvent *
sim_heap_first(SimWorld *w)
{
    return g_ptr_array_index(w->heap, 0);
}
