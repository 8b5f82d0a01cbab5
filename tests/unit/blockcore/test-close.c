/*
 * tests/unit/blockcore/test-close.c - a node closes in order: what is in
 * flight ends, a flush, what that left in flight ends, then the driver goes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "blockcore/graph.h"
#include "blockcore/inflight.h"
#include "blockcore/node-priv.h"
#include "tests/lib/fake-setup.h"
#include "tests/unit/blockcore/test-blockcore.h"

/* What happened, a word each. */
static GString *closing_log;
static BlkNode *closing_node;

static void
closing_write(const char *word)
{
    g_string_append_printf(closing_log, "%s ", word);
}

/* Something in flight that takes a while; @arg: its name. */
static void coroutine_fn
closing_co_work(void *arg)
{
    blk_inflight_begin(closing_node);
    fake_co_settle();
    closing_write(arg);
    blk_inflight_end(closing_node);
}

static int coroutine_fn
closing_co_flush(BlkNode *node)
{
    closing_write("flush");
    g_assert_cmpuint(node->in_flight, ==, 1); /* the flush itself */
    coro_spawn(closing_co_work, (void *)(uintptr_t) "work-of-flush");
    return 0;
}

static void coroutine_fn
closing_co_close(BlkNode *node)
{
    g_assert_cmpuint(node->in_flight, ==, 0);
    closing_write("close");
}

static void coroutine_fn
test_co_order(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4096);
    FakeGraph *fg = fake_graph_new(&d, 1);
    GError *error = NULL;

    ash_maybe(arg);
    closing_log = g_string_new(NULL);
    d->driver.co_flush_disk = closing_co_flush;
    d->driver.co_close = closing_co_close;
    closing_node = fake_graph_co_open(fg, d, "");
    coro_spawn(closing_co_work, (void *)(uintptr_t) "work");
    g_assert_true(blk_graph_co_del(fg->graph, "d", &error));
    g_assert_no_error(error);
    g_assert_cmpstr(closing_log->str, ==, "work flush work-of-flush close ");
    fake_graph_co_free(fg);
    g_string_free(closing_log, TRUE);
}

/* A request in flight when its Blk goes, which was the node's last user: it is
 * answered, and what it wrote is flushed before the driver goes. */
static void coroutine_fn
test_co_last_request(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4096);
    FakeReq req = { .op = BLK_OP_WRITE, .range = { 0, 512 } };
    uint8_t buf[512] = { 1 };
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, d, "");
    fake_disk_start_log(d, FAKE_ALL_IO);
    g_assert_cmpint(blk_graph_co_close_all(s.fg->graph), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "");
    req.blk = s.blk;
    req.buf = buf;
    d->hold_mask = FAKE_WRITE;
    fake_req_start(&req);
    g_assert_false(req.done);
    fake_disk_release(d);
    blk_co_detach(s.blk);
    g_assert_true(req.done);
    g_assert_cmpint(req.ret, ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:w0+512 d:fo d:fd");
    blk_free(s.blk);
    fake_graph_co_free(s.fg);
}

void
test_close_add(void)
{
    test_add_co("/blockcore/close/order", test_co_order);
    test_add_co("/blockcore/close/last-request", test_co_last_request);
}
