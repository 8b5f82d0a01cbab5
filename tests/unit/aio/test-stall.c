/*
 * tests/unit/aio/test-stall.c - when a file counts as stalled, with made-up
 * times.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "drivers/aio/stall.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

#define MS ((uint64_t)1000000)

/* @n quick writes in a row, one a millisecond; returns the time after. */
static uint64_t
stall_go_quick(AioStall *stall, uint64_t now, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        now += MS;
        aio_stall_note_offloaded(stall, 4096, now - MS / 10, now);
    }
    return now;
}

static void
test_stall_begins(void)
{
    AioStall stall = { 0 };

    aio_stall_note_inline(&stall, 4096, 5 * MS, 5 * MS + AIO_STALL_NS - 1);
    g_assert_false(stall.stalled);
    /* A byte may take a nanosecond. */
    aio_stall_note_inline(&stall, 4096, 5 * MS, 5 * MS + AIO_STALL_NS + 4095);
    g_assert_false(stall.stalled);
    aio_stall_note_inline(&stall, 4096, 5 * MS, 5 * MS + AIO_STALL_NS + 4096);
    g_assert_true(stall.stalled);
    g_assert_cmpuint(stall.n_stalls, ==, 1);
    g_assert_cmpuint(stall.hold_ns, ==, AIO_STALL_HOLD_MIN_NS);
}

static void
test_stall_ends_after_a_while(void)
{
    AioStall stall = { 0 };
    uint64_t now = 1000 * MS;

    aio_stall_note_inline(&stall, 0, now - 50 * MS, now);
    now = stall_go_quick(&stall, now, 99);
    g_assert_true(stall.stalled);
    now = stall_go_quick(&stall, now, 1);
    g_assert_false(stall.stalled);

    /* Long quiet, but a run that is too short. */
    now += 1000000 * MS;
    aio_stall_note_inline(&stall, 0, now - 50 * MS, now);
    g_assert_cmpuint(stall.hold_ns, ==, AIO_STALL_HOLD_MIN_NS);
    now += 10000 * MS;
    now = stall_go_quick(&stall, now, AIO_STALL_QUICK_RUN - 1);
    g_assert_true(stall.stalled);
    stall_go_quick(&stall, now, 1);
    g_assert_false(stall.stalled);
}

static void
test_stall_slow_one_begins_anew(void)
{
    AioStall stall = { 0 };
    uint64_t now = 1000 * MS;

    aio_stall_note_inline(&stall, 0, now - 50 * MS, now);
    now = stall_go_quick(&stall, now, 99);
    now += 2 * MS;
    aio_stall_note_offloaded(&stall, 0, now - AIO_STALL_QUICK_NS, now);
    now = stall_go_quick(&stall, now, 99);
    g_assert_true(stall.stalled);
    g_assert_cmpuint(stall.n_stalls, ==, 1);
    stall_go_quick(&stall, now, 1);
    g_assert_false(stall.stalled);
}

/* 64 writes at once, done one after the other in 0.2 ms each: the last has
 * waited 13 ms, but none was slow. */
static void
test_stall_queueing_is_not_slow(void)
{
    AioStall stall = { 0 };
    uint64_t now = 1000 * MS;

    aio_stall_note_inline(&stall, 0, now - 50 * MS, now);
    now += 200 * MS;
    for (unsigned i = 1; i <= 64; i++) {
        aio_stall_note_offloaded(&stall, 4096, now, now + i * MS / 5);
    }
    g_assert_false(stall.stalled);
}

static void
test_stall_again_holds_longer(void)
{
    AioStall stall = { 0 };
    uint64_t now = 1000 * MS;
    uint64_t expected = AIO_STALL_HOLD_MIN_NS;

    for (unsigned i = 0; i < 20; i++) {
        now += MS;
        aio_stall_note_inline(&stall, 0, now - 50 * MS, now);
        g_assert_true(stall.stalled);
        g_assert_cmpuint(stall.hold_ns, ==, expected);
        now = stall_go_quick(&stall, now, (unsigned)(expected / MS));
        g_assert_false(stall.stalled);
        expected = MIN(2 * expected, AIO_STALL_HOLD_MAX_NS);
    }
    g_assert_cmpuint(stall.n_stalls, ==, 20);
    now += AIO_STALL_MEMORY * stall.hold_ns;
    aio_stall_note_inline(&stall, 0, now - 50 * MS, now);
    g_assert_cmpuint(stall.hold_ns, ==, AIO_STALL_HOLD_MIN_NS);
}

void
test_stall_add(void)
{
    g_test_add_func("/aio/stall/begins", test_stall_begins);
    g_test_add_func("/aio/stall/ends-after-a-while",
                    test_stall_ends_after_a_while);
    g_test_add_func("/aio/stall/slow-one-begins-anew",
                    test_stall_slow_one_begins_anew);
    g_test_add_func("/aio/stall/queueing-is-not-slow",
                    test_stall_queueing_is_not_slow);
    g_test_add_func("/aio/stall/again-holds-longer",
                    test_stall_again_holds_longer);
}
