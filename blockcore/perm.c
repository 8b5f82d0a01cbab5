/*
 * blockcore/perm.c - see blockcore/perm.h.
 *
 * Method: the nodes that can be affected are listed parents first, so when a
 * node's turn comes, the edges to it already have what they are going to have.
 * A node whose union and intersection stay the same ends the way down.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/perm.h"

#include "blockcore/edge.h"
#include "blockcore/node-priv.h"
#include "blockcore/tran.h"

/* ---- what follows from a role ---- */

void
blk_perm_for_child(const BlkNode *node, BlkRole role, BlkPerm perm,
                   BlkPerm shared, BlkPerm *ret_perm, BlkPerm *ret_shared)
{
    BlkPerm p = perm & BLK_PERM_PASSTHROUGH;
    BlkPerm s = shared & BLK_PERM_PASSTHROUGH;

    if (role & BLK_ROLE_BACKING) {
        p &= BLK_PERM_CONSISTENT_READ;
        s &= BLK_PERM_WRITE;
        s |= s ? (BlkPerm)BLK_PERM_RESIZE : 0;
        s |= BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE_UNCHANGED;
    } else if (role & BLK_ROLE_METADATA) {
        p |= BLK_PERM_CONSISTENT_READ;
        if (!node->read_only) {
            p |= BLK_PERM_WRITE | BLK_PERM_RESIZE;
        }
        s &= ~((BlkPerm)BLK_PERM_WRITE | BLK_PERM_RESIZE);
    } else if (role & BLK_ROLE_DATA) {
        s &= ~(BlkPerm)BLK_PERM_RESIZE;
    }
    *ret_perm = p;
    *ret_shared = s | BLK_PERM_GRAPH_MOD;
}

void
blk_perm_derive(BlkEdge *edge)
{
    const BlkNode *parent = edge->parent;
    BlkPerm perm;
    BlkPerm shared;

    if (parent->driver->child_perm) {
        parent->driver->child_perm(edge->parent, edge, parent->perm,
                                   parent->shared, &perm, &shared);
    } else {
        blk_perm_for_child(parent, edge->role, parent->perm, parent->shared,
                           &perm, &shared);
    }
    edge->perm = perm;
    edge->shared = edge->child->options.force_share ? BLK_PERM_ALL : shared;
}

/* ---- messages ---- */

/* "write to", for the first permission of @perm that matters. */
static const char *
perm_verb(BlkPerm perm)
{
    if (perm & BLK_PERM_WRITE) {
        return "write to";
    }
    if (perm & BLK_PERM_RESIZE) {
        return "resize";
    }
    if (perm & BLK_PERM_WRITE_UNCHANGED) {
        return "rewrite unchanged data of";
    }
    if (perm & BLK_PERM_CONSISTENT_READ) {
        return "rely on consistent reads of";
    }
    return "change the graph at";
}

/* If @strict does not share what @user needs, say so. */
static bool
perm_check_pair(const BlkEdge *user, const BlkEdge *strict, GError **error)
{
    BlkPerm denied = user->perm & ~strict->shared;

    if (denied) {
        g_autofree char *a = blk_edge_describe(strict);
        g_autofree char *b = blk_edge_describe(user);

        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                    "%s does not allow others to %s node '%s', which %s "
                    "needs",
                    a, perm_verb(denied), user->child->name, b);
        return false;
    }
    return true;
}

static BlkEdge *
perm_edge_of(AshList *link)
{
    return ash_container_of(link, BlkEdge, child_link);
}

/* N4: nobody does what somebody else does not share. */
static bool
perm_check_pairs(BlkNode *node, GError **error)
{
    ash_list_foreach(i, &node->parents) {
        for (AshList *j = i->next; j != &node->parents; j = j->next) {
            BlkEdge *a = perm_edge_of(i);
            BlkEdge *b = perm_edge_of(j);

            if (!perm_check_pair(b, a, error) ||
                !perm_check_pair(a, b, error)) {
                return false;
            }
        }
    }
    return true;
}

static bool
perm_check_read_only(BlkNode *node, GError **error)
{
    ash_list_foreach(i, &node->parents) {
        const BlkEdge *edge = perm_edge_of(i);

        if (node->read_only && (edge->perm & BLK_PERM_MODIFY)) {
            g_autofree char *who = blk_edge_describe(edge);

            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "node '%s' is read-only, and %s needs to %s it",
                        node->name, who,
                        perm_verb(edge->perm & BLK_PERM_MODIFY));
            return false;
        }
    }
    return true;
}

/* ---- one node's turn ---- */

/* A node whose permissions change, and what they were. */
typedef struct PermNode {
    BlkNode *node;
    BlkPerm perm;
    BlkPerm shared;
    bool refused; /* by the driver, on release: it keeps what it has */
} PermNode;

/* An edge below it, and what it had. */
typedef struct PermEdge {
    BlkEdge *edge;
    BlkPerm perm;
    BlkPerm shared;
} PermEdge;

static void coroutine_fn
perm_node_co_commit(void *data)
{
    const PermNode *p = data;
    const BlkDriver *driver = p->node->driver;

    if (p->refused) {
        return;
    }
    if (driver->co_set_perm) {
        driver->co_set_perm(p->node, p->node->perm, p->node->shared);
    }
}

