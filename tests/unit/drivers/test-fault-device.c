/*
 * tests/unit/drivers/test-fault-device.c - fault stops requests at events, lies
 * about flushes, pretends to be a device with limits, and refuses nonsense.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "drivers/fault.h"
#include "tests/unit/drivers/test-drivers.h"

#define SIZE 8192U

static void coroutine_fn
device_co_open(TestNode *t, FakeDisk *disk, const char *options)
{
    g_autofree char *text =
        g_strconcat("driver=fault file.driver=d", options, NULL);

    test_co_open(t, disk, text);
    fake_disk_start_log(disk, FAKE_ALL_IO);
}

/* ---- events ---- */

/* A request that comes by each event on a node of blocks of 512. */
static const struct {
    const char *event;
    BlkOp op;
    unsigned offset;
    unsigned bytes;
} events[] = {
    { "read", BLK_OP_READ, 0, 512 },
    { "write", BLK_OP_WRITE, 0, 512 },
    { "write-zeroes", BLK_OP_ZERO, 0, 512 },
    { "discard", BLK_OP_TRIM, 0, 512 },
    { "flush", BLK_OP_FLUSH, 0, 0 },
    { "block-status", BLK_OP_STATUS, 0, 512 },
    { "pwritev", BLK_OP_WRITE, 0, 512 },
    { "pwritev_done", BLK_OP_WRITE, 0, 512 },
    { "pwritev_rmw_after_head", BLK_OP_WRITE, 1, 511 },
    { "pwritev_rmw_after_tail", BLK_OP_WRITE, 0, 511 },
    { "pwritev_rmw_head", BLK_OP_WRITE, 1, 511 },
    { "pwritev_rmw_tail", BLK_OP_WRITE, 0, 511 },
    { "pwritev_zero", BLK_OP_ZERO, 0, 512 },
    { "flush_to_disk", BLK_OP_FLUSH, 0, 0 },
    { "flush_to_os", BLK_OP_FLUSH, 0, 0 },
};

/* Every event stops the request that comes by, once, until it is let go. */
static void coroutine_fn
test_co_suspend(void *arg)
{
    uint8_t buf[512] = { 1 };
    TestNode t;

    ash_maybe(arg);
    device_co_open(&t, fake_disk_new(FAKE_LEAF, "d", SIZE), " align=512");
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        FakeReq req = {
            .blk = t.blk,
            .op = events[i].op,
            .range = blk_range(events[i].offset, events[i].bytes),
            .buf = buf,
        };

        g_assert_cmpstr(fault_event_names[i + 1], ==, events[i].event);
        fault_suspend(t.node, events[i].event, "A");
        g_assert_false(fault_is_suspended(t.node, "A"));
        g_assert_false(fault_resume(t.node, "A"));
        fake_req_start(&req);
        fault_co_wait_suspended(t.node, "A");
        fake_co_settle();
        g_assert_true(fault_is_suspended(t.node, "A"));
        g_assert_false(fault_is_suspended(t.node, "B"));
        g_assert_false(fault_resume(t.node, "B"));
        g_assert_false(req.done);
        g_assert_true(fault_resume(t.node, "A"));
        g_assert_false(fault_resume(t.node, "A"));
        g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
        /* The next one is not stopped. */
        fake_req_start(&req);
        g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
    }
    g_assert_null(fault_event_names[G_N_ELEMENTS(events) + 1]);
    g_test_message("%zu events", G_N_ELEMENTS(events));
    /* One that nobody came by is no hindrance. */
    fault_suspend(t.node, "read", "never");
    test_co_close(&t);
}

