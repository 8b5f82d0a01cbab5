/*
 * tests/unit/aio/tests.h - one function a file, that adds its tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

void test_conform_add(void);
void test_control_add(void);
void test_fallback_add(void);
void test_inline_add(void);
void test_lock_add(void);
void test_many_add(void);
void test_move_add(void);
void test_stall_add(void);
void test_transfer_add(void);
void test_uring_add(void);
