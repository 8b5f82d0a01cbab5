/*
 * tests/unit/blockcore/test-graph-open.c - from options to nodes: names,
 * options, what children inherit, how deep it may go.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "base/bits.h"
#include "blockcore/edge.h"
#include "blockcore/graph.h"
#include "tests/unit/blockcore/fake.h"
#include "tests/unit/blockcore/test-blockcore.h"
#include "tests/unit/blockcore/test-graph.h"

/* ---- names ---- */

static void coroutine_fn
co_try_name(const char *name, const char *why)
{
    g_autofree char *text = g_strdup_printf("driver=leaf,node-name=%s", name);
    g_autofree char *message = NULL;

    if (!why) {
        fake_co_add(test_graph, text);
        g_assert_nonnull(blk_graph_find(test_graph, name, NULL));
        test_graph_co_del(name);
        return;
    }
    message = g_strdup_printf("node '%s': '%s' can't be a node's name: %s",
                              name, name, why);
    fake_co_add_fails(test_graph, text, ASH_ERROR_CONFIG, message);
}

/* Letters, digits, '-', '.', '_', a letter first, at most 31 of them. */
static void coroutine_fn
co_test_names(void *arg)
{
    const char *const rule =
        "use letters, digits, '-', '.' and '_', a letter first";

    (void)arg;
    test_graph_begin(0);
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
    test_graph_co_end();
}

