/*
 * blockcore/graph-open.c - from options to an open node.
 *
 * Method: find the driver, name the node, take the options that every node
 * has, refuse keys that nobody knows, and let the driver open itself; it comes
 * back here for each child.  Then learn size and limits.  Whatever fails, what
 * was opened so far is closed again, children last.
 *
 * A tree of options may be as deep as BLK_DEPTH_MAX; so that its stack is
 * deep enough, every few levels go on in a coroutine of their own.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "blockcore/edge.h"
#include "blockcore/graph-priv.h"
#include "blockcore/options-priv.h"
#include "blockcore/perm.h"

/* ---- the options that every node has ---- */

static const char *const discard_names[] = { "ignore", "off", "unmap", "on",
                                             NULL };
static const char *const detect_zeroes_names[] = { "off", "on", "unmap", NULL };

const BlkOptionSpec blk_node_option_specs[] = {
    {
        .name = "driver",
        .type = BLK_OPT_STRING,
        .required = true,
        .help = "the driver; formats are not guessed",
    },
    {
        .name = "node-name",
        .type = BLK_OPT_STRING,
        .help = "unique name, up to 31 letters, digits, '-', '.', '_'; the "
                "first is a letter",
    },
    {
        .name = "read-only",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .changeable = true,
        .help = "refuse to modify; children inherit it",
    },
    {
        .name = "auto-read-only",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .changeable = true,
        .help = "become read-only if writing is not possible; inherited",
    },
    {
        .name = "force-share",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .help = "let others do anything to the image; needs read-only; "
                "inherited",
    },
    {
        .name = "discard",
        .type = BLK_OPT_ENUM,
        .values = discard_names,
        .fallback = "unmap",
        .changeable = true,
        .help = "whether trimmed space is given back",
    },
    {
        .name = "cache.direct",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .changeable = true,
        .help = "bypass the host's page cache; inherited",
    },
    {
        .name = "cache.no-flush",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .changeable = true,
        .help = "never flush to the disk: fast and unsafe; inherited",
    },
    {
        .name = "detect-zeroes",
        .type = BLK_OPT_ENUM,
        .values = detect_zeroes_names,
        .fallback = "off",
        .changeable = true,
        .help = "turn writes of zeros into zero writes; 'unmap' needs "
                "discard=unmap",
    },
    { .name = NULL },
};

static const BlkOptionSpec *
open_spec(const char *name)
{
    const BlkOptionSpec *spec = blk_option_find(blk_node_option_specs, name);

    ash_assert(spec);
    return spec;
}

/* Absent: stays as it is, inherited or the default. */
static bool
open_take_bool(BlkOptions *opts, const char *name, bool *value, GError **error)
{
    return !blk_options_has(opts, name) ||
           blk_options_take_bool(opts, open_spec(name), value, error);
}

/* What a child gets that does not say otherwise: a backing file is not
 * written, discards that a format decides on are carried out. */
static BlkNodeOptions
open_defaults(const BlkNode *parent, BlkRole role)
{
    BlkNodeOptions o = { .discard_unmap = true };

    if (parent) {
        bool backing = role & BLK_ROLE_BACKING;

        o.read_only = backing || parent->options.read_only;
        o.auto_read_only = !backing && parent->options.auto_read_only;
        o.force_share = parent->options.force_share;
        o.cache_direct = parent->options.cache_direct;
        o.cache_no_flush = parent->options.cache_no_flush;
    }
    return o;
}

static bool
open_set_config_error(const BlkOptions *opts, const char *key, const char *text,
                      GError **error)
{
    g_autofree char *full = blk_options_full_key(opts, key);

    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "option '%s': %s", full,
                text);
    return false;
}

