/*
 * blockcore/blk.h - Blk: what an export holds of the graph.
 *
 * A Blk is a parent outside the graph with one edge to a root node.  It has a
 * name for messages ("export 'disk'"), permissions, the write-cache mode that
 * its clients see, and statistics.  Several Blks may hold one node if their
 * permissions allow it.
 *
 * Errors of the co_ functions, all -errno:
 *   -ENOMEDIUM  the node is gone            -EROFS   writing a read-only one
 *   -EINVAL     read, trim, cache or status past the end; an empty status;
 *               data of more than BLK_TRANSFER_MAX
 *   -ENOSPC     write or zero past the end, or the host is full
 *   -ENOMEM     no memory                   -ESHUTDOWN  a peer is gone
 *   -EIO        anything else, and every modification of a failed node
 *   -EAGAIN     only try_read
 *   -ENOTSUP    only zero with NO_FALLBACK; write with COMPRESSED; map_file
 * They are looked for in the order medium, read-only, range.  An empty request
 * at or before the end succeeds and does nothing.
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
#include "base/iov.h"
#include "blockcore/range.h"
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

/* ---- requests ---- */

int coroutine_fn blk_co_read(Blk *blk, BlkRange range, const IoVec *iov,
                             BlkReqFlags flags);
int coroutine_fn blk_co_write(Blk *blk, BlkRange range, const IoVec *iov,
                              BlkReqFlags flags);
int coroutine_fn blk_co_zero(Blk *blk, BlkRange range, BlkReqFlags flags);
int coroutine_fn blk_co_trim(Blk *blk, BlkRange range, BlkReqFlags flags);
int coroutine_fn blk_co_flush(Blk *blk);
int coroutine_fn blk_co_prefetch(Blk *blk, BlkRange range);

/* The state at range.offset through the whole chain: DATA and ZERO as the
 * client sees them; ret->bytes in [1, range.bytes]. */
int coroutine_fn blk_co_status(Blk *blk, BlkRange range, BlkExtent *ret);
/* How many layers down the data at range.offset is: 0 nowhere, 1 the top. */
int coroutine_fn blk_co_allocation_depth(Blk *blk, BlkRange range,
                                         uint64_t *ret_bytes,
                                         uint32_t *ret_depth);

/*
 * Zero copy: the plain file range that holds exactly this data, in memory, or
 * -ENOTSUP.  On 0 the caller must not yield before it has taken references to
 * the pages (splice) or given up; counts as a read of range.bytes.
 */
int blk_map_file(Blk *blk, BlkRange range, BlkFileRange *ret);

/*
 * A read that does not wait for anything, or -EAGAIN: then, and after any
 * other error, ask blk_co_read().  Never yields, so it needs no coroutine.
 */
int blk_try_read(Blk *blk, BlkRange range, const IoVec *iov);

/* ---- drain ---- */

/* Nothing that came through the root, from this Blk or another, is in flight
 * when begin returns, neither on the root nor below, and nothing starts until
 * the matching end; requests wait.  What others do to a node below that they
 * share with the root goes on.  Nests.  Not from inside a request. */
void coroutine_fn blk_co_drain_begin(Blk *blk);
void blk_drain_end(Blk *blk);
