/*
 * tests/unit/coro/test-coro.c - life of a coroutine: spawn, yield, wake, pool,
 * stack, and what the switch must preserve.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <fenv.h>
#include <signal.h>
#include <string.h>

#include "tests/unit/coro/tests.h"

/* ---- order ---- */

/* What happened, one letter each. */
static GString *trail;
static Coro *waiting;

static void
trail_add(char c)
{
    g_string_append_c(trail, c);
}

static void
trail_check(const char *expected)
{
    g_assert_cmpstr(trail->str, ==, expected);
    g_string_set_size(trail, 0);
}

static void coroutine_fn
test_co_letter(void *arg)
{
    trail_add(*(char *)arg);
}

static void coroutine_fn
test_co_yielder(void *arg)
{
    const char *letters = arg;

    trail_add(letters[0]);
    waiting = coro_self();
    co_yield();
    trail_add(letters[1]);
}

static void coroutine_fn
test_co_spawn_order(void *arg)
{
    g_assert_null(arg);
    trail_add('1');
    coro_spawn(test_co_letter, (void *)(uintptr_t) "a");
    trail_add('2');
    coro_spawn(test_co_yielder, (void *)(uintptr_t) "bc");
    trail_add('3');
    coro_wake(waiting);
    trail_add('4');
    co_pause();
    trail_add('5');
    trail_check("1a2b34c5");

    coro_spawn_later(test_co_letter, (void *)(uintptr_t) "a");
    coro_spawn_later(test_co_letter, (void *)(uintptr_t) "b");
    trail_add('1');
    co_pause();
    trail_add('2');
    trail_check("1ab2");
}

static void
test_spawn_order(void)
{
    trail = g_string_new(NULL);
    test_run(test_co_spawn_order, NULL);
    g_string_free(trail, TRUE);
}

static void coroutine_fn
test_co_nest(void *arg)
{
    unsigned *depth = arg;
    Coro *self = coro_self();

    if (*depth > 0) {
        (*depth)--;
        coro_spawn(test_co_nest, depth);
        g_assert_true(coro_self() == self);
        co_pause();
        g_assert_true(coro_self() == self);
    }
}

static void coroutine_fn
test_co_nested(void *arg)
{
    unsigned depth = 100;
    CoroStats stats;

    g_assert_null(arg);
    coro_spawn(test_co_nest, &depth);
    g_assert_cmpuint(depth, ==, 0);
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, 101);
    co_pause();
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, 1);
}

static void
test_spawn_nested(void)
{
    test_run(test_co_nested, NULL);
}

static void coroutine_fn
test_co_selves(void *arg)
{
    Loop *loop = loop_current();

    g_assert_null(arg);
    g_assert_true(coro_is_inside());
    g_assert_nonnull(coro_self());
    g_assert_true(coro_loop(coro_self()) == loop);
}

static void
test_self(void)
{
    g_assert_false(coro_is_inside());
    g_assert_null(coro_self());
    g_assert_null(loop_current());
    test_run(test_co_selves, NULL);
    g_assert_false(coro_is_inside());
    g_assert_null(loop_current());
}

/* ---- many ---- */

typedef struct Many {
    unsigned n;
    unsigned n_steps;
    unsigned n_done;
    GRand *rand;
    GPtrArray *asleep; /* of Coro */
} Many;

/* Compute something that only an undisturbed stack and undisturbed registers
 * get right. */
static void coroutine_fn
test_co_many_one(void *arg)
{
    Many *m = arg;
    uint64_t seed = m->n++;
    uint64_t a = seed;
    uint64_t b = seed * 3 + 1;
    double x = (double)seed;
    uint64_t local[16];
    uint64_t expected = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(local); i++) {
        local[i] = seed + i;
    }
    for (unsigned i = 0; i < m->n_steps; i++) {
        g_ptr_array_add(m->asleep, coro_self());
        co_yield();
        a = a * 6364136223846793005U + b;
        b ^= a >> 7;
        x = x * 0.5 + (double)i;
        local[i % 16] += a;
    }
    m->n_done++;

    /* The same without anybody in between. */
    uint64_t a2 = seed;
    uint64_t b2 = seed * 3 + 1;
    double x2 = (double)seed;
    uint64_t sum = 0;

    for (unsigned i = 0; i < 16; i++) {
        expected += seed + i;
        sum += local[i];
    }
    for (unsigned i = 0; i < m->n_steps; i++) {
        a2 = a2 * 6364136223846793005U + b2;
        b2 ^= a2 >> 7;
        x2 = x2 * 0.5 + (double)i;
        expected += a2;
    }
    g_assert_cmpuint(a, ==, a2);
    g_assert_cmpuint(b, ==, b2);
    g_assert_cmpuint(sum, ==, expected);
    g_assert_true(x == x2);
}

