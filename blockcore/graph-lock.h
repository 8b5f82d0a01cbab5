/*
 * blockcore/graph-lock.h - one change of the graph at a time.
 *
 * Control commands yield in the middle (a driver opens a file, takes a lock)
 * and hop between loops, so they take turns.  Requests never take this lock.
 *
 * Layer:   blockcore.      Thread: any loop's; held by a coroutine, also
 *          across hops.      Yields: acquire.
 * Tests:   tests/unit/blockcore/test-graph-loops.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "base/annotate.h"
#include "base/list.h"

typedef struct BlkGraphLock {
    GMutex mutex; /* of the fields below; never held across a yield */
    bool held;
    AshList waiters; /* of GraphWaiter, first come first served */
} BlkGraphLock;

void blk_graph_lock_init(BlkGraphLock *lock);
/* Nobody holds it or waits for it. */
void blk_graph_lock_done(BlkGraphLock *lock);

/* Not recursive. */
void coroutine_fn blk_graph_lock_co_acquire(BlkGraphLock *lock);
/* Hands the lock to the first waiter, on that waiter's loop. */
void blk_graph_lock_release(BlkGraphLock *lock);
bool blk_graph_lock_is_held(BlkGraphLock *lock);