/* Two stop at one event and go in any order; a waiter is woken. */
static void coroutine_fn
test_co_suspend_two(void *arg)
{
    uint8_t buf[2][512];
    FakeReq reqs[2];
    TestNode t;

    ash_maybe(arg);
    device_co_open(&t, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    fault_suspend(t.node, "read", "A");
    fault_suspend(t.node, "read", "B");
    for (unsigned i = 0; i < 2; i++) {
        reqs[i] = (FakeReq){
            .blk = t.blk,
            .op = BLK_OP_READ,
            .range = blk_range(0, 512),
            .buf = buf[i],
        };
        fake_req_start(&reqs[i]);
    }
    fault_co_wait_suspended(t.node, "B");
    g_assert_true(fault_is_suspended(t.node, "A"));
    g_assert_true(fault_resume(t.node, "B"));
    g_assert_cmpint(fake_req_co_wait(&reqs[1]), ==, 0);
    g_assert_false(reqs[0].done);
    g_assert_true(fault_resume(t.node, "A"));
    g_assert_cmpint(fake_req_co_wait(&reqs[0]), ==, 0);
    test_co_close(&t);
}

/* The head of a write was read and is stopped there: a write to the same block
 * waits, and nothing of it is lost. */
static void coroutine_fn
test_co_suspend_rmw(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", SIZE);
    uint8_t ones[512], twos[512];
    FakeReq slow = { .op = BLK_OP_WRITE, .range = blk_range(100, 50) };
    FakeReq quick = { .op = BLK_OP_WRITE, .range = blk_range(0, 100) };
    TestNode t;

    ash_maybe(arg);
    memset(ones, 1, sizeof(ones));
    memset(twos, 2, sizeof(twos));
    device_co_open(&t, d, " align=512");
    slow.blk = quick.blk = t.blk;
    slow.buf = ones;
    quick.buf = twos;
    fault_suspend(t.node, "pwritev_rmw_after_head", "A");
    fake_req_start(&slow);
    fault_co_wait_suspended(t.node, "A");
    fake_req_start(&quick);
    fake_co_settle();
    g_assert_false(quick.done);
    g_assert_true(fault_resume(t.node, "A"));
    g_assert_cmpint(fake_req_co_wait(&quick), ==, 0);
    g_assert_cmpint(fake_req_co_wait(&slow), ==, 0);
    test_assert_same(d->mem, twos, 100);
    test_assert_same(d->mem + 100, ones, 50);
    g_assert_cmpuint(d->mem[150], ==, 0);
    test_co_close(&t);
}

/* A rule that waits for an event of a node above acts from then on. */
static void coroutine_fn
test_co_event_arms(void *arg)
{
    uint8_t buf[512] = { 1 };
    TestNode t;

    ash_maybe(arg);
    test_co_open(&t, fake_disk_new(FAKE_LEAF, "d", SIZE),
                 "driver=raw file.driver=fault file.file.driver=d "
                 "file.inject-error.0.event=pwritev_zero "
                 "file.inject-error.0.iotype=read "
                 "file.inject-error.0.nth=2");
    g_assert_cmpint(fake_co_read(t.blk, 0, buf, 512), ==, 0);
    g_assert_cmpint(fake_co_read(t.blk, 0, buf, 512), ==, 0);
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 0, 512, 0), ==, 0);
    g_assert_cmpint(fake_co_read(t.blk, 0, buf, 512), ==, 0);
    g_assert_cmpint(fake_co_read(t.blk, 0, buf, 512), ==, -EIO);
    g_assert_cmpint(fake_co_write(t.blk, 0, buf, 512, 0), ==, 0);
    test_co_close(&t);
}

/* ---- flushes ---- */