/* @ret comes with the defaults. */
static bool
open_take_common(BlkOptions *opts, BlkNodeOptions *ret, GError **error)
{
    int discard;
    int detect;

    if (!open_take_bool(opts, "read-only", &ret->read_only, error) ||
        !open_take_bool(opts, "auto-read-only", &ret->auto_read_only, error) ||
        !open_take_bool(opts, "force-share", &ret->force_share, error) ||
        !open_take_bool(opts, "cache.direct", &ret->cache_direct, error) ||
        !open_take_bool(opts, "cache.no-flush", &ret->cache_no_flush, error) ||
        !blk_options_take_enum(opts, open_spec("discard"), &discard, error) ||
        !blk_options_take_enum(opts, open_spec("detect-zeroes"), &detect,
                               error)) {
        return false;
    }
    ret->discard_unmap = discard >= 2;
    ret->detect_zeroes = (BlkDetectZeroes)detect;
    if (ret->detect_zeroes == BLK_DETECT_ZEROES_UNMAP && !ret->discard_unmap) {
        return open_set_config_error(opts, "detect-zeroes",
                                     "'unmap' needs discard=unmap", error);
    }
    if (ret->force_share && !ret->read_only) {
        return open_set_config_error(opts, "force-share",
                                     "'on' needs read-only=on", error);
    }
    return true;
}

/* ---- the driver ---- */

static const BlkDriver *
open_find_driver(const BlkGraph *graph, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (size_t i = 0; graph->drivers[i]; i++) {
        if (strcmp(graph->drivers[i]->name, name) == 0) {
            return graph->drivers[i];
        }
        g_ptr_array_add(names, (char *)(uintptr_t)graph->drivers[i]->name);
    }
    g_ptr_array_add(names, NULL);
    near = ash_parse_nearest(name, (const char *const *)names->pdata);
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "unknown driver '%s'%s%s%s",
                name, near ? ", did you mean '" : "", near ? near : "",
                near ? "'?" : "");
    return NULL;
}

static const BlkDriver *
open_take_driver(const BlkGraph *graph, BlkOptions *opts, GError **error)
{
    g_autofree char *name = NULL;

    if (!blk_options_has(opts, "driver")) {
        g_autofree char *full = blk_options_full_key(opts, "driver");

        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "must specify a driver: option '%s' is missing, and "
                    "formats are not guessed",
                    full);
        return NULL;
    }
    if (!blk_options_take_string(opts, open_spec("driver"), &name, error)) {
        return NULL;
    }
    return open_find_driver(graph, name, error);
}

/* ---- one node ---- */

/* After the driver has opened: what follows from driver and children. */
static bool coroutine_fn
open_co_complete(BlkNode *node, GError **error)
{
    const BlkDriver *driver = node->driver;
    uint64_t size = 0;
    int ret = 0;

    if (driver->co_size) {
        ret = driver->co_size(node, &size);
    } else {
        ash_assert(node->primary);
        size = node->primary->child->size;
    }
    if (ret == 0 && size > INT64_MAX) {
        ret = -EFBIG;
    }
    if (ret < 0) {
        ash_set_error_errno(error, -ret, "cannot learn the size");
        return false;
    }
    node->size = size;
    return blk_limits_refresh(node, error);
}

/* Run the driver's part.  On failure nothing but the node and its edges is
 * left. */
static bool coroutine_fn
open_co_driver(BlkNode *node, BlkOptions *opts, GError **error)
{
    const BlkDriver *driver = node->driver;
    const BlkOptionSpec *const tables[] = {
        blk_node_option_specs,
        driver->options ? driver->options : blk_node_option_specs,
        NULL,
    };

    if (!blk_options_check_known(opts, driver->name, tables, error)) {
        return false;
    }
    if (!driver->co_open(node, opts, error)) {
        g_prefix_error(error, "%s: ", driver->name);
        return false;
    }
    if (!blk_options_check_empty(opts, driver->name, error) ||
        !open_co_complete(node, error)) {
        if (driver->co_close) {
            driver->co_close(node);
        }
        return false;
    }
    return true;
}