static void coroutine_fn
test_co_many(void *arg)
{
    Many *m = arg;
    unsigned n = m->n;
    CoroStats stats;

    m->n = 0;
    for (unsigned i = 0; i < n; i++) {
        coro_spawn(test_co_many_one, m);
    }
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, n + 1);
    while (m->n_done < n) {
        while (m->asleep->len > 0) {
            unsigned i =
                (unsigned)g_rand_int_range(m->rand, 0, (gint32)m->asleep->len);

            coro_wake(g_ptr_array_remove_index_fast(m->asleep, i));
        }
        co_pause();
    }
}

/* Thousands of coroutines, woken in random order. */
static void
test_many(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(0, G_MAXINT32);
    Many m = { .n = test_is_slow() ? 3000 : 20000, .n_steps = 20 };

    m.rand = g_rand_new_with_seed(seed);
    m.asleep = g_ptr_array_new();
    g_test_message("seed %u, %u coroutines, %u steps each", seed, m.n,
                   m.n_steps);
    test_run(test_co_many, &m);
    g_ptr_array_free(m.asleep, TRUE);
    g_rand_free(m.rand);
}

/* ---- pool ---- */

static void coroutine_fn
test_co_waiter(void *arg)
{
    g_ptr_array_add(arg, coro_self());
    co_yield();
}

static void coroutine_fn
test_co_pool(void *arg)
{
    GPtrArray *asleep = arg;
    CoroStats stats;
    unsigned n = test_is_slow() ? 2500 : 5000;

    /* Whoever returns at once uses the same stack each time. */
    coro_pool_drain();
    trail = g_string_new(NULL);
    for (unsigned i = 0; i < 1000; i++) {
        coro_spawn(test_co_letter, (void *)(uintptr_t) "a");
        coro_get_stats(&stats);
        g_assert_cmpuint(stats.n_pooled, ==, 1);
        g_assert_cmpuint(stats.n_live, ==, 1);
    }
    g_string_free(trail, TRUE);

    /* A crowd does not stay for ever. */
    for (unsigned i = 0; i < n; i++) {
        coro_spawn(test_co_waiter, asleep);
    }
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, n + 1);
    g_assert_cmpuint(stats.n_pooled, ==, 0);
    for (unsigned i = 0; i < n; i++) {
        coro_wake(g_ptr_array_index(asleep, i));
    }
    co_pause();
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, 1);
    g_assert_cmpuint(stats.n_pooled, >, 100);
    g_assert_cmpuint(stats.n_pooled, <, 2000);

    coro_pool_drain();
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_pooled, ==, 0);
}

static void
test_pool(void)
{
    GPtrArray *asleep = g_ptr_array_new();

    test_run(test_co_pool, asleep);
    g_ptr_array_free(asleep, TRUE);
}

/* ---- stack ---- */

/* Use @bytes of stack, yield at the bottom, and find everything as it was. */
static unsigned coroutine_fn ASH_NOINLINE
test_co_dig(size_t bytes)
{
    volatile unsigned char mine[1024];
    unsigned sum = 0;

    for (unsigned i = 0; i < sizeof(mine); i++) {
        mine[i] = (unsigned char)(bytes / 1024 + i);
    }
    if (bytes > sizeof(mine)) {
        sum = test_co_dig(bytes - sizeof(mine));
    } else {
        co_pause();
    }
    for (unsigned i = 0; i < sizeof(mine); i++) {
        g_assert_cmpuint(mine[i], ==, (unsigned char)(bytes / 1024 + i));
    }
    return sum + mine[0];
}

static void coroutine_fn
test_co_digger(void *arg)
{
    size_t bytes = *(size_t *)arg;

    (void)test_co_dig(bytes);
}

