/*
 * tests/lib/fake-setup.c - see tests/lib/fake-setup.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/fake-setup.h"

#include <string.h>

#include "base/assert.h"
#include "coro/loop.h"

/* ---- graphs ---- */

FakeGraph *
fake_graph_new(FakeDisk *const *disks, unsigned n)
{
    FakeGraph *fg = g_new0(FakeGraph, 1);

    fg->n = n;
    fg->disks = g_new0(FakeDisk *, n);
    fg->drivers = g_new0(const BlkDriver *, n + 1);
    for (unsigned i = 0; i < n; i++) {
        fg->disks[i] = disks[i];
        fg->drivers[i] = &disks[i]->driver;
    }
    fg->graph = blk_graph_new(fg->drivers, NULL);
    return fg;
}

BlkNode *coroutine_fn
fake_graph_co_open(FakeGraph *fg, FakeDisk *top, const char *options)
{
    g_auto(GStrv) words = g_strsplit(options, " ", -1);
    BlkOptions *opts = blk_options_new();
    GError *error = NULL;
    BlkNode *node;

    blk_options_set(opts, "driver", BLK_VALUE_KEYVAL, top->driver.name);
    blk_options_set(opts, "node-name", BLK_VALUE_KEYVAL, top->driver.name);
    for (char **w = words; *w; w++) {
        char *value = strchr(*w, '=');

        if (value) {
            *value = '\0';
            blk_options_set(opts, *w, BLK_VALUE_KEYVAL, value + 1);
        }
    }
    blk_graph_co_add(fg->graph, opts, &node, &error);
    g_assert_no_error(error);
    return node;
}

void coroutine_fn
fake_graph_co_free(FakeGraph *fg)
{
    ash_maybe(blk_graph_co_close_all(fg->graph));
    blk_graph_free(fg->graph);
    for (unsigned i = 0; i < fg->n; i++) {
        fake_disk_free(fg->disks[i]);
    }
    g_free(fg->disks);
    g_free(fg->drivers);
    g_free(fg);
}

Blk *coroutine_fn
fake_blk_co_new(BlkNode *node)
{
    Blk *blk = blk_new("export 'test'");
    BlkPerm perm = BLK_PERM_CONSISTENT_READ;
    GError *error = NULL;

    if (!blk_node_is_read_only(node)) {
        perm |= BLK_PERM_WRITE;
    }
    blk_co_attach(blk, node, perm, BLK_PERM_ALL, &error);
    g_assert_no_error(error);
    return blk;
}

void coroutine_fn
fake_blk_co_free(Blk *blk)
{
    blk_co_detach(blk);
    blk_free(blk);
}

void coroutine_fn
fake_setup_co_open(FakeSetup *setup, FakeDisk *disk, const char *options)
{
    setup->disk = disk;
    setup->fg = fake_graph_new(&disk, 1);
    setup->node = fake_graph_co_open(setup->fg, disk, options);
    setup->blk = fake_blk_co_new(setup->node);
}

void coroutine_fn
fake_setup_co_done(FakeSetup *setup)
{
    fake_blk_co_free(setup->blk);
    fake_graph_co_free(setup->fg);
}

void coroutine_fn
fake_co_settle(void)
{
    for (int i = 0; i < 32; i++) {
        co_pause();
    }
}

/* ---- requests ---- */

static int coroutine_fn
fake_req_co_do(FakeReq *r)
{
    IoVec iov;

    switch (r->op) {
    case BLK_OP_READ:
        iov_init_one(&iov, r->buf, r->range.bytes);
        return blk_co_read(r->blk, r->range, &iov, r->flags);
    case BLK_OP_WRITE:
        iov_init_one(&iov, r->buf, r->range.bytes);
        return blk_co_write(r->blk, r->range, &iov, r->flags);
    case BLK_OP_ZERO:
        return blk_co_zero(r->blk, r->range, r->flags);
    case BLK_OP_TRIM:
        return blk_co_trim(r->blk, r->range, r->flags);
    case BLK_OP_FLUSH:
        return blk_co_flush(r->blk);
    case BLK_OP_CACHE:
        return blk_co_prefetch(r->blk, r->range);
    case BLK_OP_STATUS:
        return blk_co_status(r->blk, r->range, &r->extent);
    case BLK_N_OPS:
    default:
        ash_unreachable();
    }
}

static void coroutine_fn
fake_req_co_run(void *arg)
{
    FakeReq *r = arg;

    r->ret = fake_req_co_do(r);
    r->done = true;
    if (r->waiter) {
        coro_wake(r->waiter);
    }
}

void
fake_req_start(FakeReq *r)
{
    r->ret = 1;
    r->done = false;
    r->waiter = NULL;
    coro_spawn(fake_req_co_run, r);
}

int coroutine_fn
fake_req_co_wait(FakeReq *r)
{
    if (!r->done) {
        r->waiter = coro_self();
        co_yield();
    }
    return r->ret;
}

int coroutine_fn
fake_co_read(Blk *blk, uint64_t offset, void *buf, size_t bytes)
{
    IoVec iov;

    iov_init_one(&iov, buf, bytes);
    return blk_co_read(blk, blk_range(offset, bytes), &iov, 0);
}

int coroutine_fn
fake_co_write(Blk *blk, uint64_t offset, const void *buf, size_t bytes,
              BlkReqFlags flags)
{
    IoVec iov;

    iov_init_one(&iov, (void *)(uintptr_t)buf, bytes);
    return blk_co_write(blk, blk_range(offset, bytes), &iov, flags);
}
