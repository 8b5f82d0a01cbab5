/*
 * tests/lib/sim-loop.c - see tests/lib/sim-loop.h and tests/lib/sim-event.h.
 *
 * Method: a step is one of
 *   - the turn of a loop that has something to do: due timers and messages,
 *     then everything that is ready, in an order that sim_pick() draws;
 *   - the earliest event, if it is due;
 *   - moving the clock to the next instant at which one of these is possible.
 * Turns cost a little time, and now and then a loop is not scheduled for a
 * while, as a thread may be.
 * Each reading of the clock costs a tick, so a busy wait ends.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-loop.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "tests/lib/sim-event.h"
#include "tests/lib/sim-loop-priv.h"

#define SIM_STEPS_MAX ((uint64_t)20000000)

static SimLoop *
sim_loop(Loop *loop)
{
    return (SimLoop *)(void *)loop;
}

/* ---- LoopOps ---- */

static uint64_t
sim_loop_now_ns(Loop *loop)
{
    return sim_loop(loop)->world->now_ns++;
}

static uint64_t
sim_loop_random(Loop *loop)
{
    return sim_rng_next(&sim_loop(loop)->world->rng_loops);
}

static void
sim_loop_set_alarm(Loop *loop, uint64_t deadline_ns)
{
    sim_loop(loop)->alarm_ns = deadline_ns;
}

static void
sim_loop_wakeup(Loop *loop)
{
    /* A message is in the inbox, or loop_stop() was called; both are seen
     * by looking. */
    sim_trace(sim_loop(loop)->world, "wakeup", sim_loop(loop)->index, 0, 0);
}

/* An offloaded call on its way. */
typedef struct SimWork {
    SimEvent event;
    LoopWork *work;
    bool ran;
} SimWork;

static void
sim_work_done(SimEvent *event)
{
    SimWork *sw = (SimWork *)(void *)event;
    LoopWork *work = sw->work;

    if (!sw->ran) {
        work->fn(work->arg);
    }
    sim_trace(event->world, "work-done", sim_loop(work->loop)->index, 0, 0);
    g_free(sw);
    loop_set_current(work->loop);
    work->done(work);
    loop_set_current(NULL);
}

/* Whether the pool runs it soon or late is drawn, too. */
static void
sim_loop_work(Loop *loop, LoopWork *work)
{
    SimWorld *w = sim_loop(loop)->world;
    SimWork *sw = g_new0(SimWork, 1);

    work->loop = loop;
    sw->work = work;
    sw->ran = sim_rng_chance(&w->rng_sched, 500);
    if (sw->ran) {
        work->fn(work->arg);
    }
    sim_event_init(&sw->event, w, sim_work_done);
    sim_event_start(&sw->event,
                    sim_rng_skewed(&w->rng_sched, SIM_US, 5 * SIM_MS));
    sim_trace(w, "work", sim_loop(loop)->index, sw->ran, 0);
}

static size_t
sim_loop_pick(Loop *loop, size_t n)
{
    SimWorld *w = sim_loop(loop)->world;
    size_t i = 0;

    if (n == 1) {
        return 0;
    }
    if (w->pick == SIM_PICK_RANDOM) {
        i = (size_t)sim_rng_below(&w->rng_sched, n);
    } else if (w->pick == SIM_PICK_LAST) {
        i = n - 1;
    }
    sim_trace(w, "pick", sim_loop(loop)->index, n, i);
    return i;
}

static LoopFd *
sim_loop_fd_new(Loop *loop, int fd, GError **error)
{
    (void)loop;
    g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                "a simulated loop has no file descriptor %d", fd);
    return NULL;
}

static void
sim_loop_fd_free(LoopFd *watch)
{
    (void)watch;
    ash_unreachable();
}

static void
sim_loop_fd_want(LoopFd *watch, unsigned events)
{
    (void)watch;
    (void)events;
    ash_unreachable();
}

static void
sim_loop_free(Loop *loop)
{
    /* loop_free() may not be used on a world's loop: the world owns it. */
    (void)loop;
    ash_unreachable();
}

static void sim_loop_wait(Loop *loop, bool block);

static const LoopOps sim_loop_ops = {
    .now_ns = sim_loop_now_ns,
    .random = sim_loop_random,
    .set_alarm = sim_loop_set_alarm,
    .wakeup = sim_loop_wakeup,
    .wait = sim_loop_wait,
    .work = sim_loop_work,
    .pick = sim_loop_pick,
    .fd_new = sim_loop_fd_new,
    .fd_free = sim_loop_fd_free,
    .fd_want = sim_loop_fd_want,
    .free = sim_loop_free,
};

/* ---- scheduling ---- */

/* Has @l something to do at @now, its stall aside? */
static bool
sim_loop_has_work(const SimLoop *l, uint64_t now)
{
    return loop_is_busy(&l->loop) || l->alarm_ns <= now;
}

