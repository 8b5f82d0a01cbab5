/*
 * tests/unit/blockcore/test-blk.c - requests as an export makes them: what is
 * refused, in which order, what is counted, what reaches the driver.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/blk.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "blockcore/far-call.h"
#include "blockcore/node-priv.h"
#include "tests/lib/fake-setup.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define SIZE ((uint64_t)1000001)

/* ---- bounds and the order of tests ---- */

typedef struct Bound {
    uint64_t offset;
    uint64_t bytes;
    bool ok;
} Bound;

static const Bound bounds[] = {
    { 0, 1, true },
    { 0, SIZE, true },
    { SIZE - 1, 1, true },
    { SIZE, 0, true },
    { 0, 0, true },
    { SIZE, 1, false },
    { SIZE - 1, 2, false },
    { SIZE + 1, 0, false },
    { 0, SIZE + 1, false },
    { INT64_MAX, 0, false },
    { (uint64_t)INT64_MAX - 1, 1, false },
    { 1, (uint64_t)INT64_MAX - 1, false },
};

/* One request of each kind. */
static int coroutine_fn
blk_co_try(Blk *blk, BlkOp op, BlkRange range, void *buf)
{
    FakeReq req = { .blk = blk, .op = op, .range = range, .buf = buf };
    IoVec iov;

    if ((op == BLK_OP_READ || op == BLK_OP_WRITE) && range.bytes > SIZE) {
        /* No memory is looked at. */
        iov_init_one(&iov, buf, range.bytes);
        return op == BLK_OP_READ ? blk_co_read(blk, range, &iov, 0)
                                 : blk_co_write(blk, range, &iov, 0);
    }
    fake_req_start(&req);
    return fake_req_co_wait(&req);
}

static int
blk_expect(BlkOp op, const Bound *b)
{
    if (!b->ok) {
        return op == BLK_OP_WRITE || op == BLK_OP_ZERO ? -ENOSPC : -EINVAL;
    }
    return op == BLK_OP_STATUS && b->bytes == 0 ? -EINVAL : 0;
}

static void coroutine_fn
test_co_bounds(void *arg)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    FakeSetup s;
    unsigned n = 0;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    fake_disk_start_log(s.disk, FAKE_ALL_IO);
    for (BlkOp op = BLK_OP_READ; op < BLK_N_OPS; op++) {
        for (size_t i = 0; i < G_N_ELEMENTS(bounds); i++) {
            const Bound *b = &bounds[i];
            BlkRange r = blk_range(b->offset, b->bytes);
            bool reaches = b->ok && b->bytes > 0;

            if (op == BLK_OP_FLUSH) {
                continue;
            }
            g_assert_cmpint(blk_co_try(s.blk, op, r, buf), ==,
                            blk_expect(op, b));
            g_assert_cmpint(*fake_disk_take_log(s.disk) != '\0', ==, reaches);
            n++;
        }
    }
    g_assert_cmpuint(blk_size(s.blk), ==, SIZE);
    g_test_message("%u requests", n);
    fake_setup_co_done(&s);
}

static void coroutine_fn
test_co_too_large(void *arg)
{
    FakeSetup s;
    uint64_t size = BLK_TRANSFER_MAX * 4;
    uint8_t byte = 0;
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 0);
    BlkRange r = blk_range(0, BLK_TRANSFER_MAX + 1);
    IoVec iov;

    ash_maybe(arg);
    d->size = size; /* of which none is there */
    fake_setup_co_open(&s, d, "");
    iov_init_one(&iov, &byte, r.bytes);
    g_assert_cmpint(blk_co_read(s.blk, r, &iov, 0), ==, -EINVAL);
    g_assert_cmpint(blk_co_write(s.blk, r, &iov, 0), ==, -EINVAL);
    g_assert_cmpuint(fake_disk_n(d, FAKE_READ), ==, 0);
    g_assert_cmpuint(fake_disk_n(d, FAKE_WRITE), ==, 0);
    fake_setup_co_done(&s);
}

