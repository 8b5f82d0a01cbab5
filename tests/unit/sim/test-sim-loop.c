/*
 * tests/unit/sim/test-sim-loop.c - virtual time, seeded scheduling, traces.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-loop.h"

#include <glib.h>
#include <string.h>

#include "tests/lib/sim-event.h"
#include "tests/unit/sim/tests.h"

/* ---- a workload: coroutines that sleep, hop, offload and talk ---- */

typedef struct Walk {
    SimWorld *world;
    uint64_t log;
    unsigned n_done;
    unsigned n_works;
} Walk;

static void
walk_work(void *arg)
{
    ((Walk *)arg)->n_works++;
}

static void coroutine_fn
co_walk(void *arg)
{
    Walk *walk = arg;

    for (unsigned i = 0; i < 20; i++) {
        uint64_t r = loop_random(loop_current());

        walk->log = walk->log * 31 + r % 1000;
        switch (r % 4) {
        case 0:
            co_sleep_ns(r % SIM_MS);
            break;
        case 1:
            co_hop(sim_world_loop(walk->world, (unsigned)(r >> 8) % 3));
            break;
        case 2:
            co_work(walk_work, walk);
            break;
        default:
            co_pause();
        }
    }
    walk->n_done++;
}

static void
walk_run(uint64_t seed, uint64_t *ret_hash, uint64_t *ret_log)
{
    SimWorld *world = sim_world_new(seed, 3);
    Walk walk = { .world = world };

    for (unsigned i = 0; i < 10; i++) {
        sim_world_spawn(world, sim_world_loop(world, i % 3), "walk", co_walk,
                        &walk);
    }
    g_assert_cmpint(sim_world_run(world, NULL, NULL, 10 * SIM_S), ==,
                    SIM_RUN_DONE);
    g_assert_cmpuint(walk.n_done, ==, 10);
    g_assert_cmpuint(walk.n_works, >, 0);
    *ret_hash = sim_world_hash(world);
    *ret_log = walk.log;
    sim_world_free(world);
}

static void
test_same_seed_same_trace(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    uint64_t hashes[50];

    for (unsigned i = 0; i < 50; i++) {
        uint64_t hash, log, hash2, log2;

        walk_run(i, &hash, &log);
        walk_run(i, &hash2, &log2);
        g_assert_cmpuint(hash, ==, hash2);
        g_assert_cmpuint(log, ==, log2);
        hashes[i] = hash;
        g_hash_table_add(seen, &hashes[i]);
    }
    g_assert_cmpuint(g_hash_table_size(seen), ==, 50);
}

/* ---- time ---- */

typedef struct Nap {
    uint64_t ns;
    uint64_t woke_ns;
} Nap;

static void coroutine_fn
co_nap(void *arg)
{
    Nap *nap = arg;

    co_sleep_ns(nap->ns);
    nap->woke_ns = loop_now_ns(loop_current());
}

static void
test_time_is_virtual(void)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        SimWorld *world = sim_world_new(seed, 2);
        uint64_t start = sim_world_now_ns(world);
        Nap naps[2] = { { .ns = 86400 * SIM_S }, { .ns = 3600 * SIM_S } };

        sim_world_spawn(world, sim_world_loop(world, 0), "day", co_nap,
                        &naps[0]);
        sim_world_spawn(world, sim_world_loop(world, 1), "hour", co_nap,
                        &naps[1]);
        g_assert_cmpint(sim_world_run(world, NULL, NULL, UINT32_MAX * SIM_S),
                        ==, SIM_RUN_DONE);
        for (unsigned i = 0; i < 2; i++) {
            uint64_t slept = naps[i].woke_ns - start;

            g_assert_cmpuint(slept, >=, naps[i].ns);
            g_assert_cmpuint(slept, <, naps[i].ns + SIM_S);
        }
        sim_world_free(world);
    }
}

static void
test_limit_ends_a_run(void)
{
    SimWorld *world = sim_world_new(1, 1);
    Nap nap = { .ns = 10 * SIM_S };

    sim_world_spawn(world, sim_world_loop(world, 0), "nap", co_nap, &nap);
    g_assert_cmpint(sim_world_run(world, NULL, NULL, SIM_S), ==, SIM_RUN_TIME);
    g_assert_cmpuint(nap.woke_ns, ==, 0);
    g_assert_cmpint(sim_world_run(world, NULL, NULL, 20 * SIM_S), ==,
                    SIM_RUN_DONE);
    sim_world_free(world);
}

