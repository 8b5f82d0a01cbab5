/*
 * tests/unit/blockcore/test-graph.c - from options to nodes and back.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/graph.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "blockcore/edge.h"
#include "blockcore/flush.h"
#include "blockcore/graph-priv.h"
#include "tests/unit/blockcore/fake.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define CONFIG ASH_ERROR_CONFIG
#define CONFLICT ASH_ERROR_CONFLICT

static BlkGraph *graph;

static void
begin(unsigned log)
{
    fake_reset(log);
    graph = blk_graph_new(fake_drivers, NULL);
}

static void coroutine_fn
co_end(void)
{
    g_assert_cmpint(blk_graph_co_close_all(graph), ==, 0);
    g_assert_cmpuint(fake.n_open, ==, 0);
    blk_graph_free(graph);
}

static void coroutine_fn
co_del(const char *name)
{
    g_autoptr(GError) error = NULL;
    bool ok = blk_graph_co_del(graph, name, &error);

    g_assert_no_error(error);
    g_assert_true(ok);
}

static void coroutine_fn
co_del_fails(const char *name, int code, const char *message)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(blk_graph_co_del(graph, name, &error));
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, message);
}

/* ---- names ---- */

static void coroutine_fn
co_try_name(const char *name, const char *why)
{
    g_autofree char *text = g_strdup_printf("driver=leaf,node-name=%s", name);
    g_autofree char *message = NULL;

    if (!why) {
        fake_co_add(graph, text);
        g_assert_nonnull(blk_graph_find(graph, name, NULL));
        co_del(name);
        return;
    }
    message = g_strdup_printf("node '%s': '%s' can't be a node's name: %s",
                              name, name, why);
    fake_co_add_fails(graph, text, CONFIG, message);
}

/* Letters, digits, '-', '.', '_', a letter first, at most 31 of them. */
static void coroutine_fn
co_test_names(void *arg)
{
    const char *const rule =
        "use letters, digits, '-', '.' and '_', a letter first";

    (void)arg;
    begin(0);
    co_try_name("a", NULL);
    co_try_name("A-1.b_c", NULL);
    co_try_name("a234567890123456789012345678901", NULL);
    co_try_name("a2345678901234567890123456789012",
                "it is longer than 31 characters");
    co_try_name("", rule);
    co_try_name("1a", rule);
    co_try_name("-a", rule);
    co_try_name("#block000", rule);
    co_try_name("a b", rule);
    co_try_name("a/b", rule);
    co_try_name("\xc3\xa4", rule);
    for (int c = 1; c < 256; c++) {
        char name[3] = { 'x', (char)c, '\0' };
        bool good = g_ascii_isalnum((char)c) || strchr("-._", c) != NULL;

        if (c != ',') {
            co_try_name(name, good ? NULL : rule);
        }
    }
    co_end();
}

