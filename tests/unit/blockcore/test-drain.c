/*
 * tests/unit/blockcore/test-drain.c - stopping requests and letting them go
 * on.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/inflight.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "coro/loop.h"
#include "tests/lib/fake-driver.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define SIZE ((uint64_t)65536)

static uint8_t io_buf[512];

static FakeReq
request(Blk *blk, BlkOp op)
{
    return (FakeReq){
        .blk = blk,
        .op = op,
        .range = { 0, op == BLK_OP_FLUSH ? 0 : 512 },
        .buf = io_buf,
    };
}

/* A coroutine that drains, and says when it has. */
typedef struct Drainer {
    Blk *blk;      /* either */
    BlkNode *node; /* or */
    bool done;
    Coro *waiter;
} Drainer;

static void coroutine_fn
drainer_co_run(void *arg)
{
    Drainer *d = arg;

    if (d->blk) {
        blk_co_drain_begin(d->blk);
    } else {
        blk_node_co_drain_begin(d->node);
    }
    d->done = true;
}

static void
drainer_end(Drainer *d)
{
    if (d->blk) {
        blk_drain_end(d->blk);
    } else {
        blk_node_drain_end(d->node);
    }
}

/* ---- one Blk on one node ---- */

/* What is in flight is finished, what comes later waits, nothing fails, and
 * nothing is flushed; by the Blk and by the node. */
static void coroutine_fn
test_co_simple(void *arg)
{
    ash_maybe(arg);
    for (int by_node = 0; by_node < 2; by_node++) {
        FakeReq reqs[BLK_N_OPS];
        FakeReq held;
        Drainer drainer = { .done = false };
        FakeSetup s;

        fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
        drainer.blk = by_node ? NULL : s.blk;
        drainer.node = s.node;
        held = request(s.blk, BLK_OP_WRITE);
        s.disk->hold_mask = FAKE_WRITE;
        fake_req_start(&held);
        s.disk->hold_mask = 0;
        coro_spawn(drainer_co_run, &drainer);
        for (BlkOp op = 0; op < BLK_N_OPS; op++) {
            reqs[op] = request(s.blk, op);
            fake_req_start(&reqs[op]);
        }
        fake_co_settle();
        g_assert_false(drainer.done);
        fake_disk_release(s.disk);
        fake_co_settle();
        g_assert_true(drainer.done);
        g_assert_cmpint(held.ret, ==, 0);
        g_assert_cmpuint(s.node->in_flight, ==, 0);
        g_assert_cmpuint(blk_stats(s.blk)->in_flight, ==, 0);
        g_assert_cmpuint(fake_disk_n(s.disk, FAKE_FLUSH_OS), ==, 0);
        for (BlkOp op = 0; op < BLK_N_OPS; op++) {
            g_assert_false(reqs[op].done);
        }
        drainer_end(&drainer);
        fake_co_settle();
        for (BlkOp op = 0; op < BLK_N_OPS; op++) {
            g_assert_true(reqs[op].done);
            g_assert_cmpint(reqs[op].ret, ==, 0);
        }
        fake_setup_co_done(&s);
    }
}

/* N begins need N ends, of whatever kind. */
static void coroutine_fn
test_co_nests(void *arg)
{
    FakeReq req;
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    blk_co_drain_begin(s.blk);
    blk_node_co_drain_begin(s.node);
    blk_co_drain_begin(s.blk);
    blk_node_co_drain_begin(s.node);
    req = request(s.blk, BLK_OP_READ);
    fake_req_start(&req);
    for (int i = 0; i < 4; i++) {
        fake_co_settle();
        g_assert_false(req.done);
        if (i < 2) {
            blk_drain_end(s.blk);
        } else {
            blk_node_drain_end(s.node);
        }
    }
    g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
    g_assert_cmpuint(s.node->quiesce, ==, 0);
    g_assert_cmpuint(s.blk->quiesce, ==, 0);
    fake_setup_co_done(&s);
}

static void coroutine_fn
count_co_up(void *arg)
{
    unsigned *n = arg;

    *n += 1;
}

/* What is scheduled runs before begin returns, with nothing in flight. */
static void coroutine_fn
test_co_first_iteration(void *arg)
{
    unsigned n = 0;
    Blk *none = blk_new("nothing");
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    coro_spawn_later(count_co_up, &n);
    blk_co_drain_begin(s.blk);
    g_assert_cmpuint(n, ==, 1);
    coro_spawn_later(count_co_up, &n);
    blk_node_co_drain_begin(s.node);
    g_assert_cmpuint(n, ==, 2);
    coro_spawn_later(count_co_up, &n);
    blk_co_drain_begin(none);
    g_assert_cmpuint(n, ==, 3);
    blk_drain_end(none);
    blk_node_drain_end(s.node);
    blk_drain_end(s.blk);
    blk_free(none);
    fake_setup_co_done(&s);
}

