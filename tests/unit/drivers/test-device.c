/*
 * tests/unit/drivers/test-device.c - host_device is a block device of the host,
 * with every engine; on loop devices that the tests make.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/drivers/test-host.h"

#define SIZE ((uint64_t)1 << 20)

static const unsigned sectors[] = { 512, 4096 };

static void coroutine_fn
test_co_engines(void *arg)
{
    uint32_t seed = (uint32_t)g_test_rand_int();
    GRand *rand = g_rand_new_with_seed(seed);
    unsigned n = 0;

    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        bool direct = strstr(test_host_variants[v], "direct") != NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(sectors); i++) {
            TestFile f;
            TestNode t;

            test_file_new(&f, SIZE);
            test_file_attach_loop(&f, sectors[i], false);
            test_host_co_open(&t, "host_device", f.loop, test_host_variants[v]);
            g_assert_cmpuint(blk_size(t.blk), ==, SIZE);
            g_assert_cmpuint(blk_limits(t.blk)->request_align, ==,
                             direct ? sectors[i] : 1);
            g_assert_cmpuint(blk_limits(t.blk)->trim_align, ==, sectors[i]);
            g_assert_cmpuint(blk_limits(t.blk)->zero_align, ==, sectors[i]);
            test_host_co_random(&t, &f, rand, 150);
            test_file_free(&f);
            n += 150;
        }
    }
    g_test_message("%u requests, seed %u", n, seed);
    g_rand_free(rand);
}

/* The device ends at its last whole sector. */
static void coroutine_fn
test_co_size(void *arg)
{
    uint8_t byte = 1;
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, SIZE + 777);
    test_file_attach_loop(&f, 512, false);
    test_host_co_open(&t, "host_device", f.loop, "");
    g_assert_cmpuint(blk_size(t.blk), ==, SIZE + 512);
    g_assert_cmpint(fake_co_write(t.blk, SIZE + 511, &byte, 1, 0), ==, 0);
    g_assert_cmpint(fake_co_write(t.blk, SIZE + 512, &byte, 1, 0), ==, -ENOSPC);
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, SIZE, 513, 0), ==,
                    -ENOSPC);
    g_assert_cmpint(fake_co_read(t.blk, SIZE + 512, &byte, 1), ==, -EINVAL);
    test_co_close(&t);
    test_file_free(&f);
}

/* Trimmed and unmapped space is given back to the file below, zeros that must
 * stay allocated are not. */
static void coroutine_fn
test_co_space(void *arg)
{
    static const struct {
        const char *more;
        BlkOp op;
        BlkReqFlags flags;
        bool given_back;
    } cases[] = {
        { "", BLK_OP_TRIM, 0, true },
        { " discard=ignore", BLK_OP_TRIM, 0, false },
        { "", BLK_OP_ZERO, BLK_REQ_MAY_UNMAP, true },
        { "", BLK_OP_ZERO, BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK, true },
        { " discard=ignore", BLK_OP_ZERO, BLK_REQ_MAY_UNMAP, false },
        { "", BLK_OP_ZERO, 0, false },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        TestFile f;
        TestNode t;

        test_file_new(&f, SIZE);
        test_file_fill(&f, 0, SIZE, 9);
        test_file_attach_loop(&f, 512, false);
        test_host_co_open(&t, "host_device", f.loop, cases[i].more);
        g_assert_true(blk_can_trim(t.blk) == (*cases[i].more == '\0'));
        g_assert_cmpint(
            test_co_request(&t, cases[i].op, 0, SIZE / 2, cases[i].flags), ==,
            0);
        g_assert_cmpint(blk_co_flush(t.blk), ==, 0);
        test_co_close(&t);
        g_assert_cmpuint(test_file_allocated(&f), <=, SIZE + 65536);
        if (cases[i].given_back) {
            g_assert_cmpuint(test_file_allocated(&f), <=, SIZE / 2 + 65536);
        } else {
            g_assert_cmpuint(test_file_allocated(&f), >=, SIZE);
        }
        test_file_free(&f);
    }
}

