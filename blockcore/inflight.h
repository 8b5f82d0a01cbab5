/*
 * blockcore/inflight.h - count requests in flight; stop and resume them.
 *
 * A drain of a node quiesces the node and everything above it, up to the Blks:
 * there new requests wait.  What has passed a Blk is finished, never failed:
 * drain begin returns when neither the node nor anything above it has a
 * request in flight, so nothing that came through the node is in flight below
 * it either.  A sibling that shares a child of the node goes on.
 *
 * Quiesce travels along edges: the edge of a quiesced child counts once in its
 * parent.  So the counters stay right when edges come and go between begin and
 * end, if edge.c calls the two hooks below.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: the _co_ ones.
 * Tests:   tests/unit/blockcore/test-drain.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "base/assert.h"
#include "blockcore/node-priv.h"

/* A request of a parent begins and ends on @node. */
void blk_inflight_wake(BlkNode *node);

static inline void
blk_inflight_begin(BlkNode *node)
{
    node->in_flight++;
}

static inline void
blk_inflight_end(BlkNode *node)
{
    ash_assert(node->in_flight > 0);
    if (--node->in_flight == 0 && ash_unlikely(node->quiesce > 0)) {
        blk_inflight_wake(node);
    }
}

/* Stop and resume requests of @blk alone.  Nests. */
void blk_inflight_stop_blk(Blk *blk);
void blk_inflight_go_blk(Blk *blk);

/* Hooks of edge.c: @edge was linked to its child / is about to leave it.  Both
 * ends and edge->child are set. */
void blk_inflight_edge_attached(BlkEdge *edge);
void blk_inflight_edge_detaching(BlkEdge *edge);

/* blk->root was set: bring both ends in line with the Blk's drains. */
void coroutine_fn blk_inflight_co_root_set(Blk *blk);

/* The Blk's own drains; see blk_co_drain_begin(). */
void coroutine_fn blk_inflight_co_drain_blk(Blk *blk);
void blk_inflight_resume_blk(Blk *blk);