/* Medium, then read-only, then bounds. */
static void coroutine_fn
test_co_order(void *arg)
{
    uint8_t buf[2] = { 0 };
    BlkRange outside = blk_range(SIZE, 2);
    BlkOp modify[] = { BLK_OP_WRITE, BLK_OP_ZERO, BLK_OP_TRIM };
    FakeSetup s;
    Blk *none;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE),
                       "read-only=on discard=ignore");
    none = blk_new("nothing");
    for (size_t i = 0; i < G_N_ELEMENTS(modify); i++) {
        g_assert_cmpint(blk_co_try(s.blk, modify[i], outside, buf), ==, -EROFS);
        g_assert_cmpint(blk_co_try(s.blk, modify[i], blk_range(0, 0), buf), ==,
                        -EROFS);
    }
    for (BlkOp op = BLK_OP_READ; op < BLK_N_OPS; op++) {
        g_assert_cmpint(blk_co_try(none, op, outside, buf), ==, -ENOMEDIUM);
    }
    g_assert_cmpint(blk_co_try(s.blk, BLK_OP_READ, outside, buf), ==, -EINVAL);
    g_assert_false(blk_is_writable(s.blk));
    g_assert_cmpuint(blk_size(none), ==, 0);
    g_assert_cmpuint(blk_limits(none)->request_align, ==, 1);
    blk_free(none);
    fake_setup_co_done(&s);
}

/* A Blk that only reads, on a node that others write. */
static void coroutine_fn
test_co_permission(void *arg)
{
    uint8_t buf[8] = { 0 };
    GError *error = NULL;
    FakeSetup s;
    Blk *reader;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    reader = blk_new("reader");
    g_assert_true(blk_co_attach(reader, s.node, BLK_PERM_CONSISTENT_READ,
                                BLK_PERM_ALL, &error));
    g_assert_cmpint(fake_co_read(reader, 0, buf, 8), ==, 0);
    g_assert_cmpint(fake_co_write(reader, 0, buf, 8, 0), ==, -EROFS);
    g_assert_cmpint(fake_co_write(reader, 0, buf, 8, BLK_REQ_UNCHANGED), ==,
                    -EROFS);
    fake_blk_co_free(reader);

    reader = blk_new("rewriter");
    g_assert_true(blk_co_attach(reader, s.node, BLK_PERM_WRITE_UNCHANGED,
                                BLK_PERM_ALL, &error));
    g_assert_cmpint(fake_co_write(reader, 0, buf, 8, 0), ==, -EROFS);
    g_assert_cmpint(fake_co_write(reader, 0, buf, 8, BLK_REQ_UNCHANGED), ==, 0);
    fake_blk_co_free(reader);
    fake_setup_co_done(&s);
}

/* ---- what the client sees of errors ---- */

static void coroutine_fn
test_co_errors(void *arg)
{
    static const struct {
        int driver;
        int client;
    } cases[] = {
        { -EIO, -EIO },       { -ENOSPC, -ENOSPC },       { -EDQUOT, -ENOSPC },
        { -EFBIG, -ENOSPC },  { -EINVAL, -EIO },          { -ENOMEM, -ENOMEM },
        { -EACCES, -EIO },    { -EBADF, -EIO },           { -ENOTSUP, -EIO },
        { -ETIMEDOUT, -EIO }, { -ESHUTDOWN, -ESHUTDOWN },
    };
    uint8_t buf[16] = { 0 };
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    s.disk->fail_mask = FAKE_READ | FAKE_WRITE;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (int late = 0; late < 2; late++) {
            s.disk->fail_late = late;
            s.disk->fail_err = cases[i].driver;
            s.disk->fail_nth = 1;
            g_assert_cmpint(fake_co_read(s.blk, 0, buf, 16), ==,
                            cases[i].client);
            s.disk->fail_nth = 1;
            g_assert_cmpint(fake_co_write(s.blk, 0, buf, 16, 0), ==,
                            cases[i].client);
        }
    }
    g_assert_cmpint(fake_co_write(s.blk, 0, buf, 16, BLK_REQ_COMPRESSED), ==,
                    -ENOTSUP);
    fake_setup_co_done(&s);
}

/* ---- statistics ---- */