static void coroutine_fn
test_co_deep(void *arg)
{
    /* Sanitizers make frames larger or move them elsewhere. */
    size_t bytes = CORO_STACK_BYTES * (test_is_slow() ? 1 : 3) / 4;
    CoroStats stats;

    g_assert_null(arg);
    coro_pool_drain();
    for (unsigned i = 0; i < 8; i++) {
        coro_spawn(test_co_digger, &bytes);
    }
    co_pause();
    co_pause();
    coro_get_stats(&stats);
    g_test_message("deepest stack: %zu bytes", stats.stack_high_bytes);
#ifdef ASH_SLOW_ASSERTS
    if (!test_is_slow()) {
        g_assert_cmpuint(stats.stack_high_bytes, >, bytes);
        g_assert_cmpuint(stats.stack_high_bytes, <, CORO_STACK_BYTES);
    }
#endif
}

static void
test_deep(void)
{
    test_run(test_co_deep, NULL);
}

static unsigned coroutine_fn ASH_NOINLINE
test_co_fall(unsigned n)
{
    volatile unsigned char mine[1024];

    mine[0] = (unsigned char)n;
    if (n == UINT32_MAX) {
        return 0; /* no stack is that deep */
    }
    return test_co_fall(n + 1) + mine[0];
}

static void coroutine_fn
test_co_overflow(void *arg)
{
    g_assert_null(arg);
    g_printerr("falling\n");
    (void)test_co_fall(0);
}

static void
test_guard_child(void)
{
    /* GLib's tests ignore nothing, but a sanitizer may have its handler: all
     * that counts is that the process ends here. */
    test_run(test_co_overflow, NULL);
}

/* A stack that overflows ends the program and touches no other memory. */
static void
test_guard(void)
{
    g_test_trap_subprocess("/coro/stack/guard/subprocess", 30 * G_USEC_PER_SEC,
                           0);
    g_assert_false(g_test_trap_reached_timeout());
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*falling*");
}

/* ---- what the switch preserves ---- */

static void coroutine_fn
test_co_rounding(void *arg)
{
    g_assert_null(arg);
    g_assert_cmpint(fegetround(), ==, FE_TONEAREST);
    g_assert_cmpint(fesetround(FE_UPWARD), ==, 0);
    waiting = coro_self();
    co_yield();
    g_assert_cmpint(fegetround(), ==, FE_UPWARD);
    fesetround(FE_TONEAREST);
}

static void coroutine_fn
test_co_roundings(void *arg)
{
    g_assert_null(arg);
    coro_spawn(test_co_rounding, NULL);
    g_assert_cmpint(fegetround(), ==, FE_TONEAREST);
    coro_wake(waiting);
    fesetround(FE_DOWNWARD);
    co_pause();
    g_assert_cmpint(fegetround(), ==, FE_DOWNWARD);
    fesetround(FE_TONEAREST);
}

static void
test_rounding(void)
{
    test_run(test_co_roundings, NULL);
}

/* ---- misuse ---- */

static void coroutine_fn
test_co_wake_twice(void *arg)
{
    g_assert_null(arg);
    coro_wake(coro_self());
    coro_wake(coro_self());
}

static void
test_wake_twice(void)
{
    if (g_test_subprocess()) {
        test_run(test_co_wake_twice, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*assertion '!co->queued' failed*");
}

static void
test_yield_outside(void)
{
    if (g_test_subprocess()) {
        void (*yield)(void) = co_yield;

        yield();
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*assertion 'co != NULL' failed*");
}

void
test_coro_add(void)
{
    g_test_add_func("/coro/spawn/order", test_spawn_order);
    g_test_add_func("/coro/spawn/nested", test_spawn_nested);
    g_test_add_func("/coro/self", test_self);
    g_test_add_func("/coro/many", test_many);
    g_test_add_func("/coro/pool", test_pool);
    g_test_add_func("/coro/stack/deep", test_deep);
    g_test_add_func("/coro/stack/guard", test_guard);
    g_test_add_func("/coro/stack/guard/subprocess", test_guard_child);
    g_test_add_func("/coro/switch/rounding", test_rounding);
    g_test_add_func("/coro/misuse/wake-twice", test_wake_twice);
    g_test_add_func("/coro/misuse/yield-outside", test_yield_outside);
}
