/*
 * tests/unit/drivers/test-fault.c - what the rules of fault do to requests, and
 * the device that its options make.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/drivers/test-drivers.h"

#define SIZE 8192U
#define N_BY_CHANCE 2000U

/* A fault node with @options on a disk of SIZE bytes. */
static void coroutine_fn
fault_co_open_on(TestNode *t, FakeDisk *disk, const char *options)
{
    g_autofree char *text =
        g_strconcat("driver=fault file.driver=d", options, NULL);

    test_co_open(t, disk, text);
    fake_disk_start_log(disk, FAKE_ALL_IO);
}

static void coroutine_fn
fault_co_open_new(TestNode *t, const char *options)
{
    fault_co_open_on(t, fake_disk_new(FAKE_LEAF, "d", SIZE), options);
}

/* One request of this kind at [0, 512). */
static int coroutine_fn
fault_co_do(TestNode *t, BlkOp op)
{
    uint8_t buf[512] = { 1 };
    FakeReq req = {
        .blk = t->blk,
        .op = op,
        .range = blk_range(0, op == BLK_OP_FLUSH ? 0 : sizeof(buf)),
        .buf = buf,
    };

    fake_req_start(&req);
    return fake_req_co_wait(&req);
}

/* ---- which requests ---- */

static const struct {
    BlkOp op;
    const char *name;
} kinds[] = {
    { BLK_OP_READ, "read" },           { BLK_OP_WRITE, "write" },
    { BLK_OP_ZERO, "write-zeroes" },   { BLK_OP_TRIM, "discard" },
    { BLK_OP_FLUSH, "flush" },         { BLK_OP_CACHE, "read" },
    { BLK_OP_STATUS, "block-status" },
};

/* A rule for one kind fails that kind and no other; one for no kind fails all
 * but block-status. */
static void coroutine_fn
test_co_kinds(void *arg)
{
    TestNode t;

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *options =
            g_strdup_printf(" inject-error.0.iotype=%s", kinds[i].name);

        fault_co_open_new(&t, options);
        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
            bool same = strcmp(kinds[i].name, kinds[k].name) == 0;

            g_assert_cmpint(fault_co_do(&t, kinds[k].op), ==, same ? -EIO : 0);
        }
        test_co_close(&t);
    }
    fault_co_open_new(&t, " inject-error.0.nth=1");
    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
        g_assert_cmpint(fault_co_do(&t, kinds[k].op), ==,
                        kinds[k].op == BLK_OP_STATUS ? 0 : -EIO);
    }
    g_assert_cmpstr(fake_disk_take_log(t.disk), ==, "d:s0+512");
    test_co_close(&t);
}

/* Each number that may come through to a client does, others are EIO. */
static void coroutine_fn
test_co_errno(void *arg)
{
    static const struct {
        int err;
        int seen;
    } cases[] = {
        { ENOSPC, -ENOSPC },
        { EDQUOT, -ENOSPC },
        { EFBIG, -ENOSPC },
        { ENOMEM, -ENOMEM },
        { EROFS, -EROFS },
        { EPERM, -EIO },
        { ESHUTDOWN, -ESHUTDOWN },
        { EINTR, -EIO },
        { EAGAIN, -EIO },
        { ENOMEDIUM, -ENOMEDIUM },
        { EINVAL, -EIO },
        { 4095, -EIO },
        { 0, 0 },
    };
    uint8_t buf[512];
    TestNode t;
    IoVec iov;

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *options = g_strdup_printf(
            " inject-error.0.iotype=read inject-error.0.errno=%d",
            cases[i].err);

        fault_co_open_new(&t, options);
        g_assert_cmpint(fault_co_do(&t, BLK_OP_READ), ==, cases[i].seen);
        iov_init_one(&iov, buf, sizeof(buf));
        g_assert_cmpint(blk_try_read(t.blk, blk_range(0, 512), &iov), ==,
                        -EAGAIN);
        test_co_close(&t);
    }
    /* What the core takes for "can't": it writes zeros, trims nothing. */
    fault_co_open_new(&t, " inject-error.0.iotype=write-zeroes "
                          "inject-error.0.errno=95 "
                          "inject-error.1.iotype=discard "
                          "inject-error.1.errno=95");
    g_assert_cmpint(fault_co_do(&t, BLK_OP_ZERO), ==, 0);
    g_assert_cmpint(fault_co_do(&t, BLK_OP_TRIM), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(t.disk), ==, "d:w0+512");
    g_assert_cmpint(
        test_co_request(&t, BLK_OP_ZERO, 0, 512, BLK_REQ_NO_FALLBACK), ==,
        -ENOTSUP);
    test_co_close(&t);
}

