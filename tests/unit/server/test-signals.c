/*
 * tests/unit/server/test-signals.c - signals as calls.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "coro/loop.h"
#include "server/signals.h"
#include "tests/unit/server/test-server.h"

typedef struct Fixture {
    Loop *loop;
    ServerSignals *signals;
    int got[16];
    unsigned n;
} Fixture;

static void
signal_cb(int number, void *arg)
{
    Fixture *fx = arg;

    g_assert_cmpuint(fx->n, <, G_N_ELEMENTS(fx->got));
    fx->got[fx->n++] = number;
}

static void coroutine_fn
co_expect(Fixture *fx, unsigned at, int number)
{
    uint64_t end = loop_now_ns(fx->loop) + (uint64_t)10000000000;

    while (fx->n <= at) {
        g_assert_cmpuint(loop_now_ns(fx->loop), <, end);
        co_sleep_ns(100000);
    }
    g_assert_cmpint(fx->got[at], ==, number);
}

static void coroutine_fn
co_body(void *arg)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGTERM };
    Fixture *fx = arg;
    g_autoptr(GError) error = NULL;

    fx->signals = server_signals_start(fx->loop, signal_cb, fx, &error);
    g_assert_no_error(error);
    co_expect(fx, 0, SIGHUP); /* sent before the start */
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_assert_cmpint(kill(getpid(), numbers[i]), ==, 0);
        co_expect(fx, i + 1, numbers[i]);
    }
    server_signals_co_stop(fx->signals);
}

static void
child(void *arg)
{
    g_autoptr(GError) error = NULL;
    Fixture fx = { 0 };
    int fds[2];

    (void)arg;
    signal(SIGTERM, SIG_IGN); /* as a careless parent leaves it */
    server_signals_block();
    g_assert_cmpint(kill(getpid(), SIGHUP), ==, 0);

    /* A broken pipe is an errno and no death. */
    g_assert_cmpint(pipe(fds), ==, 0);
    close(fds[0]);
    g_assert_cmpint(write(fds[1], "", 1), ==, -1);
    g_assert_cmpint(errno, ==, EPIPE);
    close(fds[1]);
    g_assert_cmpint(raise(SIGXFSZ), ==, 0);

    fx.loop = loop_new("test", &error);
    g_assert_no_error(error);
    loop_run_coroutine(fx.loop, co_body, &fx);
    loop_free(fx.loop);
}

static void
test_signals(void)
{
    g_assert_cmpint(test_in_child(child, NULL), ==, 0);
}

void
test_signals_add(void)
{
    g_test_add_func("/server/signals", test_signals);
}