static void coroutine_fn
perm_node_co_abort(void *data)
{
    const PermNode *p = data;

    p->node->perm = p->perm;
    p->node->shared = p->shared;
    if (p->node->driver->co_abort_perm) {
        p->node->driver->co_abort_perm(p->node);
    }
}

static void coroutine_fn
perm_edge_co_abort(void *data)
{
    const PermEdge *p = data;

    p->edge->perm = p->perm;
    p->edge->shared = p->shared;
}

static const BlkTranOps perm_node_ops = {
    .co_commit = perm_node_co_commit,
    .co_abort = perm_node_co_abort,
    .free = g_free,
};

static const BlkTranOps perm_edge_ops = {
    .co_abort = perm_edge_co_abort,
    .free = g_free,
};

static void
perm_derive_children(BlkTran *tran, BlkNode *node)
{
    ash_list_foreach(i, &node->children) {
        BlkEdge *edge = ash_container_of(i, BlkEdge, parent_link);
        PermEdge *p = g_new(PermEdge, 1);

        *p = (PermEdge){
            .edge = edge,
            .perm = edge->perm,
            .shared = edge->shared,
        };
        blk_perm_derive(edge);
        blk_tran_add(tran, &perm_edge_ops, p);
    }
}

/* What the parents do together, and what all of them let others do. */
static void
perm_combine(BlkNode *node, BlkPerm *ret_perm, BlkPerm *ret_shared)
{
    BlkPerm perm = 0;
    BlkPerm shared = BLK_PERM_ALL;

    ash_list_foreach(i, &node->parents) {
        perm |= perm_edge_of(i)->perm;
        shared &= perm_edge_of(i)->shared;
    }
    *ret_perm = perm;
    *ret_shared = shared;
}

/*
 * Prepare one node.  @release: permissions only loosen, so that nobody but the
 * driver can object, and that is passed over.
 */
static bool coroutine_fn
perm_co_prepare(BlkTran *tran, BlkNode *node, bool release, GError **error)
{
    PermNode *p;
    BlkPerm perm;
    BlkPerm shared;

    if (!release && (!perm_check_pairs(node, error) ||
                     !perm_check_read_only(node, error))) {
        return false;
    }
    perm_combine(node, &perm, &shared);
    if (perm == node->perm && shared == node->shared) {
        return true;
    }
    p = g_new0(PermNode, 1);
    p->node = node;
    p->perm = node->perm;
    p->shared = node->shared;
    node->perm = perm;
    node->shared = shared;
    blk_tran_add(tran, &perm_node_ops, p);
    if (node->driver->co_check_perm &&
        !node->driver->co_check_perm(node, perm, shared,
                                     release ? NULL : error)) {
        if (!release) {
            return false;
        }
        p->refused = true;
        if (node->driver->co_abort_perm) {
            node->driver->co_abort_perm(node);
        }
    }
    perm_derive_children(tran, node);
    return true;
}

/* ---- the way down ---- */

/* @node and everything below it, parents before children; owned. */
static GPtrArray *
perm_list_below(BlkNode *node)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) path = g_ptr_array_new();  /* from @node down */
    g_autoptr(GPtrArray) links = g_ptr_array_new(); /* where each one is */
    GPtrArray *order = g_ptr_array_new();           /* children first */

    g_hash_table_add(seen, node);
    g_ptr_array_add(path, node);
    g_ptr_array_add(links, node->children.next);
    while (path->len > 0) {
        BlkNode *last = g_ptr_array_index(path, path->len - 1);
        AshList *link = g_ptr_array_index(links, links->len - 1);
        BlkNode *child;

        if (link == &last->children) {
            g_ptr_array_add(order, last);
            g_ptr_array_set_size(path, (int)path->len - 1);
            g_ptr_array_set_size(links, (int)links->len - 1);
            continue;
        }
        g_ptr_array_index(links, links->len - 1) = link->next;
        child = ash_container_of(link, BlkEdge, parent_link)->child;
        if (g_hash_table_add(seen, child)) {
            g_ptr_array_add(path, child);
            g_ptr_array_add(links, child->children.next);
        }
    }
    for (unsigned i = 0; i < order->len / 2; i++) {
        void **a = &g_ptr_array_index(order, i);
        void **b = &g_ptr_array_index(order, order->len - 1 - i);
        void *tmp = *a;

        *a = *b;
        *b = tmp;
    }
    return order;
}

static bool coroutine_fn
perm_co_update(BlkNode *node, bool release, GError **error)
{
    g_autoptr(GPtrArray) order = perm_list_below(node);
    BlkTran *tran = blk_tran_new();

    for (unsigned i = 0; i < order->len; i++) {
        if (!perm_co_prepare(tran, g_ptr_array_index(order, i), release,
                             error)) {
            blk_tran_co_abort(tran);
            return false;
        }
    }
    blk_tran_co_commit(tran);
    return true;
}

bool coroutine_fn
blk_perm_co_refresh(BlkNode *node, GError **error)
{
    return perm_co_update(node, false, error);
}

void coroutine_fn
blk_perm_co_release(BlkNode *node)
{
    bool ok = perm_co_update(node, true, NULL);

    ash_assert(ok);
}
