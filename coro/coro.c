/*
 * coro/coro.c - see coro/coro.h.
 *
 * Method: coroutines are asymmetric.  Whoever enters one (the loop, or another
 * coroutine that spawns it) is its caller until it stops again.  A coroutine
 * that returns goes to the pool of the thread it is on; its stack then stands
 * in coro_main(), ready to call the next function, so a spawn from the pool
 * costs two switches and no set-up.
 *
 * What happens to a coroutine after it stopped (pool, move to another loop) is
 * done by its caller, because only then is its stack at rest.
 *
 * A compiler may keep the address of a thread-local variable over a switch,
 * after which the coroutine may run on another thread.  So thread-locals are
 * reached only through coro_thread(), which is never inlined.
 *
 * Invariants:
 *   C1  co->queued  <=>  co is in co->loop->ready
 *   C2  a coroutine in the pool has state DONE and is in no list
 *   C3  coro_thread()->self is RUNNING or NULL
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/coro.h"

#include "base/assert.h"
#include "coro/coro-priv.h"
#include "coro/loop-priv.h"

/* Stacks that a thread keeps.  Each holds one or two touched pages. */
#define CORO_POOL_MAX 1024U

/* Whole cache lines for a Coro. */
#define CORO_HEAD_BYTES ((sizeof(Coro) + 63) & ~(size_t)63)

static __thread CoroThread coro_this_thread;

#ifndef __clang__
__attribute__((noipa)) /* also when optimising across files */
#endif
ASH_NOINLINE CoroThread *
coro_thread(void)
{
    CoroThread *t = &coro_this_thread;

    /* The optimizer must not see that the result is always the same. */
    __asm__ volatile("" : "+r"(t) : : "memory");
    return t;
}

/* The bottom of each coroutine's stack.  It has no frame to return to. */
static __attribute__((no_sanitize_address)) void
coro_main(CoroContext *ctx)
{
    Coro *co = ash_container_of(ctx, Coro, ctx);

    for (;;) {
        coro_switch_arrived(&co->ctx, co->caller);
        co->fn(co->arg);
        co->state = CORO_DONE;
        coro_switch_out(&co->ctx, co->caller, true);
    }
}

static ASH_COLD Coro *
coro_new(CoroThread *t)
{
    CoroStack stack;
    Coro *co;

    coro_stack_init(&stack, CORO_HEAD_BYTES, t->n_made++);
    co = stack.head;
    co->stack = stack;
    co->state = CORO_DONE;
    co->queued = false;
    ash_list_init(&co->link);
    coro_context_init(&co->ctx, stack.low, stack.head, coro_main);
    return co;
}

static ASH_COLD void
coro_free(CoroThread *t, Coro *co)
{
    CoroStack stack = co->stack;

#ifdef ASH_SLOW_ASSERTS
    size_t high_bytes = coro_stack_high_bytes(&stack);

    if (high_bytes > t->stack_high_bytes) {
        t->stack_high_bytes = high_bytes;
    }
#endif
    ash_maybe(t != NULL);
    coro_context_done(&co->ctx);
    coro_stack_done(&stack);
}

/* A coroutine that will run @fn, from the pool if there is one. */
static inline Coro *
coro_take(CoroThread *t, CoroFn *fn, void *arg)
{
    Coro *co = t->pool;

    ash_assert(t->loop != NULL);
    if (ash_likely(co != NULL)) {
        t->pool = (Coro *)(void *)co->link.next;
        t->n_pooled--;
    } else {
        co = coro_new(t);
    }
    t->n_live++;
    co->loop = t->loop;
    co->fn = fn;
    co->arg = arg;
    co->state = CORO_RUNNING;
    return co;
}

/* What is to be done for a coroutine that neither runs nor waits. */
static inline void
coro_put(CoroThread *t, Coro *co)
{
    ash_assert(!co->queued);
    t->n_live--;
    if (ash_likely(t->n_pooled < CORO_POOL_MAX)) {
        co->link.next = (AshList *)(void *)t->pool;
        t->pool = co;
        t->n_pooled++;
    } else {
        coro_free(t, co);
    }
}

/* On the target's thread. */
static void
coro_hop_arrive_cb(LoopMsg *msg)
{
    Coro *co = ash_container_of(msg, Coro, hop_msg);

    coro_thread()->n_live++;
    coro_wake(co);
}

static ASH_COLD void
coro_hop_leave(CoroThread *t, Coro *co)
{
    Loop *target = co->hop_target;

    ash_assert(!co->queued);
    t->n_live--;
    co->loop = target;
    co->state = CORO_YIELDED;
    co->hop_msg.fn = coro_hop_arrive_cb;
    /* From here on another thread may run it. */
    loop_post(target, &co->hop_msg);
}

