/*
 * tests/unit/blockcore/fake.c - see fake.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/blockcore/fake.h"

#include <errno.h>
#include <string.h>

#include "blockcore/graph-priv.h"
#include "coro/loop.h"

Fake fake;

void
fake_reset(unsigned log)
{
    if (fake.text) {
        g_string_free(fake.text, TRUE);
    }
    fake = (Fake){ .log = log, .text = g_string_new(NULL) };
}

static void
fake_write(unsigned kind, const char *word, const BlkNode *node)
{
    if (fake.log & kind) {
        g_string_append_printf(fake.text, "%s%s:%s",
                               fake.text->len > 0 ? " " : "", word, node->name);
    }
}

static void
fake_write_perm(const char *word, const BlkNode *node, BlkPerm perm,
                BlkPerm shared)
{
    static const char letters[] = "rwusg";

    fake_write(FAKE_LOG_PERM, word, node);
    if (fake.log & FAKE_LOG_PERM) {
        g_string_append_c(fake.text, '[');
        for (int i = 0; i < 5; i++) {
            if (perm & (1U << i)) {
                g_string_append_c(fake.text, letters[i]);
            }
        }
        g_string_append_c(fake.text, '/');
        for (int i = 0; i < 5; i++) {
            if (shared & (1U << i)) {
                g_string_append_c(fake.text, letters[i]);
            }
        }
        g_string_append_c(fake.text, ']');
    }
}

static void coroutine_fn
fake_co_turn(void)
{
    if (fake.yield) {
        co_pause();
    }
}

/* Count down; true when it is this one's turn to fail. */
static bool
fake_is_due(unsigned *counter)
{
    return *counter > 0 && --*counter == 0;
}

static bool coroutine_fn
fake_co_open(BlkNode *node, GError **error)
{
    fake_co_turn();
    if (fake.slow_open) {
        co_sleep_ns(2000000);
    }
    if (fake_is_due(&fake.fail_open)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_IO, "no luck");
        return false;
    }
    fake_write(FAKE_LOG_LIFE, "open", node);
    fake.n_open++;
    return true;
}

/* ---- slots ---- */

static const BlkOptionSpec leaf_options[] = {
    { .name = "size", .type = BLK_OPT_SIZE, .fallback = "1M" },
    { .name = "count", .type = BLK_OPT_UINT },
    { .name = "path", .type = BLK_OPT_STRING },
    { .name = "list.N.size", .type = BLK_OPT_SIZE },
    { .name = "align", .type = BLK_OPT_UINT, .fallback = "1" },
    { .name = "max-transfer", .type = BLK_OPT_UINT },
    { .name = "untaken", .type = BLK_OPT_STRING },
    { .name = NULL },
};

typedef struct FakeLeaf {
    uint64_t size;
    uint64_t align;
    uint64_t max_transfer;
} FakeLeaf;

static bool coroutine_fn
fake_leaf_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    const BlkOptionSpec *spec = leaf_options;
    FakeLeaf *leaf = blk_node_state(node);
    g_autofree char *path = NULL;
    uint64_t count;

    return blk_options_take_uint(opts, blk_option_find(spec, "size"),
                                 &leaf->size, error) &&
           blk_options_take_uint(opts, blk_option_find(spec, "count"), &count,
                                 error) &&
           blk_options_take_uint(opts, blk_option_find(spec, "align"),
                                 &leaf->align, error) &&
           blk_options_take_uint(opts, blk_option_find(spec, "max-transfer"),
                                 &leaf->max_transfer, error) &&
           blk_options_take_string(opts, blk_option_find(spec, "path"), &path,
                                   error) &&
           fake_co_open(node, error);
}

static void
fake_leaf_get_limits(BlkNode *node, BlkLimits *ret)
{
    const FakeLeaf *leaf = blk_node_state(node);

    ret->request_align = (uint32_t)leaf->align;
    ret->max_transfer = leaf->max_transfer;
}

