/*
 * coro/co-lock.c - see coro/co-lock.h.
 *
 * Method: waiters stand in line on their own stacks.  Whoever releases a lock
 * gives it to those at the head of the line before it wakes them, so a lock
 * with a line is never free and newcomers must queue.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/co-lock.h"

#include "base/assert.h"

typedef struct CoWaiter {
    AshList link;
    Coro *co;
    bool wants_write; /* CoRwlock */
} CoWaiter;

void
co_queue_init(CoQueue *q)
{
    ash_list_init(&q->waiters);
}

bool
co_queue_is_empty(const CoQueue *q)
{
    return ash_list_is_empty(&q->waiters);
}

static void coroutine_fn
co_queue_co_wait_as(CoQueue *q, bool wants_write)
{
    CoWaiter waiter = { .co = coro_self(), .wants_write = wants_write };

    ash_assert(waiter.co != NULL);
    ash_list_append(&q->waiters, &waiter.link);
    co_yield();
}

void coroutine_fn
co_queue_co_wait(CoQueue *q)
{
    co_queue_co_wait_as(q, false);
}

/* Take the first waiter, if any, out of the line and wake it. */
static Coro *
co_queue_pop(CoQueue *q)
{
    CoWaiter *waiter;

    if (co_queue_is_empty(q)) {
        return NULL;
    }
    waiter = ash_list_first(&q->waiters, CoWaiter, link);
    ash_list_remove(&waiter->link);
    coro_wake(waiter->co);
    return waiter->co;
}

bool
co_queue_wake_one(CoQueue *q)
{
    return co_queue_pop(q) != NULL;
}

void
co_queue_wake_all(CoQueue *q)
{
    while (co_queue_wake_one(q)) {
    }
}

void
co_mutex_init(CoMutex *m)
{
    co_queue_init(&m->queue);
    m->owner = NULL;
}

void coroutine_fn
co_mutex_co_lock(CoMutex *m)
{
    Coro *self = coro_self();

    ash_assert(self != NULL);
    ash_assert(m->owner != self);
    if (!m->owner) {
        m->owner = self;
        return;
    }
    co_queue_co_wait(&m->queue);
    ash_assert(m->owner == self);
}

void
co_mutex_unlock(CoMutex *m)
{
    ash_assert(m->owner != NULL);
    ash_assert(m->owner == coro_self());
    m->owner = co_queue_pop(&m->queue);
}

void
co_rwlock_init(CoRwlock *l)
{
    co_queue_init(&l->queue);
    l->n_readers = 0;
    l->writer = false;
}

void coroutine_fn
co_rwlock_co_rdlock(CoRwlock *l)
{
    if (l->writer || !co_queue_is_empty(&l->queue)) {
        co_queue_co_wait_as(&l->queue, false);
    } else {
        l->n_readers++;
    }
}

void coroutine_fn
co_rwlock_co_wrlock(CoRwlock *l)
{
    if (l->writer || l->n_readers > 0) {
        co_queue_co_wait_as(&l->queue, true);
    } else {
        l->writer = true;
    }
}

/* Nobody writes: let in whoever may hold the lock now. */
static void
co_rwlock_admit(CoRwlock *l)
{
    while (!co_queue_is_empty(&l->queue)) {
        CoWaiter *first = ash_list_first(&l->queue.waiters, CoWaiter, link);

        if (first->wants_write) {
            if (l->n_readers == 0) {
                l->writer = true;
                ash_maybe(co_queue_wake_one(&l->queue));
            }
            return;
        }
        l->n_readers++;
        ash_maybe(co_queue_wake_one(&l->queue));
    }
}

void
co_rwlock_unlock(CoRwlock *l)
{
    if (l->writer) {
        ash_assert(l->n_readers == 0);
        l->writer = false;
    } else {
        ash_assert(l->n_readers > 0);
        l->n_readers--;
    }
    co_rwlock_admit(l);
}
