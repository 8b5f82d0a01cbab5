/*
 * tests/unit/drivers/test-file-status.c - where a file has data and holes, and
 * what is given back when it is asked for.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file-status.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/drivers/test-host.h"

#define UNIT ((uint64_t)64 << 10)
#define SIZE (16 * UNIT)

/* One status as text: "hole 65536", "data 4096 eof". */
static void coroutine_fn
check_co_status(TestNode *t, uint64_t offset, uint64_t bytes,
                const char *expected)
{
    g_autofree char *text = NULL;
    BlkExtent e;

    g_assert_cmpint(blk_co_status(t->blk, blk_range(offset, bytes), &e), ==, 0);
    g_assert_true(e.status & BLK_STATUS_OFFSET_VALID);
    g_assert_true(e.status & BLK_STATUS_ALLOCATED);
    g_assert_cmpuint(e.host_offset, ==, offset);
    g_assert_true(e.file == t->node);
    text = g_strdup_printf(
        "%s %u%s", e.status & BLK_STATUS_ZERO ? "hole" : "data",
        (unsigned)e.bytes, e.status & BLK_STATUS_EOF ? " eof" : "");
    g_assert_cmpstr(text, ==, expected);
}

static void coroutine_fn
test_co_holes(void *arg)
{
    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        TestFile f;
        TestNode t;

        test_file_new(&f, SIZE + 100);
        test_file_fill(&f, 4 * UNIT, UNIT, 1);
        test_host_co_open(&t, "file", f.path, test_host_variants[v]);
        check_co_status(&t, 0, SIZE, "hole 262144");
        check_co_status(&t, 0, 1, "hole 1");
        check_co_status(&t, 7, 2 * UNIT, "hole 131072");
        check_co_status(&t, 4 * UNIT - 1, SIZE - 4 * UNIT, "hole 1");
        check_co_status(&t, 4 * UNIT, 9 * UNIT, "data 65536");
        check_co_status(&t, 4 * UNIT + 5, 70000, "data 65531");
        check_co_status(&t, 5 * UNIT, SIZE - 5 * UNIT, "hole 720896");
        check_co_status(&t, 5 * UNIT, SIZE + 100 - 5 * UNIT, "hole 720996 eof");
        check_co_status(&t, SIZE + 99, 1, "hole 1 eof");
        /* What is written is data at once, although data was known before. */
        g_assert_cmpint(fake_co_write(t.blk, SIZE, "abc", 3, 0), ==, 0);
        check_co_status(&t, SIZE, 100, "data 100 eof");
        test_co_close(&t);
        test_file_free(&f);
    }
}

/* Known data need no more questions, until some is given back. */
static void coroutine_fn
test_co_cache(void *arg)
{
    const FileStatus zero = { 0 };
    TestHook hook = { 0 };
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    g_assert_cmpuint(zero.n_seeks, ==, 0);
    test_file_new(&f, SIZE);
    test_file_fill(&f, 0, SIZE, 1);
    test_hook_install(&hook);
    test_host_co_open(&t, "file", f.path, " aio=threads");
    check_co_status(&t, 0, UNIT, "data 65536");
    g_assert_cmpuint(hook.n_seek, ==, 2);
    for (unsigned i = 0; i < 16; i++) {
        check_co_status(&t, i * UNIT, 100, "data 100");
    }
    g_assert_cmpuint(hook.n_seek, ==, 2);
    g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, UNIT, UNIT, 0), ==, 0);
    check_co_status(&t, 0, SIZE, "data 65536");
    check_co_status(&t, UNIT, SIZE - UNIT, "hole 65536");
    g_assert_cmpuint(hook.n_seek, >, 2);
    test_co_close(&t);
    test_hook_remove();
    test_file_free(&f);
}

/* A file system that can't tell: all is data, and it is not asked again.
 * Another error is one. */
static void coroutine_fn
test_co_no_seek(void *arg)
{
    static const int unable[] = { -EINVAL, -ENOTSUP, -ENOSYS };
    TestHook hook = { 0 };
    BlkExtent e;
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, SIZE);
    test_hook_install(&hook);
    for (size_t i = 0; i < G_N_ELEMENTS(unable); i++) {
        test_host_co_open(&t, "file", f.path, " aio=threads");
        hook.n_seek = 0;
        hook.seek = unable[i];
        check_co_status(&t, UNIT, UNIT, "data 65536");
        check_co_status(&t, 0, SIZE, "data 1048576 eof");
        g_assert_cmpuint(hook.n_seek, ==, 1);
        test_co_close(&t);
    }
    test_host_co_open(&t, "file", f.path, " aio=threads");
    hook.seek = -EIO;
    g_assert_cmpint(blk_co_status(t.blk, blk_range(0, 1), &e), ==, -EIO);
    check_co_status(&t, 0, 1, "hole 1");
    test_co_close(&t);
    test_hook_remove();
    test_file_free(&f);
}

/* ---- space ---- */

typedef struct SpaceCase {
    const char *more;
    BlkOp op;
    BlkReqFlags flags;
    bool given_back;
} SpaceCase;

