/*
 * tests/unit/coro/tests.h - the files of this test program.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>

#include "coro/coro.h"
#include "coro/loop.h"

void test_coro_add(void);
void test_hop_add(void);
void test_lock_add(void);
void test_loop_add(void);
void test_loop_fd_add(void);
void test_spin_add(void);
void test_timer_add(void);

/* Run @fn as a coroutine on a loop of its own; nothing may be left of it. */
void no_coroutine_fn test_run(CoroFn *fn, void *arg);

/* Is this run slowed down by a tool? */
bool test_is_slow(void);
