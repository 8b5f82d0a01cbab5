/*
 * tests/unit/blockcore/test-range.c - ranges, against sets of bytes.
 *
 * Every pair of ranges on a disk of six bytes is compared with what the same
 * means for sets of bytes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/range.h"

#include <glib.h>

#include "tests/unit/blockcore/test-blockcore.h"

#define N_BYTES 6U

/* A set of bytes, one bit each. */
static unsigned
range_set(BlkRange r)
{
    unsigned set = 0;

    for (uint64_t i = r.offset; i < blk_range_end(r); i++) {
        set |= 1U << i;
    }
    return set;
}

/* From the lowest to the highest byte of both. */
static unsigned
range_hull(BlkRange a, BlkRange b)
{
    uint64_t first = MIN(a.offset, b.offset);
    uint64_t end = MAX(blk_range_end(a), blk_range_end(b));

    return range_set((BlkRange){ first, end - first });
}

static void
range_check_pair(BlkRange a, BlkRange b)
{
    unsigned both = range_set(a) & range_set(b);

    g_assert_cmpint(blk_range_overlaps(a, b), ==, both != 0);
    g_assert_cmphex(range_set(blk_range_intersect(a, b)), ==, both);
    g_assert_cmphex(range_set(blk_range_union(a, b)), ==, range_hull(a, b));
}

static void
test_pairs(void)
{
    unsigned n = 0;

    for (uint64_t i = 0; i <= N_BYTES; i++) {
        for (uint64_t j = i; j <= N_BYTES; j++) {
            for (uint64_t k = 0; k <= N_BYTES; k++) {
                for (uint64_t l = k; l <= N_BYTES; l++) {
                    range_check_pair(blk_range(i, j - i), blk_range(k, l - k));
                    n++;
                }
            }
        }
    }
    g_test_message("%u pairs", n);
}

static void
test_alignment(void)
{
    unsigned n = 0;

    for (uint64_t align = 1; align <= 8; align *= 2) {
        for (uint64_t i = 0; i <= 24; i++) {
            for (uint64_t j = i; j <= 24; j++) {
                BlkRange r = blk_range(i, j - i);
                BlkRange out = blk_range_align_out(r, align);
                BlkRange in = blk_range_align_in(r, align);

                g_assert_cmpint(blk_range_is_aligned(r, align), ==,
                                i % align == 0 && j % align == 0);
                g_assert_true(blk_range_is_aligned(out, align));
                g_assert_cmpuint(out.offset, <=, i);
                g_assert_cmpuint(i - out.offset, <, align);
                g_assert_cmpuint(blk_range_end(out), >=, j);
                g_assert_cmpuint(blk_range_end(out) - j, <, align);
                if (in.bytes > 0) {
                    g_assert_true(blk_range_is_aligned(in, align));
                    g_assert_cmpuint(in.offset - i, <, align);
                    g_assert_cmpuint(j - blk_range_end(in), <, align);
                } else {
                    g_assert_cmpuint((i + align - 1) / align, >=, j / align);
                }
                n++;
            }
        }
    }
    g_test_message("%u ranges", n);
}

static void
test_inside(void)
{
    const uint64_t big = INT64_MAX;

    for (uint64_t size = 0; size <= N_BYTES; size++) {
        for (uint64_t i = 0; i <= N_BYTES + 2; i++) {
            for (uint64_t n = 0; n <= N_BYTES + 2; n++) {
                g_assert_cmpint(blk_range_is_inside(blk_range(i, n), size), ==,
                                i + n <= size);
            }
        }
    }
    /* An empty range at the end is inside, one behind it is not. */
    g_assert_true(blk_range_is_inside(blk_range(512, 0), 512));
    g_assert_false(blk_range_is_inside(blk_range(513, 0), 512));
    g_assert_true(blk_range_is_inside(blk_range(0, big), big));
    g_assert_false(blk_range_is_inside(blk_range(0, big), big - 1));
}

static void
test_validate(void)
{
    static const struct {
        uint64_t offset;
        uint64_t bytes;
        bool ok;
    } cases[] = {
        { 0, 0, true },
        { INT64_MAX, 0, true },
        { 0, INT64_MAX, true },
        { 1, INT64_MAX, false },
        { INT64_MAX, 1, false },
        { (uint64_t)INT64_MAX + 1, 0, false },
        { UINT64_MAX - 511, 1024, false },
        { UINT64_MAX, UINT64_MAX, false },
        { 512, UINT64_MAX - 511, false },
        { INT64_MAX - 511, 511, true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        BlkRange r = { 7, 7 };
        bool ok = blk_range_validate(cases[i].offset, cases[i].bytes, &r);

        g_assert_cmpint(ok, ==, cases[i].ok);
        g_assert_cmpuint(r.offset, ==, ok ? cases[i].offset : 7);
        g_assert_cmpuint(r.bytes, ==, ok ? cases[i].bytes : 7);
    }
}

static void
test_parts(void)
{
    BlkRange r = blk_range(100, 10);

    for (uint64_t n = 0; n <= 10; n++) {
        BlkRange head = blk_range_head(r, n);
        BlkRange rest = blk_range_skip(r, n);

        g_assert_cmpuint(head.offset, ==, 100);
        g_assert_cmpuint(head.bytes, ==, n);
        g_assert_cmpuint(rest.offset, ==, 100 + n);
        g_assert_cmpuint(blk_range_end(rest), ==, 110);
        g_assert_cmpint(blk_range_is_empty(rest), ==, n == 10);
    }
}

void
test_range_add(void)
{
    g_test_add_func("/blockcore/range/pairs", test_pairs);
    g_test_add_func("/blockcore/range/alignment", test_alignment);
    g_test_add_func("/blockcore/range/inside", test_inside);
    g_test_add_func("/blockcore/range/validate", test_validate);
    g_test_add_func("/blockcore/range/parts", test_parts);
}
