/*
 * coro/co-lock.h - waiting in line: queue, mutex, readers/writer lock.
 *
 * All are for coroutines of one loop; none works across threads.  All are
 * FIFO, and hand over ownership directly, so nobody overtakes a waiter.
 *
 * Layer:   coro.      Thread: one loop's.      Yields: the co_* ones.
 * Tests:   tests/unit/coro/test-lock.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "coro/coro.h"

/* A queue of waiting coroutines. */
typedef struct CoQueue {
    AshList waiters; /* of CoWaiter, private to co-lock.c */
} CoQueue;

void co_queue_init(CoQueue *q);
bool co_queue_is_empty(const CoQueue *q);
/* Wait at the end of the line. */
void coroutine_fn co_queue_co_wait(CoQueue *q);
/* Wake the first waiter; false when there is none. */
bool co_queue_wake_one(CoQueue *q);
void co_queue_wake_all(CoQueue *q);

/* A mutex; not recursive. */
typedef struct CoMutex {
    CoQueue queue;
    Coro *owner;
} CoMutex;

void co_mutex_init(CoMutex *m);
void coroutine_fn co_mutex_co_lock(CoMutex *m);
void co_mutex_unlock(CoMutex *m);

/* Many readers or one writer, in the order of their coming: a waiting writer
 * stops later readers, readers that wait behind it go before a later writer.
 * So a reader must not lock again what it holds. */
typedef struct CoRwlock {
    CoQueue queue; /* of both; only a writer stands first */
    unsigned n_readers;
    bool writer;
} CoRwlock;

void co_rwlock_init(CoRwlock *l);
void coroutine_fn co_rwlock_co_rdlock(CoRwlock *l);
void coroutine_fn co_rwlock_co_wrlock(CoRwlock *l);
void co_rwlock_unlock(CoRwlock *l);
