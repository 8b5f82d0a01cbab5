/*
 * tests/unit/blockcore/test-blockcore.h - what the tests of blockcore share.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "coro/coro.h"

void test_align_add(void);
void test_blk_add(void);
void test_close_add(void);
void test_drain_add(void);
void test_edge_add(void);
void test_fallback_add(void);
void test_flush_add(void);
void test_graph_add(void);
void test_graph_loops_add(void);
void test_graph_open_add(void);
void test_limits_add(void);
void test_model_add(void);
void test_options_add(void);
void test_perm_add(void);
void test_range_add(void);
void test_status_add(void);
void test_tracked_add(void);
void test_tran_add(void);

/* Run @fn in a coroutine of a loop that exists for this long. */
void test_run(CoroFn *fn, void *arg);
/* A test that runs so. */
void test_add_co(const char *path, CoroFn *fn);
