/*
 * tests/unit/coro/test-spin.c - the policy of polling before sleeping, in
 * worlds where it is right to do so and in worlds where it is not.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/spin.h"

#include "base/assert.h"
#include "tests/unit/coro/tests.h"

#define WINDOW_NS 50000U

/* When the next event comes. */
typedef struct World {
    uint64_t (*wait_ns)(unsigned i, bool spinning);
    unsigned n;
    unsigned n_spins;
    unsigned n_caught;
    unsigned longest_rest; /* sleeps between two attempts */
} World;

static void
world_run(World *w, Spin *spin)
{
    unsigned rest = 0;

    w->n_spins = 0;
    w->n_caught = 0;
    w->longest_rest = 0;
    for (unsigned i = 0; i < w->n; i++) {
        if (spin_begin(spin)) {
            bool caught = w->wait_ns(i, true) < WINDOW_NS;

            w->n_spins++;
            w->n_caught += caught;
            spin_end(spin, caught);
            rest = 0;
        } else {
            spin_slept(spin, w->wait_ns(i, false) < WINDOW_NS);
            rest++;
            w->longest_rest = MAX(w->longest_rest, rest);
        }
    }
    g_test_message("%u waits: %u spins, %u caught, at most %u sleeps between",
                   w->n, w->n_spins, w->n_caught, w->longest_rest);
}

static uint64_t
wait_quick(unsigned i, bool spinning)
{
    ash_maybe(spinning);
    return 5000 + i % 10000;
}

/* A busy client: every wait is a spin, and each catches. */
static void
test_busy(void)
{
    World w = { .wait_ns = wait_quick, .n = 10000 };
    Spin spin;

    spin_init(&spin);
    world_run(&w, &spin);
    g_assert_cmpuint(w.n_spins, ==, w.n);
    g_assert_cmpuint(w.n_caught, ==, w.n);
}

static uint64_t
wait_slow(unsigned i, bool spinning)
{
    ash_maybe(spinning);
    return 1000000 + i;
}

/* A slow client: one spin in 65 waits, when it has settled. */
static void
test_slow(void)
{
    World w = { .wait_ns = wait_slow, .n = 10000 };
    Spin spin;

    spin_init(&spin);
    world_run(&w, &spin);
    g_assert_cmpuint(w.n_spins, <, w.n / 60);
    g_assert_cmpuint(w.n_spins, >, w.n / 70);
    g_assert_cmpuint(w.longest_rest, ==, SPIN_SKIP_MAX);
}

static uint64_t
wait_one_cpu(unsigned i, bool spinning)
{
    ash_maybe(i == 0);
    return spinning ? 4000000 : 10000;
}

/* The peer answers at once, but only if we sleep: as seldom as a slow one. */
static void
test_one_cpu(void)
{
    World w = { .wait_ns = wait_one_cpu, .n = 10000 };
    Spin spin;

    spin_init(&spin);
    world_run(&w, &spin);
    g_assert_cmpuint(w.n_caught, ==, 0);
    g_assert_cmpuint(w.n_spins, <, w.n / 55);
}

/* Each world after each other: how soon does the policy notice? */
static void
test_change(void)
{
    World slow = { .wait_ns = wait_slow, .n = 1000 };
    World one_cpu = { .wait_ns = wait_one_cpu, .n = 1000 };
    World busy = { .wait_ns = wait_quick, .n = 1000 };
    Spin spin;

    spin_init(&spin);
    world_run(&slow, &spin);
    world_run(&busy, &spin);
    /* A few short sleeps are enough. */
    g_assert_cmpuint(busy.n_caught, >=, busy.n - 4);

    world_run(&one_cpu, &spin);
    g_assert_cmpuint(one_cpu.n_spins, <, 40);
    /* After that we are careful, but not for ever. */
    world_run(&busy, &spin);
    g_assert_cmpuint(busy.n_caught, >=, busy.n - 2 * SPIN_SKIP_MAX);
    world_run(&slow, &spin);
    world_run(&busy, &spin);
    g_assert_cmpuint(busy.n_caught, >=, busy.n - 4);
}

static uint64_t
wait_bursts(unsigned i, bool spinning)
{
    ash_maybe(spinning);
    return i % 10 == 9 ? 1000000 : 10000;
}

/* Bursts of ten: the pause costs one spin and no more than two of the next
 * burst's. */
static void
test_bursts(void)
{
    World w = { .wait_ns = wait_bursts, .n = 10000 };
    Spin spin;

    spin_init(&spin);
    world_run(&w, &spin);
    g_assert_cmpuint(w.n_caught, >=, w.n * 7 / 10);
    g_assert_cmpuint(w.n_spins - w.n_caught, <=, w.n / 10);
}

/* Whatever happens (every history of 16 waits), an attempt comes again within
 * SPIN_SKIP_MAX sleeps. */
static void
test_every_history(void)
{
    unsigned worst = 0;

    for (unsigned history = 0; history < 1U << 16; history++) {
        unsigned n = 0;
        Spin spin;

        spin_init(&spin);
        for (unsigned i = 0; i < 16; i++) {
            bool soon = history >> i & 1;

            if (spin_begin(&spin)) {
                spin_end(&spin, soon);
            } else {
                spin_slept(&spin, soon);
            }
            g_assert_cmpuint(spin.skip, <=, SPIN_SKIP_MAX);
            g_assert_cmpuint(spin.short_min, <=, SPIN_SKIP_MAX);
        }
        for (; !spin_begin(&spin); n++) {
            spin_slept(&spin, false);
        }
        worst = MAX(worst, n);
    }
    g_test_message("65536 histories, at most %u sleeps in a row", worst);
    g_assert_cmpuint(worst, <=, SPIN_SKIP_MAX);
}

void
test_spin_add(void)
{
    g_test_add_func("/spin/busy", test_busy);
    g_test_add_func("/spin/slow", test_slow);
    g_test_add_func("/spin/one-cpu", test_one_cpu);
    g_test_add_func("/spin/change", test_change);
    g_test_add_func("/spin/bursts", test_bursts);
    g_test_add_func("/spin/every-history", test_every_history);
}
