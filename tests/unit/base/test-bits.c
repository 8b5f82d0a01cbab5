/*
 * tests/unit/base/test-bits.c - powers of two, rounding, checked arithmetic.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/bits.h"

#include "tests/unit/base/tests.h"

static void
test_pow2(void)
{
    unsigned n_pow2 = 0;

    g_assert_false(ash_is_pow2(0));
    for (uint64_t n = 1; n <= 65536; n++) {
        bool is = false;

        for (unsigned bit = 0; bit <= 16; bit++) {
            is |= n == (uint64_t)1 << bit;
        }
        g_assert_cmpint(ash_is_pow2(n), ==, is);
        n_pow2 += is;
    }
    g_assert_cmpuint(n_pow2, ==, 17);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t n = (uint64_t)1 << bit;

        g_assert_true(ash_is_pow2(n));
        g_assert_cmpuint(ash_log2(n), ==, bit);
        g_assert_cmpint(ash_is_pow2(n + 1), ==, bit == 0);
    }
}

/* Against division, for all small numbers and those near the largest. */
static void
test_round_one(uint64_t n, uint64_t align)
{
    uint64_t down = n / align * align;

    g_assert_cmpuint(ash_round_down(n, align), ==, down);
    g_assert_cmpint(ash_is_aligned(n, align), ==, n % align == 0);
    if (n <= INT64_MAX) {
        g_assert_cmpuint(ash_round_up(n, align), ==,
                         down == n ? n : down + align);
    }
}

static void
test_round(void)
{
    for (unsigned bit = 0; bit < 63; bit++) {
        uint64_t align = (uint64_t)1 << bit;

        for (uint64_t n = 0; n < 1000; n++) {
            test_round_one(n, align);
            test_round_one(align + n, align);
            test_round_one(align - 1 - (n % align), align);
            test_round_one((uint64_t)INT64_MAX - n, align);
            test_round_one(UINT64_MAX - n, align);
        }
    }
}

static void
test_min_max(void)
{
    static const uint64_t values[] = {
        0, 1, 2, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX
    };

    for (unsigned i = 0; i < ASH_N_ELEMENTS(values); i++) {
        for (unsigned j = 0; j < ASH_N_ELEMENTS(values); j++) {
            g_assert_cmpuint(ash_min(values[i], values[j]), ==,
                             values[MIN(i, j)]);
            g_assert_cmpuint(ash_max(values[i], values[j]), ==,
                             values[MAX(i, j)]);
        }
    }
}

static void
test_checked_one(uint64_t a, uint64_t b)
{
    unsigned __int128 sum = (unsigned __int128)a + b;
    unsigned __int128 product = (unsigned __int128)a * b;
    uint64_t n = 0;

    g_assert_cmpint(ash_add_checked(a, b, &n), ==, sum <= UINT64_MAX);
    if (sum <= UINT64_MAX) {
        g_assert_cmpuint(n, ==, (uint64_t)sum);
    }
    g_assert_cmpint(ash_mul_checked(a, b, &n), ==, product <= UINT64_MAX);
    if (product <= UINT64_MAX) {
        g_assert_cmpuint(n, ==, (uint64_t)product);
    }
}

/* Against arithmetic of 128 bits. */
static void
test_checked(void)
{
    GRand *rand = test_rand_new();

    for (unsigned i = 0; i < 64; i++) {
        for (unsigned j = 0; j < 64; j++) {
            for (int d = -1; d <= 1; d++) {
                uint64_t a = ((uint64_t)1 << i) + (uint64_t)(int64_t)d;

                test_checked_one(a, (uint64_t)1 << j);
                test_checked_one(a, ~((uint64_t)1 << j));
            }
        }
    }
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t a = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
        uint64_t b = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

        test_checked_one(a >> g_rand_int_range(rand, 0, 64),
                         b >> g_rand_int_range(rand, 0, 64));
    }
    g_rand_free(rand);
}

void
test_bits_add(void)
{
    g_test_add_func("/base/bits/pow2", test_pow2);
    g_test_add_func("/base/bits/round", test_round);
    g_test_add_func("/base/bits/min-max", test_min_max);
    g_test_add_func("/base/bits/checked", test_checked);
}
