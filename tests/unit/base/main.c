/*
 * tests/unit/base/main.c - what every layer uses.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/base/tests.h"

#include <string.h>

void
test_assert_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    g_assert_cmpuint(a_len, ==, b_len);
    g_assert_true(a_len == 0 || memcmp(a, b, a_len) == 0);
}

GRand *
test_rand_new(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(0, G_MAXINT32);

    g_test_message("seed %u", seed);
    return g_rand_new_with_seed(seed);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_be_add();
    test_bits_add();
    test_compiler_add();
    test_error_add();
    test_iov_add();
    test_list_add();
    test_log_add();
    test_parse_add();
    return g_test_run();
}