/* ---- attaching and detaching meanwhile ---- */

/* Requests that wait are answered when the node goes, and go to the new one
 * when another comes. */
static void coroutine_fn
test_co_detach(void *arg)
{
    FakeReq req;
    FakeReq check;
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    blk_co_drain_begin(s.blk);
    req = request(s.blk, BLK_OP_READ);
    fake_req_start(&req);
    fake_co_settle();
    g_assert_false(req.done);
    blk_co_detach(s.blk);
    blk_drain_end(s.blk);
    g_assert_cmpint(fake_req_co_wait(&req), ==, -ENOMEDIUM);
    g_assert_cmpuint(s.node->quiesce, ==, 0);
    /* Errors need not wait. */
    blk_co_drain_begin(s.blk);
    check = request(s.blk, BLK_OP_READ);
    fake_req_start(&check);
    g_assert_true(check.done);
    g_assert_cmpint(check.ret, ==, -ENOMEDIUM);
    blk_drain_end(s.blk);
    fake_setup_co_done(&s);
}

static void coroutine_fn
test_co_swap_root(void *arg)
{
    BlkPerm perm = (BlkPerm)BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE;
    FakeDisk *disks[] = { fake_disk_new(FAKE_LEAF, "a", SIZE),
                          fake_disk_new(FAKE_LEAF, "b", SIZE) };
    FakeGraph *fg = fake_graph_new(disks, 2);
    BlkNode *a = fake_graph_co_open(fg, disks[0], "");
    BlkNode *b = fake_graph_co_open(fg, disks[1], "");
    Blk *blk = fake_blk_co_new(a);
    GError *error = NULL;
    FakeReq req;

    ash_maybe(arg);
    blk_co_drain_begin(blk);
    blk_co_detach(blk);
    g_assert_cmpuint(a->quiesce, ==, 0);
    g_assert_true(blk_co_attach(blk, b, perm, BLK_PERM_ALL, &error));
    g_assert_cmpuint(b->quiesce, ==, 1);
    req = request(blk, BLK_OP_WRITE);
    fake_req_start(&req);
    fake_co_settle();
    g_assert_false(req.done);
    blk_drain_end(blk);
    g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
    g_assert_cmpuint(fake_disk_n(disks[1], FAKE_WRITE), ==, 1);
    g_assert_cmpuint(b->quiesce, ==, 0);
    fake_blk_co_free(blk);

    /* One that attaches to a drained node is drained too. */
    blk_node_co_drain_begin(a);
    blk = fake_blk_co_new(a);
    req = request(blk, BLK_OP_WRITE);
    fake_req_start(&req);
    fake_co_settle();
    g_assert_false(req.done);
    blk_node_drain_end(a);
    g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
    fake_blk_co_free(blk);
    fake_graph_co_free(fg);
}

/* ---- graphs ---- */

/*
 *   x   y   z     Blks
 *   |   |   |
 *  top  |  side   top: overlay on base, and on leaf
 *   | \ |   |     side: overlay on base
 *   |  mid /      mid: filter on leaf
 *   |   | /
 *   |  leaf       and base below top and side
 */
typedef struct Net {
    FakeGraph *fg;
    FakeDisk *disks[5];
    BlkNode *base, *leaf, *mid, *top, *side;
    Blk *x, *y, *z;
} Net;

static void coroutine_fn
net_co_open(Net *n)
{
    n->disks[0] = fake_disk_new(FAKE_LEAF, "base", SIZE);
    n->disks[1] = fake_disk_new(FAKE_LEAF, "leaf", SIZE);
    n->disks[2] = fake_disk_new(FAKE_FILTER, "mid", 0);
    n->disks[3] = fake_disk_new(FAKE_OVERLAY, "top", SIZE);
    n->disks[4] = fake_disk_new(FAKE_OVERLAY, "side", SIZE);
    n->fg = fake_graph_new(n->disks, 5);
    n->base = fake_graph_co_open(n->fg, n->disks[0], "");
    n->leaf = fake_graph_co_open(n->fg, n->disks[1], "");
    n->mid = fake_graph_co_open(n->fg, n->disks[2], "file=leaf");
    n->top = fake_graph_co_open(n->fg, n->disks[3], "backing=base file=mid");
    n->side =
        fake_graph_co_open(n->fg, n->disks[4], "backing=base file=leaf");
    n->x = fake_blk_co_new(n->top);
    n->y = fake_blk_co_new(n->mid);
    n->z = fake_blk_co_new(n->side);
}

