/*
 * tests/unit/blockcore/test-flush.c - what a flush does, when it does nothing,
 * and what happens after it failed.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/flush.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "blockcore/node-priv.h"
#include "coro/loop.h"
#include "tests/lib/fake-setup.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define SIZE ((uint64_t)65536)

/* ---- a filter on a leaf ---- */

typedef struct Pair {
    FakeGraph *fg;
    FakeDisk *leaf;
    FakeDisk *top;
    BlkNode *leaf_node;
    BlkNode *top_node;
    Blk *blk;
    uint8_t buf[512];
} Pair;

static void coroutine_fn
pair_co_open(Pair *p, const char *leaf_options, const char *top_options)
{
    FakeDisk *disks[2];
    g_autofree char *options = g_strdup_printf("file=leaf %s", top_options);

    memset(p, 0, sizeof(*p));
    disks[0] = p->leaf = fake_disk_new(FAKE_LEAF, "leaf", SIZE);
    disks[1] = p->top = fake_disk_new(FAKE_FILTER, "top", 0);
    p->fg = fake_graph_new(disks, 2);
    p->leaf_node = fake_graph_co_open(p->fg, p->leaf, leaf_options);
    p->top_node = fake_graph_co_open(p->fg, p->top, options);
    p->blk = fake_blk_co_new(p->top_node);
    fake_disk_start_log(p->leaf, (unsigned)FAKE_FLUSH_OS | FAKE_FLUSH_DISK);
    fake_disk_share_log(p->top, p->leaf);
}

static void coroutine_fn
pair_co_done(Pair *p)
{
    fake_blk_co_free(p->blk);
    fake_graph_co_free(p->fg);
}

static int coroutine_fn
pair_co_write(Pair *p, BlkReqFlags flags)
{
    return fake_co_write(p->blk, 0, p->buf, sizeof(p->buf), flags);
}

/* ---- order ---- */

static void coroutine_fn
test_co_order(void *arg)
{
    static const struct {
        const char *leaf;
        const char *top;
        const char *log;
    } cases[] = {
        { "", "", "top:fo top:fd leaf:fo leaf:fd" },
        { "cache.no-flush=on", "cache.no-flush=on", "top:fo leaf:fo" },
        { "", "cache.no-flush=on", "top:fo leaf:fo leaf:fd" },
        { "read-only=on", "read-only=on", "" },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Pair p;

        pair_co_open(&p, cases[i].leaf, cases[i].top);
        g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, cases[i].log);
        pair_co_done(&p);
    }
}

/* The first failing stage ends it, and the next flush tries all again. */
static void coroutine_fn
test_co_each_stage_fails(void *arg)
{
    static const char *const logs[] = { "top:fo", "top:fo top:fd",
                                        "top:fo top:fd leaf:fo",
                                        "top:fo top:fd leaf:fo leaf:fd" };
    Pair p;

    ash_maybe(arg);
    pair_co_open(&p, "", "");
    for (int stage = 0; stage < 4; stage++) {
        FakeDisk *d = stage < 2 ? p.top : p.leaf;

        g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
        d->fail_mask = stage % 2 ? FAKE_FLUSH_DISK : FAKE_FLUSH_OS;
        d->fail_err = -ENOSPC;
        d->fail_nth = 1;
        g_assert_cmpint(blk_co_flush(p.blk), ==, -ENOSPC);
        g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, logs[stage]);
        g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, logs[3]);
    }
    g_assert_cmpuint(blk_stats(p.blk)->op[BLK_OP_FLUSH].n, ==, 4);
    g_assert_cmpuint(blk_stats(p.blk)->op[BLK_OP_FLUSH].n_failed, ==, 4);
    pair_co_done(&p);
}

static void coroutine_fn
test_co_backing_is_not_flushed(void *arg)
{
    FakeDisk *disks[] = { fake_disk_new(FAKE_LEAF, "base", SIZE),
                          fake_disk_new(FAKE_OVERLAY, "top", SIZE) };
    FakeGraph *fg = fake_graph_new(disks, 2);
    Blk *blk;

    ash_maybe(arg);
    fake_graph_co_open(fg, disks[0], "");
    blk = fake_blk_co_new(fake_graph_co_open(fg, disks[1], "backing=base"));
    g_assert_cmpint(blk_co_flush(blk), ==, 0);
    g_assert_cmpuint(fake_disk_n(disks[1], FAKE_FLUSH_DISK), ==, 1);
    g_assert_cmpuint(fake_disk_n(disks[0], FAKE_FLUSH_OS), ==, 0);
    fake_blk_co_free(blk);
    fake_graph_co_free(fg);
}

