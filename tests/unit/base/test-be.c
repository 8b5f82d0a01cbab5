/*
 * tests/unit/base/test-be.c - big-endian integers.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/be.h"

#include "tests/unit/base/tests.h"

/* All values of 16 bits: bytes in the order of the wire, and back. */
static void
test_16(void)
{
    for (unsigned n = 0; n <= 0xffff; n++) {
        Be16 v = be16_put((uint16_t)n);

        g_assert_cmpuint(v.b[0], ==, n >> 8);
        g_assert_cmpuint(v.b[1], ==, n & 0xff);
        g_assert_cmpuint(be16_get(v), ==, n);
    }
}

static void
test_32_one(uint32_t n)
{
    Be32 v = be32_put(n);

    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpuint(v.b[i], ==, (n >> (24 - 8 * i)) & 0xff);
    }
    g_assert_cmpuint(be32_get(v), ==, n);
}

static void
test_64_one(uint64_t n)
{
    Be64 v = be64_put(n);

    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmpuint(v.b[i], ==, (n >> (56 - 8 * i)) & 0xff);
    }
    g_assert_cmpuint(be64_get(v), ==, n);
}

/* Each byte at each place, and random values. */
static void
test_32_64(void)
{
    GRand *rand = test_rand_new();

    for (unsigned byte = 0; byte < 256; byte++) {
        for (unsigned place = 0; place < 8; place++) {
            test_32_one(byte << (8 * (place % 4)));
            test_64_one((uint64_t)byte << (8 * place));
        }
    }
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t n = (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);

        test_32_one((uint32_t)n);
        test_64_one(n);
    }
    g_rand_free(rand);
}

/* They need no alignment. */
static void
test_unaligned(void)
{
    static const uint8_t bytes[] = { 0xff, 1, 2, 3, 4, 5, 6, 7, 8 };
    struct {
        uint8_t first;
        Be64 value;
    } s;

    G_STATIC_ASSERT(sizeof(s) == sizeof(bytes));
    memcpy(&s, bytes, sizeof(s));
    g_assert_cmpuint(be64_get(s.value), ==, 0x0102030405060708);
}

void
test_be_add(void)
{
    g_test_add_func("/base/be/16", test_16);
    g_test_add_func("/base/be/32-64", test_32_64);
    g_test_add_func("/base/be/unaligned", test_unaligned);
}