/* sector, or offset and bytes: requests that touch it, and flushes. */
static void coroutine_fn
test_co_ranges(void *arg)
{
    static const struct {
        const char *options;
        unsigned first;
        unsigned end;
    } cases[] = {
        { " inject-error.0.sector=2", 1024, 1536 },
        { " inject-error.0.offset=700 inject-error.0.bytes=1", 700, 701 },
        { " inject-error.0.offset=700", 700, SIZE },
        { " inject-error.0.bytes=3", 0, 3 },
    };
    unsigned n = 0;

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned at[] = { cases[i].first, cases[i].end };
        TestNode t;

        fault_co_open_new(&t, cases[i].options);
        for (unsigned x = 0; x < 2 * 5 * 6; x++) {
            int64_t from = (int64_t)at[x % 2] + x / 2 % 5 - 2;
            uint64_t bytes = x / 10 + 1;
            uint8_t buf[8];
            bool hit;

            if (from < 0 || (uint64_t)from + bytes > SIZE) {
                continue;
            }
            hit = (uint64_t)from < cases[i].end &&
                  (uint64_t)from + bytes > cases[i].first;
            g_assert_cmpint(fake_co_read(t.blk, (uint64_t)from, buf, bytes), ==,
                            hit ? -EIO : 0);
            n++;
        }
        g_assert_cmpint(blk_co_flush(t.blk), ==, -EIO);
        test_co_close(&t);
    }
    g_assert_cmpuint(n, >, 150);
    g_test_message("%u ranges", n);
}

/* ---- how often ---- */

static void coroutine_fn
test_co_nth_once(void *arg)
{
    ash_maybe(arg);
    for (unsigned nth = 1; nth <= 5; nth++) {
        for (unsigned once = 0; once < 2; once++) {
            g_autofree char *options = g_strdup_printf(
                " inject-error.0.iotype=read inject-error.0.nth=%u "
                "inject-error.0.once=%s",
                nth, once ? "on" : "off");
            TestNode t;

            fault_co_open_new(&t, options);
            for (unsigned i = 1; i <= 7; i++) {
                bool fails = once ? i == nth : i >= nth;

                /* Others do not count. */
                g_assert_cmpint(fault_co_do(&t, BLK_OP_WRITE), ==, 0);
                g_assert_cmpint(fault_co_do(&t, BLK_OP_READ), ==,
                                fails ? -EIO : 0);
            }
            test_co_close(&t);
        }
    }
}

/* The first rule with an error decides; the count of the second stands still
 * meanwhile. */
static void coroutine_fn
test_co_two_rules(void *arg)
{
    static const int expected[] = { 0, -ENOMEM, -ENOSPC, -ENOSPC };
    TestNode t;

    ash_maybe(arg);
    fault_co_open_new(&t, " inject-error.0.errno=12 inject-error.0.nth=2"
                          " inject-error.0.once=on inject-error.1.nth=2"
                          " inject-error.1.errno=28");
    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_assert_cmpint(fault_co_do(&t, BLK_OP_READ), ==, expected[i]);
    }
    test_co_close(&t);
}

/* The same seed gives the same failures, about as many as were asked for. */
static void coroutine_fn
test_co_probability(void *arg)
{
    static const unsigned ppm[] = { 0, 1000, 250000, 999000, 1000000 };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(ppm); i++) {
        const char *seeds[] = { "7", "7", "8" };
        g_autofree uint8_t *seen = g_malloc0(3 * (size_t)N_BY_CHANCE);
        unsigned expected = N_BY_CHANCE / 1000 * (ppm[i] / 1000);

        for (unsigned s = 0; s < 3; s++) {
            g_autofree char *options =
                g_strdup_printf(" seed=%s inject-error.0.probability-ppm=%u "
                                "inject-error.0.immediately=on",
                                seeds[s], ppm[i]);
            unsigned n = 0;
            TestNode t;

            fault_co_open_new(&t, options);
            for (unsigned k = 0; k < N_BY_CHANCE; k++) {
                bool failed = fault_co_do(&t, BLK_OP_READ) != 0;

                seen[s * N_BY_CHANCE + k] = failed;
                n += failed;
            }
            g_assert_cmpuint(n, >=, expected - ash_min(expected, 100));
            g_assert_cmpuint(n, <=, expected + 100);
            if (ppm[i] == 0 || ppm[i] == 1000000) {
                g_assert_cmpuint(n, ==, expected);
            }
            test_co_close(&t);
        }
        test_assert_same(seen, seen + N_BY_CHANCE, N_BY_CHANCE);
        if (ppm[i] == 250000) {
            g_assert_cmpint(
                memcmp(seen, seen + 2 * (size_t)N_BY_CHANCE, N_BY_CHANCE), !=,
                0);
        }
    }
}

/* Without a seed two nodes differ. */
static void coroutine_fn
test_co_no_seed(void *arg)
{
    uint64_t seen[2] = { 0, 0 };

    ash_maybe(arg);
    for (unsigned s = 0; s < 2; s++) {
        TestNode t;

        fault_co_open_new(&t, " inject-error.0.probability-ppm=500000");
        for (unsigned k = 0; k < 64; k++) {
            seen[s] = seen[s] << 1 | (fault_co_do(&t, BLK_OP_READ) != 0);
        }
        test_co_close(&t);
    }
    g_assert_cmpuint(seen[0], !=, seen[1]);
}

/* ---- when ---- */

