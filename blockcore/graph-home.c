/*
 * blockcore/graph-home.c - move a component to another loop.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>

#include "blockcore/graph-priv.h"

/* Put @node and everything below it that is not @seen at the front of @order,
 * so that parents come before their children. */
static void
home_list_below(BlkNode *node, GHashTable *seen, GQueue *order)
{
    if (!g_hash_table_add(seen, node)) {
        return;
    }
    ash_list_foreach(link, &node->children) {
        home_list_below(ash_container_of(link, BlkEdge, parent_link)->child,
                        seen, order);
    }
    g_queue_push_head(order, node);
}

/* All nodes that hang together with @node. */
static void
home_find_component(BlkNode *node, GHashTable *component)
{
    g_autoptr(GPtrArray) todo = g_ptr_array_new();

    g_ptr_array_add(todo, node);
    while (todo->len > 0) {
        BlkNode *next = g_ptr_array_steal_index_fast(todo, todo->len - 1);

        if (!g_hash_table_add(component, next)) {
            continue;
        }
        ash_list_foreach(link, &next->children) {
            g_ptr_array_add(
                todo, ash_container_of(link, BlkEdge, parent_link)->child);
        }
        ash_list_foreach(link, &next->parents) {
            BlkNode *parent =
                ash_container_of(link, BlkEdge, child_link)->parent;

            if (parent) {
                g_ptr_array_add(todo, parent);
            }
        }
    }
}

/* The component of @node, parents before children; owned. */
static GQueue *
home_list(BlkNode *node)
{
    g_autoptr(GHashTable) component = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    GQueue *order = g_queue_new();
    GHashTableIter iter;
    void *key;

    home_find_component(node, component);
    g_hash_table_iter_init(&iter, component);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        home_list_below(key, seen, order);
    }
    return order;
}

static void
home_detach(BlkNode *node)
{
    ash_assert(node->in_flight == 0);
    if (node->driver->detach_loop) {
        node->driver->detach_loop(node);
    }
}

static bool
home_attach(BlkNode *node, Loop *loop, GError **error)
{
    node->loop = loop;
    if (node->driver->attach_loop &&
        !node->driver->attach_loop(node, loop, error)) {
        g_prefix_error(error, "node '%s': %s: ", node->name,
                       node->driver->name);
        return false;
    }
    return true;
}

/* Settle all on @loop, children first.  On failure those that did are
 * detached again. */
static bool
home_attach_all(GQueue *order, Loop *loop, GError **error)
{
    for (GList *l = order->tail; l; l = l->prev) {
        if (!home_attach(l->data, loop, error)) {
            for (GList *done = l->next; done; done = done->next) {
                home_detach(done->data);
            }
            return false;
        }
    }
    return true;
}

/* Back where they came from.  Who can't even do that works no more. */
static void
home_restore_all(GQueue *order, Loop *loop)
{
    for (GList *l = order->tail; l; l = l->prev) {
        if (!home_attach(l->data, loop, NULL)) {
            blk_node_fail(l->data, -EIO);
        }
    }
}

Loop *
blk_node_home(const BlkNode *node)
{
    return node->loop;
}

bool coroutine_fn
blk_node_co_set_home(BlkNode *node, Loop *loop, GError **error)
{
    BlkGraphLock *lock = &node->graph->lock;
    Loop *origin = node->loop;
    GQueue *order;
    bool ok;

    ash_assert(loop_current() == origin);
    if (loop == origin) {
        return true;
    }
    blk_graph_lock_co_acquire(lock);
    order = home_list(node);
    for (GList *l = order->head; l; l = l->next) {
        home_detach(l->data);
    }
    co_hop(loop);
    ok = home_attach_all(order, loop, error);
    co_hop(origin);
    if (!ok) {
        home_restore_all(order, origin);
    }
    g_queue_free(order);
    blk_graph_lock_release(lock);
    return ok;
}
