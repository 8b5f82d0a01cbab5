/*
 * tests/lib/sim-loop.h - SimWorld: one seed, one clock, K loops, one thread.
 *
 * A world replaces everything by which a Loop touches the outside.  Time is
 * virtual and moves only when nothing is left to do at the present instant.
 * Which loop advances, which ready coroutine runs, in which order events of one
 * instant happen and how long offloaded work takes are drawn from the seed.
 *
 * Everything that happens is mixed into the trace hash; two runs of one seed
 * have the same hash, or something in the code under test looks at the real
 * world (addresses, the real clock, a thread).
 *
 * Layer:   tests/lib.      Thread: the one that made the world.
 * Method:  see sim-loop.c.      Tests: tests/unit/sim/test-sim-loop.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "coro/coro.h"
#include "coro/loop.h"
#include "tests/lib/sim-random.h"

#define SIM_US ((uint64_t)1000)
#define SIM_MS ((uint64_t)1000000)
#define SIM_S ((uint64_t)1000000000)

typedef struct SimWorld SimWorld;

/* ---- life ---- */

/* @n_loops > 0 loops, named "sim0", "sim1", ...; none is current. */
SimWorld *sim_world_new(uint64_t seed, unsigned n_loops);
/* No coroutine of it is left, no event, timer or message pending. */
void sim_world_free(SimWorld *world);
/* Print each event of the trace to standard error. */
void sim_world_set_trace(SimWorld *world, bool on);

Loop *sim_world_loop(SimWorld *world, unsigned i);
SimWorld *sim_world_of(Loop *loop);
uint64_t sim_world_now_ns(const SimWorld *world);
/* The stream of choices that tests draw from. */
SimRng *sim_world_rng(SimWorld *world);
/* A new stream, the same for the same seed and the same order of calls. */
void sim_world_fork_rng(SimWorld *world, SimRng *ret);

/* ---- running ---- */

typedef enum {
    SIM_RUN_DONE,     /* @until said true */
    SIM_RUN_TIME,     /* the clock passed the deadline */
    SIM_RUN_STEPS,    /* more than the world's step limit: a livelock */
    SIM_RUN_DEADLOCK, /* nothing is ready and nothing will happen */
} SimRunResult;

/**
 * sim_world_run() - let the world go on.
 * @until, @arg: asked after each step; NULL: run until nothing is left
 * @limit_ns:    how much virtual time at most
 *
 * On anything but DONE sim_world_describe() says who is waiting.
 */
SimRunResult no_coroutine_fn sim_world_run(SimWorld *world,
                                           bool (*until)(void *arg), void *arg,
                                           uint64_t limit_ns);

/* Run @fn as a coroutine of @loop, until it returns; the world goes on too. */
SimRunResult no_coroutine_fn sim_world_call(SimWorld *world, Loop *loop,
                                            const char *name, CoroFn *fn,
                                            void *arg, uint64_t limit_ns);

/* Spawn @fn on @loop, later, under a name (copied) for reports. */
void sim_world_spawn(SimWorld *world, Loop *loop, const char *name, CoroFn *fn,
                     void *arg);

/* Who lives, who waits for what.  Owned by the caller. */
char *sim_world_describe(SimWorld *world);

/* ---- the trace ---- */

/* Mix an event into the hash.  @what: a constant. */
void sim_trace(SimWorld *world, const char *what, uint64_t a, uint64_t b,
               uint64_t c);
uint64_t sim_world_hash(const SimWorld *world);
