/*
 * tests/unit/sim/test-main.c - the simulated world keeps its own promises.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "coro/coro.h"
#include "tests/unit/sim/tests.h"

int
main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    test_sim_loop_add();
    test_sim_store_add();
    test_sim_disk_add();
    test_sim_net_add();
    test_sim_oracle_add();
    status = g_test_run();
    coro_pool_drain();
    return status;
}