static const SpaceCase space_cases[] = {
    { "", BLK_OP_TRIM, 0, true },
    { " discard=unmap", BLK_OP_TRIM, 0, true },
    { " discard=on", BLK_OP_TRIM, 0, true },
    { " discard=ignore", BLK_OP_TRIM, 0, false },
    { " discard=off", BLK_OP_TRIM, 0, false },
    { "", BLK_OP_ZERO, BLK_REQ_MAY_UNMAP, true },
    { "", BLK_OP_ZERO, BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK, true },
    { " discard=ignore", BLK_OP_ZERO, BLK_REQ_MAY_UNMAP, false },
    { "", BLK_OP_ZERO, 0, false },
    { "", BLK_OP_ZERO, BLK_REQ_NO_FALLBACK, false },
    { " detect-zeroes=on", BLK_OP_WRITE, 0, false },
    { " detect-zeroes=unmap", BLK_OP_WRITE, 0, true },
};

static void coroutine_fn
space_co_try(const SpaceCase *c, const char *variant)
{
    g_autofree char *more = g_strconcat(variant, c->more, NULL);
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    bool ignored = strstr(c->more, "ignore") || strstr(c->more, "off");
    bool zeroed = c->op != BLK_OP_TRIM || !ignored;
    TestFile f;
    TestNode t;

    test_file_new(&f, SIZE);
    test_file_fill(&f, 0, SIZE, 9);
    test_host_co_open(&t, "file", f.path, more);
    g_assert_cmpint(blk_can_trim(t.blk), ==, !ignored);
    if (c->op == BLK_OP_WRITE) {
        g_assert_cmpint(fake_co_write(t.blk, UNIT, buf, SIZE / 2, 0), ==, 0);
    } else {
        g_assert_cmpint(test_co_request(&t, c->op, UNIT, SIZE / 2, c->flags),
                        ==, 0);
    }
    g_assert_cmpint(fake_co_read(t.blk, 0, buf, SIZE), ==, 0);
    for (uint64_t i = 0; i < SIZE; i += UNIT / 2) {
        bool inside = i >= UNIT && i < UNIT + SIZE / 2;

        g_assert_cmpuint(buf[i], ==, inside && zeroed ? 0 : 9);
    }
    g_assert_cmpint(blk_co_flush(t.blk), ==, 0);
    test_co_close(&t);
    g_assert_cmpuint(test_file_size(&f), ==, SIZE);
    if (c->given_back) {
        g_assert_cmpuint(test_file_allocated(&f), <=, SIZE / 2 + UNIT);
    } else {
        g_assert_cmpuint(test_file_allocated(&f), >=, SIZE);
    }
    test_file_free(&f);
}

static void coroutine_fn
test_co_space(void *arg)
{
    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        for (size_t i = 0; i < G_N_ELEMENTS(space_cases); i++) {
            space_co_try(&space_cases[i], test_host_variants[v]);
        }
    }
}

/* A host that can't punch or zero is not asked again; one without space to
 * punch is, and zeros are written meanwhile. */
static void coroutine_fn
test_co_no_space_ops(void *arg)
{
    static const struct {
        int err;
        BlkReqFlags flags;
        int ret;
        unsigned n_space; /* of two requests */
    } cases[] = {
        { -ENOTSUP, 0, 0, 1 },
        { -ENOTSUP, BLK_REQ_MAY_UNMAP, 0, 2 },
        { -ENOTSUP, BLK_REQ_NO_FALLBACK, -ENOTSUP, 1 },
        { -ENOSPC, BLK_REQ_NO_FALLBACK, -ENOSPC, 2 },
        { -EIO, BLK_REQ_MAY_UNMAP, -EIO, 2 },
        { -EPERM, 0, -EIO, 2 },
    };
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        TestHook hook = { .space = cases[i].err };
        uint8_t byte = 1;

        test_file_new(&f, SIZE);
        test_file_fill(&f, 0, SIZE, 9);
        test_hook_install(&hook);
        test_host_co_open(&t, "file", f.path, " aio=threads");
        for (unsigned k = 0; k < 2; k++) {
            g_assert_cmpint(
                test_co_request(&t, BLK_OP_ZERO, 0, UNIT, cases[i].flags), ==,
                cases[i].ret);
        }
        g_assert_cmpuint(hook.n_space, ==, cases[i].n_space);
        g_assert_cmpint(fake_co_read(t.blk, UNIT - 1, &byte, 1), ==, 0);
        g_assert_cmpuint(byte, ==, cases[i].ret == 0 ? 0 : 9);
        /* Trimming is a hint. */
        g_assert_cmpint(
            test_co_request(&t, BLK_OP_TRIM, 0, UNIT, 0), ==,
            cases[i].err == -ENOTSUP || cases[i].err == -ENOSPC ? 0 : -EIO);
        test_co_close(&t);
        test_hook_remove();
        test_file_free(&f);
    }
}

void
test_file_status_add(void)
{
    test_add_co("/drivers/file-status/holes", test_co_holes);
    test_add_co("/drivers/file-status/cache", test_co_cache);
    test_add_co("/drivers/file-status/no-seek", test_co_no_seek);
    test_add_co("/drivers/file-status/space", test_co_space);
    test_add_co("/drivers/file-status/no-space-ops", test_co_no_space_ops);
}
