/*
 * tests/lib/sim-store-priv.h - struct SimStore; sim-store.c and sim-crash.c
 * only.
 *
 * Method: a page has a durable base, the records of its volatile operations in
 * the order in which they became visible, and a copy of what is visible now.
 * State k of a page (or of one of its sectors) is the base with the first k
 * records applied; a record keeps a mask of the sectors for which it is still
 * volatile.  Making durable means folding records into the base, up to some k
 * for each sector; a power cut draws these k.
 *
 * Invariants:
 *  S1  now == base with all records applied.
 *  S2  A page is in store->dirty iff it has records.
 *  S3  No record has an empty sector mask.
 *  S4  Bytes of base and now beyond the size are zero.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>

#include "base/list.h"
#include "tests/lib/sim-store.h"

#define SIM_SECTORS 8 /* of a page */
#define SIM_ALL_SECTORS 0xffU

typedef struct SimRecord {
    AshList link; /* in the page's records */
    uint64_t op;
    uint64_t done;   /* 0: not completed; else when, by store->clock */
    bool lost;       /* its write-back failed */
    bool zero;       /* no data: zeros */
    bool punch;      /* and a hole, if it is the whole page */
    uint8_t mask;    /* sectors for which it is volatile */
    uint16_t offset; /* in the page */
    uint16_t bytes;
    uint8_t data[]; /* bytes, unless zero */
} SimRecord;

typedef struct SimPage {
    uint64_t index; /* first: the key in the tree */
    uint8_t *base;  /* NULL: a hole */
    uint8_t *now;   /* NULL: a hole */
    AshList records;
    AshList dirty_link;
} SimPage;

/* A size that the file got. */
typedef struct SimSize {
    uint64_t size;
    uint64_t op;
    uint64_t done;
} SimSize;

struct SimStore {
    SimModel model;
    GTree *pages; /* uint64_t * to SimPage */
    AshList dirty;
    uint64_t size;
    uint64_t durable_size;
    GArray *sizes; /* of SimSize: since the durable one */
    uint64_t n_ops;
    uint64_t clock; /* of completions */
    uint64_t n_allocated;
};

/* The first page with an index >= @index, NULL: none. */
SimPage *sim_page_first(const SimStore *store, uint64_t index);
/* Apply to @buf (NULL: a hole) the part of @r that is in @mask. */
void sim_record_apply(const SimRecord *r, uint8_t mask, uint8_t **buf);
