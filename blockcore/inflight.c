/*
 * blockcore/inflight.c - see blockcore/inflight.h.
 *
 * Invariants, besides N3 and N6 of node-priv.h:
 *  D1  An edge has quiesces_parent exactly when its child's quiesce > 0.
 *  D2  A root edge has drains_child exactly when its Blk's n_drains > 0.
 *  D3  A counter that leaves 0 stops the level above, one that gets back to 0
 *      resumes it, so nested drains and diamonds balance.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/inflight.h"

#include "base/list.h"
#include "blockcore/driver.h"
#include "blockcore/graph.h"
#include "coro/co-lock.h"
#include "coro/loop.h"

static void blk_inflight_quiesce(BlkNode *node);
static void blk_inflight_resume(BlkNode *node);

void
blk_inflight_wake(BlkNode *node)
{
    co_queue_wake_all(&node->drained);
}

void
blk_inflight_stop_blk(Blk *blk)
{
    blk->quiesce++;
}

void
blk_inflight_go_blk(Blk *blk)
{
    ash_assert(blk->quiesce > 0);
    if (--blk->quiesce == 0) {
        co_queue_wake_all(&blk->resumed);
    }
}

/* The child of @edge became quiesced. */
static void
blk_inflight_stop_parent(BlkEdge *edge)
{
    ash_assert(!edge->quiesces_parent);
    edge->quiesces_parent = true;
    if (edge->parent) {
        blk_inflight_quiesce(edge->parent);
    } else {
        blk_inflight_stop_blk(edge->blk);
    }
}

static void
blk_inflight_go_parent(BlkEdge *edge)
{
    ash_assert(edge->quiesces_parent);
    edge->quiesces_parent = false;
    if (edge->parent) {
        blk_inflight_resume(edge->parent);
    } else {
        blk_inflight_go_blk(edge->blk);
    }
}

static void
blk_inflight_quiesce(BlkNode *node)
{
    if (node->quiesce++ > 0) {
        return;
    }
    ash_list_foreach(link, &node->parents) {
        blk_inflight_stop_parent(ash_container_of(link, BlkEdge, child_link));
    }
}

static void
blk_inflight_resume(BlkNode *node)
{
    ash_assert(node->quiesce > 0);
    if (--node->quiesce > 0) {
        return;
    }
    ash_list_foreach(link, &node->parents) {
        blk_inflight_go_parent(ash_container_of(link, BlkEdge, child_link));
    }
    blk_inflight_wake(node);
}

void
blk_inflight_edge_attached(BlkEdge *edge)
{
    ash_assert((edge->parent == NULL) != (edge->blk == NULL));
    ash_assert(!edge->quiesces_parent);
    ash_assert(!edge->drains_child);
    if (edge->child->quiesce > 0) {
        blk_inflight_stop_parent(edge);
    }
    if (edge->blk && edge->blk->n_drains > 0) {
        edge->drains_child = true;
        blk_inflight_quiesce(edge->child);
    }
}

void
blk_inflight_edge_detaching(BlkEdge *edge)
{
    if (edge->drains_child) {
        edge->drains_child = false;
        blk_inflight_resume(edge->child);
    }
    if (edge->quiesces_parent) {
        blk_inflight_go_parent(edge);
    }
}

/* @node or a node above it that has a request in flight; NULL: none.  Above
 * first: what is busy there may still send requests down. */
static BlkNode *
blk_inflight_find_busy(BlkNode *node)
{
    ash_list_foreach(link, &node->parents) {
        const BlkEdge *edge = ash_container_of(link, BlkEdge, child_link);
        BlkNode *busy =
            edge->parent ? blk_inflight_find_busy(edge->parent) : NULL;

        if (busy) {
            return busy;
        }
    }
    return node->in_flight > 0 ? node : NULL;
}

static void coroutine_fn
blk_inflight_co_settle(BlkNode *node)
{
    BlkNode *busy;

    /* Completions that are already scheduled are delivered first, even when
     * nothing is in flight. */
    co_pause();
    while ((busy = blk_inflight_find_busy(node)) != NULL) {
        co_queue_co_wait(&busy->drained);
    }
}

void coroutine_fn
blk_node_co_drain_begin(BlkNode *node)
{
    blk_inflight_quiesce(node);
    blk_inflight_co_settle(node);
}

void
blk_node_drain_end(BlkNode *node)
{
    blk_inflight_resume(node);
}

/* D2 for the root of @blk. */
static void
blk_inflight_sync_root(Blk *blk)
{
    BlkEdge *root = blk->root;
    bool drains = blk->n_drains > 0;

    if (!root || root->drains_child == drains) {
        return;
    }
    root->drains_child = drains;
    if (drains) {
        blk_inflight_quiesce(root->child);
    } else {
        blk_inflight_resume(root->child);
    }
}

void coroutine_fn
blk_inflight_co_root_set(Blk *blk)
{
    blk_inflight_sync_root(blk);
    if (blk->n_drains > 0) {
        blk_inflight_co_settle(blk->root->child);
    }
}

void coroutine_fn
blk_inflight_co_drain_blk(Blk *blk)
{
    blk->n_drains++;
    blk_inflight_stop_blk(blk);
    blk_inflight_sync_root(blk);
    if (blk->root) {
        blk_inflight_co_settle(blk->root->child);
    } else {
        co_pause();
    }
}

void
blk_inflight_resume_blk(Blk *blk)
{
    ash_assert(blk->n_drains > 0);
    blk->n_drains--;
    blk_inflight_sync_root(blk);
    blk_inflight_go_blk(blk);
}

void coroutine_fn
blk_node_co_work_begin(BlkNode *node)
{
    while (node->quiesce > 0) {
        co_queue_co_wait(&node->drained);
    }
    blk_inflight_begin(node);
}

void
blk_node_work_end(BlkNode *node)
{
    blk_inflight_end(node);
}
