/*
 * tests/unit/coro/test-hop.c - coroutines that move between the loops of
 * several threads.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <pthread.h>

#include "tests/unit/coro/tests.h"

#define N_LOOPS 4

typedef struct Hop {
    Loop *home;
    Loop *loops[N_LOOPS];
    pthread_t threads[N_LOOPS]; /* as the loops themselves say */
    unsigned n_hops;
    unsigned n_left;          /* of home */
    unsigned counts[N_LOOPS]; /* each of its loop */
    Coro *boss;
} Hop;

static Hop hop;

/* Never inlined: a thread's identity must be read where we are now. */
static ASH_NOINLINE bool
test_is_thread(pthread_t thread)
{
    __asm__ volatile("" : : : "memory");
    return pthread_equal(thread, pthread_self());
}

static void
hop_start(void)
{
    for (unsigned i = 0; i < N_LOOPS; i++) {
        GError *error = NULL;
        g_autofree char *name = g_strdup_printf("hop-%u", i);

        hop.loops[i] = loop_new(name, &error);
        g_assert_no_error(error);
        g_assert_true(loop_thread_start(hop.loops[i], &error));
        g_assert_no_error(error);
    }
}

static void
hop_stop(void)
{
    for (unsigned i = 0; i < N_LOOPS; i++) {
        loop_stop(hop.loops[i]);
        loop_thread_join(hop.loops[i]);
    }
    for (unsigned i = 0; i < N_LOOPS; i++) {
        loop_free(hop.loops[i]);
    }
}

static void coroutine_fn
test_co_hop_around(void *arg)
{
    Loop *home = loop_current();
    Coro *self = coro_self();
    pthread_t home_thread = pthread_self();
    CoroStats stats;

    g_assert_null(arg);
    co_hop(home);
    g_assert_true(loop_current() == home);
    for (unsigned i = 0; i < N_LOOPS; i++) {
        co_hop(hop.loops[i]);
        g_assert_true(loop_current() == hop.loops[i]);
        g_assert_true(coro_loop(self) == hop.loops[i]);
        g_assert_true(coro_self() == self);
        g_assert_false(test_is_thread(home_thread));
        hop.threads[i] = pthread_self();
        coro_get_stats(&stats);
        g_assert_cmpuint(stats.n_live, ==, 1);
        co_sleep_ns(1000);
        g_assert_true(loop_current() == hop.loops[i]);
    }
    co_hop(home);
    g_assert_true(test_is_thread(home_thread));
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, 1);
}

static void
test_hop_around(void)
{
    hop_start();
    test_run(test_co_hop_around, NULL);
    hop_stop();
}

static void coroutine_fn
test_co_hopper(void *arg)
{
    uint64_t state = (uintptr_t)arg;
    uint64_t on_stack[32];

    for (unsigned i = 0; i < G_N_ELEMENTS(on_stack); i++) {
        on_stack[i] = state + i;
    }
    for (unsigned i = 0; i < hop.n_hops; i++) {
        unsigned at;

        state = state * 6364136223846793005U + 1442695040888963407U;
        at = (unsigned)(state >> 33) % N_LOOPS;
        co_hop(hop.loops[at]);
        g_assert_true(loop_current() == hop.loops[at]);
        hop.counts[at]++;
        if (state >> 60 == 0) {
            co_pause();
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(on_stack); i++) {
        g_assert_cmpuint(on_stack[i], ==, (uintptr_t)arg + i);
    }
    co_hop(hop.home);
    if (--hop.n_left == 0) {
        coro_wake(hop.boss);
    }
}

static void coroutine_fn
test_co_hop_stress(void *arg)
{
    unsigned n = *(unsigned *)arg;
    CoroStats stats;

    hop.home = loop_current();
    hop.boss = coro_self();
    hop.n_left = n;
    for (unsigned i = 0; i < n; i++) {
        coro_spawn(test_co_hopper, (void *)(uintptr_t)(i + 1));
    }
    co_yield();
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, 1);
}

static void
test_hop_stress(void)
{
    unsigned n = 100;
    unsigned total = 0;

    hop = (Hop){ .n_hops = test_is_slow() ? 100 : 1000 };
    hop_start();
    test_run(test_co_hop_stress, &n);
    hop_stop();
    for (unsigned i = 0; i < N_LOOPS; i++) {
        g_assert_cmpuint(hop.counts[i], >, 0);
        total += hop.counts[i];
    }
    g_assert_cmpuint(total, ==, n * hop.n_hops);
    g_test_message("%u coroutines, %u hops", n, total);
}

void
test_hop_add(void)
{
    g_test_add_func("/coro/hop/around", test_hop_around);
    g_test_add_func("/coro/hop/stress", test_hop_stress);
}
