/*
 * blockcore/graph.c - BlkGraph: all nodes and their names; adding and removing
 * them.
 *
 * Names and the list of nodes are behind a mutex, because a node is opened and
 * closed on its home loop while the graph's own loop may look for another.
 * Everything else of the control path is behind the control lock.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/graph.h"

#include <string.h>

#include "blockcore/edge.h"
#include "blockcore/flush.h"
#include "blockcore/graph-priv.h"

/* ---- life ---- */

BlkGraph *
blk_graph_new(const BlkDriver *const *drivers, const char *state_dir)
{
    BlkGraph *graph = g_new0(BlkGraph, 1);

    graph->drivers = drivers;
    graph->state_dir = g_strdup(state_dir);
    graph->loop = loop_current();
    blk_graph_lock_init(&graph->lock);
    g_mutex_init(&graph->mutex);
    ash_list_init(&graph->nodes);
    graph->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return graph;
}

void
blk_graph_set_tell(BlkGraph *graph, BlkGraphTellFn *fn)
{
    graph->tell = fn;
}

void
blk_graph_free(BlkGraph *graph)
{
    ash_assert(ash_list_is_empty(&graph->nodes));
    blk_graph_lock_done(&graph->lock);
    g_mutex_clear(&graph->mutex);
    g_hash_table_unref(graph->names);
    g_free(graph->state_dir);
    g_free(graph);
}

/* ---- names ---- */

bool
blk_graph_check_name(const char *name, GError **error)
{
    const char *p = name;

    if (strlen(name) > BLK_NODE_NAME_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' can't be a node's name: it is longer than %d "
                    "characters",
                    name, BLK_NODE_NAME_MAX);
        return false;
    }
    if (g_ascii_isalpha(*p)) {
        while (g_ascii_isalnum(*p) || (*p != '\0' && strchr("-._", *p))) {
            p++;
        }
    }
    if (p == name || *p != '\0') {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' can't be a node's name: use letters, digits, '-', "
                    "'.' and '_', a letter first",
                    name);
        return false;
    }
    return true;
}

bool
blk_graph_insert_name(BlkGraph *graph, const char *name, BlkNode *node,
                      GError **error)
{
    void *other;

    if (g_hash_table_lookup_extended(graph->names, name, NULL, &other)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                    "the name '%s' is taken by %s", name,
                    other ? "a node" : "an export");
        return false;
    }
    g_hash_table_insert(graph->names, g_strdup(name), node);
    return true;
}

bool
blk_graph_claim_name(BlkGraph *graph, const char *name, GError **error)
{
    bool ok;

    g_mutex_lock(&graph->mutex);
    ok = blk_graph_insert_name(graph, name, NULL, error);
    g_mutex_unlock(&graph->mutex);
    return ok;
}

void
blk_graph_release_name(BlkGraph *graph, const char *name)
{
    void *node = NULL;
    bool found;

    g_mutex_lock(&graph->mutex);
    found = g_hash_table_lookup_extended(graph->names, name, NULL, &node);
    ash_assert(found);
    ash_assert(!node);
    g_hash_table_remove(graph->names, name);
    g_mutex_unlock(&graph->mutex);
}

BlkNode *
blk_graph_find(BlkGraph *graph, const char *name, GError **error)
{
    BlkNode *node;
    bool open;

    g_mutex_lock(&graph->mutex);
    node = g_hash_table_lookup(graph->names, name);
    open = node && node->open;
    g_mutex_unlock(&graph->mutex);
    if (!open) {
        g_set_error(
            error, ASH_ERROR, ASH_ERROR_NOT_FOUND,
            node ? "node '%s' is not open yet" : "there is no node '%s'", name);
        return NULL;
    }
    return node;
}

void
blk_graph_foreach(BlkGraph *graph, void (*fn)(BlkNode *node, void *arg),
                  void *arg)
{
    g_mutex_lock(&graph->mutex);
    ash_list_foreach(link, &graph->nodes) {
        BlkNode *node = ash_container_of(link, BlkNode, graph_link);

        if (node->open) {
            fn(node, arg);
        }
    }
    g_mutex_unlock(&graph->mutex);
}

/* ---- closing ---- */

/* The first of two results that is an error. */
static int
graph_first_error(int first, int then)
{
    return first != 0 ? first : then;
}

/* Everything that was acknowledged reaches the disk, also what the flush
 * itself left in flight; then the driver goes. */
static int coroutine_fn
graph_co_close(BlkNode *node)
{
    int ret;

    blk_node_co_drain_begin(node);
    ret = blk_node_co_flush(node);
    blk_node_co_drain_begin(node);
    blk_node_drain_end(node);
    blk_node_drain_end(node);
    if (node->driver->co_close) {
        node->driver->co_close(node);
    }
    node->open = false;
    return ret;
}

/* The first edge down, backing ones before the others; NULL: none is left. */
static BlkEdge *
graph_next_edge(BlkNode *node)
{
    ash_list_foreach(link, &node->children) {
        BlkEdge *edge = ash_container_of(link, BlkEdge, parent_link);

        if (edge->role & BLK_ROLE_BACKING) {
            return edge;
        }
    }
    return ash_list_is_empty(&node->children)
               ? NULL
               : ash_list_first(&node->children, BlkEdge, parent_link);
}