static int coroutine_fn
fake_leaf_co_size(BlkNode *node, uint64_t *ret)
{
    *ret = ((FakeLeaf *)blk_node_state(node))->size;
    return 0;
}

static const BlkOptionSpec parent_options[] = {
    { .name = "file", .type = BLK_OPT_NODE, .required = true },
    { .name = "backing", .type = BLK_OPT_NODE },
    { .name = NULL },
};

static bool coroutine_fn
fake_filter_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    const BlkRole role = (BlkRole)BLK_ROLE_FILTERED | BLK_ROLE_PRIMARY;
    BlkEdge *edge;

    return blk_node_co_open_child(node, opts, "file", role, true, &edge,
                                  error) &&
           fake_co_open(node, error);
}

static bool coroutine_fn
fake_window_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    const BlkRole role = (BlkRole)BLK_ROLE_DATA | BLK_ROLE_PRIMARY;
    BlkEdge *edge;

    return blk_node_co_open_child(node, opts, "file", role, true, &edge,
                                  error) &&
           fake_co_open(node, error);
}

static bool coroutine_fn
fake_format_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    const BlkRole role =
        (BlkRole)BLK_ROLE_DATA | BLK_ROLE_METADATA | BLK_ROLE_PRIMARY;
    BlkEdge *edge;

    return blk_node_co_open_child(node, opts, "file", role, true, &edge,
                                  error) &&
           blk_node_co_open_child(node, opts, "backing", BLK_ROLE_BACKING,
                                  false, &edge, error) &&
           fake_co_open(node, error);
}

static int coroutine_fn
fake_parent_co_size(BlkNode *node, uint64_t *ret)
{
    *ret = node->primary->child->size;
    return 0;
}

static void coroutine_fn
fake_co_close(BlkNode *node)
{
    fake_co_turn();
    fake_write(FAKE_LOG_LIFE, "close", node);
    fake.n_open--;
}

static bool coroutine_fn
fake_co_check_perm(BlkNode *node, BlkPerm perm, BlkPerm shared, GError **error)
{
    fake_write_perm("check", node, perm, shared);
    fake.n_checks++;
    fake.n_checked++;
    fake_co_turn();
    if (fake_is_due(&fake.fail_check)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT, "%s is locked",
                    node->name);
        return false;
    }
    return true;
}

static void coroutine_fn
fake_co_set_perm(BlkNode *node, BlkPerm perm, BlkPerm shared)
{
    fake_co_turn();
    fake_write_perm("set", node, perm, shared);
    g_assert_cmpuint(fake.n_checked, >, 0);
    fake.n_checked--;
}

static void coroutine_fn
fake_co_abort_perm(BlkNode *node)
{
    fake_co_turn();
    fake_write(FAKE_LOG_PERM, "abort", node);
    g_assert_cmpuint(fake.n_checked, >, 0);
    fake.n_checked--;
}

static int coroutine_fn
fake_co_flush_disk(BlkNode *node)
{
    fake_co_turn();
    fake_write(FAKE_LOG_FLUSH, "flush", node);
    return fake.flush_error;
}

static void
fake_detach_loop(BlkNode *node)
{
    fake_write(FAKE_LOG_LOOP, "detach", node);
}

static bool
fake_attach_loop(BlkNode *node, Loop *loop, GError **error)
{
    g_assert_true(node->loop == loop);
    g_assert_true(loop_current() == loop);
    if (fake_is_due(&fake.fail_attach)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_IO, "no room");
        return false;
    }
    fake_write(FAKE_LOG_LOOP, "attach", node);
    return true;
}

static int coroutine_fn
fake_co_read(BlkNode *node, BlkRange range, const IoVec *iov, BlkReqFlags flags)
{
    (void)node;
    (void)flags;
    iov_memset(iov, 0, 0, range.bytes);
    return 0;
}

static int coroutine_fn
fake_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
              BlkReqFlags flags)
{
    (void)node;
    (void)range;
    (void)iov;
    (void)flags;
    return 0;
}