/* ---- generations ---- */

static void coroutine_fn
test_co_nothing_new(void *arg)
{
    static const char all[] = "top:fo top:fd leaf:fo leaf:fd";
    BlkRange r = blk_range(0, 4096);
    Pair p;

    ash_maybe(arg);
    pair_co_open(&p, "", "");
    /* What an earlier process left behind. */
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, all);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, "");
        switch (i) {
        case 0:
            g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
            break;
        case 1:
            g_assert_cmpint(blk_co_zero(p.blk, r, 0), ==, 0);
            break;
        case 2:
            g_assert_cmpint(blk_co_trim(p.blk, r, 0), ==, 0);
            break;
        default:
            /* A failed write may have changed something. */
            p.leaf->fail_mask = FAKE_WRITE;
            p.leaf->fail_nth = 1;
            p.leaf->fail_err = -EIO;
            p.leaf->fail_late = true;
            g_assert_cmpint(pair_co_write(&p, 0), ==, -EIO);
            break;
        }
        g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, all);
    }
    g_assert_cmpint(fake_co_read(p.blk, 0, p.buf, 512), ==, 0);
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, "");
    pair_co_done(&p);
}

/* A write that completes while a flush runs is not covered by it. */
static void coroutine_fn
test_co_write_during_flush(void *arg)
{
    FakeReq flush = { .op = BLK_OP_FLUSH };
    Pair p;

    ash_maybe(arg);
    pair_co_open(&p, "", "");
    flush.blk = p.blk;
    p.leaf->hold_mask = FAKE_FLUSH_DISK;
    fake_req_start(&flush);
    g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
    g_assert_false(flush.done);
    fake_disk_release(p.leaf);
    g_assert_cmpint(fake_req_co_wait(&flush), ==, 0);
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
    g_assert_cmpuint(fake_disk_n(p.leaf, FAKE_FLUSH_DISK), ==, 2);
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
    g_assert_cmpuint(fake_disk_n(p.leaf, FAKE_FLUSH_DISK), ==, 2);
    pair_co_done(&p);
}

#define N_STORM 100

/* One hundred flushes at once after one write. */
static void coroutine_fn
test_co_storm(void *arg)
{
    g_autofree FakeReq *reqs = g_new0(FakeReq, N_STORM);
    Pair p;

    ash_maybe(arg);
    for (int fail = 0; fail < 2; fail++) {
        unsigned n_good = 0;

        pair_co_open(&p, "", "");
        g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
        p.leaf->hold_mask = FAKE_FLUSH_DISK;
        for (int i = 0; i < N_STORM; i++) {
            reqs[i] = (FakeReq){ .blk = p.blk, .op = BLK_OP_FLUSH };
            fake_req_start(&reqs[i]);
        }
        fake_co_settle();
        g_assert_cmpuint(p.leaf->n_held, ==, 1);
        p.leaf->fail_mask = fail ? FAKE_FLUSH_DISK : 0;
        p.leaf->fail_nth = 1;
        p.leaf->fail_err = -EIO;
        fake_disk_release(p.leaf);
        for (int i = 0; i < N_STORM; i++) {
            n_good += fake_req_co_wait(&reqs[i]) == 0;
        }
        /* Who failed failed alone; one more was run for all others. */
        g_assert_cmpuint(n_good, ==, fail ? N_STORM - 1 : N_STORM);
        g_assert_cmpuint(fake_disk_n(p.leaf, FAKE_FLUSH_DISK), ==,
                         1 + (unsigned)fail);
        pair_co_done(&p);
    }
}

/* ---- a failed node ---- */