static void coroutine_fn
test_co_flush(void *arg)
{
    static const struct {
        const char *options;
        const char *log; /* of a FUA write, a FUA zero write and a flush */
        int ret;         /* of a flush that fails below */
    } cases[] = {
        { "", "d:w0+512:fua d:z0+512:fua d:fd", -ENOSPC },
        { " drop-flush=on", "d:w0+512 d:z0+512", 0 },
        { " lie-flush=on", "d:w0+512 d:fd d:z0+512 d:fd", 0 },
        { " lie-flush=on drop-flush=on", "d:w0+512 d:z0+512", 0 },
    };
    uint8_t buf[512] = { 1 };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", SIZE);
        TestNode t;

        d->driver.write_flags = BLK_REQ_FUA;
        d->driver.zero_flags = BLK_REQ_FUA;
        device_co_open(&t, d, cases[i].options);
        fake_disk_start_log(d, FAKE_WRITE | FAKE_ZERO | FAKE_FLUSH_DISK);
        g_assert_cmpint(fake_co_write(t.blk, 0, buf, 512, BLK_REQ_FUA), ==, 0);
        g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 0, 512, BLK_REQ_FUA),
                        ==, 0);
        g_assert_cmpint(blk_co_flush(t.blk), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(d), ==, cases[i].log);
        g_assert_cmpint(fake_co_write(t.blk, 0, buf, 512, 0), ==, 0);
        d->fail_mask = FAKE_FLUSH_DISK;
        d->fail_nth = 1;
        d->fail_err = -ENOSPC;
        g_assert_cmpint(blk_co_flush(t.blk), ==, cases[i].ret);
        test_co_close(&t);
    }
}

/* A flush that a rule fails does not get to the child, and the next one does:
 * nothing counts as flushed. */
static void coroutine_fn
test_co_flush_fails(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", SIZE);
    uint8_t buf[512] = { 1 };
    TestNode t;

    ash_maybe(arg);
    device_co_open(&t, d,
                   " inject-error.0.iotype=flush "
                   "inject-error.0.errno=28 inject-error.0.once=on");
    g_assert_cmpint(fake_co_write(t.blk, 0, buf, 512, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(t.blk), ==, -ENOSPC);
    g_assert_cmpuint(fake_disk_n(d, FAKE_FLUSH_DISK), ==, 0);
    g_assert_cmpint(blk_co_flush(t.blk), ==, 0);
    g_assert_cmpuint(fake_disk_n(d, FAKE_FLUSH_DISK), ==, 1);
    test_co_close(&t);
}

/* ---- the device ---- */

static void coroutine_fn
test_co_limits(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", SIZE);
    const BlkLimits *l;
    TestNode t;

    ash_maybe(arg);
    d->limits = (BlkLimits){
        .request_align = 512,
        .mem_align = 1,
        .opt_transfer = 1536,
        .max_transfer = 512 * 9,
        .zero_align = 512,
        .max_zero = 512,
        .trim_align = 512,
        .max_trim = 512 * 7,
    };
    device_co_open(&t, d, " align=1024");
    l = blk_limits(t.blk);
    g_assert_cmpuint(l->request_align, ==, 1024);
    g_assert_cmpuint(l->opt_transfer, ==, 2048);
    g_assert_cmpuint(l->max_transfer, ==, 4096);
    g_assert_cmpuint(l->zero_align, ==, 1024);
    g_assert_cmpuint(l->max_zero, ==, 1024);
    g_assert_cmpuint(l->trim_align, ==, 1024);
    g_assert_cmpuint(l->max_trim, ==, 3072);
    test_co_close(&t);

    device_co_open(&t, fake_disk_new(FAKE_LEAF, "d", SIZE),
                   " align=512 max-transfer=1k opt-write-zero=1k "
                   "max-write-zero=2k opt-discard=2k max-discard=4k");
    fake_disk_start_log(t.disk, FAKE_WRITE | FAKE_ZERO | FAKE_TRIM);
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 512, 4608, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(t.disk), ==,
                    "d:z1024+2048 d:z3072+2048 d:w512+512");
    g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 512, 7680, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(t.disk), ==,
                    "d:t2048+4096 d:t6144+2048");
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 1, 2, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(t.disk), ==, "d:w0+512");
    test_co_close(&t);
}