static void coroutine_fn
test_co_stats(void *arg)
{
    g_autofree uint8_t *buf = g_malloc0(4096);
    const BlkStats *stats;
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", 16 << 20), "");
    stats = blk_stats(s.blk);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(fake_co_read(s.blk, 0, buf, 4096), ==, 0);
    }
    s.disk->fail_mask = FAKE_WRITE;
    s.disk->fail_nth = 1;
    s.disk->fail_err = -EIO;
    g_assert_cmpint(fake_co_write(s.blk, 1 << 20, buf, 512, 0), ==, -EIO);
    g_assert_cmpuint(stats->wr_highest, ==, 0);
    g_assert_cmpint(fake_co_write(s.blk, 0, buf, 512, 0), ==, 0);
    g_assert_cmpint(fake_co_write(s.blk, 10 << 20, buf, 512, 0), ==, 0);
    g_assert_cmpint(fake_co_write(s.blk, 512, buf, 512, 0), ==, 0);
    g_assert_cmpint(fake_co_write(s.blk, 16 << 20, buf, 1, 0), ==, -ENOSPC);
    g_assert_cmpuint(stats->op[BLK_OP_READ].n, ==, 3);
    g_assert_cmpuint(stats->op[BLK_OP_READ].bytes, ==, 12288);
    g_assert_cmpuint(stats->op[BLK_OP_READ].n_failed, ==, 0);
    g_assert_cmpuint(stats->op[BLK_OP_WRITE].n, ==, 3);
    g_assert_cmpuint(stats->op[BLK_OP_WRITE].bytes, ==, 1536);
    g_assert_cmpuint(stats->op[BLK_OP_WRITE].n_failed, ==, 2);
    g_assert_cmpuint(stats->wr_highest, ==, 10486272);
    g_assert_cmpuint(s.node->stats.wr_highest, ==, 10486272);
    g_assert_cmpuint(stats->in_flight, ==, 0);
    fake_setup_co_done(&s);
}

/* A zero write is a write: it counts as one, and so does its highest byte. */
static void coroutine_fn
test_co_zero_counts(void *arg)
{
    const BlkStats *stats;
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", 16 << 20), "");
    stats = blk_stats(s.blk);
    s.disk->fail_mask = FAKE_ZERO;
    s.disk->fail_nth = 1;
    s.disk->fail_err = -EIO;
    g_assert_cmpint(blk_co_zero(s.blk, blk_range(0, 8192), 0), ==, -EIO);
    g_assert_cmpuint(stats->wr_highest, ==, 0);
    g_assert_cmpuint(s.node->stats.wr_highest, ==, 0);
    g_assert_cmpint(blk_co_zero(s.blk, blk_range(1, 4096), 0), ==, 0);
    g_assert_cmpuint(stats->wr_highest, ==, 4097);
    g_assert_cmpuint(s.node->stats.wr_highest, ==, 4097);
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(0, 1 << 20), 0), ==, 0);
    g_assert_cmpuint(stats->wr_highest, ==, 4097);
    g_assert_cmpuint(stats->op[BLK_OP_ZERO].n, ==, 1);
    g_assert_cmpuint(stats->op[BLK_OP_ZERO].bytes, ==, 4096);
    g_assert_cmpuint(stats->op[BLK_OP_ZERO].n_failed, ==, 1);
    g_assert_cmpuint(stats->op[BLK_OP_WRITE].n, ==, 0);
    fake_setup_co_done(&s);
}

/* ---- detaching ---- */

static void coroutine_fn
test_co_detach_waits(void *arg)
{
    uint8_t buf[16] = { 0 };
    FakeReq req;
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    memset(s.disk->mem, 7, 16);
    s.disk->hold_mask = FAKE_READ;
    req = (FakeReq){
        .blk = s.blk, .op = BLK_OP_READ, .range = { 0, 16 }, .buf = buf
    };
    fake_req_start(&req);
    g_assert_false(req.done);
    fake_disk_release(s.disk);
    blk_co_detach(s.blk);
    g_assert_true(req.done);
    g_assert_cmpint(req.ret, ==, 0);
    g_assert_cmpint(buf[15], ==, 7);
    g_assert_cmpint(fake_co_read(s.blk, 0, buf, 1), ==, -ENOMEDIUM);
    g_assert_null(blk_root(s.blk));
    fake_setup_co_done(&s);
}

/* ---- a size that changes by itself ---- */

static void coroutine_fn
test_co_variable_size(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4096);
    uint8_t buf[16] = { 0 };
    FakeSetup s;

    ash_maybe(arg);
    d->driver.variable_size = true;
    fake_setup_co_open(&s, d, "");
    g_assert_cmpint(fake_co_read(s.blk, 4096, buf, 16), ==, -EINVAL);
    d->size = 8192;
    g_assert_cmpint(fake_co_read(s.blk, 4096, buf, 16), ==, 0);
    g_assert_cmpuint(blk_size(s.blk), ==, 8192);
    g_assert_cmpint(fake_co_write(s.blk, 8192, buf, 16, 0), ==, -ENOSPC);
    fake_setup_co_done(&s);
}

/* ---- deep graphs ---- */

#define N_DEEP 250

/* Every filter pads to a larger block than the one below can have made it, so
 * all of the slow path is on the stack of every level. */
