/*
 * blockcore/graph-priv.h - struct BlkGraph, and the steps in the life of a
 * node that graph.c, graph-open.c, edge.c and node.c share.
 *
 * Layer:   blockcore.      Control path.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>

#include "base/list.h"
#include "blockcore/graph-lock.h"
#include "blockcore/graph.h"
#include "blockcore/node-priv.h"

struct BlkGraph {
    const BlkDriver *const *drivers; /* NULL-terminated */
    char *state_dir;
    BlkGraphTellFn *tell; /* NULL: nobody listens */
    Loop *loop;           /* that made the graph */
    BlkGraphLock lock;    /* held by whoever changes the graph */
    GMutex mutex;         /* of the fields below; never held across a yield */
    AshList nodes;        /* BlkNode.graph_link, in the order of opening */
    GHashTable *names; /* to BlkNode, or NULL if claimed for something else */
    unsigned n_anonymous;
};

/* ---- node.c ---- */

/* A node that is not open, on the current loop, listed and named; @name NULL:
 * make one up.  Errors: CONFIG (malformed name), CONFLICT (name taken). */
BlkNode *blk_node_new(BlkGraph *graph, const BlkDriver *driver,
                      const char *name, GError **error);
/* Closed or never opened; no edges. */
void blk_node_free(BlkNode *node);
void blk_node_set_open(BlkNode *node);

/* ---- graph.c ---- */

bool blk_graph_check_name(const char *name, GError **error);
/* Under graph->mutex. */
bool blk_graph_insert_name(BlkGraph *graph, const char *name, BlkNode *node,
                           GError **error);
/* Nobody refers to @take_node: flush and close it if it is open, let its
 * children go and close those that nobody else refers to.  The first flush
 * error or 0. */
int coroutine_fn blk_graph_co_reap(BlkNode *take_node);

/* ---- graph-open.c ---- */

/* Open a node from options (taken).  @parent, @role: NULL, 0 for a root; else
 * options that are not given are the parent's, as the role has it. */
bool coroutine_fn blk_graph_co_open(BlkGraph *graph, BlkOptions *take_opts,
                                    const BlkNode *parent, BlkRole role,
                                    BlkNode **ret, GError **error);
/* The loop of the nodes that the options refer to, @fallback if there are
 * none.  Error: CONFLICT when they have different ones. */
bool blk_graph_find_home(BlkGraph *graph, const BlkOptions *opts,
                         Loop *fallback, Loop **ret, GError **error);

/* ---- limits.c ---- */

/* Fill in node->limits: the children's merged, then the driver's, checked.
 * Error: CONFIG, naming the value. */
bool blk_limits_refresh(BlkNode *node, GError **error);