/* Blocks over a child of odd size: what reaches past its end is nobody's. */
static void coroutine_fn
test_co_odd_end(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 1001);
    uint8_t buf[101], back[101];
    BlkExtent e;
    TestNode t;

    ash_maybe(arg);
    memset(buf, 7, sizeof(buf));
    device_co_open(&t, d, " align=512");
    g_assert_cmpuint(blk_size(t.blk), ==, 1001);
    g_assert_cmpint(fake_co_write(t.blk, 900, buf, 101, 0), ==, 0);
    g_assert_cmpint(fake_co_read(t.blk, 900, back, 101), ==, 0);
    test_assert_same(buf, back, 101);
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 512, 489, 0), ==, 0);
    g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 0, 1001, 0), ==, 0);
    g_assert_cmpint(test_co_request(&t, BLK_OP_CACHE, 0, 1001, 0), ==, 0);
    g_assert_cmpint(blk_co_status(t.blk, blk_range(1000, 1), &e), ==, 0);
    g_assert_cmpuint(e.bytes, ==, 1);
    g_assert_cmpint(fake_co_write(t.blk, 900, buf, 102, 0), ==, -ENOSPC);
    for (unsigned i = 1001; i < 2048; i++) {
        g_assert_cmpuint(d->mem[i], ==, 0);
    }
    test_co_close(&t);
}

/* Without a rule for reads a read goes on at once. */
static void coroutine_fn
test_co_try_read(void *arg)
{
    static const struct {
        const char *options;
        const char *suspend;
        int ret;
    } cases[] = {
        { "", NULL, 0 },
        { " drop-flush=on inject-error.0.iotype=write", NULL, 0 },
        { " delay-ns.write=5", NULL, 0 },
        { " delay-ns.read=5", NULL, -EAGAIN },
        { " inject-error.0.nth=5", NULL, -EAGAIN },
        { " inject-error.0.iotype=write inject-error.0.event=read", NULL,
          -EAGAIN },
        { "", "read", -EAGAIN },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strconcat("driver=fault file.driver=null-co file.size=4k",
                        cases[i].options, NULL);
        uint8_t buf[512];
        TestNode t;
        IoVec iov;

        memset(buf, 1, sizeof(buf));
        test_co_open(&t, NULL, text);
        if (cases[i].suspend) {
            fault_suspend(t.node, cases[i].suspend, "A");
        }
        iov_init_one(&iov, buf, sizeof(buf));
        g_assert_cmpint(blk_try_read(t.blk, blk_range(0, 512), &iov), ==,
                        cases[i].ret);
        g_assert_cmpint(ash_buf_is_zero(buf, 512), ==, cases[i].ret == 0);
        test_co_close(&t);
    }
}

/* ---- bad options ---- */