static void coroutine_fn
test_co_deep(void *arg)
{
    FakeDisk *disks[N_DEEP];
    g_autoptr(GString) options = g_string_new(NULL);
    uint8_t out[700];
    uint8_t in[700];
    BlkNode *node;
    FakeGraph *fg;
    Blk *blk;

    ash_maybe(arg);
    for (int i = 0; i < N_DEEP; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);

        disks[i] = fake_disk_new(i == 0 ? FAKE_LEAF : FAKE_FILTER, name,
                                 i == 0 ? 65536 : 0);
        disks[i]->limits.request_align = i % 2 ? 1 : 512;
        disks[i]->limits.mem_align = i % 2 ? 1 : 512;
    }
    fg = fake_graph_new(disks, N_DEEP);
    node = fake_graph_co_open(fg, disks[0], "");
    for (int i = 1; i < N_DEEP; i++) {
        g_string_printf(options, "file=f%d", i - 1);
        node = fake_graph_co_open(fg, disks[i], options->str);
    }
    g_assert_cmpuint(node->height, ==, N_DEEP);
    blk = fake_blk_co_new(node);
    for (size_t i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i * 7 + 1);
    }
    g_assert_cmpint(fake_co_write(blk, 1000, out, 700, BLK_REQ_FUA), ==, 0);
    g_assert_cmpint(fake_co_read(blk, 1000, in, 700), ==, 0);
    g_assert_cmpint(memcmp(in, out, sizeof(in)), ==, 0);
    g_assert_cmpint(blk_co_zero(blk, blk_range(1100, 300), 0), ==, 0);
    memset(out + 100, 0, 300);
    g_assert_cmpint(fake_co_read(blk, 1000, in, 700), ==, 0);
    g_assert_cmpint(memcmp(in, out, sizeof(in)), ==, 0);
    g_assert_cmpint(blk_co_trim(blk, blk_range(0, 512), 0), ==, 0);
    g_assert_cmpint(blk_co_prefetch(blk, blk_range(1, 700)), ==, 0);
    g_assert_cmpint(blk_co_flush(blk), ==, 0);
    fake_blk_co_free(blk);
    fake_graph_co_free(fg);
}

/* ---- zero copy ---- */

static int
map_nothing_or_fd(BlkNode *node, BlkRange range, BlkFileRange *ret)
{
    ash_maybe(node);
    if (range.offset >= 8192) {
        return -ENOTSUP;
    }
    *ret = (BlkFileRange){ .fd = 42, .offset = range.offset + 100 };
    return 0;
}

static void coroutine_fn
test_co_map_file(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 65536);
    BlkFileRange map;
    FakeSetup s;

    ash_maybe(arg);
    d->driver.map_file = map_nothing_or_fd;
    d->limits.request_align = 512;
    fake_setup_co_open(&s, d, "");
    g_assert_cmpint(blk_map_file(s.blk, blk_range(512, 1024), &map), ==, 0);
    g_assert_cmpint(map.fd, ==, 42);
    g_assert_cmpuint(map.offset, ==, 612);
    g_assert_cmpuint(blk_stats(s.blk)->op[BLK_OP_READ].bytes, ==, 1024);
    g_assert_cmpint(blk_map_file(s.blk, blk_range(1, 512), &map), ==, -ENOTSUP);
    g_assert_cmpint(blk_map_file(s.blk, blk_range(512, 0), &map), ==, -ENOTSUP);
    g_assert_cmpint(blk_map_file(s.blk, blk_range(8192, 512), &map), ==,
                    -ENOTSUP);
    g_assert_cmpint(blk_map_file(s.blk, blk_range(65536, 512), &map), ==,
                    -EINVAL);
    s.node->n_serialising++;
    g_assert_cmpint(blk_map_file(s.blk, blk_range(512, 1024), &map), ==,
                    -ENOTSUP);
    s.node->n_serialising--;
    blk_co_drain_begin(s.blk);
    g_assert_cmpint(blk_map_file(s.blk, blk_range(512, 1024), &map), ==,
                    -ENOTSUP);
    blk_drain_end(s.blk);
    g_assert_cmpuint(blk_stats(s.blk)->op[BLK_OP_READ].n, ==, 1);
    blk_co_detach(s.blk);
    g_assert_cmpint(blk_map_file(s.blk, blk_range(512, 1024), &map), ==,
                    -ENOMEDIUM);
    fake_setup_co_done(&s);
}

/* ---- reads that do not wait ---- */

static int
try_some(BlkNode *node, BlkRange range, const IoVec *iov)
{
    ash_maybe(node);
    if (range.offset >= 8192) {
        return -EAGAIN;
    }
    iov_memset(iov, 0, 0x5a, range.bytes);
    return 0;
}

