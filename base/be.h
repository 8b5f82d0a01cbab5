/*
 * base/be.h - big-endian integers as byte arrays, for wire and disk structs.
 *
 * Alignment 1, no padding, and not addable by accident.  A plain uint64_t is
 * always in host order.
 *
 * Layer:   base.      Tests: tests/unit/base/test-be.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t b[2];
} Be16;
typedef struct {
    uint8_t b[4];
} Be32;
typedef struct {
    uint8_t b[8];
} Be64;

_Static_assert(sizeof(Be16) == 2 && _Alignof(Be16) == 1, "Be16 is packed");
_Static_assert(sizeof(Be32) == 4 && _Alignof(Be32) == 1, "Be32 is packed");
_Static_assert(sizeof(Be64) == 8 && _Alignof(Be64) == 1, "Be64 is packed");

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ASH_BE16(v) __builtin_bswap16(v)
#define ASH_BE32(v) __builtin_bswap32(v)
#define ASH_BE64(v) __builtin_bswap64(v)
#else
#define ASH_BE16(v) (v)
#define ASH_BE32(v) (v)
#define ASH_BE64(v) (v)
#endif

static inline uint16_t
be16_get(Be16 v)
{
    uint16_t n;

    memcpy(&n, v.b, sizeof(n));
    return ASH_BE16(n);
}

static inline uint32_t
be32_get(Be32 v)
{
    uint32_t n;

    memcpy(&n, v.b, sizeof(n));
    return ASH_BE32(n);
}

static inline uint64_t
be64_get(Be64 v)
{
    uint64_t n;

    memcpy(&n, v.b, sizeof(n));
    return ASH_BE64(n);
}

static inline Be16
be16_put(uint16_t n)
{
    Be16 v;

    n = ASH_BE16(n);
    memcpy(v.b, &n, sizeof(n));
    return v;
}

static inline Be32
be32_put(uint32_t n)
{
    Be32 v;

    n = ASH_BE32(n);
    memcpy(v.b, &n, sizeof(n));
    return v;
}

static inline Be64
be64_put(uint64_t n)
{
    Be64 v;

    n = ASH_BE64(n);
    memcpy(v.b, &n, sizeof(n));
    return v;
}
