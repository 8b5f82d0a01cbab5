/*
 * blockcore/tracked.h - the requests that a node is working on, and waiting
 * for those that must not overlap.
 *
 * Each request hangs in its node's list, with the range that it touches, from
 * before its first driver call until after its last.  One that must not be
 * seen half done (read-modify-write, BLK_REQ_SERIALISING) serialises: it waits
 * for what overlaps it, and what comes later and overlaps waits for it.  Two
 * requests that do not serialise never wait for each other.
 *
 * Layer:   blockcore.      Thread: the node's loop.
 * Yields:  blk_tracked_co_settle() and blk_tracked_co_wait().
 * Method:  tracked.c.      Tests: tests/unit/blockcore/test-tracked.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/assert.h"
#include "base/list.h"
#include "blockcore/node-priv.h"
#include "blockcore/range.h"
#include "coro/co-lock.h"
#include "coro/coro.h"

/* One request; on the stack of the coroutine that owns it. */
typedef struct BlkTracked {
    AshList link; /* node->tracked */
    BlkNode *node;
    BlkRange range; /* widened to whole blocks by serialising */
    Coro *co;
    /* Not NULL: waits.  Only compared with NULL: between the end of the other
     * request and our waking it points to what is gone. */
    const struct BlkTracked *waiting_for;
    bool serialising;
    bool no_wait;     /* a read that passes those who serialise */
    bool has_waiters; /* else @waiters is not even initialised */
    CoQueue waiters;
} BlkTracked;

static inline void
blk_tracked_begin(BlkTracked *req, BlkNode *node, BlkRange range)
{
    req->node = node;
    req->range = range;
    req->co = coro_self();
    req->waiting_for = NULL;
    req->serialising = false;
    req->no_wait = false;
    req->has_waiters = false;
    ash_list_append(&node->tracked, &req->link);
}

/* Serialise over whole blocks of @align bytes; before settling. */
static inline void
blk_tracked_serialise(BlkTracked *req, uint32_t align)
{
    ash_assert(!req->serialising);
    req->serialising = true;
    req->range = blk_range_align_out(req->range, align);
    req->node->n_serialising++;
}

/* Somebody serialises: wait until @req overlaps with nothing it must not. */
void coroutine_fn blk_tracked_co_wait(BlkTracked *req);

static inline void coroutine_fn
blk_tracked_co_settle(BlkTracked *req)
{
    if (ash_unlikely(req->node->n_serialising > 0)) {
        blk_tracked_co_wait(req);
    }
}

/* Does anything that waits for others overlap with @req?  Never between
 * settling and the end of one that serialises.  O(n). */
bool blk_tracked_is_alone(const BlkTracked *req);

static inline void
blk_tracked_end(BlkTracked *req)
{
    ash_list_remove(&req->link);
    if (ash_unlikely(req->serialising)) {
        req->node->n_serialising--;
    }
    if (ash_unlikely(req->has_waiters)) {
        co_queue_wake_all(&req->waiters);
    }
}