static bool
sim_loop_can_run(const SimLoop *l, uint64_t now)
{
    return l->stalled_ns <= now && sim_loop_has_work(l, now);
}

static void
sim_world_turn(SimWorld *w, SimLoop *l)
{
    sim_trace(w, "turn", l->index, l->loop.n_ready, 0);
    loop_set_current(&l->loop);
    loop_run_due(&l->loop);
    loop_run_ready(&l->loop);
    loop_set_current(NULL);
    w->now_ns += sim_rng_below(&w->rng_sched, 2 * SIM_US);
    if (sim_rng_chance(&w->rng_sched, w->stall_permille)) {
        l->stalled_ns =
            w->now_ns + sim_rng_skewed(&w->rng_sched, 1, 10 * SIM_MS);
    }
}

/* When is the next step possible?  UINT64_MAX: never. */
static uint64_t
sim_world_next_ns(SimWorld *w, const SimLoop *skip)
{
    uint64_t next = UINT64_MAX;

    if (w->heap->len > 0) {
        next = sim_heap_first(w)->when_ns;
    }
    for (unsigned i = 0; i < w->n_loops; i++) {
        SimLoop *l = w->loops[i];
        uint64_t t = sim_loop_has_work(l, w->now_ns) ? w->now_ns : l->alarm_ns;

        if (l != skip && t != UINT64_MAX) {
            t = t < l->stalled_ns ? l->stalled_ns : t;
            next = t < next ? t : next;
        }
    }
    return next;
}

/* One step, leaving out @skip (may be NULL); false: nothing will happen. */
static bool
sim_world_step(SimWorld *w, const SimLoop *skip)
{
    uint64_t next = sim_world_next_ns(w, skip);
    uint64_t n = 0, k;
    bool due;

    if (next == UINT64_MAX) {
        return false;
    }
    w->now_ns = next > w->now_ns ? next : w->now_ns;
    due = w->heap->len > 0 && sim_heap_first(w)->when_ns <= w->now_ns;
    n = due;
    for (unsigned i = 0; i < w->n_loops; i++) {
        n += w->loops[i] != skip && sim_loop_can_run(w->loops[i], w->now_ns);
    }
    k = sim_rng_below(&w->rng_sched, n);
    if (due && k == 0) {
        SimEvent *event = sim_heap_first(w);

        sim_event_stop(event);
        event->fn(event);
        return true;
    }
    k -= due;
    for (unsigned i = 0; i < w->n_loops; i++) {
        if (w->loops[i] != skip && sim_loop_can_run(w->loops[i], w->now_ns) &&
            k-- == 0) {
            sim_world_turn(w, w->loops[i]);
            return true;
        }
    }
    ash_unreachable();
}

/* Somebody spins @loop itself (loop_run_coroutine()): the rest of the world
 * goes on until @loop has something to do. */
static void
sim_loop_wait(Loop *loop, bool block)
{
    SimLoop *l = sim_loop(loop);
    SimWorld *w = l->world;

    while (!sim_loop_has_work(l, w->now_ns)) {
        uint64_t next = sim_world_next_ns(w, l);

        if (!block && next > w->now_ns) {
            break;
        }
        if (l->alarm_ns <= next && l->alarm_ns != UINT64_MAX) {
            w->now_ns = l->alarm_ns;
            break;
        }
        if (!sim_world_step(w, l)) {
            g_autofree char *text = sim_world_describe(w);

            fprintf(stderr, "a loop waits forever\n%s", text);
            ash_unreachable();
        }
    }
    loop_set_current(loop);
}

SimRunResult
sim_world_run(SimWorld *w, bool (*until)(void *arg), void *arg,
              uint64_t limit_ns)
{
    uint64_t deadline = w->now_ns + limit_ns;

    for (uint64_t steps = 0; steps < SIM_STEPS_MAX; steps++) {
        uint64_t next;

        if (until && until(arg)) {
            return SIM_RUN_DONE;
        }
        next = sim_world_next_ns(w, NULL);
        if (next == UINT64_MAX) {
            return until ? SIM_RUN_DEADLOCK : SIM_RUN_DONE;
        }
        if (next > deadline || w->now_ns > deadline) {
            return SIM_RUN_TIME;
        }
        sim_world_step(w, NULL);
    }
    return SIM_RUN_STEPS;
}

/* ---- actors and waits ---- */

static void coroutine_fn
sim_co_actor(void *arg)
{
    SimActor *actor = arg;

    actor->fn(actor->arg);
    ash_list_remove(&actor->link);
    g_free(actor->name);
    g_free(actor);
}

void
sim_world_spawn(SimWorld *w, Loop *loop, const char *name, CoroFn *fn,
                void *arg)
{
    SimActor *actor = g_new0(SimActor, 1);
    Loop *saved = loop_current();

    actor->name = g_strdup(name);
    actor->fn = fn;
    actor->arg = arg;
    ash_list_append(&w->actors, &actor->link);
    loop_set_current(loop);
    coro_spawn_later(sim_co_actor, actor);
    loop_set_current(saved);
}

