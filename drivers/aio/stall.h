/*
 * drivers/aio/stall.h - does a file take writes quickly, or does it stall?
 *
 * A buffered write is a copy into the page cache: microseconds, so the loop
 * does it itself.  Once the host throttles writers (too many dirty pages, a
 * busy journal) the same call sleeps up to 200 ms, and everything on the loop
 * with it.  AioStall notices the first such write.  The file is stalled from
 * then on, which means that other threads do its writes, until these have been
 * quick for a while.
 *
 *   quick   -> stalled  an inline write took AIO_STALL_NS or more
 *                       [aio_stall_note_inline]
 *   stalled -> quick    AIO_STALL_QUICK_RUN offloaded writes in a row took less
 *                       than AIO_STALL_QUICK_NS each, and the last slow one is
 *                       hold_ns ago  [aio_stall_note_offloaded]
 *
 * Both bounds grow by 1 ns a byte, the price of copying.
 *
 * A trial that stalls again costs the loop another 200 ms, so hold_ns doubles
 * whenever a file stalls within AIO_STALL_MEMORY times hold_ns of recovering.
 *
 * Layer:   drivers/aio.      Pure: the caller brings the time.
 * Tests:   tests/unit/aio/test-stall.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"

/* 1 MiB into clean pages takes 0.5 ms, a descheduled thread loses 1 ms. */
#define AIO_STALL_NS ((uint64_t)2000000)
#define AIO_STALL_QUICK_NS ((uint64_t)1000000)
#define AIO_STALL_QUICK_RUN 32U
#define AIO_STALL_HOLD_MIN_NS ((uint64_t)100000000)
#define AIO_STALL_HOLD_MAX_NS ((uint64_t)5000000000)
#define AIO_STALL_MEMORY 8U
/* Larger writes are always offloaded: copying them takes too long. */
#define AIO_INLINE_WRITE_MAX ((uint64_t)1 << 20)

typedef struct AioStall {
    bool stalled;
    unsigned n_quick;  /* offloaded writes in a row that were quick */
    uint64_t hold_ns;  /* how long without a slow write */
    uint64_t slow_ns;  /* when the last slow one ended */
    uint64_t quick_ns; /* when it recovered last, 0: never */
    uint64_t done_ns;  /* when the last offloaded one ended */
    uint64_t n_stalls; /* for tests and statistics */
} AioStall;

/* A slow write ended at @end_ns; for this module only. */
void aio_stall_slow(AioStall *stall, uint64_t end_ns);

/* An inline write of @bytes ran from @start_ns to @end_ns. */
static inline void
aio_stall_note_inline(AioStall *stall, uint64_t bytes, uint64_t start_ns,
                      uint64_t end_ns)
{
    if (ash_unlikely(end_ns - start_ns >= AIO_STALL_NS + bytes)) {
        aio_stall_slow(stall, end_ns);
    }
}

/* An offloaded write of @bytes was begun at @start_ns and ended at @end_ns.
 * What it waited behind other writes of the file is not its own time. */
void aio_stall_note_offloaded(AioStall *stall, uint64_t bytes,
                              uint64_t start_ns, uint64_t end_ns);
