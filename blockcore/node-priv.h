/*
 * blockcore/node-priv.h - struct BlkNode, struct BlkEdge and struct Blk;
 * blockcore only.
 *
 * Invariants:
 *  N1  A node's loop is that of every node it hangs together with.
 *  N2  n_serialising is the number of tracked requests that serialise.
 *  N3  in_flight counts requests of parents; drained means it is 0 and
 *      quiesce > 0, and no request starts while quiesce > 0 (it waits in
 *      the Blk that is the root of the request).
 *  N4  perm of an edge is within the shared of every other edge to the
 *      same child, and the reverse.
 *  N5  failed is set once and never changes but by clear_failure.
 *  N6  quiesce of a node is the drains begun on it, plus one for each of its
 *      children's edges with quiesces_parent, plus one for each parent's
 *      edge with drains_child.  See inflight.h, which edge.c tells of every
 *      edge that comes or goes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/list.h"
#include "blockcore/driver.h"
#include "blockcore/stats.h"
#include "blockcore/types.h"
#include "coro/co-lock.h"

struct BlkNode {
    const BlkDriver *driver;
    BlkGraph *graph;
    Loop *loop;
    char name[BLK_NODE_NAME_MAX + 1];
    bool named;         /* by the user; otherwise "#block123" */
    bool monitor_owned; /* the graph holds a reference */
    bool open;
    unsigned n_refs; /* edges to it, plus monitor_owned */
    unsigned depth;  /* layers above it in the options it came from */
    unsigned height; /* layers, itself and below; 1: a leaf */
    BlkNodeOptions options;
    bool read_only; /* in effect: option, or found by the driver */
    uint64_t size;  /* bytes, exact */
    BlkLimits limits;
    char *note;
    AshList graph_link; /* in graph->nodes, order of opening */
    AshList children;   /* BlkEdge.parent_link */
    AshList parents;    /* BlkEdge.child_link */
    BlkEdge *primary;   /* the child most calls forward to, NULL: leaf */
    BlkPerm perm;       /* granted to all parents together */
    BlkPerm shared;

    /* requests */
    unsigned in_flight;
    unsigned quiesce; /* N6 */
    CoQueue drained;  /* who waits for in_flight or quiesce to be 0 */
    AshList tracked;  /* of BlkTracked */
    unsigned n_serialising;
    int failed; /* 0 or -errno, sticky */

    /* flush generations */
    uint64_t write_gen;   /* moves when a modification completes */
    uint64_t flushed_gen; /* one past what a good flush covered; 0: none */
    bool flush_active;    /* its holder alone writes flushed_gen */
    CoQueue flush_queue;

    BlkStats stats;
    _Alignas(16) char state[]; /* driver->state_bytes */
};

struct BlkEdge {
    char *name; /* "file", "backing", or "root" of a Blk */
    BlkRole role;
    BlkNode *parent; /* NULL: the parent is @blk */
    Blk *blk;
    BlkNode *child;
    BlkPerm perm;
    BlkPerm shared;
    bool frozen;          /* may be neither replaced nor detached */
    bool quiesces_parent; /* the child is quiesced, so the parent is too */
    bool drains_child;    /* the Blk above is drained, so the child is too */
    AshList parent_link;
    AshList child_link;
};

struct Blk {
    char *description; /* for messages: "export 'disk'" */
    Loop *loop;        /* the root's; when detached, that of the last root */
    BlkEdge *root;     /* NULL: detached */
    bool write_cache;
    unsigned n_drains; /* begun on the Blk itself */
    unsigned quiesce;  /* n_drains, plus one for root->quiesces_parent */
    CoQueue resumed;   /* requests that wait while quiesce > 0 */
    BlkStats stats;
};
