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
 * Method:  sim-store.c; sim-crash.h for what becomes durable.
 * Tests:   tests/unit/sim/test-sim-store.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE ((uint64_t)4096)
#define SIM_SECTOR ((uint64_t)512)

typedef enum {
    SIM_BUFFERED,
    SIM_DIRECT,
} SimModel;

typedef struct SimStore SimStore;

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
