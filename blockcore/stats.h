/*
 * blockcore/stats.h - counters of requests by kind.
 *
 * Counted where the client's request ends: completed bytes only for success,
 * failures apart, so that failed requests add nothing to completed bytes.
 *
 * Layer:   blockcore.      Thread: the owner's loop.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>

#include "blockcore/types.h"

typedef struct BlkStatsOp {
    uint64_t n; /* succeeded */
    uint64_t n_failed;
    uint64_t bytes; /* of those that succeeded */
} BlkStatsOp;

typedef struct BlkStats {
    BlkStatsOp op[BLK_N_OPS];
    uint64_t in_flight;
    uint64_t bounced_bytes; /* copied for the alignment of direct I/O */
    uint64_t wr_highest;    /* offset after the highest byte written */
} BlkStats;

/* A request of @bytes ended with @ret. */
static inline void
blk_stats_count(BlkStatsOp *op, uint64_t bytes, int ret)
{
    if (ret == 0) {
        op->n++;
        op->bytes += bytes;
    } else {
        op->n_failed++;
    }
}
