/*
 * coro/coro-priv.h - what coro.c shares with the loop.
 *
 * Layer:   coro.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "coro/coro-stack.h"
#include "coro/coro-switch.h"
#include "coro/loop.h"

typedef enum {
    CORO_RUNNING, /* or new: its first run is to come */
    CORO_YIELDED,
    CORO_HOPPING, /* yielded, and moves to hop_target */
    CORO_DONE,    /* returned; in the pool */
} CoroState;

/*
 * From -> to [where]:
 *   (none) or DONE -> RUNNING    [coro_take]
 *   RUNNING -> YIELDED           [co_yield]
 *   RUNNING -> HOPPING           [co_hop]
 *   RUNNING -> DONE              [coro_main]
 *   YIELDED, HOPPING -> RUNNING  [coro_run]
 */
struct Coro {
    AshList link; /* in Loop.ready; link.next alone in the pool */
    Loop *loop;
    CoroFn *fn;
    void *arg;
    CoroContext *caller; /* who entered it; valid while it runs */
    CoroState state;
    bool queued; /* in Loop.ready */
    CoroContext ctx;
    Loop *hop_target;
    LoopMsg hop_msg;
    CoroStack stack;
};

/* The coroutines of one thread. */
typedef struct CoroThread {
    Coro *self; /* the running one, NULL outside of any */
    Loop *loop; /* the current one */
    Coro *pool; /* finished ones, last first, by link.next */
    unsigned n_pooled;
    unsigned n_live;
    unsigned n_made;
    size_t stack_high_bytes; /* of stacks that were given back */
} CoroThread;

/* Of the calling thread.  A coroutine may wake up on another thread: do not
 * keep the result across a yield. */
CoroThread *coro_thread(void);

/* Run at most @n_max of the coroutines that are ready; returns how many.  The
 * switch is in the loop itself: a return after it would be mispredicted. */
unsigned coro_run_ready(Loop *loop, unsigned n_max);
