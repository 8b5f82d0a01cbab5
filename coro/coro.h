/*
 * coro/coro.h - coroutines: functions that stop where they would block.
 *
 * A coroutine has a stack of its own (256 KiB, guard page below, from a pool
 * of this thread) and belongs to one Loop.  It runs until it yields or
 * returns; whoever entered it goes on then.  To wait, arrange to be woken and
 * call co_yield(); to be woken, somebody on the same loop calls coro_wake().
 * Wakes are not counted: each co_yield() expects exactly one wake.
 *
 * Layer:   coro.      Thread: that of the coroutine's loop.
 * Yields:  only co_yield() and co_hop().
 * Method:  coro.c (pool, life), coro-switch.c (context switch, sanitizers),
 *          coro-stack.c (stacks).      Tests: tests/unit/coro/test-coro.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/annotate.h"

typedef struct Coro Coro;
typedef struct Loop Loop;

typedef void coroutine_fn CoroFn(void *arg);

#define CORO_STACK_BYTES ((size_t)256 << 10)

/**
 * coro_spawn() - make a coroutine on the current loop and run it now, until
 * it first yields or returns.
 * @fn, @arg: its body
 *
 * Needs:   a current loop.  May be called inside or outside a coroutine.
 * Owns:    the coroutine frees itself when @fn returns.
 */
void coro_spawn(CoroFn *fn, void *arg);

/* The same, but its first run happens from the loop's ready queue. */
void coro_spawn_later(CoroFn *fn, void *arg);

/* The running coroutine, NULL outside of any. */
Coro *coro_self(void);
bool coro_is_inside(void);

/* The loop that @co belongs to. */
Loop *coro_loop(const Coro *co);

/* Stop here until somebody calls coro_wake() on us. */
void coroutine_fn co_yield(void);

/**
 * coro_wake() - put a yielded coroutine on its loop's ready queue.
 * @co:     has yielded, or will before the loop runs its queue
 *
 * Needs:   the thread of coro_loop(@co); exactly one wake per yield.
 */
void coro_wake(Coro *co);

/**
 * co_hop() - move the running coroutine to another loop and go on there.
 * @target: any loop, the current one included (then it does nothing)
 *
 * Needs:   that nothing bound to the old loop (timer, fd watch) is pending, and
 *          that the calling function uses no thread-local variable, nor errno,
 *          on both sides: a compiler may keep its address.
 * Yields:  yes.
 */
void coroutine_fn co_hop(Loop *target);

/* Figures for tests and statistics, of this thread. */
typedef struct CoroStats {
    unsigned n_live;         /* made and not finished */
    unsigned n_pooled;       /* stacks kept for reuse */
    size_t stack_high_bytes; /* most stack of any that finished; measured with
                              * ASH_SLOW_ASSERTS, else 0 */
} CoroStats;
void coro_get_stats(CoroStats *ret);

/* Give the pooled stacks of this thread back.  Before a thread ends. */
void coro_pool_drain(void);

/* Run the ready queue's next coroutine; for loop implementations only. */
void coro_enter(Coro *co);

/* The link by which a yielded coroutine hangs in one queue of its waiter. */
typedef struct CoroLink {
    struct CoroLink *prev;
    struct CoroLink *next;
    Coro *co;
} CoroLink;