static void coroutine_fn
test_co_immediately(void *arg)
{
    uint8_t buf[1];

    ash_maybe(arg);
    for (unsigned at_once = 0; at_once < 2; at_once++) {
        FakeReq req = {
            .op = BLK_OP_READ,
            .range = blk_range(0, 1),
            .buf = buf,
        };
        TestNode t;

        fault_co_open_new(&t, at_once ? " inject-error.0.immediately=on"
                                      : " inject-error.0.nth=1");
        req.blk = t.blk;
        fake_req_start(&req);
        g_assert_cmpint(req.done, ==, at_once);
        g_assert_cmpint(fake_req_co_wait(&req), ==, -EIO);
        test_co_close(&t);
    }
}

/* A delay of the node for each kind; one of a rule, which does not fail unless
 * it says so. */
static void coroutine_fn
test_co_delays(void *arg)
{
    const uint64_t ns = 2000000;
    TestNode t;

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        for (unsigned form = 0; form < 3; form++) {
            static const char *const forms[] = {
                " delay-ns.%s=2000000",
                " inject-error.0.delay-ns=2000000 inject-error.0.iotype=%s",
                " delay-ns.%s=2000000 inject-error.0.errno=5",
            };
            g_auto(GStrv) halves = g_strsplit(forms[form], "%s", 2);
            g_autofree char *options =
                g_strconcat(halves[0], kinds[i].name, halves[1], NULL);
            uint64_t before;

            fault_co_open_new(&t, options);
            before = loop_now_ns(loop_current());
            g_assert_cmpint(fault_co_do(&t, kinds[i].op), ==,
                            form == 2 && kinds[i].op != BLK_OP_STATUS ? -EIO
                                                                      : 0);
            g_assert_cmpuint(loop_now_ns(loop_current()) - before, >=, ns);
            test_co_close(&t);
        }
    }
}

/* ---- short ---- */

/* The pieces of a log, "d:w0+7:fua d:w7+5:fua": in order, without a gap, to
 * SIZE. */
static unsigned
check_pieces(const char *log, char kind, const char *flags)
{
    g_auto(GStrv) words = g_strsplit(log, " ", -1);
    unsigned n = g_strv_length(words);
    uint64_t at = 0;

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *head =
            g_strdup_printf("d:%c%" G_GUINT64_FORMAT "+", kind, at);
        char *end = NULL;
        uint64_t bytes;

        g_assert_true(g_str_has_prefix(words[i], head));
        bytes = g_ascii_strtoull(words[i] + strlen(head), &end, 10);
        g_assert_cmpuint(bytes, >, 0);
        g_assert_cmpstr(end, ==, flags);
        at += bytes;
    }
    g_assert_cmpuint(at, ==, SIZE);
    return n;
}

static void coroutine_fn
test_co_short(void *arg)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autofree uint8_t *back = g_malloc(SIZE);
    size_t most = 0;

    ash_maybe(arg);
    for (unsigned seed = 1; seed <= 50; seed++) {
        g_autofree char *options =
            g_strdup_printf(" seed=%u inject-error.0.short=on", seed);
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", SIZE);
        unsigned n;
        TestNode t;

        d->driver.write_flags = BLK_REQ_FUA;
        fault_co_open_on(&t, d, options);
        for (unsigned i = 0; i < SIZE; i++) {
            buf[i] = (uint8_t)(i * 7 + seed);
        }
        g_assert_cmpint(fake_co_write(t.blk, 0, buf, SIZE, BLK_REQ_FUA), ==, 0);
        n = check_pieces(fake_disk_take_log(d), 'w', ":fua");
        g_assert_cmpuint(n, <=, 8);
        most = ash_max(most, n);
        test_assert_same(d->mem, buf, SIZE);
        g_assert_cmpint(fake_co_read(t.blk, 0, back, SIZE), ==, 0);
        g_assert_cmpuint(check_pieces(fake_disk_take_log(d), 'r', ""), <=, 8);
        test_assert_same(back, buf, SIZE);
        /* A piece that fails ends it. */
        d->fail_mask = FAKE_READ;
        d->fail_nth = 1;
        d->fail_err = -ENOMEM;
        g_assert_cmpint(fake_co_read(t.blk, 0, back, SIZE), ==, -ENOMEM);
        g_assert_null(strchr(fake_disk_take_log(d), ' '));
        test_co_close(&t);
    }
    g_assert_cmpuint(most, >, 4);
}

void
test_fault_add(void)
{
    test_add_co("/drivers/fault/kinds", test_co_kinds);
    test_add_co("/drivers/fault/errno", test_co_errno);
    test_add_co("/drivers/fault/ranges", test_co_ranges);
    test_add_co("/drivers/fault/nth-once", test_co_nth_once);
    test_add_co("/drivers/fault/two-rules", test_co_two_rules);
    test_add_co("/drivers/fault/probability", test_co_probability);
    test_add_co("/drivers/fault/no-seed", test_co_no_seed);
    test_add_co("/drivers/fault/immediately", test_co_immediately);
    test_add_co("/drivers/fault/delays", test_co_delays);
    test_add_co("/drivers/fault/short", test_co_short);
}
