/*
 * blockcore/node-priv.h - struct BlkNode and struct BlkEdge; blockcore only.
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
    unsigned quiesce; /* nested drains */
    CoQueue drained;  /* who waits for in_flight == 0 */
    AshList tracked;  /* of BlkTracked */
    unsigned n_serialising;
    int failed; /* 0 or -errno, sticky */

    /* flush generations */
    uint64_t write_gen;   /* moves when a modification completes */
    uint64_t flushed_gen; /* covered by the last good flush */
    bool flush_active;
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
    bool frozen; /* may be neither replaced nor detached */
    AshList parent_link;
    AshList child_link;
};