/* Let @co run until it stops. */
static inline __attribute__((always_inline)) void
coro_run(CoroThread *t, Coro *co)
{
    CoroContext here;
    Coro *before = t->self;

    coro_context_init_here(&here);
    co->caller = &here;
    co->state = CORO_RUNNING;
    t->self = co;
    coro_switch_in(&here, &co->ctx);
    /* A caller never changes threads while its coroutine runs. */
    t->self = before;
    if (ash_likely(co->state == CORO_DONE)) {
        coro_put(t, co);
    } else if (ash_unlikely(co->state == CORO_HOPPING)) {
        coro_hop_leave(t, co);
    }
}

void
coro_spawn(CoroFn *fn, void *arg)
{
    CoroThread *t = coro_thread();

    coro_run(t, coro_take(t, fn, arg));
}

static inline void
coro_queue(Coro *co)
{
    ash_assert(!co->queued);
    co->queued = true;
    ash_list_append(&co->loop->ready, &co->link);
    co->loop->n_ready++;
}

void
coro_spawn_later(CoroFn *fn, void *arg)
{
    Coro *co = coro_take(coro_thread(), fn, arg);

    coro_queue(co);
}

Coro *
coro_self(void)
{
    return coro_thread()->self;
}

bool
coro_is_inside(void)
{
    return coro_thread()->self != NULL;
}

Loop *
coro_loop(const Coro *co)
{
    return co->loop;
}

/* Go back to the caller; come back when somebody enters @co again. */
static inline __attribute__((always_inline)) void
coro_stop(Coro *co, CoroState state)
{
    co->state = state;
    coro_switch_out(&co->ctx, co->caller, false);
    coro_switch_arrived(&co->ctx, co->caller);
}

void coroutine_fn
co_yield(void)
{
    Coro *co = coro_self();

    ash_assert(co != NULL);
    coro_stop(co, CORO_YIELDED);
}

void
coro_wake(Coro *co)
{
    ash_assert_slow(co->loop == coro_thread()->loop);
    ash_assert_slow(co->state == CORO_YIELDED || co->state == CORO_RUNNING);
    coro_queue(co);
}

void coroutine_fn
co_hop(Loop *target)
{
    Coro *co = coro_self();

    ash_assert(co != NULL);
    if (co->loop != target) {
        co->hop_target = target;
        coro_stop(co, CORO_HOPPING);
    }
}

static inline void
coro_unqueue(Coro *co)
{
    ash_assert(co->queued);
    co->queued = false;
    ash_list_remove(&co->link);
    co->loop->n_ready--;
}

void
coro_enter(Coro *co)
{
    coro_unqueue(co);
    coro_run(coro_thread(), co);
}

/* Of the ready ones, the one that the loop's owner picks. */
static ASH_COLD Coro *
coro_pick(Loop *loop)
{
    AshList *link = loop->ready.next;
    size_t place = loop->ops->pick(loop, loop->n_ready);

    ash_assert(place < loop->n_ready);
    while (place-- > 0) {
        link = link->next;
    }
    return ash_container_of(link, Coro, link);
}

unsigned
coro_run_ready(Loop *loop, unsigned n_max)
{
    CoroThread *t = coro_thread();
    unsigned n = 0;

    for (; n < n_max && loop->n_ready > 0; n++) {
        Coro *co = loop->ops->pick ? coro_pick(loop)
                                   : ash_list_first(&loop->ready, Coro, link);

        coro_unqueue(co);
        coro_run(t, co);
    }
    return n;
}

void
coro_get_stats(CoroStats *ret)
{
    CoroThread *t = coro_thread();

#ifdef ASH_SLOW_ASSERTS
    for (Coro *co = t->pool; co; co = (Coro *)(void *)co->link.next) {
        size_t high_bytes = coro_stack_high_bytes(&co->stack);

        if (high_bytes > t->stack_high_bytes) {
            t->stack_high_bytes = high_bytes;
        }
    }
#endif
    ret->n_live = t->n_live;
    ret->n_pooled = t->n_pooled;
    ret->stack_high_bytes = t->stack_high_bytes;
}

void
coro_pool_drain(void)
{
    CoroThread *t = coro_thread();

    while (t->pool) {
        Coro *co = t->pool;

        t->pool = (Coro *)(void *)co->link.next;
        t->n_pooled--;
        coro_free(t, co);
    }
}