static void coroutine_fn
net_co_done(Net *n)
{
    fake_blk_co_free(n->x);
    fake_blk_co_free(n->y);
    fake_blk_co_free(n->z);
    fake_graph_co_free(n->fg);
}

/* Which Blks wait while a node is drained: those above it, no others. */
static void coroutine_fn
test_co_who_waits(void *arg)
{
    Net n;

    ash_maybe(arg);
    net_co_open(&n);
    for (int i = 0; i < 6; i++) {
        BlkNode *nodes[] = { n.base, n.leaf, n.mid, n.top, n.side, NULL };
        static const char *const waiting[] = { "xz", "xyz", "xy", "x", "z",
                                               "z" };
        Blk *blks[] = { n.x, n.y, n.z };
        FakeReq reqs[3];

        if (nodes[i]) {
            blk_node_co_drain_begin(nodes[i]);
        } else {
            blk_co_drain_begin(n.z);
        }
        for (int b = 0; b < 3; b++) {
            reqs[b] = request(blks[b], BLK_OP_READ);
            fake_req_start(&reqs[b]);
            fake_co_settle();
            g_assert_cmpint(reqs[b].done, ==,
                            strchr(waiting[i], "xyz"[b]) == NULL);
        }
        if (nodes[i]) {
            blk_node_drain_end(nodes[i]);
        } else {
            blk_drain_end(n.z);
        }
        for (int b = 0; b < 3; b++) {
            g_assert_cmpint(fake_req_co_wait(&reqs[b]), ==, 0);
        }
    }
    net_co_done(&n);
}

/* A request that is still above the drained node will come down to it: it is
 * waited for, and let through. */
static void coroutine_fn
test_co_waits_for_above(void *arg)
{
    Drainer drainer = { .done = false };
    FakeReq req;
    Net n;

    ash_maybe(arg);
    net_co_open(&n);
    n.disks[2]->hold_mask = FAKE_READ;
    req = request(n.y, BLK_OP_READ);
    fake_req_start(&req);
    drainer.node = n.leaf;
    coro_spawn(drainer_co_run, &drainer);
    fake_co_settle();
    g_assert_cmpuint(n.leaf->in_flight, ==, 0);
    g_assert_false(drainer.done);
    fake_disk_release(n.disks[2]);
    g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
    g_assert_cmpuint(fake_disk_n(n.disks[1], FAKE_READ), ==, 1);
    fake_co_settle();
    g_assert_true(drainer.done);
    drainer_end(&drainer);
    net_co_done(&n);
}

/* ---- work of drivers ---- */

typedef struct Work {
    BlkNode *node;
    bool began;
    bool ended;
    Coro *co;
} Work;

static void coroutine_fn
work_co_run(void *arg)
{
    Work *w = arg;

    w->co = coro_self();
    blk_node_co_work_begin(w->node);
    w->began = true;
    co_yield();
    blk_node_work_end(w->node);
    w->ended = true;
}

static void coroutine_fn
test_co_work(void *arg)
{
    Drainer drainer = { .done = false };
    Work first = { .began = false };
    Work second = { .began = false };
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", SIZE), "");
    first.node = second.node = drainer.node = s.node;
    coro_spawn(work_co_run, &first);
    g_assert_true(first.began);
    coro_spawn(drainer_co_run, &drainer);
    coro_spawn(work_co_run, &second);
    fake_co_settle();
    g_assert_false(drainer.done);
    g_assert_false(second.began);
    coro_wake(first.co);
    fake_co_settle();
    g_assert_true(drainer.done);
    g_assert_false(second.began);
    drainer_end(&drainer);
    fake_co_settle();
    g_assert_true(second.began);
    coro_wake(second.co);
    fake_co_settle();
    g_assert_true(second.ended);
    fake_setup_co_done(&s);
}

/* ---- at random ---- */

#define N_CLIENTS 9U
#define N_DRAINERS 4U

typedef struct Crowd {
    Net net;
    GRand *rand;
    unsigned n_left;
    unsigned n_running;
    unsigned n_requests;
    unsigned n_drains;
    Coro *waiter;
} Crowd;

static Crowd crowd;

static void
crowd_leave(void)
{
    if (--crowd.n_running == 0) {
        coro_wake(crowd.waiter);
    }
}

