/*
 * tests/fault/sweep-script.c - see tests/fault/sweep-script.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/fault/sweep-script.h"

#include <glib.h>

#define R BLK_OP_READ
#define W BLK_OP_WRITE
#define Z BLK_OP_ZERO
#define T BLK_OP_TRIM
#define F BLK_OP_FLUSH
#define C BLK_OP_CACHE
#define S BLK_OP_STATUS
#define FUA BLK_REQ_FUA
#define UNMAP BLK_REQ_MAY_UNMAP
#define FAST BLK_REQ_NO_FALLBACK
#define ALL SWEEP_SCRIPT_BYTES

static const SweepRequest aligned[] = {
    { W, 0, 4096, 0, false },    { R, 0, 8192, 0, false },
    { F, 0, 0, 0, false },       { W, 4096, 8192, 0, false },
    { R, 4096, 4096, 0, false }, { W, 0, ALL, 0, false },
    { F, 0, 0, 0, false },       { R, 0, ALL, 0, false },
};

/* Parts of sectors: read, completed, written. */
static const SweepRequest unaligned[] = {
    { W, 100, 50, 0, false },        { W, 511, 2, 0, false },
    { W, 1000, 3000, 0, false },     { R, 99, 3902, 0, false },
    { W, 0, 1, 0, false },           { F, 0, 0, 0, false },
    { W, ALL - 1, 1, 0, false },     { W, ALL - 700, 700, 0, false },
    { R, ALL - 701, 701, 0, false }, { F, 0, 0, 0, false },
};

static const SweepRequest fua[] = {
    { W, 512, 512, FUA, false },       { W, 0, 512, 0, false },
    { W, 700, 100, FUA, false },       { Z, 4096, 4096, FUA, false },
    { T, 4096, 4096, FUA, false },     { W, 1000, 9000, FUA, false },
    { Z, 5, 600, UNMAP | FUA, false }, { R, 0, ALL, 0, false },
};

static const SweepRequest zeroes[] = {
    { W, 0, ALL, 0, false },         { Z, 0, 4096, 0, false },
    { Z, 4096, 8192, UNMAP, false }, { Z, 13000, 100, 0, false },
    { S, 0, ALL, 0, false },         { Z, 8192, 4096, FAST, false },
    { Z, 100, 9000, UNMAP, false },  { R, 0, ALL, 0, false },
    { F, 0, 0, 0, false },           { Z, 0, ALL, UNMAP | FAST, false },
    { R, 0, ALL, 0, false },
};

/* What was seen to be gone is gone after a flush. */
static const SweepRequest trims[] = {
    { W, 0, ALL, 0, false },  { F, 0, 0, 0, false },
    { T, 0, 4096, 0, false }, { R, 0, 4096, 0, false },
    { F, 0, 0, 0, false },    { T, 4000, 9000, 0, false },
    { S, 0, 8192, 0, false }, { R, 0, ALL, 0, false },
    { T, 0, ALL, 0, false },  { F, 0, 0, 0, false },
    { R, 0, ALL, 0, false },
};

static const SweepRequest statuses[] = {
    { S, 0, 100, 0, false },      { Z, 4096, 4096, UNMAP, false },
    { S, 0, ALL, 0, false },      { S, 4096, 4096, 0, false },
    { S, 5000, 10000, 0, false }, { W, 5000, 100, 0, false },
    { S, 4096, 8192, 0, false },  { S, ALL - 1, 1, 0, false },
    { Z, 0, ALL, UNMAP, false },  { S, 0, ALL, 0, false },
};

/* Each flush is needed, and none may be believed after one that failed. */
static const SweepRequest flushes[] = {
    { F, 0, 0, 0, false },     { W, 0, 512, 0, false },
    { F, 0, 0, 0, false },     { F, 0, 0, 0, false },
    { W, 512, 512, 0, false }, { F, 0, 0, 0, false },
    { W, 512, 512, 0, false }, { W, 2048, 512, FUA, false },
    { F, 0, 0, 0, false },     { R, 0, 4096, 0, false },
    { W, 300, 10, 0, false },  { F, 0, 0, 0, false },
};

static const SweepRequest caches[] = {
    { W, 0, ALL, 0, false },     { C, 0, ALL, 0, false },
    { C, 100, 3, 0, false },     { R, 0, ALL, 0, false },
    { C, ALL - 1, 1, 0, false },
};

/* Many at a time: one fails, the others do not notice. */
static const SweepRequest parallel[] = {
    { W, 0, 512, 0, true },       { W, 1024, 512, 0, true },
    { W, 4096, 4096, FUA, true }, { R, 9000, 500, 0, true },
    { S, 12288, 512, 0, false },  { R, 0, 512, 0, true },
    { Z, 1024, 1024, 0, true },   { T, 8192, 4096, 0, true },
    { F, 0, 0, 0, true },         { F, 0, 0, 0, false },
    { W, 100, 10, 0, true },      { W, 110, 10, 0, true },
    { W, 120, 500, 0, true },     { F, 0, 0, 0, false },
    { R, 0, ALL, 0, true },       { F, 0, 0, 0, false },
};

/* Syncs of all kinds at a time: the host tells one that it lost data. */
static const SweepRequest syncs[] = {
    { W, 0, 4096, 0, false },     { W, 4096, 512, FUA, true },
    { W, 5120, 512, FUA, true },  { F, 0, 0, 0, true },
    { W, 8192, 100, FUA, false }, { W, 0, 512, 0, false },
    { F, 0, 0, 0, true },         { F, 0, 0, 0, true },
    { F, 0, 0, 0, false },        { R, 0, 9000, 0, false },
    { F, 0, 0, 0, false },
};

#define SCRIPT(x)              \
    {                          \
#x, x, G_N_ELEMENTS(x) \
    }

const SweepScript sweep_scripts[] = {
    SCRIPT(aligned),  SCRIPT(unaligned), SCRIPT(fua),     SCRIPT(zeroes),
    SCRIPT(trims),    SCRIPT(statuses),  SCRIPT(flushes), SCRIPT(caches),
    SCRIPT(parallel), SCRIPT(syncs),
};
const unsigned sweep_n_scripts = G_N_ELEMENTS(sweep_scripts);
