/*
 * tests/lib/sim-crash.h - what of a SimStore is durable, and what a power cut
 * or a failed write-back takes away.
 *
 * Layer:   tests/lib.      Pure, but for the random stream it is given.
 * Method:  see sim-crash.c.      Tests: tests/unit/sim/test-sim-store.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/sim-random.h"
#include "tests/lib/sim-store.h"

/* What a power cut did. */
typedef struct SimCrash {
    uint64_t n_pages;      /* that had volatile writes */
    uint64_t n_pages_lost; /* of them: went back to the durable state */
    uint64_t n_pages_torn; /* of them: sectors of different states */
} SimCrash;

/* Operation @op, of this range, has been reported as done. */
void sim_store_complete(SimStore *store, uint64_t op, uint64_t offset,
                        uint64_t bytes);
/* Every operation so far is done: the process that issued them died. */
void sim_store_complete_all(SimStore *store);

/* What a flush that starts now covers. */
uint64_t sim_store_mark(const SimStore *store);
void sim_store_flush(SimStore *store, uint64_t mark);
/* The operation and the file's size are durable (RWF_DSYNC). */
void sim_store_flush_op(SimStore *store, uint64_t op, uint64_t offset,
                        uint64_t bytes);

/**
 * sim_store_lose() - write-back failed: some pages will never get durable.
 * @old_back: the old data is visible again; else the new data stays visible
 *            until the power is cut, and is taken for clean
 * @rng:      draws which
 * @lost:     told about each page, with @arg
 *
 * Returns the number of pages.
 */
unsigned sim_store_lose(SimStore *store, SimRng *rng, bool old_back,
                        void (*lost)(void *arg, uint64_t offset,
                                     uint64_t bytes),
                        void *arg);

/* The host drops its cache: of the pages that failed write-back, those that
 * nobody has written since show what is durable.  @lost as above. */
void sim_store_drop_lost(SimStore *store,
                         void (*lost)(void *arg, uint64_t offset,
                                      uint64_t bytes),
                         void *arg);

/* The power is cut: what survives is drawn, is visible, and is durable. */
void sim_store_crash(SimStore *store, SimRng *rng, SimCrash *stats);
