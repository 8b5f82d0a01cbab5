/*
 * tests/unit/blockcore/test-tracked.c - who waits for whom.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/tracked.h"

#include <glib.h>

#include "coro/loop.h"
#include "tests/lib/fake-driver.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define BLOCK 512U

/* A request that does nothing but hold its range until told to end. */
typedef struct Claim {
    BlkNode *node;
    BlkRange range;
    bool serialise;
    BlkTracked req;
    bool settled;
    bool ended;
    Coro *co;
} Claim;

static void coroutine_fn
claim_co_run(void *arg)
{
    Claim *c = arg;

    c->co = coro_self();
    blk_tracked_begin(&c->req, c->node, c->range);
    if (c->serialise) {
        blk_tracked_serialise(&c->req, BLOCK);
    }
    blk_tracked_co_settle(&c->req);
    c->settled = true;
    co_yield();
    blk_tracked_end(&c->req);
    c->ended = true;
}

static void
claim_start(Claim *c, BlkNode *node, uint64_t offset, uint64_t bytes,
            bool serialise)
{
    *c = (Claim){
        .node = node,
        .range = blk_range(offset, bytes),
        .serialise = serialise,
    };
    coro_spawn(claim_co_run, c);
}

static void coroutine_fn
claim_co_end(Claim *c)
{
    g_assert_true(c->settled);
    coro_wake(c->co);
    fake_co_settle();
    g_assert_true(c->ended);
}

/* Two requests: all pairs of ranges of three blocks' edges. */
static void coroutine_fn
test_co_pairs(void *arg)
{
    static const uint64_t edges[] = { 0, 1, 511, 512, 513, 1024 };
    size_t n = G_N_ELEMENTS(edges);
    FakeSetup s;
    unsigned n_pairs = 0;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", 4096), "");
    for (size_t i = 0; i < n * n * n * n * 4; i++) {
        uint64_t a = edges[i % n];
        uint64_t b = edges[i / n % n];
        uint64_t c = edges[i / (n * n) % n];
        uint64_t d = edges[i / (n * n * n) % n];
        bool first_serialises = i / (n * n * n * n) % 2;
        bool second_serialises = i / (n * n * n * n) / 2;
        Claim first;
        Claim second;
        BlkRange r;
        bool conflict;

        if (a >= b || c >= d) {
            continue;
        }
        claim_start(&first, s.node, a, b - a, first_serialises);
        claim_start(&second, s.node, c, d - c, second_serialises);
        r = blk_range(c, d - c);
        if (second_serialises) {
            r = blk_range_align_out(r, BLOCK);
        }
        conflict = (first_serialises || second_serialises) &&
                   blk_range_overlaps(
                       r, first_serialises
                              ? blk_range_align_out(first.range, BLOCK)
                              : first.range);
        g_assert_true(first.settled);
        g_assert_cmpint(second.settled, ==, !conflict);
        claim_co_end(&first);
        claim_co_end(&second);
        g_assert_cmpuint(s.node->n_serialising, ==, 0);
        g_assert_true(ash_list_is_empty(&s.node->tracked));
        n_pairs++;
    }
    g_test_message("%u pairs", n_pairs);
    fake_setup_co_done(&s);
}

/* All who wait for one go on when it ends. */
static void coroutine_fn
test_co_wakes_all(void *arg)
{
    FakeSetup s;
    Claim serial;
    Claim plain[10];

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", 4096), "");
    claim_start(&serial, s.node, 100, 1, true);
    for (int i = 0; i < 10; i++) {
        claim_start(&plain[i], s.node, 0, 512, false);
        g_assert_false(plain[i].settled);
    }
    claim_co_end(&serial);
    for (int i = 0; i < 10; i++) {
        g_assert_true(plain[i].settled);
    }
    for (int i = 0; i < 10; i++) {
        claim_co_end(&plain[i]);
    }
    fake_setup_co_done(&s);
}

/* One that comes while another sleeps is noticed when that wakes. */
static void coroutine_fn
test_co_rescans(void *arg)
{
    FakeSetup s;
    Claim first;
    Claim sleeper;
    Claim late;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", 4096), "");
    claim_start(&first, s.node, 0, 512, false);
    claim_start(&sleeper, s.node, 0, 1024, true);
    g_assert_false(sleeper.settled);
    /* Passes the sleeper, which waits itself. */
    claim_start(&late, s.node, 512, 512, false);
    g_assert_true(late.settled);
    claim_co_end(&first);
    g_assert_false(sleeper.settled);
    claim_co_end(&late);
    g_assert_true(sleeper.settled);
    claim_co_end(&sleeper);
    fake_setup_co_done(&s);
}

/* A coroutine that waits for itself aborts. */
static void coroutine_fn
co_overlap_self(void *arg)
{
    FakeSetup s;
    BlkTracked outer;
    BlkTracked inner;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", 4096), "");
    blk_tracked_begin(&outer, s.node, blk_range(0, 100));
    blk_tracked_begin(&inner, s.node, blk_range(50, 100));
    blk_tracked_serialise(&inner, BLOCK);
    blk_tracked_co_settle(&inner);
}