#define FAKE_SLOTS                                                        \
    .co_close = fake_co_close, .co_check_perm = fake_co_check_perm,       \
    .co_set_perm = fake_co_set_perm, .co_abort_perm = fake_co_abort_perm, \
    .detach_loop = fake_detach_loop, .attach_loop = fake_attach_loop,     \
    .co_read = fake_co_read, .co_flush_disk = fake_co_flush_disk

#define FAKE_LEAF                                                     \
    .kind = BLK_PROTOCOL, .state_bytes = sizeof(FakeLeaf),            \
    .options = leaf_options, .co_open = fake_leaf_co_open,            \
    .co_size = fake_leaf_co_size, .get_limits = fake_leaf_get_limits, \
    FAKE_SLOTS

static const BlkDriver fake_leaf = {
    .name = "leaf",
    FAKE_LEAF,
    .co_write = fake_co_write,
};

static const BlkDriver fake_writeless = {
    .name = "writeless",
    FAKE_LEAF,
};

static const BlkDriver fake_filter = {
    .name = "filter",
    .kind = BLK_FILTER,
    .options = parent_options,
    .co_open = fake_filter_co_open,
    FAKE_SLOTS,
    .co_write = fake_co_write,
};

static const BlkDriver fake_window = {
    .name = "window",
    .kind = BLK_FORMAT,
    .options = parent_options,
    .co_open = fake_window_co_open,
    .co_size = fake_parent_co_size,
    FAKE_SLOTS,
    .co_write = fake_co_write,
};

static const BlkDriver fake_format = {
    .name = "format",
    .kind = BLK_FORMAT,
    .options = parent_options,
    .co_open = fake_format_co_open,
    .co_size = fake_parent_co_size,
    FAKE_SLOTS,
    .co_write = fake_co_write,
};

const BlkDriver *const fake_drivers[] = { &fake_leaf,   &fake_writeless,
                                          &fake_filter, &fake_window,
                                          &fake_format, NULL };

/* ---- conveniences ---- */

BlkOptions *
fake_options(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    BlkOptions *opts = blk_options_new();

    for (size_t i = 0; parts[i]; i++) {
        char *value = strchr(parts[i], '=');

        g_assert_nonnull(value);
        *value++ = '\0';
        if (strcmp(value, "null") == 0) {
            blk_options_set(opts, parts[i], BLK_VALUE_NULL, NULL);
        } else {
            blk_options_set(opts, parts[i], BLK_VALUE_KEYVAL, value);
        }
    }
    return opts;
}

BlkNode *coroutine_fn
fake_co_add(BlkGraph *graph, const char *text)
{
    g_autoptr(GError) error = NULL;
    BlkNode *node = NULL;
    bool ok = blk_graph_co_add(graph, fake_options(text), &node, &error);

    g_assert_no_error(error);
    g_assert_true(ok);
    return node;
}

void coroutine_fn
fake_co_add_fails(BlkGraph *graph, const char *text, int code,
                  const char *message)
{
    g_autoptr(GError) error = NULL;
    unsigned n_nodes = fake_n_nodes(graph);
    unsigned n_open = fake.n_open;
    BlkNode *node = NULL;

    g_assert_false(blk_graph_co_add(graph, fake_options(text), &node, &error));
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, message);
    g_assert_null(node);
    g_assert_cmpuint(fake_n_nodes(graph), ==, n_nodes);
    g_assert_cmpuint(fake.n_open, ==, n_open);
    g_assert_cmpuint(fake.n_checked, ==, 0);
}

/* All nodes, also those that are not open (there should be none). */
unsigned
fake_n_nodes(BlkGraph *graph)
{
    unsigned n = 0;

    ash_list_foreach(link, &graph->nodes) {
        n++;
    }
    return n;
}

void
fake_blk_init(Blk *blk, const char *description)
{
    memset(blk, 0, sizeof(*blk));
    blk->description = (char *)(uintptr_t)description;
    co_queue_init(&blk->resumed);
}