static void coroutine_fn
pair_co_expect_failed(Pair *p, Blk *blk)
{
    BlkRange r = blk_range(0, 4096);

    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(blk_co_flush(blk), ==, -EIO);
        g_assert_cmpint(fake_co_write(blk, 0, p->buf, 512, 0), ==, -EIO);
        g_assert_cmpint(fake_co_write(blk, 0, p->buf, 512, BLK_REQ_FUA), ==,
                        -EIO);
        g_assert_cmpint(fake_co_write(blk, 1, p->buf, 13, 0), ==, -EIO);
        g_assert_cmpint(blk_co_zero(blk, r, 0), ==, -EIO);
        g_assert_cmpint(blk_co_zero(blk, r, BLK_REQ_NO_FALLBACK), ==, -EIO);
        g_assert_cmpint(blk_co_trim(blk, r, 0), ==, -EIO);
        g_assert_cmpint(fake_co_read(blk, 0, p->buf, 512), ==, 0);
    }
}

/* After a flush lost data nothing that writes or flushes succeeds, on any Blk,
 * even one that had flushed all of its own; reads go on. */
static void coroutine_fn
test_co_failed_node(void *arg)
{
    Pair p;
    Blk *direct;
    FakeReq held;
    FakeReq waiting;
    unsigned n_writes;

    ash_maybe(arg);
    pair_co_open(&p, "", "");
    direct = fake_blk_co_new(p.leaf_node);
    g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);

    /* One write is in the driver, another waits for it. */
    p.leaf->hold_mask = FAKE_WRITE;
    held = (FakeReq){
        .blk = direct, .op = BLK_OP_WRITE, .range = { 0, 512 }, .buf = p.buf
    };
    waiting = held;
    waiting.flags = BLK_REQ_SERIALISING;
    fake_req_start(&held);
    fake_req_start(&waiting);
    n_writes = fake_disk_n(p.leaf, FAKE_WRITE);

    p.leaf->fail_mask = FAKE_FLUSH_DISK;
    p.leaf->fail_nth = 1;
    p.leaf->fail_err = -EIO;
    p.leaf->fail_node = -ENOSPC;
    p.leaf_node->write_gen++;
    g_assert_cmpint(blk_co_flush(direct), ==, -EIO);
    g_assert_cmpint(blk_node_failed(p.leaf_node), ==, -ENOSPC);

    fake_disk_release(p.leaf);
    g_assert_cmpint(fake_req_co_wait(&held), ==, 0);
    g_assert_cmpint(fake_req_co_wait(&waiting), ==, -EIO);
    pair_co_expect_failed(&p, p.blk);
    pair_co_expect_failed(&p, direct);
    g_assert_cmpuint(fake_disk_n(p.leaf, FAKE_WRITE), ==, n_writes);

    blk_node_fail(p.leaf_node, -EBADF);
    g_assert_cmpint(blk_node_failed(p.leaf_node), ==, -ENOSPC);
    blk_node_clear_failure(p.leaf_node);
    g_assert_cmpint(pair_co_write(&p, BLK_REQ_FUA), ==, 0);
    g_assert_cmpint(blk_co_flush(direct), ==, 0);
    fake_blk_co_free(direct);
    pair_co_done(&p);
}

/* The host reports a loss once: whoever syncs at the same time may see nothing
 * of it, and does not succeed all the same. */
static void coroutine_fn
test_co_fails_meanwhile(void *arg)
{
    FakeReq flush = { .op = BLK_OP_FLUSH };
    FakeReq fua = { .op = BLK_OP_WRITE, .flags = BLK_REQ_FUA };
    FakeReq plain = { .op = BLK_OP_WRITE };
    Pair p;

    ash_maybe(arg);
    pair_co_open(&p, "", "");
    g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
    flush.blk = fua.blk = plain.blk = p.blk;
    fua.buf = plain.buf = p.buf;
    fua.range = blk_range(0, 512);
    plain.range = blk_range(512, 512);
    p.leaf->hold_mask = (unsigned)FAKE_WRITE | FAKE_FLUSH_DISK;
    fake_req_start(&flush);
    fake_req_start(&fua);
    fake_req_start(&plain);
    blk_node_fail(p.leaf_node, -EIO);
    fake_disk_release(p.leaf);
    g_assert_cmpint(fake_req_co_wait(&flush), ==, -EIO);
    g_assert_cmpint(fake_req_co_wait(&fua), ==, -EIO);
    g_assert_cmpint(fake_req_co_wait(&plain), ==, 0);
    pair_co_expect_failed(&p, p.blk);
    pair_co_done(&p);
}