/* Let the children go; who has no reference left joins @dead.  What the driver
 * wrote when it closed is flushed while the image is still locked. */
static int coroutine_fn
graph_co_drop_children(BlkNode *node, GQueue *dead)
{
    BlkEdge *edge;
    int ret = 0;

    while ((edge = graph_next_edge(node)) != NULL) {
        BlkNode *child = edge->child;

        if (child->open && (edge->perm & BLK_PERM_WRITE)) {
            ret = graph_first_error(ret, blk_node_co_flush(child));
        }
        blk_edge_co_drop(edge);
        if (child->n_refs == 0) {
            g_queue_push_tail(dead, child);
        }
    }
    return ret;
}

int coroutine_fn
blk_graph_co_reap(BlkNode *take_node)
{
    GQueue dead = G_QUEUE_INIT;
    BlkNode *node = take_node;
    int ret = 0;

    ash_assert(blk_graph_lock_is_held(&node->graph->lock));
    ash_assert(node->loop == loop_current());
    for (; node; node = g_queue_pop_head(&dead)) {
        if (node->open) {
            ret = graph_first_error(ret, graph_co_close(node));
        }
        ret = graph_first_error(ret, graph_co_drop_children(node, &dead));
        blk_node_free(node);
    }
    return ret;
}

/* ---- adding and removing ---- */

static bool coroutine_fn
graph_co_add_locked(BlkGraph *graph, BlkOptions *take_opts, BlkNode **ret,
                    GError **error)
{
    g_autoptr(BlkOptions) opts = take_opts;
    Loop *origin = loop_current();
    BlkNode *node = NULL;
    Loop *home;
    bool ok;

    if (!blk_options_has(opts, "node-name")) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "option 'node-name' is required");
        return false;
    }
    if (!blk_graph_find_home(graph, opts, origin, &home, error)) {
        return false;
    }
    co_hop(home);
    ok =
        blk_graph_co_open(graph, g_steal_pointer(&opts), NULL, 0, &node, error);
    if (ok) {
        node->monitor_owned = true;
        node->n_refs++;
        *ret = node;
    }
    co_hop(origin);
    return ok;
}

bool coroutine_fn
blk_graph_co_add(BlkGraph *graph, BlkOptions *take_opts, BlkNode **ret,
                 GError **error)
{
    bool ok;

    blk_graph_lock_co_acquire(&graph->lock);
    ok = graph_co_add_locked(graph, take_opts, ret, error);
    blk_graph_lock_release(&graph->lock);
    return ok;
}

/* The graph itself lets @node go. */
static int coroutine_fn
graph_co_disown(BlkNode *node)
{
    Loop *origin = loop_current();
    int ret = 0;

    ash_assert(node->monitor_owned);
    co_hop(node->loop);
    node->monitor_owned = false;
    node->n_refs--;
    if (node->n_refs == 0) {
        ret = blk_graph_co_reap(node);
    }
    co_hop(origin);
    return ret;
}

static bool coroutine_fn
graph_co_del_locked(BlkGraph *graph, const char *name, GError **error)
{
    BlkNode *node = blk_graph_find(graph, name, error);
    int ret;

    if (!node) {
        return false;
    }
    if (!ash_list_is_empty(&node->parents)) {
        const BlkEdge *edge =
            ash_list_first(&node->parents, BlkEdge, child_link);
        g_autofree char *user = blk_edge_describe(edge);

        g_set_error(error, ASH_ERROR, ASH_ERROR_BUSY,
                    "node '%s' is in use by %s", name, user);
        return false;
    }
    ret = graph_co_disown(node);
    if (ret < 0) {
        ash_set_error_errno(error, -ret,
                            "node '%s' is closed, but its last flush failed",
                            name);
        return false;
    }
    return true;
}

bool coroutine_fn
blk_graph_co_del(BlkGraph *graph, const char *name, GError **error)
{
    bool ok;

    blk_graph_lock_co_acquire(&graph->lock);
    ok = graph_co_del_locked(graph, name, error);
    blk_graph_lock_release(&graph->lock);
    return ok;
}

/* Some node that the graph itself holds, NULL: none. */
static BlkNode *
graph_find_owned(BlkGraph *graph)
{
    BlkNode *found = NULL;

    g_mutex_lock(&graph->mutex);
    ash_list_foreach(link, &graph->nodes) {
        BlkNode *node = ash_container_of(link, BlkNode, graph_link);

        if (node->monitor_owned) {
            found = node;
            break;
        }
    }
    g_mutex_unlock(&graph->mutex);
    return found;
}

int coroutine_fn
blk_graph_co_close_all(BlkGraph *graph)
{
    BlkNode *node;
    int ret = 0;

    blk_graph_lock_co_acquire(&graph->lock);
    while ((node = graph_find_owned(graph)) != NULL) {
        ret = graph_first_error(ret, graph_co_disown(node));
    }
    blk_graph_lock_release(&graph->lock);
    return ret;
}
