/*
 * tests/unit/coro/main.c - coroutines, locks and loops.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/coro/tests.h"

#include <sys/resource.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_IS_SLOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_IS_SLOW 1
#endif

bool
test_is_slow(void)
{
#ifdef TEST_IS_SLOW
    return true;
#else
    const char *preload = g_getenv("LD_PRELOAD");

    return preload && strstr(preload, "valgrind");
#endif
}

void no_coroutine_fn
test_run(CoroFn *fn, void *arg)
{
    GError *error = NULL;
    Loop *loop = loop_new("test", &error);
    CoroStats stats;

    g_assert_no_error(error);
    loop_run_coroutine(loop, fn, arg);
    loop_free(loop);
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, 0);
}

int
main(int argc, char **argv)
{
    struct rlimit no_core = { 0, 0 };
    int r;

    setrlimit(RLIMIT_CORE, &no_core);
    g_test_init(&argc, &argv, NULL);
    test_coro_add();
    test_hop_add();
    test_lock_add();
    test_loop_add();
    test_loop_fd_add();
    test_spin_add();
    test_timer_add();
    r = g_test_run();
    coro_pool_drain();
    return r;
}
