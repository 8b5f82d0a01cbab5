/*
 * tests/unit/blockcore/main.c - the unit tests of blockcore.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/blockcore/test-blockcore.h"

#include <glib.h>

#include "coro/loop.h"

void
test_run(CoroFn *fn, void *arg)
{
    g_autoptr(GError) error = NULL;
    Loop *loop = loop_new("test", &error);

    g_assert_no_error(error);
    loop_run_coroutine(loop, fn, arg);
    loop_free(loop);
}

static void
test_in_coroutine(gconstpointer fn)
{
    test_run((CoroFn *)(uintptr_t)fn, NULL);
}

void
test_add_co(const char *path, CoroFn *fn)
{
    g_test_add_data_func(path, (gconstpointer)(uintptr_t)fn, test_in_coroutine);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_align_add();
    test_blk_add();
    test_close_add();
    test_drain_add();
    test_edge_add();
    test_fallback_add();
    test_flush_add();
    test_graph_add();
    test_graph_loops_add();
    test_graph_open_add();
    test_limits_add();
    test_model_add();
    test_options_add();
    test_perm_add();
    test_range_add();
    test_status_add();
    test_tracked_add();
    test_tran_add();
    return g_test_run();
}
