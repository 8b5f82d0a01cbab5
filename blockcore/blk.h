/*
 * blockcore/blk.h - Blk: what an export holds of the graph.
 *
 * A Blk is a parent outside the graph with one edge to a root node.  It has a
 * name for messages ("export 'disk'"), permissions, the write-cache mode that
 * its clients see, and statistics.  Several Blks may hold one node if their
 * permissions allow it.
 *
 * Layer:   blockcore.      Thread: blk_loop().      Yields: the co_ ones.
 * Tests:   tests/unit/blockcore/test-blk.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/error.h"
#include "blockcore/blk-io.h"
#include "blockcore/stats.h"
#include "blockcore/types.h"
#include "coro/loop.h"

/* @description is for messages: "export 'disk'". */
Blk *blk_new(const char *description);

/**
 * blk_co_attach() - hold @node as root, with these permissions.
 * @perm, @shared: what we do, and what we let others do (BLK_PERM_*)
 *
 * Errors:  CONFLICT, naming the parent and the permission in the way, or the
 *          image lock; CONFIG (write to a read-only node).
 */
bool coroutine_fn blk_co_attach(Blk *blk, BlkNode *node, BlkPerm perm,
                                BlkPerm shared, GError **error);
/* Let the node go, which closes it if nobody else holds it.  Requests in
 * flight are finished first; later ones get -ENOMEDIUM. */
void coroutine_fn blk_co_detach(Blk *blk);
/* Detached; not in use by any coroutine. */
void blk_free(Blk *blk);

/* ---- facts; cheap ---- */

BlkNode *blk_root(const Blk *blk); /* NULL when detached */
Loop *blk_loop(const Blk *blk);
uint64_t blk_size(const Blk *blk);
const BlkLimits *blk_limits(const Blk *blk);
bool blk_is_writable(const Blk *blk);
bool blk_can_trim(const Blk *blk); /* discard=unmap all the way down */
int blk_depth(const Blk *blk);     /* layers of the backing chain */
BlkStats *blk_stats(Blk *blk);

/* Off: every write is flushed before it returns (writethrough). */
void blk_set_write_cache(Blk *blk, bool enabled);

/* ---- drain ---- */

/* Nothing that came through the root, from this Blk or another, is in flight
 * when begin returns, neither on the root nor below, and nothing starts until
 * the matching end; requests wait.  What others do to a node below that they
 * share with the root goes on.  Nests.  Not from inside a request. */
void coroutine_fn blk_co_drain_begin(Blk *blk);
void blk_drain_end(Blk *blk);
