/*
 * tests/unit/base/test-iov.c - vectors of memory pieces: every way to cut a
 * few bytes into pieces, every range of them.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/iov.h"

#include <string.h>

#include "tests/unit/base/tests.h"

#define N_BYTES 7
#define GAP 3 /* between the pieces, to see what is touched */

/* N_BYTES bytes, cut wherever @cuts has a bit. */
typedef struct Cut {
    unsigned char memory[N_BYTES * (1 + GAP) + GAP];
    struct iovec pieces[N_BYTES];
    unsigned n;
    unsigned char *at[N_BYTES]; /* each byte's place */
    IoVec iov;
} Cut;

static void
cut_init(Cut *c, unsigned cuts)
{
    unsigned char *p = c->memory + GAP;

    memset(c->memory, 0xee, sizeof(c->memory));
    c->n = 0;
    for (unsigned i = 0; i < N_BYTES; i++) {
        if (i == 0 || cuts >> (i - 1) & 1) {
            p += GAP;
            c->pieces[c->n++] = (struct iovec){ .iov_base = p };
        }
        c->pieces[c->n - 1].iov_len++;
        c->at[i] = p;
        *p++ = (unsigned char)(i + 1);
    }
    iov_init_array(&c->iov, c->pieces, c->n);
}

/* Byte @i is expected[i], and the gaps are what they were. */
static void
cut_check(const Cut *c, const unsigned char *expected)
{
    unsigned char memory[sizeof(c->memory)];

    memset(memory, 0xee, sizeof(memory));
    for (unsigned i = 0; i < N_BYTES; i++) {
        memory[c->at[i] - c->memory] = expected[i];
    }
    test_assert_bytes(c->memory, sizeof(c->memory), memory, sizeof(memory));
}

static void
test_slice_one(const Cut *c, size_t offset, size_t bytes)
{
    struct iovec space[N_BYTES];
    IoVec slice;
    unsigned char flat[N_BYTES];
    size_t n = 0;

    iov_slice(&c->iov, offset, bytes, space, &slice);
    g_assert_cmpuint(slice.bytes, ==, bytes);
    g_assert_cmpuint(slice.n, <=, c->n);
    for (unsigned i = 0; i < slice.n; i++) {
        g_assert_cmpuint(slice.v[i].iov_len, >, 0);
        for (size_t j = 0; j < slice.v[i].iov_len; j++) {
            g_assert_true((unsigned char *)slice.v[i].iov_base + j ==
                          c->at[offset + n]);
            n++;
        }
    }
    g_assert_cmpuint(n, ==, bytes);

    memset(flat, 0, sizeof(flat));
    iov_to_buf(&slice, 0, flat, bytes);
    for (unsigned i = 0; i < N_BYTES; i++) {
        g_assert_cmpuint(flat[i], ==, i < bytes ? offset + i + 1 : 0);
    }
}

static void
test_copy_one(unsigned cuts, size_t offset, size_t bytes)
{
    static const unsigned char fresh[] = "ABCDEFG";
    unsigned char expected[N_BYTES];
    unsigned char flat[N_BYTES + 1];
    Cut c;

    cut_init(&c, cuts);
    for (unsigned i = 0; i < N_BYTES; i++) {
        expected[i] = (unsigned char)(i + 1);
    }
    memset(flat, 0xdd, sizeof(flat));
    iov_to_buf(&c.iov, offset, flat, bytes);
    test_assert_bytes(flat, bytes, expected + offset, bytes);
    g_assert_cmpuint(flat[bytes], ==, 0xdd);

    iov_from_buf(&c.iov, offset, fresh, bytes);
    memcpy(expected + offset, fresh, bytes);
    cut_check(&c, expected);

    iov_memset(&c.iov, offset, 0x55, bytes);
    memset(expected + offset, 0x55, bytes);
    cut_check(&c, expected);
}

static void
test_ranges(void)
{
    unsigned n = 0;

    for (unsigned cuts = 0; cuts < 1U << (N_BYTES - 1); cuts++) {
        for (size_t offset = 0; offset <= N_BYTES; offset++) {
            for (size_t bytes = 0; bytes <= N_BYTES - offset; bytes++) {
                Cut c;

                cut_init(&c, cuts);
                g_assert_cmpuint(c.iov.bytes, ==, N_BYTES);
                test_slice_one(&c, offset, bytes);
                test_copy_one(cuts, offset, bytes);
                n++;
            }
        }
    }
    g_test_message("%u ranges of vectors", n);
}

static void
test_one_piece(void)
{
    char bytes[10];
    IoVec iov;

    iov_init_one(&iov, bytes, sizeof(bytes));
    g_assert_cmpuint(iov.n, ==, 1);
    g_assert_cmpuint(iov.bytes, ==, 10);
    g_assert_true(iov.v[0].iov_base == bytes);
    g_assert_cmpuint(iov.v[0].iov_len, ==, 10);
    iov_memset(&iov, 0, 0, 10);
    g_assert_true(iov_is_zero(&iov));
    iov_init_array(&iov, NULL, 0);
    g_assert_cmpuint(iov.bytes, ==, 0);
    g_assert_true(iov_is_zero(&iov));
    g_assert_true(iov_is_aligned(&iov, 4096));
}

/* Each length up to 80, each place of the one byte that is not zero. */
static void
test_buf_is_zero(void)
{
    for (size_t bytes = 0; bytes <= 80; bytes++) {
        unsigned char *buf = g_malloc0(bytes); /* ASan guards its ends */

        g_assert_true(ash_buf_is_zero(buf, bytes));
        for (size_t i = 0; i < bytes; i++) {
            for (unsigned bit = 0; bit < 8; bit += 7) {
                buf[i] = (unsigned char)(1U << bit);
                g_assert_false(ash_buf_is_zero(buf, bytes));
            }
            buf[i] = 0;
        }
        g_free(buf);
    }
}

/* Each byte of each vector may be the one that is not zero. */
static void
test_is_zero(void)
{
    for (unsigned cuts = 0; cuts < 1U << (N_BYTES - 1); cuts++) {
        Cut c;

        cut_init(&c, cuts);
        iov_memset(&c.iov, 0, 0, N_BYTES);
        g_assert_true(iov_is_zero(&c.iov));
        for (unsigned i = 0; i < N_BYTES; i++) {
            *c.at[i] = 1;
            g_assert_false(iov_is_zero(&c.iov));
            *c.at[i] = 0;
        }
    }
}

static void
test_is_aligned(void)
{
    unsigned char memory[64] __attribute__((aligned(16)));

    for (unsigned base = 0; base < 16; base++) {
        for (unsigned len = 1; len <= 16; len++) {
            for (size_t align = 1; align <= 16; align *= 2) {
                struct iovec v[2] = {
                    { .iov_base = memory, .iov_len = 32 },
                    { .iov_base = memory + base, .iov_len = len },
                };
                IoVec iov;
                bool is = base % align == 0 && len % align == 0;

                iov_init_array(&iov, v, 2);
                g_assert_cmpint(iov_is_aligned(&iov, align), ==, is);
            }
        }
    }
}

void
test_iov_add(void)
{
    g_test_add_func("/base/iov/ranges", test_ranges);
    g_test_add_func("/base/iov/one-piece", test_one_piece);
    g_test_add_func("/base/iov/buf-is-zero", test_buf_is_zero);
    g_test_add_func("/base/iov/is-zero", test_is_zero);
    g_test_add_func("/base/iov/is-aligned", test_is_aligned);
}
