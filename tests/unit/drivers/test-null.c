/*
 * tests/unit/drivers/test-null.c - null-co reads zeros, forgets writes, and
 * takes as long as it is told.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/drivers/test-drivers.h"

static void coroutine_fn
test_co_size(void *arg)
{
    TestNode t;

    ash_maybe(arg);
    test_co_open(&t, NULL, "driver=null-co");
    g_assert_cmpuint(blk_size(t.blk), ==, ASH_GIB);
    test_co_close(&t);
    test_co_open(&t, NULL, "driver=null-co size=1000001");
    g_assert_cmpuint(blk_size(t.blk), ==, 1000001);
    test_co_close(&t);
    test_co_open(&t, NULL, "driver=null-co size=0");
    g_assert_cmpuint(blk_size(t.blk), ==, 0);
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 0, 1, 0), ==, -ENOSPC);
    test_co_close(&t);
    test_co_open(&t, NULL, "driver=null-co size=9223372036854775807");
    g_assert_cmpuint(blk_size(t.blk), ==, INT64_MAX);
    g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 0, INT64_MAX, 0), ==, 0);
    test_co_close(&t);
    test_co_open_fails(NULL, "driver=null-co size=8E", ASH_ERROR_CONFIG,
                       "node 'n': null-co: option 'size': '8E' is not a "
                       "size: use a whole number of bytes, or a suffix k, M, "
                       "G, T, P, E for powers of 1024");
    test_co_open_fails(NULL, "driver=null-co latency-ns=-1", ASH_ERROR_CONFIG,
                       "node 'n': null-co: option 'latency-ns': '-1' is not "
                       "a whole number from 0 to 18446744073709551615");
}

static void coroutine_fn
test_co_data(void *arg)
{
    uint8_t buf[1001];
    TestNode t;
    IoVec iov;

    ash_maybe(arg);
    test_co_open(&t, NULL, "driver=null-co size=1001");
    memset(buf, 0xa5, sizeof(buf));
    g_assert_cmpint(fake_co_write(t.blk, 0, buf, 1001, BLK_REQ_FUA), ==, 0);
    g_assert_cmpint(fake_co_read(t.blk, 0, buf, 1001), ==, 0);
    g_assert_true(ash_buf_is_zero(buf, sizeof(buf)));
    memset(buf, 0xa5, sizeof(buf));
    iov_init_one(&iov, buf, 1000);
    g_assert_cmpint(blk_try_read(t.blk, blk_range(1, 1000), &iov), ==, 0);
    g_assert_true(ash_buf_is_zero(buf, 1000));
    g_assert_cmpuint(buf[1000], ==, 0xa5);
    g_assert_cmpint(
        test_co_request(&t, BLK_OP_ZERO, 0, 1001, BLK_REQ_NO_FALLBACK), ==, 0);
    g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 1, 1000, 0), ==, 0);
    g_assert_cmpint(test_co_request(&t, BLK_OP_CACHE, 1, 1000, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(t.blk), ==, 0);
    g_assert_true(blk_limits(t.blk)->fast_zero);
    test_co_close(&t);
}

static void coroutine_fn
test_co_status(void *arg)
{
    TestNode t;
    BlkExtent e;

    ash_maybe(arg);
    test_co_open(&t, NULL, "driver=null-co size=1001");
    g_assert_cmpint(blk_co_status(t.blk, blk_range(1, 1000), &e), ==, 0);
    g_assert_cmpuint(e.bytes, ==, 1000);
    g_assert_cmpuint(e.status, ==,
                     (unsigned)BLK_STATUS_DATA | BLK_STATUS_ALLOCATED |
                         BLK_STATUS_EOF);
    test_co_close(&t);
    test_co_open(&t, NULL, "driver=null-co size=1001 read-zeroes=on");
    g_assert_cmpint(blk_co_status(t.blk, blk_range(0, 10), &e), ==, 0);
    g_assert_cmpuint(e.bytes, ==, 10);
    g_assert_cmpuint(e.status, ==,
                     (unsigned)BLK_STATUS_ZERO | BLK_STATUS_ALLOCATED);
    test_co_close(&t);
}

static void coroutine_fn
test_co_latency(void *arg)
{
    const BlkOp ops[] = { BLK_OP_READ, BLK_OP_WRITE, BLK_OP_ZERO, BLK_OP_TRIM,
                          BLK_OP_FLUSH };
    uint8_t buf[512] = { 0 };
    TestNode t;
    IoVec iov;

    ash_maybe(arg);
    test_co_open(&t, NULL, "driver=null-co latency-ns=3000000");
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        uint64_t before = loop_now_ns(loop_current());
        FakeReq req = {
            .blk = t.blk,
            .op = ops[i],
            .range = blk_range(0, ops[i] == BLK_OP_FLUSH ? 0 : 512),
            .buf = buf,
        };

        fake_req_start(&req);
        g_assert_false(req.done);
        g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
        g_assert_cmpuint(loop_now_ns(loop_current()) - before, >=, 3000000);
    }
    iov_init_one(&iov, buf, 512);
    g_assert_cmpint(blk_try_read(t.blk, blk_range(0, 512), &iov), ==, -EAGAIN);
    test_co_close(&t);
}

void
test_null_add(void)
{
    test_add_co("/drivers/null/size", test_co_size);
    test_add_co("/drivers/null/data", test_co_data);
    test_add_co("/drivers/null/status", test_co_status);
    test_add_co("/drivers/null/latency", test_co_latency);
}
