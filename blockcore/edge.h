/*
 * blockcore/edge.h - edges: who holds which node, as what, with which
 * permissions.  A node stays open while an edge leads to it.
 *
 * The functions for roots take the graph's control lock; those for children
 * run inside of an open or close, which holds it.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: co_ ones.
 * Tests:   tests/unit/blockcore/test-perm.c, test-graph.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/error.h"
#include "blockcore/types.h"

/**
 * blk_edge_co_attach_root() - let a Blk hold @node.
 * @perm, @shared: BLK_PERM_*
 * @ret:    owned by the caller until blk_edge_co_detach_root()
 *
 * Errors:  CONFLICT, naming both users and the permission, or the image lock;
 *          CONFIG (to write to a read-only node).  Nothing has changed then.
 */
bool coroutine_fn blk_edge_co_attach_root(Blk *blk, BlkNode *node, BlkPerm perm,
                                          BlkPerm shared, BlkEdge **ret,
                                          GError **error);

/* Let go; no request of the Blk is in flight.  What it wrote is flushed, and
 * the node is closed if nobody else refers to it.  Returns the flush error of
 * that, else 0. */
int coroutine_fn blk_edge_co_detach_root(BlkEdge *take_edge);

/* Change what a root's edge holds.  Errors: as attach; nothing has changed. */
bool coroutine_fn blk_edge_co_set_perm(BlkEdge *edge, BlkPerm perm,
                                       BlkPerm shared, GError **error);

/* "export 'e1'", "node 'top' as 'backing'"; owned. */
char *blk_edge_describe(const BlkEdge *edge);

/* Make @child a child of @parent, with the permissions that follow from its
 * role.  Errors: CONFLICT, LIMIT, the driver's; nothing has changed then. */
bool coroutine_fn blk_edge_co_attach_child(BlkNode *parent, BlkNode *child,
                                           const char *name, BlkRole role,
                                           BlkEdge **ret, GError **error);

/* Unlink and free an edge and loosen what it held.  The child may have no
 * reference afterwards; it is the caller's to close then. */
void coroutine_fn blk_edge_co_drop(BlkEdge *take_edge);
