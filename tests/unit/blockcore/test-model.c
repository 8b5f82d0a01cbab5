/*
 * tests/unit/blockcore/test-model.c - many clients on a small disk, at random,
 * against what a disk may answer.
 *
 * Every request is written down with the times at which it began and ended.  A
 * byte that is read must come from a write that had begun, and that no other
 * write had surely replaced: one that began after the first had ended, and
 * ended before the read began.  A failed write may have happened or not.  So
 * acknowledged bytes that are lost, stale bytes that a read-modify-write puts
 * back, and bytes of nobody are all found.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "blockcore/blk.h"
#include "coro/loop.h"
#include "tests/lib/fake-driver.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define N_BYTES 96U
#define N_WRITES 240U
#define N_CLIENTS 8U

typedef struct Write {
    BlkRange range;
    uint8_t value;
    uint64_t begin;
    uint64_t end; /* UINT64_MAX: not yet */
    bool ok;
} Write;

typedef struct World {
    GRand *rand;
    FakeGraph *fg;
    FakeDisk *disks[2];
    Blk *blk;
    uint64_t now;
    Write writes[N_WRITES + 1]; /* the first: the empty disk */
    unsigned n_writes;
    unsigned n_running;
    unsigned n_reads;
    unsigned n_failed;
    bool errors; /* let driver calls fail now and then */
    Coro *waiter;
} World;

static World *world;

static uint32_t
pick(uint32_t n)
{
    return g_rand_int(world->rand) % n;
}

static BlkRange
pick_range(void)
{
    uint32_t offset = pick(N_BYTES);

    return blk_range(offset, 1 + pick(MIN(N_BYTES - offset, 20)));
}

static bool
covers(const Write *w, uint64_t offset)
{
    return offset >= w->range.offset && offset < blk_range_end(w->range);
}

/* Had another write surely replaced @w when a read began at @begin? */
static bool
is_replaced(const Write *w, uint64_t offset, uint64_t begin)
{
    for (unsigned i = 0; i < world->n_writes; i++) {
        const Write *other = &world->writes[i];

        if (other->ok && covers(other, offset) && other->begin > w->end &&
            other->end < begin) {
            return true;
        }
    }
    return false;
}

static void
check_byte(uint64_t offset, uint8_t value, uint64_t begin)
{
    for (unsigned i = 0; i < world->n_writes; i++) {
        const Write *w = &world->writes[i];

        if (w->value == value && covers(w, offset) &&
            !is_replaced(w, offset, begin)) {
            return;
        }
    }
    g_error("byte %u is %u, which nobody can have left there",
            (unsigned)offset, value);
}

static void coroutine_fn
co_read_and_check(BlkRange r)
{
    uint8_t buf[N_BYTES];
    uint64_t begin = ++world->now;

    if (fake_co_read(world->blk, r.offset, buf, r.bytes) != 0) {
        world->n_failed++;
        return;
    }
    for (uint64_t i = 0; i < r.bytes; i++) {
        check_byte(r.offset + i, buf[i], begin);
    }
    world->n_reads++;
}

static int coroutine_fn
co_modify(const Write *w, uint32_t what)
{
    uint8_t buf[N_BYTES];
    BlkReqFlags flags = 0;

    if (pick(4) == 0) {
        flags |= BLK_REQ_FUA;
    }
    if (w->value == 0 && what < 2) {
        flags |= pick(2) ? BLK_REQ_MAY_UNMAP : 0;
        return blk_co_zero(world->blk, w->range, flags);
    }
    memset(buf, w->value, w->range.bytes);
    flags |= pick(8) == 0 ? BLK_REQ_SERIALISING : 0;
    return fake_co_write(world->blk, w->range.offset, buf, w->range.bytes,
                         flags);
}