static void coroutine_fn
test_co_try_read(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 65536);
    uint8_t buf[1536];
    IoVec iov;
    FakeSetup s;

    ash_maybe(arg);
    d->driver.try_read = try_some;
    d->limits.request_align = 512;
    d->limits.max_transfer = 1024;
    fake_setup_co_open(&s, d, "");
    iov_init_one(&iov, buf, 1024);
    g_assert_cmpint(blk_try_read(s.blk, blk_range(512, 1024), &iov), ==, 0);
    g_assert_cmphex(buf[1023], ==, 0x5a);
    g_assert_cmpint(blk_try_read(s.blk, blk_range(8192, 1024), &iov), ==,
                    -EAGAIN);
    g_assert_cmpint(blk_try_read(s.blk, blk_range(1, 1024), &iov), ==, -EAGAIN);
    g_assert_cmpint(blk_try_read(s.blk, blk_range(65024, 1024), &iov), ==,
                    -EAGAIN);
    s.node->n_serialising++;
    g_assert_cmpint(blk_try_read(s.blk, blk_range(512, 1024), &iov), ==,
                    -EAGAIN);
    s.node->n_serialising--;
    blk_co_drain_begin(s.blk);
    g_assert_cmpint(blk_try_read(s.blk, blk_range(512, 1024), &iov), ==,
                    -EAGAIN);
    blk_drain_end(s.blk);
    iov_init_one(&iov, buf, 1536);
    g_assert_cmpint(blk_try_read(s.blk, blk_range(0, 1536), &iov), ==, -EAGAIN);
    iov_init_one(&iov, buf, 0);
    g_assert_cmpint(blk_try_read(s.blk, blk_range(0, 0), &iov), ==, -EAGAIN);
    g_assert_cmpuint(blk_stats(s.blk)->op[BLK_OP_READ].n, ==, 1);
    g_assert_cmpuint(blk_stats(s.blk)->op[BLK_OP_READ].bytes, ==, 1024);
    g_assert_cmpuint(blk_stats(s.blk)->op[BLK_OP_READ].n_failed, ==, 0);
    fake_setup_co_done(&s);
}

/* ---- facts ---- */

static void coroutine_fn
test_co_can_trim(void *arg)
{
    static const struct {
        const char *leaf;
        const char *top;
        unsigned leaf_slots;
        bool can;
    } cases[] = {
        { "", "file=leaf", FAKE_SLOTS, true },
        { "discard=ignore", "file=leaf", FAKE_SLOTS, false },
        { "", "file=leaf discard=ignore", FAKE_SLOTS, false },
        { "", "file=leaf read-only=on", FAKE_SLOTS, false },
        { "", "file=leaf", FAKE_SLOTS & ~(unsigned)FAKE_TRIM, false },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeDisk *disks[] = { fake_disk_new(FAKE_LEAF, "leaf", 4096),
                              fake_disk_new(FAKE_FILTER, "top", 0) };
        FakeGraph *fg = fake_graph_new(disks, 2);
        BlkNode *node;
        Blk *blk;

        fake_disk_set_slots(disks[0], cases[i].leaf_slots);
        fake_graph_co_open(fg, disks[0], cases[i].leaf);
        node = fake_graph_co_open(fg, disks[1], cases[i].top);
        blk = fake_blk_co_new(node);
        g_assert_cmpint(blk_can_trim(blk), ==, cases[i].can);
        g_assert_cmpint(blk_depth(blk), ==, 1);
        g_assert_true(blk_loop(blk) == loop_current());
        fake_blk_co_free(blk);
        fake_graph_co_free(fg);
    }
}

void
test_blk_add(void)
{
    test_add_co("/blockcore/blk/bounds", test_co_bounds);
    test_add_co("/blockcore/blk/too-large", test_co_too_large);
    test_add_co("/blockcore/blk/order-of-tests", test_co_order);
    test_add_co("/blockcore/blk/permission", test_co_permission);
    test_add_co("/blockcore/blk/errors", test_co_errors);
    test_add_co("/blockcore/blk/stats", test_co_stats);
    test_add_co("/blockcore/blk/zero-counts", test_co_zero_counts);
    test_add_co("/blockcore/blk/detach-waits", test_co_detach_waits);
    test_add_co("/blockcore/blk/variable-size", test_co_variable_size);
    test_add_co("/blockcore/blk/deep-graph", test_co_deep);
    test_add_co("/blockcore/blk/map-file", test_co_map_file);
    test_add_co("/blockcore/blk/try-read", test_co_try_read);
    test_add_co("/blockcore/blk/can-trim", test_co_can_trim);
}