static const struct {
    const char *options;
    const char *message;
} bad_options[] = {
    { "inject-error.0.event=boom",
      "fault: option 'inject-error.0.event': 'boom' is not one of none, "
      "read, write, write-zeroes, discard, flush, block-status, pwritev, "
      "pwritev_done, pwritev_rmw_after_head, pwritev_rmw_after_tail, "
      "pwritev_rmw_head, pwritev_rmw_tail, pwritev_zero, flush_to_disk, "
      "flush_to_os" },
    { "inject-error.0.iotype=eat",
      "fault: option 'inject-error.0.iotype': 'eat' is not one of read, "
      "write, write-zeroes, discard, flush, block-status" },
    { "inject-error.0.errno=4096",
      "fault: option 'inject-error.0.errno': not from 0 to 4095" },
    { "inject-error.0.errno=EIO",
      "fault: option 'inject-error.0.errno': 'EIO' is not a whole number "
      "from 0 to 18446744073709551615" },
    { "inject-error.0.nth=0",
      "fault: option 'inject-error.0.nth': counts from 1" },
    { "inject-error.0.probability-ppm=1000001",
      "fault: option 'inject-error.0.probability-ppm': not from 0 to "
      "1000000" },
    { "inject-error.0.once=maybe",
      "fault: option 'inject-error.0.once': 'maybe' is not on or off" },
    { "inject-error.0.sector=1 inject-error.0.offset=1",
      "fault: option 'inject-error.0.sector': not together with offset or "
      "bytes" },
    { "inject-error.0.sector=1 inject-error.0.bytes=1",
      "fault: option 'inject-error.0.sector': not together with offset or "
      "bytes" },
    { "inject-error.0.sector=18014398509481983",
      "fault: option 'inject-error.0.sector': too large" },
    { "inject-error.0.offset=9223372036854775807 inject-error.0.bytes=1",
      "fault: option 'inject-error.0.bytes': too large" },
    { "inject-error.1.nth=1", "fault: option 'inject-error.1.nth': rules "
                              "are numbered from 0 without a gap" },
    { "inject-error.0.nth=1 inject-error.2.nth=1",
      "fault: option 'inject-error.2.nth': rules are numbered from 0 "
      "without a gap" },
    { "inject-error.00.nth=1", "fault: option 'inject-error.00.nth': rules "
                               "are numbered from 0 without a gap" },
    { "inject-error.0.nth=1 inject-error.0.foo=1",
      "driver 'fault' has no option 'inject-error.0.foo'" },
    { "inject-error.0=1", "driver 'fault' has no option 'inject-error.0'" },
    { "delay-ns.read=-1", "fault: option 'delay-ns.read': '-1' is not a "
                          "whole number from 0 to 18446744073709551615" },
    { "align=3",
      "limits: request alignment 3 is not a power of two from 1 to 65536" },
    { "align=128k", "limits: request alignment 131072 is not a power of "
                    "two from 1 to 65536" },
    { "align=5G", "fault: option 'align': too large" },
    { "align=512 max-transfer=100",
      "limits: maximal transfer 100 is not a multiple of the request "
      "alignment 512" },
    { "opt-write-zero=512 max-write-zero=100",
      "limits: maximal zero 100 is not a multiple of the zero alignment "
      "512" },
    { "opt-discard=512 max-discard=100",
      "limits: maximal trim 100 is not a multiple of the trim alignment "
      "512" },
    { "opt-discard=5G", "fault: option 'opt-discard': too large" },
    { "seed=x", "fault: option 'seed': 'x' is not a whole number from 0 to "
                "18446744073709551615" },
    { "lie-flush=2", "fault: option 'lie-flush': '2' is not on or off" },
};

static void coroutine_fn
test_co_errors(void *arg)
{
    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(bad_options); i++) {
        g_autofree char *text = g_strconcat("driver=fault file.driver=d ",
                                            bad_options[i].options, NULL);
        g_autofree char *message =
            g_strconcat("node 'n': ", bad_options[i].message, NULL);

        test_co_open_fails(fake_disk_new(FAKE_LEAF, "d", SIZE), text,
                           ASH_ERROR_CONFIG, message);
    }
    test_co_open_fails(NULL, "driver=fault align=512", ASH_ERROR_CONFIG,
                       "node 'n': fault: option 'file' is required: the name "
                       "of a node, or the options of one ('file.driver', ...)");
}

void
test_fault_device_add(void)
{
    test_add_co("/drivers/fault/suspend", test_co_suspend);
    test_add_co("/drivers/fault/suspend-two", test_co_suspend_two);
    test_add_co("/drivers/fault/suspend-rmw", test_co_suspend_rmw);
    test_add_co("/drivers/fault/event-arms", test_co_event_arms);
    test_add_co("/drivers/fault/flush", test_co_flush);
    test_add_co("/drivers/fault/flush-fails", test_co_flush_fails);
    test_add_co("/drivers/fault/limits", test_co_limits);
    test_add_co("/drivers/fault/odd-end", test_co_odd_end);
    test_add_co("/drivers/fault/try-read", test_co_try_read);
    test_add_co("/drivers/fault/errors", test_co_errors);
}