/* Nodes and exports share one space of names. */
static void coroutine_fn
co_test_unique(void *arg)
{
    g_autoptr(GError) error = NULL;

    (void)arg;
    begin(0);
    fake_co_add_fails(graph, "driver=leaf", CONFIG,
                      "option 'node-name' is required");
    fake_co_add(graph, "driver=leaf,node-name=a");
    fake_co_add_fails(graph, "driver=leaf,node-name=a", CONFLICT,
                      "node 'a': the name 'a' is taken by a node");
    fake_co_add_fails(graph,
                      "driver=filter,node-name=b,file.driver=leaf,"
                      "file.node-name=b",
                      CONFLICT,
                      "node 'b': filter: node 'b': the name 'b' is taken by "
                      "a node");
    g_assert_false(blk_graph_claim_name(graph, "a", &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==, "the name 'a' is taken by a node");
    g_clear_error(&error);
    g_assert_true(blk_graph_claim_name(graph, "e", &error));
    g_assert_false(blk_graph_claim_name(graph, "e", &error));
    g_assert_cmpstr(error->message, ==, "the name 'e' is taken by an export");
    g_clear_error(&error);
    fake_co_add_fails(graph, "driver=leaf,node-name=e", CONFLICT,
                      "node 'e': the name 'e' is taken by an export");
    g_assert_null(blk_graph_find(graph, "e", &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_NOT_FOUND);
    g_assert_cmpstr(error->message, ==, "there is no node 'e'");
    blk_graph_release_name(graph, "e");
    fake_co_add(graph, "driver=leaf,node-name=e");
    co_end();
}

/* Nodes without a name get one that no user can choose. */
static void coroutine_fn
co_test_generated(void *arg)
{
    BlkNode *node;

    (void)arg;
    begin(0);
    node = fake_co_add(graph, "driver=filter,node-name=a,file.driver=filter,"
                              "file.file.driver=leaf");
    node = node->primary->child;
    g_assert_cmpstr(blk_node_name(node), ==, "#block000");
    g_assert_cmpstr(blk_node_name(node->primary->child), ==, "#block001");
    g_assert_true(blk_graph_find(graph, "#block000", NULL) == node);
    fake_co_add(graph, "driver=filter,node-name=b,file=#block001");
    co_end();
}

/* ---- options ---- */

/* Whatever is wrong, the message names the key in full. */
static void coroutine_fn
co_test_option_errors(void *arg)
{
    static const struct {
        const char *text;
        int code;
        const char *message;
    } cases[] = {
        { "node-name=n", CONFIG,
          "node 'n': must specify a driver: option 'driver' is missing, and "
          "formats are not guessed" },
        { "node-name=n,driver=LEAF", CONFIG,
          "node 'n': unknown driver 'LEAF'" },
        { "node-name=n,driver=leav", CONFIG,
          "node 'n': unknown driver 'leav', did you mean 'leaf'?" },
        { "node-name=n,driver=", CONFIG, "node 'n': unknown driver ''" },
        { "node-name=n,driver=leaf,cache.dirct=on", CONFIG,
          "node 'n': driver 'leaf' has no option 'cache.dirct', did you mean "
          "'cache.direct'?" },
        { "node-name=n,driver=leaf,file=x", CONFIG,
          "node 'n': driver 'leaf' has no option 'file', did you mean "
          "'size'?" },
        { "node-name=n,driver=leaf,untaken=x", CONFIG,
          "node 'n': driver 'leaf' cannot use the option 'untaken' here" },
        { "node-name=n,driver=leaf,list.0.size=1", CONFIG,
          "node 'n': driver 'leaf' cannot use the option 'list.0.size' "
          "here" },
        { "node-name=n,driver=leaf,size=1Q", CONFIG,
          "node 'n': leaf: option 'size': '1Q' is not a size: use a whole "
          "number of bytes, or a suffix k, M, G, T, P, E for powers of "
          "1024" },
        { "node-name=n,driver=leaf,read-only=maybe", CONFIG,
          "node 'n': option 'read-only': 'maybe' is not on or off" },
        { "node-name=n,driver=leaf,discard=yes", CONFIG,
          "node 'n': option 'discard': 'yes' is not one of ignore, off, "
          "unmap, on" },
        { "node-name=n,driver=leaf,discard=off,detect-zeroes=unmap", CONFIG,
          "node 'n': option 'detect-zeroes': 'unmap' needs discard=unmap" },
        { "node-name=n,driver=leaf,force-share=on", CONFIG,
          "node 'n': option 'force-share': 'on' needs read-only=on" },
        { "node-name=n,driver=filter", CONFIG,
          "node 'n': filter: option 'file' is required: the name of a node, "
          "or the options of one ('file.driver', ...)" },
        { "node-name=n,driver=filter,file=null", CONFIG,
          "node 'n': filter: option 'file' is required: the name of a node, "
          "or the options of one ('file.driver', ...)" },
        { "node-name=n,driver=filter,file=nobody", ASH_ERROR_NOT_FOUND,
          "node 'n': filter: option 'file': there is no node 'nobody'" },
        { "node-name=n,driver=filter,file=n", ASH_ERROR_NOT_FOUND,
          "node 'n': filter: option 'file': node 'n' is not open yet" },
        { "node-name=n,driver=filter,file.driver=filter,file.file=n",
          ASH_ERROR_NOT_FOUND,
          "node 'n': filter: filter: option 'file.file': node 'n' is not "
          "open yet" },
        { "node-name=n,driver=filter,file=there,file.size=1", CONFIG,
          "node 'n': filter: option 'file': cannot reference an existing "
          "node with additional options ('file.size')" },
        { "node-name=n,driver=filter,file=null,file.size=1", CONFIG,
          "node 'n': filter: option 'file': cannot reference an existing "
          "node with additional options ('file.size')" },
        { "node-name=n,driver=filter,file.size=1", CONFIG,
          "node 'n': filter: must specify a driver: option 'file.driver' is "
          "missing, and formats are not guessed" },
        { "node-name=n,driver=filter,file.driver=leaf,file.siz=1", CONFIG,
          "node 'n': filter: driver 'leaf' has no option 'file.siz', did you "
          "mean 'file.size'?" },
        { "node-name=n,driver=filter,file.driver=filter,"
          "file.file.driver=leaf,file.file.node-name=l,file.file.foo=1",
          CONFIG,
          "node 'n': filter: filter: node 'l': driver 'leaf' has no option "
          "'file.file.foo'" },
        { "node-name=n,driver=format,file.driver=leaf,backing.driver=leaf,"
          "backing.foo.bar=1",
          CONFIG,
          "node 'n': format: driver 'leaf' has no option 'backing.foo.bar'" },
        { "node-name=n,driver=format,file.driver=leaf,backing=nobody",
          ASH_ERROR_NOT_FOUND,
          "node 'n': format: option 'backing': there is no node 'nobody'" },
        { "node-name=n,driver=leaf,align=3", CONFIG,
          "node 'n': limits: request alignment 3 is not a power of two from "
          "1 to 65536" },
        { "node-name=n,driver=leaf,align=131072", CONFIG,
          "node 'n': limits: request alignment 131072 is not a power of two "
          "from 1 to 65536" },
        { "node-name=n,driver=leaf,align=4096,max-transfer=6000", CONFIG,
          "node 'n': limits: maximal transfer 6000 is not a multiple of the "
          "request alignment 4096" },
    };

    (void)arg;
    begin(0);
    fake_co_add(graph, "driver=leaf,node-name=there");
    for (size_t i = 0; i < ASH_N_ELEMENTS(cases); i++) {
        fake_co_add_fails(graph, cases[i].text, cases[i].code,
                          cases[i].message);
    }
    g_test_message("%zu kinds of wrong options", ASH_N_ELEMENTS(cases));
    co_end();
}

/* A value of the wrong kind where a node belongs. */
static void coroutine_fn
co_test_child_kind(void *arg)
{
    g_autoptr(GError) error = NULL;
    BlkOptions *opts;
    BlkNode *node;

    (void)arg;
    begin(0);
    opts = fake_options("node-name=n,driver=filter");
    blk_options_set(opts, "file", BLK_VALUE_BOOL, "on");
    g_assert_false(blk_graph_co_add(graph, opts, &node, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==,
                    "node 'n': filter: option 'file': 'on' is not the name "
                    "of a node, or the options of one");
    co_end();
}

static void
check_options(const char *name, bool read_only, bool auto_ro, bool share,
              bool unmap, bool direct, bool no_flush, BlkDetectZeroes detect)
{
    BlkNode *node = blk_graph_find(graph, name, NULL);
    const BlkNodeOptions *o;

    g_assert_nonnull(node);
    o = blk_node_options(node);
    g_assert_cmpint(o->read_only, ==, read_only);
    g_assert_cmpint(o->auto_read_only, ==, auto_ro);
    g_assert_cmpint(o->force_share, ==, share);
    g_assert_cmpint(o->discard_unmap, ==, unmap);
    g_assert_cmpint(o->cache_direct, ==, direct);
    g_assert_cmpint(o->cache_no_flush, ==, no_flush);
    g_assert_cmpint(o->detect_zeroes, ==, detect);
}

/* Children that are given inline inherit; backing ones are read-only; what is
 * said wins; references inherit nothing. */
static void coroutine_fn
co_test_inherit(void *arg)
{
    const BlkDetectZeroes off = BLK_DETECT_ZEROES_OFF;

    (void)arg;
    begin(0);
    fake_co_add(graph,
                "driver=format,node-name=a,cache.direct=on,cache.no-flush=on,"
                "auto-read-only=on,discard=ignore,detect-zeroes=on,"
                "file.driver=leaf,file.node-name=af,"
                "backing.driver=format,backing.node-name=ab,"
                "backing.file.driver=leaf,backing.file.node-name=abf");
    check_options("a", false, true, false, false, true, true,
                  BLK_DETECT_ZEROES_ON);
    check_options("af", false, true, false, true, true, true, off);
    check_options("ab", true, false, false, true, true, true, off);
    check_options("abf", true, false, false, true, true, true, off);
    fake_co_add(graph, "driver=filter,node-name=b,read-only=on,force-share=on,"
                       "file.driver=leaf,file.node-name=bf");
    check_options("bf", true, false, true, true, false, false, off);
    fake_co_add(graph,
                "driver=format,node-name=c,cache.direct=on,detect-zeroes="
                "unmap,file.driver=leaf,file.node-name=cf,"
                "file.cache.direct=off,file.discard=off,"
                "backing.driver=leaf,backing.node-name=cb,"
                "backing.read-only=off");
    check_options("c", false, false, false, true, true, false,
                  BLK_DETECT_ZEROES_UNMAP);
    check_options("cf", false, false, false, false, false, false, off);
    check_options("cb", false, false, false, true, true, false, off);
    fake_co_add(graph, "driver=leaf,node-name=d");
    fake_co_add(graph, "driver=filter,node-name=e,cache.direct=on,file=d");
    check_options("d", false, false, false, true, false, false, off);
    co_end();
}

/* Sizes are exact; a filter has its child's; limits come from below. */
static void coroutine_fn
co_test_facts(void *arg)
{
    BlkNode *node;

    (void)arg;
    begin(0);
    node = fake_co_add(graph, "driver=filter,node-name=a,file.driver=leaf,"
                              "file.size=1000001,file.align=512,"
                              "file.max-transfer=65536");
    g_assert_cmpuint(blk_node_size(node), ==, 1000001);
    g_assert_cmpuint(blk_node_limits(node)->max_transfer, ==, 65536);
    g_assert_cmpuint(blk_node_limits(node)->request_align, ==, 1);
    node = node->primary->child;
    g_assert_cmpuint(blk_node_limits(node)->request_align, ==, 512);
    node = fake_co_add(graph, "driver=format,node-name=b,file.driver=leaf,"
                              "file.max-transfer=4096,backing.driver=leaf,"
                              "backing.max-transfer=1024");
    g_assert_cmpuint(blk_node_limits(node)->max_transfer, ==, 1024);
    co_end();
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
    begin(FAKE_LOG_LIFE);
    disk = fake_co_add(graph, "driver=leaf,node-name=disk");
    a = fake_co_add(graph, "driver=filter,node-name=a,file=disk");
    fake_co_add(graph, "driver=format,node-name=b,file.driver=leaf,"
                       "file.node-name=bf,backing=disk");
    g_assert_true(a->primary->child == disk);
    g_assert_cmpuint(disk->n_refs, ==, 3);
    co_del_fails("disk", ASH_ERROR_BUSY,
                 "node 'disk' is in use by node 'a' as 'file'");
    co_del_fails("bf", ASH_ERROR_BUSY,
                 "node 'bf' is in use by node 'b' as 'file'");
    co_del_fails("nobody", ASH_ERROR_NOT_FOUND, "there is no node 'nobody'");
    fake_assert_log("open:disk open:a open:bf open:b");
    co_del("a");
    fake_assert_log("close:a");
    co_del("b");
    fake_assert_log("close:b close:bf");
    fake_blk_init(&blk, "export 'e1'");
    g_assert_true(blk_edge_co_attach_root(&blk, disk, BLK_PERM_CONSISTENT_READ,
                                          BLK_PERM_ALL, &edge, NULL));
    co_del_fails("disk", ASH_ERROR_BUSY,
                 "node 'disk' is in use by export 'e1'");
    blk_edge_co_detach_root(edge);
    co_del("disk");
    fake_assert_log("close:disk");
    g_assert_cmpuint(fake_n_nodes(graph), ==, 0);
    co_end();
}

/* A node that only an export still holds closes with it. */
static void coroutine_fn
co_test_last_user(void *arg)
{
    BlkNode *n;
    Blk blk;
    BlkEdge *edge;

    (void)arg;
    begin(FAKE_LOG_LIFE | FAKE_LOG_FLUSH);
    n = fake_co_add(graph, "driver=filter,node-name=n,file.driver=leaf,"
                           "file.node-name=f");
    fake_blk_init(&blk, "export 'e1'");
    g_assert_true(blk_edge_co_attach_root(
        &blk, n, (BlkPerm)BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE,
        BLK_PERM_ALL, &edge, NULL));
    g_assert_cmpint(blk_graph_co_close_all(graph), ==, 0);
    fake_assert_log("open:f open:n");
    g_assert_nonnull(blk_graph_find(graph, "n", NULL));
    g_assert_cmpint(blk_edge_co_detach_root(edge), ==, 0);
    fake_assert_log("flush:n flush:f close:n close:f");
    co_end();
}

/* Parents close before children, each after a flush, in whatever order they
 * were added; an error of a flush is kept and the rest goes on. */
static void coroutine_fn
co_test_close_all(void *arg)
{
    (void)arg;
    begin(FAKE_LOG_LIFE | FAKE_LOG_FLUSH);
    fake_co_add(graph, "driver=leaf,node-name=base,read-only=on");
    fake_co_add(graph, "driver=leaf,node-name=disk");
    fake_co_add(graph, "driver=format,node-name=img,file=disk,backing=base");
    fake_co_add(graph, "driver=filter,node-name=top,file=img");
    fake_co_add(graph, "driver=leaf,node-name=lone");
    g_string_truncate(fake.text, 0);
    g_assert_cmpint(blk_graph_co_close_all(graph), ==, 0);
    fake_assert_log("flush:top flush:img flush:disk close:top close:img "
                    "close:base close:disk flush:lone close:lone");
    fake_co_add(graph, "driver=filter,node-name=top,file.driver=leaf,"
                       "file.node-name=f");
    fake_co_add(graph, "driver=leaf,node-name=lone");
    g_string_truncate(fake.text, 0);
    fake.flush_error = -ENOSPC;
    g_assert_cmpint(blk_graph_co_close_all(graph), ==, -ENOSPC);
    g_assert_cmpuint(fake.n_open, ==, 0);
    g_assert_cmpuint(fake_n_nodes(graph), ==, 0);
    fake_co_add(graph, "driver=leaf,node-name=lone");
    co_del_fails("lone", ASH_ERROR_IO,
                 "node 'lone' is closed, but its last flush failed: No space "
                 "left on device");
    g_assert_cmpuint(fake_n_nodes(graph), ==, 0);
    co_end();
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

    begin(0);
    fake.yield = arg != NULL;
    fake_co_add(graph, "driver=leaf,node-name=shared");
    for (unsigned i = 1; i <= 4; i++) {
        static const char *const path[] = { "filter: format: leaf",
                                            "filter: format: window",
                                            "filter: format", "filter" };
        g_autofree char *message =
            g_strdup_printf("node 't': %s: no luck", path[i - 1]);

        fake.fail_open = i;
        fake_co_add_fails(graph, tree, ASH_ERROR_IO, message);
        g_assert_cmpuint(fake.fail_open, ==, 0);
    }
    fake_co_add(graph, tree);
    co_end();
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
    begin(0);
    fake_co_add(graph, "driver=leaf,node-name=there");
    fake_co_add(graph, "driver=format,node-name=user,file.driver=leaf,"
                       "file.node-name=used");
    n_fds = count_fds();
    n_nodes = fake_n_nodes(graph);
    coro_get_stats(&before);
    for (unsigned i = 0; i < 1000; i++) {
        g_autoptr(GError) error = NULL;
        BlkNode *node = NULL;

        g_assert_false(blk_graph_co_add(
            graph, fake_options(texts[i % ASH_N_ELEMENTS(texts)]), &node,
            &error));
        g_assert_nonnull(error);
        g_assert_cmpuint(fake_n_nodes(graph), ==, n_nodes);
        g_assert_cmpuint(fake.n_open, ==, 3);
    }
    coro_get_stats(&after);
    g_assert_cmpuint(after.n_live, ==, before.n_live);
    g_assert_cmpuint(count_fds(), ==, n_fds);
    g_assert_cmpuint(g_hash_table_size(graph->names), ==, 3);
    g_test_message("1000 failing opens of %zu kinds", ASH_N_ELEMENTS(texts));
    co_end();
}

/* ---- depth ---- */

/* "driver=filter,file.driver=filter,...,file.file.driver=leaf". */
static BlkOptions *
nest(unsigned n_levels)
{
    g_autoptr(GString) prefix = g_string_new(NULL);
    BlkOptions *opts = blk_options_new();

    blk_options_set(opts, "node-name", BLK_VALUE_KEYVAL, "deep");
    for (unsigned i = 1; i <= n_levels; i++) {
        g_autofree char *key = g_strconcat(prefix->str, "driver", NULL);

        blk_options_set(opts, key, BLK_VALUE_KEYVAL,
                        i < n_levels ? "filter" : "leaf");
        g_string_append(prefix, "file.");
    }
    return opts;
}

static void coroutine_fn
co_test_depth(void *arg)
{
    g_autoptr(GError) error = NULL;
    BlkNode *node;
    CoroStats stats;

    (void)arg;
    begin(0);
    g_assert_true(blk_graph_co_add(graph, nest(BLK_DEPTH_MAX), &node, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(node->height, ==, BLK_DEPTH_MAX);
    fake_co_add_fails(graph, "driver=filter,node-name=more,file=deep",
                      ASH_ERROR_LIMIT,
                      "node 'more': filter: node 'deep' is already 256 "
                      "layers high, the limit");
    co_del("deep");
    for (unsigned n = BLK_DEPTH_MAX + 1; n <= 600; n *= 2) {
        g_assert_false(blk_graph_co_add(graph, nest(n), &node, &error));
        g_assert_error(error, ASH_ERROR, ASH_ERROR_LIMIT);
        g_assert_true(g_str_has_suffix(
            error->message,
            "filter: more than 256 nodes on top of each other"));
        g_clear_error(&error);
        g_assert_cmpuint(fake_n_nodes(graph), ==, 0);
    }
    coro_get_stats(&stats);
    g_test_message("%zu bytes of stack at most", stats.stack_high_bytes);
    co_end();
}

/* ---- turns and loops ---- */

typedef struct Adder {
    const char *text;
    unsigned *n_running;
    Coro *waiter;
    bool ok;
} Adder;

static void coroutine_fn
co_adder(void *arg)
{
    Adder *adder = arg;
    BlkNode *node;

    adder->ok = blk_graph_co_add(graph, fake_options(adder->text), &node, NULL);
    if (--*adder->n_running == 0) {
        coro_wake(adder->waiter);
    }
}

/* Commands that come at once take turns: one of two with the same name
 * fails, and one may refer to what the one before adds. */
static void coroutine_fn
co_test_turns(void *arg)
{
    const char *const texts[] = {
        "driver=leaf,node-name=a",          "driver=leaf,node-name=a",
        "driver=filter,node-name=b,file=a", "driver=format,node-name=c,file=b",
        "driver=format,node-name=d,file=b",
    };
    const bool expected[] = { true, false, true, true, false };
    Adder adders[ASH_N_ELEMENTS(texts)];
    unsigned n_running = ASH_N_ELEMENTS(texts);

    (void)arg;
    begin(0);
    fake.slow_open = true;
    fake.yield = true;
    for (size_t i = 0; i < ASH_N_ELEMENTS(texts); i++) {
        adders[i] = (Adder){
            .text = texts[i],
            .n_running = &n_running,
            .waiter = coro_self(),
        };
        coro_spawn(co_adder, &adders[i]);
    }
    co_yield();
    for (size_t i = 0; i < ASH_N_ELEMENTS(texts); i++) {
        g_assert_true(adders[i].ok == expected[i]);
    }
    co_end();
}

static Loop *
start_loop(const char *name)
{
    g_autoptr(GError) error = NULL;
    Loop *loop = loop_new(name, &error);

    g_assert_no_error(error);
    g_assert_true(loop_thread_start(loop, &error));
    return loop;
}

static void
stop_loop(Loop *loop)
{
    loop_stop(loop);
    loop_thread_join(loop);
    loop_free(loop);
}

static bool coroutine_fn
co_set_home(BlkNode *node, Loop *loop, GError **error)
{
    Loop *origin = loop_current();
    bool ok;

    co_hop(blk_node_loop(node));
    ok = blk_node_co_set_home(node, loop, error);
    co_hop(origin);
    return ok;
}

/* A whole component moves, parents leaving first and arriving last; what
 * refers to it later is opened where it lives. */
static void coroutine_fn
co_test_home(void *arg)
{
    Loop *origin = loop_current();
    Loop *w1 = start_loop("w1");
    Loop *w2 = start_loop("w2");
    BlkNode *top;
    BlkNode *other;
    BlkNode *lone;

    (void)arg;
    begin(FAKE_LOG_LOOP);
    fake_co_add(graph, "driver=leaf,node-name=disk");
    top = fake_co_add(graph, "driver=filter,node-name=top,file=disk");
    other = fake_co_add(graph, "driver=filter,node-name=other,"
                               "file.driver=window,file.node-name=mid,"
                               "file.file=disk");
    lone = fake_co_add(graph, "driver=leaf,node-name=lone");
    g_assert_true(co_set_home(other->primary->child, w1, NULL));
    {
        const char *text = fake.text->str;
        static const char *const words[] = { "detach:top",  "detach:other",
                                             "detach:mid",  "detach:disk",
                                             "attach:disk", "attach:mid",
                                             "attach:top",  "attach:other" };
        const char *at[8];

        for (int i = 0; i < 8; i++) {
            at[i] = strstr(text, words[i]);
            g_assert_nonnull(at[i]);
        }
        g_assert_true(at[0] < at[3] && at[1] < at[2] && at[2] < at[3]);
        g_assert_true(at[4] < at[5] && at[4] < at[6] && at[5] < at[7]);
    }
    g_assert_true(blk_node_loop(top) == w1);
    g_assert_true(blk_node_loop(other) == w1);
    g_assert_true(blk_node_loop(lone) == origin);
    g_string_truncate(fake.text, 0);
    g_assert_true(co_set_home(top, w1, NULL));
    fake_assert_log("");
    g_assert_true(co_set_home(lone, w2, NULL));
    g_string_truncate(fake.text, 0);
    fake_co_add_fails(graph, "driver=format,node-name=x,file=top,backing=lone",
                      CONFLICT,
                      "nodes 'top' and 'lone' live on different loops, 'w1' "
                      "and 'w2'");
    top = fake_co_add(graph, "driver=filter,node-name=x,file.driver=filter,"
                             "file.file=top");
    g_assert_true(blk_node_loop(top) == w1);
    g_assert_true(loop_current() == origin);
    co_del("x");
    co_end();
    stop_loop(w1);
    stop_loop(w2);
}

/* When some node can't arrive, all go back. */
static void coroutine_fn
co_test_home_failure(void *arg)
{
    Loop *origin = loop_current();
    Loop *w1 = start_loop("w1");
    BlkNode *top;

    (void)arg;
    begin(FAKE_LOG_LOOP);
    top = fake_co_add(graph, "driver=filter,node-name=top,file.driver=window,"
                             "file.node-name=mid,file.file.driver=leaf,"
                             "file.file.node-name=disk");
    for (unsigned i = 1; i <= 3; i++) {
        static const char *const tried[] = {
            "",
            "attach:disk detach:disk ",
            "attach:disk attach:mid detach:mid detach:disk ",
        };
        static const char *const names[] = { "disk", "mid", "top" };
        static const char *const drivers[] = { "leaf", "window", "filter" };
        g_autofree char *log =
            g_strconcat("detach:top detach:mid detach:disk ", tried[i - 1],
                        "attach:disk attach:mid attach:top", NULL);
        g_autofree char *message = g_strdup_printf(
            "node '%s': %s: no room", names[i - 1], drivers[i - 1]);
        g_autoptr(GError) error = NULL;

        fake.fail_attach = i;
        g_assert_false(co_set_home(top, w1, &error));
        g_assert_error(error, ASH_ERROR, ASH_ERROR_IO);
        g_assert_cmpstr(error->message, ==, message);
        fake_assert_log(log);
        g_assert_true(blk_node_loop(top) == origin);
        g_assert_cmpint(blk_node_failed(top), ==, 0);
    }
    g_assert_true(co_set_home(top, w1, NULL));
    co_end();
    stop_loop(w1);
}

typedef struct Racer {
    Loop *loop;
    unsigned id;
    unsigned *n_running;
    Coro *waiter;
    LoopMsg done;
} Racer;

static void
racer_done_cb(LoopMsg *msg)
{
    Racer *racer = ash_container_of(msg, Racer, done);

    if (--*racer->n_running == 0) {
        coro_wake(racer->waiter);
    }
}

/* On its own loop: hold the shared node and let it go, many times. */
static void coroutine_fn
co_racer(void *arg)
{
    Racer *racer = arg;
    Loop *origin = loop_current();
    g_autofree char *name = g_strdup_printf("n%u", racer->id);
    g_autofree char *text =
        g_strdup_printf("driver=filter,node-name=%s,file.driver=leaf", name);

    for (unsigned i = 0; i < 50; i++) {
        BlkNode *node = fake_co_add(graph, text);

        g_assert_true(co_set_home(node, racer->loop, NULL));
        co_del(name);
        g_assert_true(loop_current() == origin);
    }
    racer->done.fn = racer_done_cb;
    loop_post(origin, &racer->done);
}

/* Commands on several loops at once take turns too. */
static void coroutine_fn
co_test_race(void *arg)
{
    Loop *loops[2] = { start_loop("w1"), start_loop("w2") };
    unsigned n_running = 4;
    Racer racers[4];

    (void)arg;
    begin(0);
    for (unsigned i = 0; i < 4; i++) {
        racers[i] = (Racer){
            .loop = loops[i % 2],
            .id = i,
            .n_running = &n_running,
            .waiter = coro_self(),
        };
        coro_spawn(co_racer, &racers[i]);
    }
    co_yield();
    co_end();
    stop_loop(loops[0]);
    stop_loop(loops[1]);
}

static void
run(const void *fn)
{
    test_run((CoroFn *)(uintptr_t)fn, NULL);
}

static void
run_yielding(const void *fn)
{
    test_run((CoroFn *)(uintptr_t)fn, &fake);
}

static void
add(const char *path, CoroFn *fn)
{
    g_test_add_data_func(path, (const void *)(uintptr_t)fn, run);
}

void
test_graph_add(void)
{
    add("/blockcore/graph/names", co_test_names);
    add("/blockcore/graph/unique-names", co_test_unique);
    add("/blockcore/graph/generated-names", co_test_generated);
    add("/blockcore/graph/option-errors", co_test_option_errors);
    add("/blockcore/graph/child-kind", co_test_child_kind);
    add("/blockcore/graph/inheritance", co_test_inherit);
    add("/blockcore/graph/facts", co_test_facts);
    add("/blockcore/graph/references", co_test_references);
    add("/blockcore/graph/last-user", co_test_last_user);
    add("/blockcore/graph/close-all", co_test_close_all);
    add("/blockcore/graph/fail-each-open", co_test_fail_each);
    g_test_add_data_func("/blockcore/graph/fail-each-open-that-yields",
                         (const void *)(uintptr_t)co_test_fail_each,
                         run_yielding);
    add("/blockcore/graph/fail-often", co_test_fail_often);
    add("/blockcore/graph/depth", co_test_depth);
    add("/blockcore/graph/turns", co_test_turns);
    add("/blockcore/graph/home", co_test_home);
    add("/blockcore/graph/home-failure", co_test_home_failure);
    add("/blockcore/graph/race", co_test_race);
}
