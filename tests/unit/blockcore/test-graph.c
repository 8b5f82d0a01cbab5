/*
 * tests/unit/blockcore/test-graph.c - who keeps a node alive, and what stays
 * of one that fails to open: nothing.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/graph.h"

#include <dirent.h>
#include <errno.h>

#include "base/bits.h"
#include "blockcore/edge.h"
#include "blockcore/graph-priv.h"
#include "tests/unit/blockcore/fake.h"
#include "tests/unit/blockcore/test-blockcore.h"
#include "tests/unit/blockcore/test-graph.h"

BlkGraph *test_graph;

void
test_graph_begin(unsigned log)
{
    fake_reset(log);
    test_graph = blk_graph_new(fake_drivers, NULL);
}

void coroutine_fn
test_graph_co_end(void)
{
    g_assert_cmpint(blk_graph_co_close_all(test_graph), ==, 0);
    g_assert_cmpuint(fake.n_open, ==, 0);
    blk_graph_free(test_graph);
}

void coroutine_fn
test_graph_co_del(const char *name)
{
    g_autoptr(GError) error = NULL;
    bool ok = blk_graph_co_del(test_graph, name, &error);

    g_assert_no_error(error);
    g_assert_true(ok);
}

void coroutine_fn
test_graph_co_del_fails(const char *name, int code, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(blk_graph_co_del(test_graph, name, &error));
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, message);
}

/* ---- references and deletion ---- */

static void coroutine_fn
co_test_references(void *arg)
{
    BlkNode *disk;
    BlkNode *a;
    Blk blk;
    BlkEdge *edge;

    (void)arg;
    test_graph_begin(FAKE_LOG_LIFE);
    disk = fake_co_add(test_graph, "driver=leaf,node-name=disk");
    a = fake_co_add(test_graph, "driver=filter,node-name=a,file=disk");
    fake_co_add(test_graph, "driver=format,node-name=b,file.driver=leaf,"
                            "file.node-name=bf,backing=disk");
    g_assert_true(a->primary->child == disk);
    g_assert_cmpuint(disk->n_refs, ==, 3);
    test_graph_co_del_fails("disk", ASH_ERROR_BUSY,
                            "node 'disk' is in use by node 'a' as 'file'");
    test_graph_co_del_fails("bf", ASH_ERROR_BUSY,
                            "node 'bf' is in use by node 'b' as 'file'");
    test_graph_co_del_fails("nobody", ASH_ERROR_NOT_FOUND,
                            "there is no node 'nobody'");
    fake_assert_log("open:disk open:a open:bf open:b");
    test_graph_co_del("a");
    fake_assert_log("close:a");
    test_graph_co_del("b");
    fake_assert_log("close:b close:bf");
    fake_blk_init(&blk, "export 'e1'");
    g_assert_true(blk_edge_co_attach_root(&blk, disk, BLK_PERM_CONSISTENT_READ,
                                          BLK_PERM_ALL, &edge, NULL));
    test_graph_co_del_fails("disk", ASH_ERROR_BUSY,
                            "node 'disk' is in use by export 'e1'");
    blk_edge_co_detach_root(edge);
    test_graph_co_del("disk");
    fake_assert_log("close:disk");
    g_assert_cmpuint(fake_n_nodes(test_graph), ==, 0);
    test_graph_co_end();
}

/* A node that only an export still holds closes with it. */
static void coroutine_fn
co_test_last_user(void *arg)
{
    BlkNode *n;
    Blk blk;
    BlkEdge *edge;

    (void)arg;
    test_graph_begin(FAKE_LOG_LIFE | FAKE_LOG_FLUSH);
    n = fake_co_add(test_graph, "driver=filter,node-name=n,file.driver=leaf,"
                                "file.node-name=f");
    fake_blk_init(&blk, "export 'e1'");
    g_assert_true(blk_edge_co_attach_root(
        &blk, n, (BlkPerm)BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE,
        BLK_PERM_ALL, &edge, NULL));
    g_assert_cmpint(blk_graph_co_close_all(test_graph), ==, 0);
    fake_assert_log("open:f open:n");
    g_assert_nonnull(blk_graph_find(test_graph, "n", NULL));
    g_assert_cmpint(blk_edge_co_detach_root(edge), ==, 0);
    fake_assert_log("flush:n flush:f close:n close:f");
    test_graph_co_end();
}

/* Parents close before children, each after a flush, in whatever order they
 * were added; an error of a flush is kept and the rest goes on. */
