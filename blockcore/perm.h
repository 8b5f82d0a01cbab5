/*
 * blockcore/perm.h - permissions: what the parents of a node do and allow.
 *
 * A node holds for its driver the union of what its parents do and the
 * intersection of what they let others do, and asks its own children for what
 * follows from that.  A change is checked all the way down first; drivers
 * take image locks then.  Only if everybody agrees is it set, else undone.
 *
 * Layer:   blockcore.      Control path, under the graph's control lock.
 * Yields:  the co_ ones, in the drivers' check, set and abort.
 * Tests:   tests/unit/blockcore/test-perm.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/error.h"
#include "blockcore/types.h"

/* The permissions that pass through a filter. */
#define BLK_PERM_PASSTHROUGH                              \
    ((BlkPerm)BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE | \
     BLK_PERM_WRITE_UNCHANGED | BLK_PERM_RESIZE)
/* Those that modify a node. */
#define BLK_PERM_MODIFY \
    ((BlkPerm)BLK_PERM_WRITE | BLK_PERM_WRITE_UNCHANGED | BLK_PERM_RESIZE)

/**
 * blk_perm_for_child() - what an edge needs and shares by its role, when the
 * parents of @node hold @perm and @shared.
 *
 *   role       does                          lets others do
 *   FILTERED   what the parents do           what the parents let
 *   DATA       the same                      the same but RESIZE
 *   METADATA   CONSISTENT_READ; WRITE and    the same but WRITE and RESIZE
 *              RESIZE unless read-only
 *   BACKING    CONSISTENT_READ if a parent   CONSISTENT_READ and
 *              does                          WRITE_UNCHANGED; WRITE and
 *                                            RESIZE if the parents let WRITE
 *
 * GRAPH_MOD is never needed and always shared.
 * @role:        of the edge
 * @ret_perm:    what it needs
 * @ret_shared:  what it shares
 */
void blk_perm_for_child(const BlkNode *node, BlkRole role, BlkPerm perm,
                        BlkPerm shared, BlkPerm *ret_perm, BlkPerm *ret_shared);

/* Ask for the edge's permissions, as the driver of its parent node sees it,
 * and store them in the edge. */
void blk_perm_derive(BlkEdge *edge);

/**
 * blk_perm_co_refresh() - the edges to @node have changed: check and set
 * everything below.
 *
 * Errors:  CONFLICT, CONFIG or a driver's.  Then all nodes and the edges below
 *          @node are as they were; the edges to it are the caller's to undo.
 */
bool coroutine_fn blk_perm_co_refresh(BlkNode *node, GError **error);

/* The same after an edge went or its permissions loosened, which can't fail:
 * a driver that refuses keeps the locks it has. */
void coroutine_fn blk_perm_co_release(BlkNode *node);