/* Quick or not at all: a device can't say that zeros are quick to write. */
static void coroutine_fn
test_co_no_fallback(void *arg)
{
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, SIZE);
    test_file_attach_loop(&f, 512, false);
    test_host_co_open(&t, "host_device", f.loop, "");
    g_assert_cmpint(
        test_co_request(&t, BLK_OP_ZERO, 0, SIZE, BLK_REQ_NO_FALLBACK), ==,
        -ENOTSUP);
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 0, SIZE, 0), ==, 0);
    test_co_close(&t);
    test_file_free(&f);
}

static void coroutine_fn
test_co_read_only(void *arg)
{
    g_autofree char *message = NULL;
    uint8_t byte = 0;
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, SIZE);
    test_file_fill(&f, 0, SIZE, 9);
    test_file_attach_loop(&f, 512, true);
    message =
        g_strdup_printf("cannot open '%s': Read-only file system", f.loop);
    test_host_co_open_fails("host_device", f.loop, "", ASH_ERROR_IO, message);
    for (unsigned i = 0; i < 2; i++) {
        test_host_co_open(&t, "host_device", f.loop,
                          i == 0 ? " auto-read-only=on" : " read-only=on");
        g_assert_false(blk_is_writable(t.blk));
        g_assert_cmpint(fake_co_read(t.blk, SIZE - 1, &byte, 1), ==, 0);
        g_assert_cmpuint(byte, ==, 9);
        g_assert_cmpint(fake_co_write(t.blk, 0, &byte, 1, 0), ==, -EROFS);
        test_co_close(&t);
    }
    test_file_free(&f);
}

/* Links of udev have names with colons. */
static void coroutine_fn
test_co_link(void *arg)
{
    g_autofree char *link = NULL;
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, SIZE);
    test_file_attach_loop(&f, 512, false);
    link = g_build_filename(f.dir, "scsi:0:1", NULL);
    g_assert_cmpint(symlink(f.loop, link), ==, 0);
    test_host_co_open(&t, "host_device", link, "");
    g_assert_cmpuint(blk_size(t.blk), ==, SIZE);
    test_co_close(&t);
    g_assert_cmpint(unlink(link), ==, 0);
    test_file_free(&f);
}

static void coroutine_fn
test_co_errors(void *arg)
{
    g_autofree char *message = NULL;
    TestFile f;

    ash_maybe(arg);
    test_file_new(&f, SIZE);
    message = g_strdup_printf("'%s' is not a block device; use driver 'file'",
                              f.path);
    test_host_co_open_fails("host_device", f.path, "", ASH_ERROR_CONFIG,
                            message);
    g_free(message);
    message = g_strdup_printf("'%s' is not a block device", f.dir);
    test_host_co_open_fails("host_device", f.dir, "", ASH_ERROR_CONFIG,
                            message);
    test_host_co_open_fails("host_device", "/dev/null", "", ASH_ERROR_CONFIG,
                            "'/dev/null' is not a block device");
    test_host_co_open_fails("host_device", "/dev/absent", "",
                            ASH_ERROR_NOT_FOUND,
                            "cannot open '/dev/absent': No such file or "
                            "directory");
    test_file_attach_loop(&f, 512, false);
    g_free(message);
    message = g_strdup_printf(
        "'%s' is not a regular file; use driver 'host_device'", f.loop);
    test_host_co_open_fails("file", f.loop, "", ASH_ERROR_CONFIG, message);
    test_file_free(&f);
}

void
test_device_add(void)
{
    test_add_co("/drivers/host_device/engines", test_co_engines);
    test_add_co("/drivers/host_device/size", test_co_size);
    test_add_co("/drivers/host_device/space", test_co_space);
    test_add_co("/drivers/host_device/no-fallback", test_co_no_fallback);
    test_add_co("/drivers/host_device/read-only", test_co_read_only);
    test_add_co("/drivers/host_device/link", test_co_link);
    test_add_co("/drivers/host_device/errors", test_co_errors);
}
