/*
 * blockcore/graph.h - the control path: open nodes, find them, let them go.
 *
 * A BlkGraph owns all nodes.  A node stays while somebody refers to it: the
 * graph itself for named nodes that were added (until del), a parent's edge.
 *
 * Nodes are opened on the loop that calls blk_graph_co_add(), or on the home
 * of the nodes that they refer to; a whole component (every node that hangs
 * together) can then be given another home.
 *
 * Layer:   blockcore.      Thread: the loop that made the graph, for everything
 *          here; blk_node_co_set_home() says when that hands over.
 * Tests:   tests/unit/blockcore/test-graph*.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/error.h"
#include "blockcore/options.h"
#include "blockcore/types.h"
#include "coro/loop.h"

/* @drivers: NULL-terminated, borrowed.  @state_dir: NULL for none, copied. */
BlkGraph *blk_graph_new(const BlkDriver *const *drivers, const char *state_dir);
/* Who passes on what drivers say with blk_node_tell(), on any loop; set before
 * the first node is opened. */
typedef void BlkGraphTellFn(const char *node_name, const char *text);
void blk_graph_set_tell(BlkGraph *graph, BlkGraphTellFn *fn);
/* Everything was closed. */
void blk_graph_free(BlkGraph *graph);

/**
 * blk_graph_co_add() - open a node and its children from options.
 * @take_opts: "driver", "node-name" and the rest; taken, also on failure
 * @ret:       borrowed; the graph holds it until blk_graph_co_del()
 *
 * Errors:  CONFIG (unknown driver or option, bad value, bad or missing
 *          name), CONFLICT (name taken, image locked), NOT_FOUND, IO, IMAGE,
 *          UNSUPPORTED.  Nothing stays open on failure.
 */
bool coroutine_fn blk_graph_co_add(BlkGraph *graph, BlkOptions *take_opts,
                                   BlkNode **ret, GError **error);

/* Errors: NOT_FOUND; BUSY, naming the parent; IO if the node is gone but its
 * last flush failed. */
bool coroutine_fn blk_graph_co_del(BlkGraph *graph, const char *name,
                                   GError **error);

/* NULL and NOT_FOUND when there is none. */
BlkNode *blk_graph_find(BlkGraph *graph, const char *name, GError **error);

/* Reserve a name that nodes must not have (an export's id). */
bool blk_graph_claim_name(BlkGraph *graph, const char *name, GError **error);
void blk_graph_release_name(BlkGraph *graph, const char *name);

/* The loop that the component of @node lives on. */
Loop *blk_node_home(const BlkNode *node);

/**
 * blk_node_co_set_home() - move the component of @node to @loop.
 *
 * Needs:   the thread of its present home, nothing in flight and no other
 *          request starting meanwhile.  Returns on that thread; the component
 *          then belongs to @loop's.
 * Errors:  the driver's (then everything is where it was; a node that can't
 *          even go back is failed).
 */
bool coroutine_fn blk_node_co_set_home(BlkNode *node, Loop *loop,
                                       GError **error);

/* Drain, flush, drain, close every node, parents first; the first flush error
 * is returned (0 if none) and the rest goes on.  A node that a Blk holds closes
 * when the Blk lets it go. */
int coroutine_fn blk_graph_co_close_all(BlkGraph *graph);

/* For each open node, in the order of opening.  @fn must not call the graph. */
void blk_graph_foreach(BlkGraph *graph, void (*fn)(BlkNode *node, void *arg),
                       void *arg);
/* What blk_node_take_note() left, NULL: nothing. */
const char *blk_node_note(const BlkNode *node);
const BlkDriver *blk_node_driver(const BlkNode *node);

/* ---- debugging ---- */

/* Stop everything above @node, and wait until nothing is in flight there, on
 * it or, on its behalf, below; see inflight.h.  Nests with end. */
void coroutine_fn blk_node_co_drain_begin(BlkNode *node);
void blk_node_drain_end(BlkNode *node);
/* The file of @node lost data: undo blk_node_fail() (operator's word). */
void blk_node_clear_failure(BlkNode *node);