static void coroutine_fn
co_test_close_all(void *arg)
{
    (void)arg;
    test_graph_begin(FAKE_LOG_LIFE | FAKE_LOG_FLUSH);
    fake_co_add(test_graph, "driver=leaf,node-name=base,read-only=on");
    fake_co_add(test_graph, "driver=leaf,node-name=disk");
    fake_co_add(test_graph,
                "driver=format,node-name=img,file=disk,backing=base");
    fake_co_add(test_graph, "driver=filter,node-name=top,file=img");
    fake_co_add(test_graph, "driver=leaf,node-name=lone");
    g_string_truncate(fake.text, 0);
    g_assert_cmpint(blk_graph_co_close_all(test_graph), ==, 0);
    fake_assert_log("flush:top flush:img flush:disk close:top close:img "
                    "close:base close:disk flush:lone close:lone");
    fake_co_add(test_graph, "driver=filter,node-name=top,file.driver=leaf,"
                            "file.node-name=f");
    fake_co_add(test_graph, "driver=leaf,node-name=lone");
    g_string_truncate(fake.text, 0);
    fake.flush_error = -ENOSPC;
    g_assert_cmpint(blk_graph_co_close_all(test_graph), ==, -ENOSPC);
    g_assert_cmpuint(fake.n_open, ==, 0);
    g_assert_cmpuint(fake_n_nodes(test_graph), ==, 0);
    fake_co_add(test_graph, "driver=leaf,node-name=lone");
    test_graph_co_del_fails(
        "lone", ASH_ERROR_IO,
        "node 'lone' is closed, but its last flush failed: No space "
        "left on device");
    g_assert_cmpuint(fake_n_nodes(test_graph), ==, 0);
    test_graph_co_end();
}

/* ---- failure in the middle ---- */

static unsigned
count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    g_assert_nonnull(dir);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Whichever open fails, nothing of the tree stays. */
static void coroutine_fn
co_test_fail_each(void *arg)
{
    const char *const tree =
        "driver=filter,node-name=t,file.driver=format,file.file.driver=leaf,"
        "file.backing.driver=window,file.backing.file=shared";

    test_graph_begin(0);
    fake.yield = arg != NULL;
    fake_co_add(test_graph, "driver=leaf,node-name=shared");
    for (unsigned i = 1; i <= 4; i++) {
        static const char *const path[] = { "filter: format: leaf",
                                            "filter: format: window",
                                            "filter: format", "filter" };
        g_autofree char *message =
            g_strdup_printf("node 't': %s: no luck", path[i - 1]);

        fake.fail_open = i;
        fake_co_add_fails(test_graph, tree, ASH_ERROR_IO, message);
        g_assert_cmpuint(fake.fail_open, ==, 0);
    }
    fake_co_add(test_graph, tree);
    test_graph_co_end();
}

/* A thousand failing opens of many kinds leave nothing behind. */
static void coroutine_fn
co_test_fail_often(void *arg)
{
    const char *const texts[] = {
        "node-name=n,driver=nosuch",
        "node-name=n,driver=leaf,bad=1",
        "node-name=n,driver=leaf,untaken=1",
        "node-name=n,driver=leaf,align=3",
        "node-name=n,driver=filter,file.driver=leaf,file.bad=1",
        "node-name=n,driver=filter,file.driver=leaf,untaken=1",
        "node-name=n,driver=format,file.driver=leaf,backing.driver=filter",
        "node-name=n,driver=format,file=there,backing.driver=,read-only=on",
        "node-name=n,driver=format,file=used",
        "node-name=there,driver=leaf",
    };
    unsigned n_fds;
    unsigned n_nodes;
    CoroStats before;
    CoroStats after;

    (void)arg;
    test_graph_begin(0);
    fake_co_add(test_graph, "driver=leaf,node-name=there");
    fake_co_add(test_graph, "driver=format,node-name=user,file.driver=leaf,"
                            "file.node-name=used");
    n_fds = count_fds();
    n_nodes = fake_n_nodes(test_graph);
    coro_get_stats(&before);
    for (unsigned i = 0; i < 1000; i++) {
        g_autoptr(GError) error = NULL;
        BlkNode *node = NULL;

        g_assert_false(blk_graph_co_add(
            test_graph, fake_options(texts[i % ASH_N_ELEMENTS(texts)]), &node,
            &error));
        g_assert_nonnull(error);
        g_assert_cmpuint(fake_n_nodes(test_graph), ==, n_nodes);
        g_assert_cmpuint(fake.n_open, ==, 3);
    }
    coro_get_stats(&after);
    g_assert_cmpuint(after.n_live, ==, before.n_live);
    g_assert_cmpuint(count_fds(), ==, n_fds);
    g_assert_cmpuint(g_hash_table_size(test_graph->names), ==, 3);
    g_test_message("1000 failing opens of %zu kinds", ASH_N_ELEMENTS(texts));
    test_graph_co_end();
}

static void
run_yielding(const void *fn)
{
    test_run((CoroFn *)(uintptr_t)fn, &fake);
}

void
test_graph_add(void)
{
    test_add_co("/blockcore/graph/references", co_test_references);
    test_add_co("/blockcore/graph/last-user", co_test_last_user);
    test_add_co("/blockcore/graph/close-all", co_test_close_all);
    test_add_co("/blockcore/graph/fail-each-open", co_test_fail_each);
    g_test_add_data_func("/blockcore/graph/fail-each-open-that-yields",
                         (const void *)(uintptr_t)co_test_fail_each,
                         run_yielding);
    test_add_co("/blockcore/graph/fail-often", co_test_fail_often);
}
