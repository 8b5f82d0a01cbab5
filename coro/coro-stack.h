/*
 * coro/coro-stack.h - the memory of a coroutine: head, stack, guard page.
 *
 * Layout, from the top down: a page or more with the Coro itself (its place in
 * there differs from stack to stack, so that many stacks do not fight for the
 * same cache sets), CORO_STACK_BYTES of stack that grows down, one page that
 * nobody can touch.
 *
 * Layer:   coro, private to coro.c.      Thread: any.
 * Method:  coro-stack.c.      Tests: tests/unit/coro/test-coro.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stddef.h>

typedef struct CoroStack {
    void *map; /* begins with the guard page */
    size_t map_bytes;
    void *low;  /* lowest usable byte of the stack */
    void *head; /* head_bytes for the Coro; the stack's top too */
    unsigned valgrind_id;
} CoroStack;

/**
 * coro_stack_init() - map a stack.  Without memory for it the program ends.
 * @head_bytes:  room at the top, a multiple of 64
 * @number:      how many were made before, to spread them over the cache
 */
void coro_stack_init(CoroStack *stack, size_t head_bytes, unsigned number);
/* Give the memory back; the CoroStack may lie in it. */
void coro_stack_done(const CoroStack *stack);

/* Bytes from the top down to the deepest one that was ever written (the
 * deepest page whose content is not all zero).  Asks the kernel. */
size_t coro_stack_high_bytes(const CoroStack *stack);