static bool coroutine_fn
open_co_named(BlkGraph *graph, BlkOptions *opts, const BlkNode *parent,
              BlkRole role, const char *name, BlkNode **ret, GError **error)
{
    const BlkDriver *driver = open_take_driver(graph, opts, error);
    BlkNodeOptions options = open_defaults(parent, role);
    BlkNode *node;

    if (!driver || !open_take_common(opts, &options, error)) {
        return false;
    }
    node = blk_node_new(graph, driver, name, error);
    if (!node) {
        return false;
    }
    node->depth = parent ? parent->depth + 1 : 1;
    node->options = options;
    node->read_only =
        options.read_only || (!driver->co_write && driver->kind != BLK_FILTER);
    if (!open_co_driver(node, opts, error)) {
        (void)blk_graph_co_reap(node);
        return false;
    }
    blk_node_set_open(node);
    *ret = node;
    return true;
}

bool coroutine_fn
blk_graph_co_open(BlkGraph *graph, BlkOptions *take_opts, const BlkNode *parent,
                  BlkRole role, BlkNode **ret, GError **error)
{
    g_autoptr(BlkOptions) opts = take_opts;
    g_autofree char *name = NULL;

    if (parent && parent->depth >= BLK_DEPTH_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_LIMIT,
                    "more than %d nodes on top of each other", BLK_DEPTH_MAX);
        return false;
    }
    if (!blk_options_take_string(opts, open_spec("node-name"), &name, error)) {
        return false;
    }
    if (!open_co_named(graph, opts, parent, role, name, ret, error)) {
        if (name) {
            g_prefix_error(error, "node '%s': ", name);
        }
        return false;
    }
    return true;
}

/* ---- children ---- */

/* How many levels share a stack. */
#define OPEN_LEVELS_PER_STACK 16U

/* A call of blk_graph_co_open() on a stack of its own. */
typedef struct OpenCall {
    BlkNode *parent;
    BlkOptions *opts;
    BlkRole role;
    BlkNode **ret;
    GError **error;
    Coro *waiter; /* NULL: it did not have to wait */
    bool done;
    bool ok;
} OpenCall;

static void coroutine_fn
open_co_call(void *arg)
{
    OpenCall *call = arg;

    call->ok = blk_graph_co_open(call->parent->graph, call->opts, call->parent,
                                 call->role, call->ret, call->error);
    call->done = true;
    if (call->waiter) {
        coro_wake(call->waiter);
    }
}

static bool coroutine_fn
open_co_inline(BlkNode *parent, BlkOptions *take_opts, BlkRole role,
               BlkNode **ret, GError **error)
{
    OpenCall call = {
        .parent = parent,
        .opts = take_opts,
        .role = role,
        .ret = ret,
        .error = error,
    };

    if (parent->depth % OPEN_LEVELS_PER_STACK != 0) {
        return blk_graph_co_open(parent->graph, take_opts, parent, role, ret,
                                 error);
    }
    coro_spawn(open_co_call, &call);
    if (!call.done) {
        call.waiter = coro_self();
        co_yield();
    }
    return call.ok;
}

/* The node that the option @name refers to. */
static BlkNode *
open_take_reference(BlkNode *node, BlkOptions *opts, const char *name,
                    GError **error)
{
    const BlkOptionSpec spec = { .name = name, .type = BLK_OPT_NODE };
    g_autofree char *full = blk_options_full_key(opts, name);
    g_autofree char *target = NULL;
    BlkNode *child;

    if (!blk_options_take_string(opts, &spec, &target, error)) {
        return NULL;
    }
    child = blk_graph_find(node->graph, target, error);
    if (!child) {
        g_prefix_error(error, "option '%s': ", full);
    }
    return child;
}