static void
test_self_overlap(void)
{
    if (g_test_subprocess()) {
        test_run(co_overlap_self, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*assertion 'other->co != req->co' failed*");
}

/* ---- many at random ---- */

#define N_WORKERS 12U
#define N_BLOCKS 4U

typedef struct Crowd {
    FakeSetup s;
    GRand *rand;
    unsigned n_left; /* requests to make */
    unsigned n_running;
    unsigned n_waits;
    unsigned n_done;
    BlkTracked *active[N_WORKERS];
    Coro *waiter;
} Crowd;

/* Nobody who is active may conflict with @req. */
static void
crowd_check(const Crowd *crowd, const BlkTracked *req)
{
    for (unsigned i = 0; i < N_WORKERS; i++) {
        const BlkTracked *other = crowd->active[i];

        if (other && (other->serialising || req->serialising)) {
            g_assert_false(blk_range_overlaps(other->range, req->range));
        }
    }
}

static void coroutine_fn
crowd_co_request(Crowd *crowd, unsigned slot)
{
    uint32_t size = N_BLOCKS * BLOCK;
    uint32_t start = g_rand_int(crowd->rand) % size;
    uint32_t bytes = 1 + g_rand_int(crowd->rand) % MIN(size - start, 1024);
    unsigned n_pauses = g_rand_int(crowd->rand) % 4;
    BlkTracked req;

    blk_tracked_begin(&req, crowd->s.node, blk_range(start, bytes));
    if (g_rand_int(crowd->rand) % 2) {
        blk_tracked_serialise(&req, BLOCK);
    }
    blk_tracked_co_settle(&req);
    crowd_check(crowd, &req);
    crowd->active[slot] = &req;
    for (unsigned i = 0; i < n_pauses; i++) {
        co_pause();
        if (req.serialising) {
            g_assert_true(blk_tracked_is_alone(&req));
        }
    }
    crowd->active[slot] = NULL;
    blk_tracked_end(&req);
    crowd->n_done++;
}

typedef struct Worker {
    Crowd *crowd;
    unsigned slot;
} Worker;

static void coroutine_fn
crowd_co_worker(void *arg)
{
    Worker *w = arg;
    Crowd *crowd = w->crowd;

    while (crowd->n_left > 0) {
        crowd->n_left--;
        crowd_co_request(crowd, w->slot);
        co_pause();
    }
    if (--crowd->n_running == 0) {
        coro_wake(crowd->waiter);
    }
}

/* Any mix of overlapping requests ends, and never conflicts. */
static void coroutine_fn
test_co_crowd(void *arg)
{
    unsigned n_requests = 100000;
    Crowd crowd = { .n_left = n_requests, .n_running = N_WORKERS };
    uint32_t seed = (uint32_t)g_test_rand_int();
    Worker workers[N_WORKERS];

    ash_maybe(arg);
    g_test_message("seed %u", seed);
    crowd.rand = g_rand_new_with_seed(seed);
    crowd.waiter = coro_self();
    fake_setup_co_open(&crowd.s, fake_disk_new(FAKE_LEAF, "d", 4096), "");
    for (unsigned i = 0; i < N_WORKERS; i++) {
        workers[i] = (Worker){ &crowd, i };
        coro_spawn(crowd_co_worker, &workers[i]);
    }
    co_yield();
    g_assert_cmpuint(crowd.n_done, ==, n_requests);
    g_assert_cmpuint(crowd.s.node->n_serialising, ==, 0);
    g_test_message("%u requests", crowd.n_done);
    g_rand_free(crowd.rand);
    fake_setup_co_done(&crowd.s);
}

/* While nobody serialises the list is not walked: with 10^5 requests in
 * flight, 10^6 more would otherwise take minutes. */
static void coroutine_fn
test_co_no_scan(void *arg)
{
    unsigned n = 100000;
    g_autofree BlkTracked *reqs = g_new(BlkTracked, n);
    FakeSetup s;
    BlkTracked req;

    ash_maybe(arg);
    fake_setup_co_open(&s, fake_disk_new(FAKE_LEAF, "d", 4096), "");
    for (unsigned i = 0; i < n; i++) {
        blk_tracked_begin(&reqs[i], s.node, blk_range(0, 4096));
        blk_tracked_co_settle(&reqs[i]);
    }
    for (unsigned i = 0; i < 1000000; i++) {
        blk_tracked_begin(&req, s.node, blk_range(0, 4096));
        blk_tracked_co_settle(&req);
        blk_tracked_end(&req);
    }
    for (unsigned i = 0; i < n; i++) {
        blk_tracked_end(&reqs[i]);
    }
    fake_setup_co_done(&s);
}

void
test_tracked_add(void)
{
    test_add_co("/blockcore/tracked/pairs", test_co_pairs);
    test_add_co("/blockcore/tracked/wakes-all", test_co_wakes_all);
    test_add_co("/blockcore/tracked/rescans", test_co_rescans);
    g_test_add_func("/blockcore/tracked/self-overlap-aborts",
                    test_self_overlap);
    test_add_co("/blockcore/tracked/crowd", test_co_crowd);
    test_add_co("/blockcore/tracked/no-scan", test_co_no_scan);
}
