/*
 * blockcore/range.h - BlkRange: where an I/O goes, as one value.
 *
 * A range that was made satisfies offset + bytes <= INT64_MAX, so arithmetic
 * on it never overflows and the casts at system calls lose nothing.
 *
 * Layer:   blockcore.      Pure.      Tests: tests/unit/blockcore/test-range.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bits.h"

typedef struct BlkRange {
    uint64_t offset; /* bytes from the start of the node */
    uint64_t bytes;
} BlkRange;

/* Validate untrusted numbers; false if the range would pass INT64_MAX. */
static inline bool
blk_range_validate(uint64_t offset, uint64_t bytes, BlkRange *ret)
{
    if (offset > INT64_MAX || bytes > (uint64_t)INT64_MAX - offset) {
        return false;
    }
    ret->offset = offset;
    ret->bytes = bytes;
    return true;
}

/* From trusted numbers. */
static inline BlkRange
blk_range(uint64_t offset, uint64_t bytes)
{
    ash_assert(offset <= INT64_MAX);
    ash_assert(bytes <= (uint64_t)INT64_MAX - offset);
    return (BlkRange){ .offset = offset, .bytes = bytes };
}

static inline uint64_t
blk_range_end(BlkRange r)
{
    return r.offset + r.bytes;
}

static inline bool
blk_range_is_empty(BlkRange r)
{
    return r.bytes == 0;
}

/* Half-open: [0,512) and [512,1024) do not overlap. */
static inline bool
blk_range_overlaps(BlkRange a, BlkRange b)
{
    return a.offset < blk_range_end(b) && b.offset < blk_range_end(a) &&
           a.bytes > 0 && b.bytes > 0;
}

/* Is @r inside [0, size)?  By subtraction: nothing wraps.  An empty range at
 * @size is inside. */
static inline bool
blk_range_is_inside(BlkRange r, uint64_t size)
{
    return r.offset <= size && r.bytes <= size - r.offset;
}

/* Empty, at the later start, when they do not meet. */
static inline BlkRange
blk_range_intersect(BlkRange a, BlkRange b)
{
    uint64_t start = ash_max(a.offset, b.offset);
    uint64_t end = ash_min(blk_range_end(a), blk_range_end(b));

    return (BlkRange){ .offset = start,
                       .bytes = end > start ? end - start : 0 };
}

/* The smallest range that holds both. */
static inline BlkRange
blk_range_union(BlkRange a, BlkRange b)
{
    uint64_t start = ash_min(a.offset, b.offset);
    uint64_t end = ash_max(blk_range_end(a), blk_range_end(b));

    return (BlkRange){ .offset = start, .bytes = end - start };
}

static inline bool
blk_range_is_aligned(BlkRange r, uint64_t align)
{
    return ash_is_aligned(r.offset | r.bytes, align);
}

/* Start down, end up, to multiples of @align (power of two). */
static inline BlkRange
blk_range_align_out(BlkRange r, uint64_t align)
{
    uint64_t start = ash_round_down(r.offset, align);
    uint64_t end = ash_round_up(blk_range_end(r), align);

    return (BlkRange){ .offset = start, .bytes = end - start };
}

/* The largest aligned range inside; empty if there is none. */
static inline BlkRange
blk_range_align_in(BlkRange r, uint64_t align)
{
    uint64_t start = ash_round_up(r.offset, align);
    uint64_t end = ash_round_down(blk_range_end(r), align);

    return (BlkRange){ .offset = start,
                       .bytes = end > start ? end - start : 0 };
}

/* The first @bytes of @r / what is left after them; bytes <= r.bytes. */
static inline BlkRange
blk_range_head(BlkRange r, uint64_t bytes)
{
    ash_assert(bytes <= r.bytes);
    return (BlkRange){ .offset = r.offset, .bytes = bytes };
}

static inline BlkRange
blk_range_skip(BlkRange r, uint64_t bytes)
{
    ash_assert(bytes <= r.bytes);
    return (BlkRange){ .offset = r.offset + bytes, .bytes = r.bytes - bytes };
}
