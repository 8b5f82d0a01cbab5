/*
 * tests/unit/base/tests.h - the files of this test program.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>

void test_be_add(void);
void test_bits_add(void);
void test_compiler_add(void);
void test_error_add(void);
void test_iov_add(void);
void test_list_add(void);
void test_log_add(void);
void test_parse_add(void);

/* Are these the same bytes? */
void test_assert_bytes(const void *a, size_t a_len, const void *b,
                       size_t b_len);

/* A generator seeded from GLib's --seed; the seed goes to the log. */
GRand *test_rand_new(void);