static void coroutine_fn
co_write_one(void)
{
    uint32_t what = pick(4);
    Write *w = &world->writes[world->n_writes++];
    int ret;

    *w = (Write){
        .range = pick_range(),
        .value = what == 0 ? 0 : (uint8_t)world->n_writes,
        .begin = ++world->now,
        .end = UINT64_MAX,
    };
    ret = co_modify(w, what);
    w->end = ++world->now;
    w->ok = ret == 0;
    world->n_failed += ret != 0;
}

static void coroutine_fn
co_client(void *arg)
{
    ash_maybe(arg);
    while (world->n_writes < N_WRITES) {
        if (world->errors && pick(8) == 0) {
            world->disks[pick(2)]->fail_nth = 1 + pick(8);
        }
        if (pick(3) == 0) {
            co_read_and_check(pick_range());
        } else {
            co_write_one();
        }
        if (pick(16) == 0) {
            ash_maybe(blk_co_flush(world->blk));
        }
    }
    if (--world->n_running == 0) {
        coro_wake(world->waiter);
    }
}

static void
pick_limits(BlkLimits *limits, uint32_t max_log2)
{
    limits->request_align = 1U << pick(max_log2);
    limits->mem_align = 1U << pick(max_log2);
    limits->max_transfer = pick(2) ? limits->request_align * (1 + pick(3)) : 0;
    limits->max_iov = pick(3);
    limits->zero_align = limits->request_align << pick(2);
    limits->max_zero = limits->zero_align * pick(3);
}

static void coroutine_fn
world_co_open(void)
{
    FakeDisk *leaf = fake_disk_new(FAKE_LEAF, "leaf", N_BYTES);
    FakeDisk *top = fake_disk_new(FAKE_FILTER, "top", 0);
    BlkNode *node;

    world->disks[0] = leaf;
    world->disks[1] = top;
    for (int i = 0; i < 2; i++) {
        FakeDisk *d = world->disks[i];

        pick_limits(&d->limits, 5);
        d->rand = world->rand;
        d->pause_pct = 10 + pick(60);
        d->fail_mask = world->errors ? FAKE_ALL_IO : 0;
        d->fail_err = pick(2) ? -EIO : -ENOTSUP;
        d->fail_late = pick(2);
        fake_disk_set_slots(d, FAKE_SLOTS & ~(pick(2) ? FAKE_ZERO : 0U));
    }
    world->fg = fake_graph_new(world->disks, 2);
    node = fake_graph_co_open(world->fg, leaf,
                              pick(2) ? "detect-zeroes=on" : "");
    node = fake_graph_co_open(world->fg, top, "file=leaf");
    world->blk = fake_blk_co_new(node);
    world->writes[0] =
        (Write){ .range = { 0, N_BYTES }, .end = 0, .ok = true };
    world->n_writes = 1;
    world->now = 1;
}

static void coroutine_fn
world_co_run(void)
{
    world_co_open();
    world->n_running = N_CLIENTS;
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        coro_spawn(co_client, NULL);
    }
    if (world->n_running > 0) {
        co_yield();
    }
    world->disks[0]->fail_nth = world->disks[1]->fail_nth = 0;
    co_read_and_check(blk_range(0, N_BYTES));
    fake_blk_co_free(world->blk);
    fake_graph_co_free(world->fg);
}

static void coroutine_fn
test_co_model(void *arg)
{
    uint32_t seed = (uint32_t)g_test_rand_int();
    unsigned n_worlds = g_test_slow() ? 5000 : 150;

    ash_maybe(arg);
    g_test_message("seed %u", seed);
    world = g_new0(World, 1);
    world->rand = g_rand_new_with_seed(seed);
    world->waiter = coro_self();
    for (unsigned i = 0; i < n_worlds; i++) {
        world->errors = i % 2;
        world_co_run();
    }
    g_test_message("%u disks, %u reads, %u failed requests", n_worlds,
                   world->n_reads, world->n_failed);
    g_assert_cmpuint(world->n_reads, >, n_worlds);
    g_assert_cmpuint(world->n_failed, >, 0);
    g_rand_free(world->rand);
    g_free(world);
}

void
test_model_add(void)
{
    test_add_co("/blockcore/model", test_co_model);
}
