/*
 * tests/unit/blockcore/test-blockcore.h - what the tests of blockcore share.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "coro/coro.h"

void test_graph_add(void);
void test_options_add(void);
void test_perm_add(void);
void test_tran_add(void);

/* Run @fn in a coroutine of a loop that exists for this long. */
void test_run(CoroFn *fn, void *arg);