static void coroutine_fn
crowd_co_client(void *arg)
{
    Blk *blks[] = { crowd.net.x, crowd.net.y, crowd.net.z };
    Blk *blk = blks[GPOINTER_TO_UINT(arg) % 3];

    while (crowd.n_left > 0) {
        FakeReq req =
            request(blk, (BlkOp)(g_rand_int(crowd.rand) % BLK_N_OPS));

        crowd.n_left--;
        fake_req_start(&req);
        g_assert_cmpint(fake_req_co_wait(&req), ==, 0);
        crowd.n_requests++;
        co_pause();
    }
    crowd_leave();
}

/* The nodes that may be drained, and what stands still then: they and what is
 * above them, as places in Net.disks. */
static const struct {
    unsigned node;
    int still[4]; /* ends with -1, unless it is full */
} crowd_sets[] = {
    { 1, { 1, 2, 3, 4 } },
    { 2, { 2, 3, -1 } },
    { 3, { 3, -1 } },
    { 4, { 4, -1 } },
};

static unsigned
crowd_n_calls(unsigned set)
{
    unsigned sum = 0;

    for (int i = 0; i < 4 && crowd_sets[set].still[i] >= 0; i++) {
        const FakeDisk *d = crowd.net.disks[crowd_sets[set].still[i]];

        for (size_t c = 0; c < G_N_ELEMENTS(d->n_calls); c++) {
            sum += d->n_calls[c];
        }
    }
    return sum;
}

static void coroutine_fn
crowd_co_watch(unsigned set)
{
    unsigned n_calls = crowd_n_calls(set);

    for (unsigned i = g_rand_int(crowd.rand) % 8; i > 0; i--) {
        for (int j = 0; j < 4 && crowd_sets[set].still[j] >= 0; j++) {
            BlkNode *node = crowd.net.disks[crowd_sets[set].still[j]]->node;

            g_assert_cmpuint(node->in_flight, ==, 0);
            g_assert_cmpuint(node->quiesce, >, 0);
        }
        co_pause();
    }
    g_assert_cmpuint(crowd_n_calls(set), ==, n_calls);
}

static void coroutine_fn
crowd_co_drainer(void *arg)
{
    bool by_blk = GPOINTER_TO_UINT(arg) == 0;

    while (crowd.n_left > 0) {
        unsigned set = by_blk ? 2 : g_rand_int(crowd.rand) % 4;
        Drainer d = {
            .blk = by_blk ? crowd.net.x : NULL,
            .node = crowd.net.disks[crowd_sets[set].node]->node,
        };

        drainer_co_run(&d);
        crowd_co_watch(set);
        drainer_end(&d);
        crowd.n_drains++;
        for (unsigned i = g_rand_int(crowd.rand) % 16; i > 0; i--) {
            co_pause();
        }
    }
    crowd_leave();
}

static void coroutine_fn
test_co_crowd(void *arg)
{
    uint32_t seed = (uint32_t)g_test_rand_int();
    Net *n = &crowd.net;

    ash_maybe(arg);
    g_test_message("seed %u", seed);
    crowd = (Crowd){
        .rand = g_rand_new_with_seed(seed),
        .n_left = 20000,
        .n_running = N_CLIENTS + N_DRAINERS,
        .waiter = coro_self(),
    };
    net_co_open(n);
    for (size_t i = 0; i < G_N_ELEMENTS(n->disks); i++) {
        n->disks[i]->rand = crowd.rand;
        n->disks[i]->pause_pct = 40;
    }
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        coro_spawn(crowd_co_client, GUINT_TO_POINTER(i));
    }
    for (unsigned i = 0; i < N_DRAINERS; i++) {
        coro_spawn(crowd_co_drainer, GUINT_TO_POINTER(i));
    }
    co_yield();
    g_test_message("%u requests, %u drains", crowd.n_requests,
                   crowd.n_drains);
    for (size_t i = 0; i < G_N_ELEMENTS(n->disks); i++) {
        g_assert_cmpuint(n->disks[i]->node->quiesce, ==, 0);
        g_assert_cmpuint(n->disks[i]->node->in_flight, ==, 0);
    }
    net_co_done(n);
    g_rand_free(crowd.rand);
}

void
test_drain_add(void)
{
    test_add_co("/blockcore/drain/simple", test_co_simple);
    test_add_co("/blockcore/drain/nests", test_co_nests);
    test_add_co("/blockcore/drain/first-iteration", test_co_first_iteration);
    test_add_co("/blockcore/drain/detach", test_co_detach);
    test_add_co("/blockcore/drain/swap-root", test_co_swap_root);
    test_add_co("/blockcore/drain/who-waits", test_co_who_waits);
    test_add_co("/blockcore/drain/waits-for-above", test_co_waits_for_above);
    test_add_co("/blockcore/drain/work", test_co_work);
    test_add_co("/blockcore/drain/crowd", test_co_crowd);
}