/* "NAME" and "NAME.x" exclude each other. */
static bool
open_check_reference_alone(const BlkOptions *opts, const char *name,
                           const BlkOptions *below, GError **error)
{
    const char *key = blk_options_first_key(below);

    if (key) {
        g_autofree char *full = blk_options_full_key(opts, name);
        g_autofree char *other = blk_options_full_key(below, key);

        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "option '%s': cannot reference an existing node with "
                    "additional options ('%s')",
                    full, other);
        return false;
    }
    return true;
}

/* The child that the options name; *ret NULL if they don't. */
static bool coroutine_fn
open_co_find_child(BlkNode *node, BlkOptions *opts, const char *name,
                   BlkRole role, BlkNode **ret, GError **error)
{
    g_autoptr(BlkOptions) below = blk_options_take_prefix(opts, name);

    *ret = NULL;
    if (!blk_options_has(opts, name)) {
        return blk_options_is_empty(below) ||
               open_co_inline(node, g_steal_pointer(&below), role, ret, error);
    }
    if (!open_check_reference_alone(opts, name, below, error)) {
        return false;
    }
    if (blk_options_kind(opts, name) == BLK_VALUE_NULL) {
        blk_options_remove(opts, name);
        return true;
    }
    *ret = open_take_reference(node, opts, name, error);
    return *ret != NULL;
}

bool coroutine_fn
blk_node_co_open_child(BlkNode *node, BlkOptions *opts, const char *name,
                       BlkRole role, bool required, BlkEdge **ret,
                       GError **error)
{
    g_autofree char *full = blk_options_full_key(opts, name);
    BlkEdge *edge = NULL;
    BlkNode *child;

    ash_assert(!node->open);
    if (!open_co_find_child(node, opts, name, role, &child, error)) {
        return false;
    }
    if (!child && required) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "option '%s' is required: the name of a node, or the "
                    "options of one ('%s.driver', ...)",
                    full, full);
        return false;
    }
    if (child &&
        !blk_edge_co_attach_child(node, child, name, role, &edge, error)) {
        if (child->n_refs == 0) {
            (void)blk_graph_co_reap(child);
        }
        return false;
    }
    *ret = edge;
    return true;
}

/* ---- where to open ---- */

/* Look for references in the options below @prefix, which is "" or ends in a
 * dot.  *found is the first one. */
static bool
open_scan(BlkGraph *graph, const BlkOptions *opts, const char *prefix,
          unsigned depth, BlkNode **found, GError **error)
{
    g_autofree char *driver_key = g_strconcat(prefix, "driver", NULL);
    const char *name = blk_options_peek(opts, driver_key);
    const BlkDriver *driver = name ? open_find_driver(graph, name, NULL) : NULL;

    if (!driver || depth > BLK_DEPTH_MAX) {
        return true; /* opening says what is wrong */
    }
    for (const BlkOptionSpec *s = driver->options; s && s->name; s++) {
        g_autofree char *key = g_strconcat(prefix, s->name, NULL);
        g_autofree char *below = g_strconcat(key, ".", NULL);
        const char *target = blk_options_peek(opts, key);
        BlkNode *node = NULL;

        if (s->type != BLK_OPT_NODE) {
            continue;
        }
        node = target ? blk_graph_find(graph, target, NULL) : NULL;
        if (node && *found && node->loop != (*found)->loop) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                        "nodes '%s' and '%s' live on different loops, '%s' "
                        "and '%s'",
                        (*found)->name, node->name, loop_name((*found)->loop),
                        loop_name(node->loop));
            return false;
        }
        *found = *found ? *found : node;
        if (!open_scan(graph, opts, below, depth + 1, found, error)) {
            return false;
        }
    }
    return true;
}

bool
blk_graph_find_home(BlkGraph *graph, const BlkOptions *opts, Loop *fallback,
                    Loop **ret, GError **error)
{
    BlkNode *found = NULL;

    if (!open_scan(graph, opts, "", 1, &found, error)) {
        return false;
    }
    *ret = found ? found->loop : fallback;
    return true;
}
