/*
 * base/bits.h - powers of two, rounding, checked arithmetic.
 *
 * Layer:   base.      Tests: tests/unit/base/test-bits.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

#define ASH_KIB ((uint64_t)1 << 10)
#define ASH_MIB ((uint64_t)1 << 20)
#define ASH_GIB ((uint64_t)1 << 30)
#define ASH_N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static inline bool
ash_is_pow2(uint64_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* @align is a power of two in all four. */
static inline bool
ash_is_aligned(uint64_t n, uint64_t align)
{
    return (n & (align - 1)) == 0;
}

static inline uint64_t
ash_round_down(uint64_t n, uint64_t align)
{
    return n & ~(align - 1);
}

/* @n + @align - 1 must not overflow: callers hold n <= INT64_MAX. */
static inline uint64_t
ash_round_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) & ~(align - 1);
}

/* log2 of a power of two. */
static inline unsigned
ash_log2(uint64_t n)
{
    ash_assert(n != 0);
    return 63U - (unsigned)__builtin_clzll(n);
}

static inline uint64_t
ash_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t
ash_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* True and *ret = a + b unless that overflows. */
static inline bool
ash_add_checked(uint64_t a, uint64_t b, uint64_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

/* True and *ret = a * b unless that overflows. */
static inline bool
ash_mul_checked(uint64_t a, uint64_t b, uint64_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}