/* A driver that flushes its children itself is asked each time. */
static void coroutine_fn
test_co_flushes_children(void *arg)
{
    Pair p;

    ash_maybe(arg);
    pair_co_open(&p, "", "");
    p.top->driver.flushes_children = true;
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==,
                    "top:fo top:fd top:fo top:fd");
    p.top_node->options.cache_no_flush = true;
    g_assert_cmpint(blk_co_flush(p.blk), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, "top:fo leaf:fo leaf:fd");
    pair_co_done(&p);
}

/* ---- write-through and FUA ---- */

static void coroutine_fn
test_co_writethrough(void *arg)
{
    static const char all[] = "top:fo top:fd leaf:fo leaf:fd";
    BlkRange r = blk_range(0, 4096);
    Pair p;

    ash_maybe(arg);
    pair_co_open(&p, "", "");
    blk_set_write_cache(p.blk, false);
    g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, all);
    g_assert_cmpint(blk_co_zero(p.blk, r, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, all);
    g_assert_cmpint(blk_co_trim(p.blk, r, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, all);
    p.leaf->fail_mask = FAKE_FLUSH_DISK;
    p.leaf->fail_err = -EIO;
    p.leaf->fail_nth = 1;
    g_assert_cmpint(pair_co_write(&p, 0), ==, -EIO);
    p.leaf->fail_nth = 1;
    g_assert_cmpint(blk_co_zero(p.blk, r, 0), ==, -EIO);
    p.leaf->fail_nth = 1;
    g_assert_cmpint(blk_co_trim(p.blk, r, 0), ==, -EIO);
    g_assert_cmpuint(blk_stats(p.blk)->op[BLK_OP_WRITE].n_failed, ==, 1);
    /* A failed write is not followed by a flush. */
    fake_disk_take_log(p.leaf);
    p.leaf->fail_mask = FAKE_WRITE;
    p.leaf->fail_nth = 1;
    g_assert_cmpint(pair_co_write(&p, 0), ==, -EIO);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, "");
    blk_set_write_cache(p.blk, true);
    g_assert_cmpint(pair_co_write(&p, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, "");
    pair_co_done(&p);
}

/* FUA x who can it natively x unsafe x who wants it as a flush. */
static void coroutine_fn
test_co_fua(void *arg)
{
    static const struct {
        bool leaf_native;
        bool top_native;
        bool leaf_by_flush;
        const char *options;
        const char *log;
    } cases[] = {
        { true, true, false, "", "top:w0+512:fua leaf:w0+512:fua" },
        { true, true, true, "", "top:w0+512:fua leaf:w0+512 leaf:fo leaf:fd" },
        { false, true, false, "",
          "top:w0+512:fua leaf:w0+512 leaf:fo leaf:fd" },
        { true, false, false, "",
          "top:w0+512 leaf:w0+512 top:fo top:fd leaf:fo leaf:fd" },
        { false, false, false, "",
          "top:w0+512 leaf:w0+512 top:fo top:fd leaf:fo leaf:fd" },
        { true, true, false, "cache.no-flush=on",
          "top:w0+512 leaf:w0+512 top:fo leaf:fo" },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Pair p;

        pair_co_open(&p, cases[i].options, cases[i].options);
        p.leaf->log_mask = p.top->log_mask = FAKE_ALL_IO;
        p.leaf->driver.write_flags = cases[i].leaf_native ? BLK_REQ_FUA : 0;
        p.top->driver.write_flags = cases[i].top_native ? BLK_REQ_FUA : 0;
        p.leaf_node->limits.fua_by_flush = cases[i].leaf_by_flush;
        g_assert_cmpint(pair_co_write(&p, BLK_REQ_FUA), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(p.leaf), ==, cases[i].log);
        pair_co_done(&p);
    }
}

/* ---- at random: a flush covers what was acknowledged before it ---- */

#define N_CELLS 8

typedef struct Model {
    Pair p;
    GRand *rand;
    uint64_t acked[N_CELLS];
    uint8_t durable[N_CELLS * 8]; /* what would survive now */
    unsigned n_left;
    unsigned n_running;
    unsigned n_flushes;
    unsigned n_failed;
    Coro *waiter;
} Model;

static Model *model;

/* The leaf's: what is there when it begins is durable when it ends well. */
static int coroutine_fn
model_co_flush_disk(BlkNode *node)
{
    uint8_t now[sizeof(model->durable)];

    ash_maybe(node);
    memcpy(now, model->p.leaf->mem, sizeof(now));
    for (unsigned n = g_rand_int(model->rand) % 4; n > 0; n--) {
        co_pause();
    }
    if (g_rand_int(model->rand) % 8 == 0) {
        return -EIO;
    }
    memcpy(model->durable, now, sizeof(now));
    return 0;
}

static uint64_t
model_durable(unsigned cell)
{
    uint64_t value;

    memcpy(&value, model->durable + cell * 8, 8);
    return value;
}

static void coroutine_fn
model_co_step(unsigned cell)
{
    uint64_t acked[N_CELLS];
    unsigned what = g_rand_int(model->rand) % 8;
    bool fua = what == 1;
    int ret;

    memcpy(acked, model->acked, sizeof(acked));
    if (what > 1) {
        uint64_t next = model->acked[cell] + 1;

        ret = fake_co_write(model->p.blk, cell * 8, &next, 8, 0);
        g_assert_cmpint(ret, ==, 0);
        model->acked[cell] = next;
        return;
    }
    if (fua) {
        acked[cell]++;
        ret =
            fake_co_write(model->p.blk, cell * 8, &acked[cell], 8, BLK_REQ_FUA);
        model->acked[cell] = acked[cell];
    } else {
        ret = blk_co_flush(model->p.blk);
    }
    model->n_flushes++;
    if (ret != 0) {
        model->n_failed++;
        return;
    }
    for (unsigned i = 0; i < N_CELLS; i++) {
        if (!fua || i == cell) {
            g_assert_cmpuint(model_durable(i), >=, acked[i]);
        }
    }
}

static void coroutine_fn
model_co_worker(void *arg)
{
    unsigned cell = GPOINTER_TO_UINT(arg);

    while (model->n_left > 0) {
        model->n_left--;
        model_co_step(cell);
    }
    if (--model->n_running == 0) {
        coro_wake(model->waiter);
    }
}

static void coroutine_fn
test_co_model(void *arg)
{
    uint32_t seed = (uint32_t)g_test_rand_int();
    Model m = {
        .rand = g_rand_new_with_seed(seed),
        .n_left = 20000,
        .n_running = N_CELLS,
        .waiter = coro_self(),
    };

    ash_maybe(arg);
    g_test_message("seed %u", seed);
    model = &m;
    pair_co_open(&m.p, "", "");
    m.p.leaf->log_mask = m.p.top->log_mask = 0;
    m.p.leaf->rand = m.p.top->rand = m.rand;
    m.p.leaf->pause_pct = m.p.top->pause_pct = 50;
    m.p.leaf->driver.co_flush_disk = model_co_flush_disk;
    for (unsigned i = 0; i < N_CELLS; i++) {
        coro_spawn(model_co_worker, GUINT_TO_POINTER(i));
    }
    co_yield();
    g_test_message("%u flushes, %u of them failed", m.n_flushes, m.n_failed);
    pair_co_done(&m.p);
    g_rand_free(m.rand);
}

void
test_flush_add(void)
{
    test_add_co("/blockcore/flush/order", test_co_order);
    test_add_co("/blockcore/flush/each-stage-fails", test_co_each_stage_fails);
    test_add_co("/blockcore/flush/backing-is-not-flushed",
                test_co_backing_is_not_flushed);
    test_add_co("/blockcore/flush/nothing-new", test_co_nothing_new);
    test_add_co("/blockcore/flush/write-during-flush",
                test_co_write_during_flush);
    test_add_co("/blockcore/flush/storm", test_co_storm);
    test_add_co("/blockcore/flush/failed-node", test_co_failed_node);
    test_add_co("/blockcore/flush/node-fails-meanwhile",
                test_co_fails_meanwhile);
    test_add_co("/blockcore/flush/flushes-children", test_co_flushes_children);
    test_add_co("/blockcore/flush/writethrough", test_co_writethrough);
    test_add_co("/blockcore/flush/fua", test_co_fua);
    test_add_co("/blockcore/flush/model", test_co_model);
}
