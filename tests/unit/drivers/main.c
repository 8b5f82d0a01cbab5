/*
 * tests/unit/drivers/main.c - the unit tests of drivers.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "coro/loop.h"
#include "drivers/drivers.h"
#include "tests/unit/drivers/test-drivers.h"
#include "tests/unit/drivers/test-host.h"

const char *test_state_dir;

void
test_run(CoroFn *fn)
{
    g_autoptr(GError) error = NULL;
    Loop *loop = loop_new("test", &error);
    AioEngineSet *engines;

    g_assert_no_error(error);
    engines = aio_engine_set_new(loop);
    loop_set_engines(loop, engines);
    loop_run_coroutine(loop, fn, NULL);
    aio_engine_set_free(engines);
    loop_set_engines(loop, NULL);
    loop_free(loop);
}

static void
test_run_data(const void *fn)
{
    test_run((CoroFn *)(uintptr_t)fn);
}

void
test_add_co(const char *path, CoroFn *fn)
{
    g_test_add_data_func(path, (const void *)(uintptr_t)fn, test_run_data);
}

void
test_assert_same(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    size_t i = 0;

    while (i < n && x[i] == y[i]) {
        i++;
    }
    if (i < n) {
        g_error("byte %zu of %zu: 0x%02x, expected 0x%02x", i, n, x[i], y[i]);
    }
}

/* ---- nodes ---- */

static BlkOptions *
test_options(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    BlkOptions *opts = blk_options_new();

    blk_options_set(opts, "node-name", BLK_VALUE_KEYVAL, "n");
    for (char **w = words; *w; w++) {
        char *value = strchr(*w, '=');

        g_assert_nonnull(value);
        *value++ = '\0';
        blk_options_set(opts, *w, BLK_VALUE_KEYVAL, value);
    }
    return opts;
}

/* All drivers, and the disk's. */
static void
test_new_graph(TestNode *t, FakeDisk *take_disk)
{
    size_t n = 0;

    *t = (TestNode){ .disk = take_disk };
    for (; drivers[n]; n++) {
        t->drivers[n] = drivers[n];
    }
    if (take_disk) {
        t->drivers[n] = &take_disk->driver;
    }
    g_assert_cmpuint(n + 1, <, G_N_ELEMENTS(t->drivers));
    t->graph = blk_graph_new(t->drivers, test_state_dir);
}

void coroutine_fn
test_co_open(TestNode *t, FakeDisk *take_disk, const char *options)
{
    g_autoptr(GError) error = NULL;

    test_new_graph(t, take_disk);
    blk_graph_co_add(t->graph, test_options(options), &t->node, &error);
    g_assert_no_error(error);
    t->blk = fake_blk_co_new(t->node);
}

static void
test_count_node(BlkNode *node, void *arg)
{
    unsigned *n = arg;

    g_assert_nonnull(node);
    ++*n;
}

void coroutine_fn
test_co_open_fails(FakeDisk *take_disk, const char *options, int code,
                   const char *message)
{
    g_autoptr(GError) error = NULL;
    unsigned n = 0;
    TestNode t;

    test_new_graph(&t, take_disk);
    g_assert_false(
        blk_graph_co_add(t.graph, test_options(options), &t.node, &error));
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, message);
    blk_graph_foreach(t.graph, test_count_node, &n);
    g_assert_cmpuint(n, ==, 0);
    blk_graph_free(t.graph);
    if (take_disk) {
        fake_disk_free(take_disk);
    }
}

void coroutine_fn
test_co_close(TestNode *t)
{
    fake_blk_co_free(t->blk);
    ash_maybe(blk_graph_co_close_all(t->graph));
    blk_graph_free(t->graph);
    if (t->disk) {
        fake_disk_free(t->disk);
    }
}

int coroutine_fn
test_co_request(TestNode *t, BlkOp op, uint64_t offset, uint64_t bytes,
                BlkReqFlags flags)
{
    FakeReq req = {
        .blk = t->blk,
        .op = op,
        .range = blk_range(offset, bytes),
        .flags = flags,
    };

    fake_req_start(&req);
    return fake_req_co_wait(&req);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_device_add();
    test_fault_add();
    test_fault_device_add();
    test_file_add();
    test_file_failure_add();
    test_file_lock_add();
    test_file_status_add();
    test_file_race_add();
    test_null_add();
    test_raw_add();
    test_table_add();
    return g_test_run();
}
