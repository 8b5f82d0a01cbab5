/*
 * blockcore/graph-lock.c - see blockcore/graph-lock.h.
 *
 * Method: a waiter lives on the stack of its coroutine.  Who releases wakes
 * the first one: directly on the same loop, else by a message, which runs
 * only after the waiter has yielded.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/graph-lock.h"

#include "base/assert.h"
#include "coro/coro.h"
#include "coro/loop.h"

typedef struct GraphWaiter {
    LoopMsg msg;
    AshList link;
    Coro *co;
} GraphWaiter;

void
blk_graph_lock_init(BlkGraphLock *lock)
{
    g_mutex_init(&lock->mutex);
    lock->held = false;
    ash_list_init(&lock->waiters);
}

void
blk_graph_lock_done(BlkGraphLock *lock)
{
    ash_assert(!lock->held);
    ash_assert(ash_list_is_empty(&lock->waiters));
    g_mutex_clear(&lock->mutex);
}

static void
graph_lock_wake_cb(LoopMsg *msg)
{
    coro_wake(ash_container_of(msg, GraphWaiter, msg)->co);
}

void coroutine_fn
blk_graph_lock_co_acquire(BlkGraphLock *lock)
{
    GraphWaiter waiter = { .msg.fn = graph_lock_wake_cb, .co = coro_self() };
    bool wait;

    ash_list_init(&waiter.link);
    g_mutex_lock(&lock->mutex);
    wait = lock->held;
    if (wait) {
        ash_list_append(&lock->waiters, &waiter.link);
    }
    lock->held = true;
    g_mutex_unlock(&lock->mutex);
    if (wait) {
        co_yield();
    }
}

void
blk_graph_lock_release(BlkGraphLock *lock)
{
    GraphWaiter *next = NULL;

    g_mutex_lock(&lock->mutex);
    ash_assert(lock->held);
    if (ash_list_is_empty(&lock->waiters)) {
        lock->held = false;
    } else {
        next = ash_list_first(&lock->waiters, GraphWaiter, link);
        ash_list_remove(&next->link);
    }
    g_mutex_unlock(&lock->mutex);
    if (!next) {
        return;
    }
    if (coro_loop(next->co) == loop_current()) {
        coro_wake(next->co);
    } else {
        loop_post(coro_loop(next->co), &next->msg);
    }
}

bool
blk_graph_lock_is_held(BlkGraphLock *lock)
{
    bool held;

    g_mutex_lock(&lock->mutex);
    held = lock->held;
    g_mutex_unlock(&lock->mutex);
    return held;
}