/* Nodes and exports share one space of names. */
static void coroutine_fn
co_test_unique(void *arg)
{
    g_autoptr(GError) error = NULL;

    (void)arg;
    test_graph_begin(0);
    fake_co_add_fails(test_graph, "driver=leaf", ASH_ERROR_CONFIG,
                      "option 'node-name' is required");
    fake_co_add(test_graph, "driver=leaf,node-name=a");
    fake_co_add_fails(test_graph, "driver=leaf,node-name=a", ASH_ERROR_CONFLICT,
                      "node 'a': the name 'a' is taken by a node");
    fake_co_add_fails(test_graph,
                      "driver=filter,node-name=b,file.driver=leaf,"
                      "file.node-name=b",
                      ASH_ERROR_CONFLICT,
                      "node 'b': filter: node 'b': the name 'b' is taken by "
                      "a node");
    g_assert_false(blk_graph_claim_name(test_graph, "a", &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==, "the name 'a' is taken by a node");
    g_clear_error(&error);
    g_assert_true(blk_graph_claim_name(test_graph, "e", &error));
    g_assert_false(blk_graph_claim_name(test_graph, "e", &error));
    g_assert_cmpstr(error->message, ==, "the name 'e' is taken by an export");
    g_clear_error(&error);
    fake_co_add_fails(test_graph, "driver=leaf,node-name=e", ASH_ERROR_CONFLICT,
                      "node 'e': the name 'e' is taken by an export");
    g_assert_null(blk_graph_find(test_graph, "e", &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_NOT_FOUND);
    g_assert_cmpstr(error->message, ==, "there is no node 'e'");
    blk_graph_release_name(test_graph, "e");
    fake_co_add(test_graph, "driver=leaf,node-name=e");
    test_graph_co_end();
}

/* Nodes without a name get one that no user can choose. */
static void coroutine_fn
co_test_generated(void *arg)
{
    BlkNode *node;

    (void)arg;
    test_graph_begin(0);
    node =
        fake_co_add(test_graph, "driver=filter,node-name=a,file.driver=filter,"
                                "file.file.driver=leaf");
    node = node->primary->child;
    g_assert_cmpstr(blk_node_name(node), ==, "#block000");
    g_assert_cmpstr(blk_node_name(node->primary->child), ==, "#block001");
    g_assert_true(blk_graph_find(test_graph, "#block000", NULL) == node);
    fake_co_add(test_graph, "driver=filter,node-name=b,file=#block001");
    test_graph_co_end();
}

/* ---- options ---- */

static const struct {
    const char *text;
    int code;
    const char *message;
} wrong_options[] = {
    { "node-name=n", ASH_ERROR_CONFIG,
      "node 'n': must specify a driver: option 'driver' is missing, and "
      "formats are not guessed" },
    { "node-name=n,driver=LEAF", ASH_ERROR_CONFIG,
      "node 'n': unknown driver 'LEAF'" },
    { "node-name=n,driver=leav", ASH_ERROR_CONFIG,
      "node 'n': unknown driver 'leav', did you mean 'leaf'?" },
    { "node-name=n,driver=", ASH_ERROR_CONFIG, "node 'n': unknown driver ''" },
    { "node-name=n,driver=leaf,cache.dirct=on", ASH_ERROR_CONFIG,
      "node 'n': driver 'leaf' has no option 'cache.dirct', did you mean "
      "'cache.direct'?" },
    { "node-name=n,driver=leaf,file=x", ASH_ERROR_CONFIG,
      "node 'n': driver 'leaf' has no option 'file', did you mean "
      "'size'?" },
    { "node-name=n,driver=leaf,untaken=x", ASH_ERROR_CONFIG,
      "node 'n': driver 'leaf' cannot use the option 'untaken' here" },
    { "node-name=n,driver=leaf,list.0.size=1", ASH_ERROR_CONFIG,
      "node 'n': driver 'leaf' cannot use the option 'list.0.size' "
      "here" },
    { "node-name=n,driver=leaf,size=1Q", ASH_ERROR_CONFIG,
      "node 'n': leaf: option 'size': '1Q' is not a size: use a whole "
      "number of bytes, or a suffix k, M, G, T, P, E for powers of "
      "1024" },
    { "node-name=n,driver=leaf,read-only=maybe", ASH_ERROR_CONFIG,
      "node 'n': option 'read-only': 'maybe' is not on or off" },
    { "node-name=n,driver=leaf,discard=yes", ASH_ERROR_CONFIG,
      "node 'n': option 'discard': 'yes' is not one of ignore, off, "
      "unmap, on" },
    { "node-name=n,driver=leaf,discard=off,detect-zeroes=unmap",
      ASH_ERROR_CONFIG,
      "node 'n': option 'detect-zeroes': 'unmap' needs discard=unmap" },
    { "node-name=n,driver=leaf,force-share=on", ASH_ERROR_CONFIG,
      "node 'n': option 'force-share': 'on' needs read-only=on" },
    { "node-name=n,driver=filter", ASH_ERROR_CONFIG,
      "node 'n': filter: option 'file' is required: the name of a node, "
      "or the options of one ('file.driver', ...)" },
    { "node-name=n,driver=filter,file=null", ASH_ERROR_CONFIG,
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
    { "node-name=n,driver=filter,file=there,file.size=1", ASH_ERROR_CONFIG,
      "node 'n': filter: option 'file': cannot reference an existing "
      "node with additional options ('file.size')" },
    { "node-name=n,driver=filter,file=null,file.size=1", ASH_ERROR_CONFIG,
      "node 'n': filter: option 'file': cannot reference an existing "
      "node with additional options ('file.size')" },
    { "node-name=n,driver=filter,file.size=1", ASH_ERROR_CONFIG,
      "node 'n': filter: must specify a driver: option 'file.driver' is "
      "missing, and formats are not guessed" },
    { "node-name=n,driver=filter,file.driver=leaf,file.siz=1", ASH_ERROR_CONFIG,
      "node 'n': filter: driver 'leaf' has no option 'file.siz', did you "
      "mean 'file.size'?" },
    { "node-name=n,driver=filter,file.driver=filter,"
      "file.file.driver=leaf,file.file.node-name=l,file.file.foo=1",
      ASH_ERROR_CONFIG,
      "node 'n': filter: filter: node 'l': driver 'leaf' has no option "
      "'file.file.foo'" },
    { "node-name=n,driver=format,file.driver=leaf,backing.driver=leaf,"
      "backing.foo.bar=1",
      ASH_ERROR_CONFIG,
      "node 'n': format: driver 'leaf' has no option 'backing.foo.bar'" },
    { "node-name=n,driver=format,file.driver=leaf,backing=nobody",
      ASH_ERROR_NOT_FOUND,
      "node 'n': format: option 'backing': there is no node 'nobody'" },
    { "node-name=n,driver=leaf,align=3", ASH_ERROR_CONFIG,
      "node 'n': limits: request alignment 3 is not a power of two from "
      "1 to 65536" },
    { "node-name=n,driver=leaf,align=131072", ASH_ERROR_CONFIG,
      "node 'n': limits: request alignment 131072 is not a power of two "
      "from 1 to 65536" },
    { "node-name=n,driver=leaf,align=4096,max-transfer=6000", ASH_ERROR_CONFIG,
      "node 'n': limits: maximal transfer 6000 is not a multiple of the "
      "request alignment 4096" },
};

/* Whatever is wrong, the message names the key in full. */
static void coroutine_fn
co_test_option_errors(void *arg)
{
    (void)arg;
    test_graph_begin(0);
    fake_co_add(test_graph, "driver=leaf,node-name=there");
    for (size_t i = 0; i < ASH_N_ELEMENTS(wrong_options); i++) {
        fake_co_add_fails(test_graph, wrong_options[i].text,
                          wrong_options[i].code, wrong_options[i].message);
    }
    g_test_message("%zu kinds of wrong options", ASH_N_ELEMENTS(wrong_options));
    test_graph_co_end();
}

/* A value of the wrong kind where a node belongs. */
static void coroutine_fn
co_test_child_kind(void *arg)
{
    g_autoptr(GError) error = NULL;
    BlkOptions *opts;
    BlkNode *node;

    (void)arg;
    test_graph_begin(0);
    opts = fake_options("node-name=n,driver=filter");
    blk_options_set(opts, "file", BLK_VALUE_BOOL, "on");
    g_assert_false(blk_graph_co_add(test_graph, opts, &node, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==,
                    "node 'n': filter: option 'file': 'on' is not the name "
                    "of a node, or the options of one");
    test_graph_co_end();
}

static void
check_options(const char *name, bool read_only, bool auto_ro, bool share,
              bool unmap, bool direct, bool no_flush, BlkDetectZeroes detect)
{
    BlkNode *node = blk_graph_find(test_graph, name, NULL);
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
    test_graph_begin(0);
    fake_co_add(test_graph,
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
    fake_co_add(test_graph,
                "driver=filter,node-name=b,read-only=on,force-share=on,"
                "file.driver=leaf,file.node-name=bf");
    check_options("bf", true, false, true, true, false, false, off);
    fake_co_add(test_graph,
                "driver=format,node-name=c,cache.direct=on,detect-zeroes="
                "unmap,file.driver=leaf,file.node-name=cf,"
                "file.cache.direct=off,file.discard=off,"
                "backing.driver=leaf,backing.node-name=cb,"
                "backing.read-only=off");
    check_options("c", false, false, false, true, true, false,
                  BLK_DETECT_ZEROES_UNMAP);
    check_options("cf", false, false, false, false, false, false, off);
    check_options("cb", false, false, false, true, true, false, off);
    fake_co_add(test_graph, "driver=leaf,node-name=d");
    fake_co_add(test_graph, "driver=filter,node-name=e,cache.direct=on,file=d");
    check_options("d", false, false, false, true, false, false, off);
    test_graph_co_end();
}

/* Sizes are exact; a filter has its child's; limits come from below. */
static void coroutine_fn
co_test_facts(void *arg)
{
    BlkNode *node;

    (void)arg;
    test_graph_begin(0);
    node = fake_co_add(test_graph, "driver=filter,node-name=a,file.driver=leaf,"
                                   "file.size=1000001,file.align=512,"
                                   "file.max-transfer=65536");
    g_assert_cmpuint(blk_node_size(node), ==, 1000001);
    g_assert_cmpuint(blk_node_limits(node)->max_transfer, ==, 65536);
    g_assert_cmpuint(blk_node_limits(node)->request_align, ==, 1);
    node = node->primary->child;
    g_assert_cmpuint(blk_node_limits(node)->request_align, ==, 512);
    node = fake_co_add(test_graph, "driver=format,node-name=b,file.driver=leaf,"
                                   "file.max-transfer=4096,backing.driver=leaf,"
                                   "backing.max-transfer=1024");
    g_assert_cmpuint(blk_node_limits(node)->max_transfer, ==, 1024);
    test_graph_co_end();
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
    test_graph_begin(0);
    g_assert_true(
        blk_graph_co_add(test_graph, nest(BLK_DEPTH_MAX), &node, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(node->height, ==, BLK_DEPTH_MAX);
    fake_co_add_fails(test_graph, "driver=filter,node-name=more,file=deep",
                      ASH_ERROR_LIMIT,
                      "node 'more': filter: node 'deep' is already 256 "
                      "layers high, the limit");
    test_graph_co_del("deep");
    for (unsigned n = BLK_DEPTH_MAX + 1; n <= 600; n *= 2) {
        g_assert_false(blk_graph_co_add(test_graph, nest(n), &node, &error));
        g_assert_error(error, ASH_ERROR, ASH_ERROR_LIMIT);
        g_assert_true(g_str_has_suffix(
            error->message,
            "filter: more than 256 nodes on top of each other"));
        g_clear_error(&error);
        g_assert_cmpuint(fake_n_nodes(test_graph), ==, 0);
    }
    coro_get_stats(&stats);
    g_test_message("%zu bytes of stack at most", stats.stack_high_bytes);
    test_graph_co_end();
}

void
test_graph_open_add(void)
{
    test_add_co("/blockcore/graph/names", co_test_names);
    test_add_co("/blockcore/graph/unique-names", co_test_unique);
    test_add_co("/blockcore/graph/generated-names", co_test_generated);
    test_add_co("/blockcore/graph/option-errors", co_test_option_errors);
    test_add_co("/blockcore/graph/child-kind", co_test_child_kind);
    test_add_co("/blockcore/graph/inheritance", co_test_inherit);
    test_add_co("/blockcore/graph/facts", co_test_facts);
    test_add_co("/blockcore/graph/depth", co_test_depth);
}