/* ---- deadlock ---- */

static void coroutine_fn
co_stuck(void *arg)
{
    SimWait wait;
    Coro **self = arg;

    sim_wait_begin(sim_world_of(loop_current()), &wait, "unlocked", "the door",
                   0, 0);
    *self = coro_self();
    co_yield();
    sim_wait_end(&wait);
}

static bool
never(void *arg)
{
    (void)arg;
    return false;
}

static void
test_deadlock_is_reported_by_name(void)
{
    SimWorld *world = sim_world_new(1, 1);
    Coro *stuck = NULL;
    g_autofree char *text = NULL;

    sim_world_spawn(world, sim_world_loop(world, 0), "burglar", co_stuck,
                    &stuck);
    g_assert_cmpint(sim_world_run(world, never, NULL, SIM_S), ==,
                    SIM_RUN_DEADLOCK);
    text = sim_world_describe(world);
    g_assert_nonnull(strstr(text, "actor burglar has not returned"));
    g_assert_nonnull(strstr(text, "waiting: the door unlocked"));
    sim_wake(stuck);
    g_assert_cmpint(sim_world_run(world, NULL, NULL, SIM_S), ==, SIM_RUN_DONE);
    sim_world_free(world);
}

/* ---- scheduling reaches different orders ---- */

typedef struct Race {
    unsigned order[3];
    unsigned n;
} Race;

typedef struct Runner {
    Race *race;
    unsigned number;
} Runner;

static void coroutine_fn
co_runner(void *arg)
{
    Runner *runner = arg;

    runner->race->order[runner->race->n++] = runner->number;
}

static void
test_all_orders_are_reached(void)
{
    unsigned seen[27] = { 0 }, n_seen = 0;

    for (unsigned seed = 0; seed < 200; seed++) {
        SimWorld *world = sim_world_new(seed, 1);
        Race race = { .n = 0 };
        Runner runners[3];
        unsigned code;

        for (unsigned i = 0; i < 3; i++) {
            runners[i] = (Runner){ .race = &race, .number = i };
            sim_world_spawn(world, sim_world_loop(world, 0), "runner",
                            co_runner, &runners[i]);
        }
        sim_world_run(world, NULL, NULL, SIM_S);
        code = race.order[0] * 9 + race.order[1] * 3 + race.order[2];
        n_seen += seen[code]++ == 0;
        sim_world_free(world);
    }
    g_assert_cmpuint(n_seen, ==, 6);
}

/* ---- a loop that somebody spins ---- */

static void
test_spun_loop_lets_the_world_go_on(void)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        SimWorld *world = sim_world_new(seed, 3);
        Walk walk = { .world = world };
        Nap nap = { .ns = SIM_S };

        sim_world_spawn(world, sim_world_loop(world, 1), "walk", co_walk,
                        &walk);
        loop_run_coroutine(sim_world_loop(world, 0), co_nap, &nap);
        g_assert_cmpuint(nap.woke_ns, >, 0);
        g_assert_cmpint(sim_world_run(world, NULL, NULL, SIM_S), ==,
                        SIM_RUN_DONE);
        g_assert_cmpuint(walk.n_done, ==, 1);
        sim_world_free(world);
    }
}

void
test_sim_loop_add(void)
{
    g_test_add_func("/sim/loop/same-seed-same-trace",
                    test_same_seed_same_trace);
    g_test_add_func("/sim/loop/time-is-virtual", test_time_is_virtual);
    g_test_add_func("/sim/loop/limit-ends-a-run", test_limit_ends_a_run);
    g_test_add_func("/sim/loop/deadlock-is-reported-by-name",
                    test_deadlock_is_reported_by_name);
    g_test_add_func("/sim/loop/all-orders-are-reached",
                    test_all_orders_are_reached);
    g_test_add_func("/sim/loop/spun-loop-lets-the-world-go-on",
                    test_spun_loop_lets_the_world_go_on);
}
