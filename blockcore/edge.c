/*
 * blockcore/edge.c - see blockcore/edge.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/edge.h"

#include "blockcore/flush.h"
#include "blockcore/graph-priv.h"
#include "blockcore/inflight.h"
#include "blockcore/node-priv.h"
#include "blockcore/perm.h"

char *
blk_edge_describe(const BlkEdge *edge)
{
    if (edge->parent) {
        return g_strdup_printf("node '%s' as '%s'", edge->parent->name,
                               edge->name);
    }
    return g_strdup(edge->blk->description);
}

/* Hang a new edge between its parent, a node or a Blk, and @child. */
static BlkEdge *
edge_new(BlkNode *parent, Blk *blk, BlkNode *child, const char *name,
         BlkRole role)
{
    BlkEdge *edge = g_new0(BlkEdge, 1);

    edge->name = g_strdup(name);
    edge->role = role;
    edge->parent = parent;
    edge->blk = blk;
    edge->child = child;
    ash_list_init(&edge->parent_link);
    ash_list_init(&edge->child_link);
    ash_list_append(&child->parents, &edge->child_link);
    if (parent) {
        ash_list_append(&parent->children, &edge->parent_link);
    }
    child->n_refs++;
    blk_inflight_edge_attached(edge);
    return edge;
}

/* The reverse; permissions are not looked at. */
static void
edge_free(BlkEdge *edge)
{
    blk_inflight_edge_detaching(edge);
    ash_list_remove(&edge->parent_link);
    ash_list_remove(&edge->child_link);
    if (edge->parent && edge->parent->primary == edge) {
        edge->parent->primary = NULL;
    }
    ash_assert(edge->child->n_refs > 0);
    edge->child->n_refs--;
    g_free(edge->name);
    g_free(edge);
}

static void
edge_set(BlkEdge *edge, BlkPerm perm, BlkPerm shared)
{
    edge->perm = perm;
    edge->shared = edge->child->options.force_share ? BLK_PERM_ALL : shared;
}

bool coroutine_fn
blk_edge_co_attach_root(Blk *blk, BlkNode *node, BlkPerm perm, BlkPerm shared,
                        BlkEdge **ret, GError **error)
{
    BlkGraphLock *lock = &node->graph->lock;
    BlkEdge *edge;
    bool ok;

    ash_assert(loop_current() == node->loop);
    blk_graph_lock_co_acquire(lock);
    edge = edge_new(NULL, blk, node, "root", 0);
    edge_set(edge, perm, shared);
    ok = blk_perm_co_refresh(node, error);
    if (ok) {
        *ret = edge;
    } else {
        edge_free(edge);
    }
    blk_graph_lock_release(lock);
    return ok;
}

int coroutine_fn
blk_edge_co_detach_root(BlkEdge *take_edge)
{
    BlkNode *node = take_edge->child;
    BlkGraphLock *lock = &node->graph->lock;
    int err = 0;

    ash_assert(!take_edge->parent);
    ash_assert(loop_current() == node->loop);
    blk_graph_lock_co_acquire(lock);
    /* While the image is still locked. */
    if (take_edge->perm & BLK_PERM_MODIFY) {
        err = blk_node_co_flush(node);
    }
    blk_edge_co_drop(take_edge);
    if (node->n_refs == 0) {
        int close_err = blk_graph_co_reap(node);

        err = err != 0 ? err : close_err;
    }
    blk_graph_lock_release(lock);
    return err;
}

bool coroutine_fn
blk_edge_co_set_perm(BlkEdge *edge, BlkPerm perm, BlkPerm shared,
                     GError **error)
{
    BlkGraphLock *lock = &edge->child->graph->lock;
    BlkPerm old_perm = edge->perm;
    BlkPerm old_shared = edge->shared;
    bool ok;

    ash_assert(!edge->parent);
    blk_graph_lock_co_acquire(lock);
    edge_set(edge, perm, shared);
    ok = blk_perm_co_refresh(edge->child, error);
    if (!ok) {
        edge->perm = old_perm;
        edge->shared = old_shared;
    }
    blk_graph_lock_release(lock);
    return ok;
}

bool coroutine_fn
blk_edge_co_attach_child(BlkNode *parent, BlkNode *child, const char *name,
                         BlkRole role, BlkEdge **ret, GError **error)
{
    const BlkRole is_own =
        (BlkRole)BLK_ROLE_DATA | BLK_ROLE_METADATA | BLK_ROLE_FILTERED;
    BlkEdge *edge;

    ash_assert(parent->loop == child->loop);
    if (child->height >= BLK_DEPTH_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_LIMIT,
                    "node '%s' is already %u layers high, the limit",
                    child->name, child->height);
        return false;
    }
    /* Nobody can write through a node that can't write to its own data. */
    if ((role & is_own) && child->read_only) {
        parent->read_only = true;
    }
    edge = edge_new(parent, NULL, child, name, role);
    blk_perm_derive(edge);
    if (!blk_perm_co_refresh(child, error)) {
        edge_free(edge);
        return false;
    }
    if (role & BLK_ROLE_PRIMARY) {
        ash_assert(!parent->primary);
        parent->primary = edge;
    }
    if (parent->height <= child->height) {
        parent->height = child->height + 1;
    }
    *ret = edge;
    return true;
}

void coroutine_fn
blk_edge_co_drop(BlkEdge *take_edge)
{
    BlkNode *child = take_edge->child;

    ash_assert(!take_edge->frozen);
    edge_free(take_edge);
    blk_perm_co_release(child);
}
