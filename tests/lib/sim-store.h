/*
 * tests/lib/sim-store.h - SimStore: the contents of one simulated file, with
 * the history of what is not durable yet.
 *
 * A write is visible from sim_store_write() on.  It is durable when a flush
 * whose mark was taken after sim_store_complete() succeeds.  Until then a power
 * cut may take it back:
 *
 *   SIM_BUFFERED  each 4 KiB page shows any prefix of its volatile writes; it
 *                 may be torn at a 512-byte sector between two such states
 *   SIM_DIRECT    each 512-byte sector shows any of its volatile states
 *
 * and the size of the file is any that it had since the last flush.
 *
 * Layer:   tests/lib.      Pure, but for the random stream it is given.
 * Method:  see sim-store.c.      Tests: tests/unit/sim/test-sim-store.c
 * Source:  durability.md, "Record and replay", models B and D.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/sim-random.h"

#define SIM_PAGE ((uint64_t)4096)
#define SIM_SECTOR ((uint64_t)512)

typedef enum {
    SIM_BUFFERED,
    SIM_DIRECT,
} SimModel;

typedef struct SimStore SimStore;

/* What a power cut did. */
typedef struct SimCrash {
    uint64_t n_pages;      /* that had volatile writes */
    uint64_t n_pages_lost; /* of them: went back to the durable state */
    uint64_t n_pages_torn; /* of them: sectors of different states */
} SimCrash;

SimStore *sim_store_new(SimModel model);
void sim_store_free(SimStore *store);

/* ---- what is visible ---- */

uint64_t sim_store_size(const SimStore *store);
/* Zeros where there is a hole; offset + bytes <= size. */
void sim_store_read(const SimStore *store, uint64_t offset, void *buf,
                    size_t bytes);
uint64_t sim_store_n_allocated(const SimStore *store); /* pages */
/* Pages that a write of this range would allocate. */
uint64_t sim_store_n_missing(const SimStore *store, uint64_t offset,
                             uint64_t bytes);
/* The first page-aligned offset >= @offset with data / without any; false:
 * none before the end. */
bool sim_store_seek(const SimStore *store, uint64_t offset, bool data,
                    uint64_t *ret);

/* ---- changes; all return the number of the operation ---- */

typedef enum {
    SIM_STORE_ZERO,     /* reads zero, is allocated */
    SIM_STORE_PUNCH,    /* reads zero, whole pages become holes */
    SIM_STORE_ALLOCATE, /* holes become zeros; data stays */
} SimStoreSpace;

/* Beyond the size: the file grows. */
uint64_t sim_store_write(SimStore *store, uint64_t offset, const void *buf,
                         size_t bytes);
/* offset + bytes <= size. */
uint64_t sim_store_space(SimStore *store, SimStoreSpace what, uint64_t offset,
                         uint64_t bytes);
uint64_t sim_store_truncate(SimStore *store, uint64_t size);

/* Operation @op, of this range, has been reported as done. */
void sim_store_complete(SimStore *store, uint64_t op, uint64_t offset,
                        uint64_t bytes);
/* Every operation so far is done: the process that issued them died. */
void sim_store_complete_all(SimStore *store);

/* ---- durability ---- */

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
 * @lost:     told about each page
 *
 * Returns the number of pages.
 */
unsigned sim_store_lose(SimStore *store, SimRng *rng, bool old_back,
                        void (*lost)(void *arg, uint64_t offset,
                                     uint64_t bytes),
                        void *arg);

/* The power is cut: what survives is drawn, is visible, and is durable. */
void sim_store_crash(SimStore *store, SimRng *rng, SimCrash *stats);
