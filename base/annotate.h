/*
 * base/annotate.h - markers that tools and compilers read.
 *
 * Layer:   base.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

/* May yield; only callable from a coroutine (tools/check-coro). */
#ifdef __clang__
#define coroutine_fn __attribute__((annotate("coroutine_fn")))
#define no_coroutine_fn __attribute__((annotate("no_coroutine_fn")))
#else
#define coroutine_fn
#define no_coroutine_fn
#endif

#define ASH_NOINLINE __attribute__((noinline))
#define ASH_COLD __attribute__((cold, noinline))
#define ASH_NORETURN __attribute__((noreturn))
#define ASH_MUST_CHECK __attribute__((warn_unused_result))
#define ASH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ash_likely(c) __builtin_expect(!!(c), 1)
#define ash_unlikely(c) __builtin_expect(!!(c), 0)

/* The object that contains @member at @ptr. */
#define ash_container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