typedef struct SimCall {
    CoroFn *fn;
    void *arg;
    bool done;
} SimCall;

static void coroutine_fn
sim_co_call(void *arg)
{
    SimCall *call = arg;

    call->fn(call->arg);
    call->done = true;
}

static bool
sim_call_is_done(void *arg)
{
    return ((const SimCall *)arg)->done;
}

SimRunResult
sim_world_call(SimWorld *w, Loop *loop, const char *name, CoroFn *fn, void *arg,
               uint64_t limit_ns)
{
    SimCall call = { .fn = fn, .arg = arg };

    sim_world_spawn(w, loop, name, sim_co_call, &call);
    return sim_world_run(w, sim_call_is_done, &call, limit_ns);
}

char *
sim_world_describe(SimWorld *w)
{
    GString *text = g_string_new(NULL);
    CoroStats stats;

    coro_get_stats(&stats);
    g_string_append_printf(text, "at %.6f s: %u coroutines, %u events\n",
                           (double)w->now_ns / 1e9, stats.n_live, w->heap->len);
    for (unsigned i = 0; i < w->n_loops; i++) {
        g_string_append_printf(text, "  loop %s: %zu ready\n",
                               loop_name(&w->loops[i]->loop),
                               w->loops[i]->loop.n_ready);
    }
    ash_list_foreach(link, &w->actors) {
        SimActor *actor = ash_container_of(link, SimActor, link);

        g_string_append_printf(text, "  actor %s has not returned\n",
                               actor->name);
    }
    ash_list_foreach(link, &w->waits) {
        SimWait *wait = ash_container_of(link, SimWait, link);

        g_string_append_printf(text,
                               "  waiting: %s %s %#" PRIx64 " %#" PRIx64 "\n",
                               wait->object, wait->what, wait->a, wait->b);
    }
    return g_string_free(text, FALSE);
}

/* ---- life ---- */

SimWorld *
sim_world_new(uint64_t seed, unsigned n_loops)
{
    SimWorld *w = g_new0(SimWorld, 1);
    uint64_t mode;

    ash_assert(n_loops > 0);
    sim_rng_init(&w->rng_sched, seed, 1);
    sim_rng_init(&w->rng_loops, seed, 2);
    sim_rng_init(&w->rng_tests, seed, 3);
    sim_rng_init(&w->rng_fork, seed, 4);
    mode = sim_rng_below(&w->rng_sched, 8);
    w->pick = mode == 0   ? SIM_PICK_FIRST
              : mode == 1 ? SIM_PICK_LAST
                          : SIM_PICK_RANDOM;
    w->stall_permille = (unsigned)sim_rng_skewed(&w->rng_sched, 0, 50);
    w->now_ns = SIM_S + sim_rng_below(&w->rng_sched, 1000 * SIM_S);
    w->hash = seed;
    w->heap = g_ptr_array_new();
    ash_list_init(&w->actors);
    ash_list_init(&w->waits);
    w->n_loops = n_loops;
    w->loops = g_new0(SimLoop *, n_loops);
    for (unsigned i = 0; i < n_loops; i++) {
        g_autofree char *name = g_strdup_printf("sim%u", i);

        w->loops[i] = g_new0(SimLoop, 1);
        w->loops[i]->world = w;
        w->loops[i]->index = i;
        w->loops[i]->alarm_ns = UINT64_MAX;
        loop_init(&w->loops[i]->loop, &sim_loop_ops, name);
    }
    return w;
}

void
sim_world_free(SimWorld *w)
{
    ash_assert(w->heap->len == 0);
    ash_assert(ash_list_is_empty(&w->actors));
    for (unsigned i = 0; i < w->n_loops; i++) {
        loop_done(&w->loops[i]->loop);
        g_free(w->loops[i]);
    }
    g_free(w->loops);
    g_ptr_array_free(w->heap, TRUE);
    g_free(w);
}

void
sim_world_set_trace(SimWorld *w, bool on)
{
    w->trace = on;
}

Loop *
sim_world_loop(SimWorld *w, unsigned i)
{
    ash_assert(i < w->n_loops);
    return &w->loops[i]->loop;
}

SimWorld *
sim_world_of(Loop *loop)
{
    ash_assert(loop->ops == &sim_loop_ops);
    return sim_loop(loop)->world;
}

uint64_t
sim_world_now_ns(const SimWorld *w)
{
    return w->now_ns;
}

SimRng *
sim_world_rng(SimWorld *w)
{
    return &w->rng_tests;
}

void
sim_world_fork_rng(SimWorld *w, SimRng *ret)
{
    sim_rng_init(ret, sim_rng_next(&w->rng_fork), 0);
}
