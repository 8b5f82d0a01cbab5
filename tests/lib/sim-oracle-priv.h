/*
 * tests/lib/sim-oracle-priv.h - struct SimOracle; sim-oracle*.c only.
 *
 * Method: a sector has up to SIM_SLOTS modifications in flight, and entries:
 * contents together with the set of these modifications that they result
 * from.  A modification that begins adds, to each current entry, the contents
 * with it applied, in all orders with the others.  One that succeeds makes the
 * entries without it past.  Past entries say when they were last possible:
 * a read may still return them if it was sent before, and a power cut may bring
 * them back unless a flush was sent later (and succeeded), or a request with
 * FUA that they do not contain did.
 *
 * Time is a count of what the oracle was told.
 *
 * Invariants:
 *  O1  Each sector has at least one current entry.
 *  O2  No two entries of a sector have the same contents and mask.
 *  O3  Bits of masks belong to used slots.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/list.h"
#include "tests/lib/sim-oracle.h"

#define SIM_SLOTS 4U
#define SIM_ENTRIES_MAX 20U /* beyond these nothing more may begin */

/* Contents; shared by entries. */
typedef struct SimValue {
    unsigned refs;
    uint64_t hash;
    uint8_t data[512];
} SimValue;

typedef struct SimEntry {
    SimValue *value;
    uint8_t mask;  /* slots of the sector that it contains */
    bool current;  /* a read sent now may return it */
    bool dead;     /* a power cut may not bring it back */
    uint64_t last; /* when it was possible for the last time, if past */
} SimEntry;

typedef struct SimOracleSector {
    SimEntry *entries;
    unsigned n_entries;
    unsigned capacity;
    SimOracleOp *slots[SIM_SLOTS];
    uint64_t touched; /* when something began or ended here */
    bool fresh;       /* not written since the power was cut */
    GArray *past;     /* uint64_t: hashes of entries that were dropped */
} SimOracleSector;

struct SimOracleOp {
    AshList link;
    SimModKind kind;
    uint64_t offset;
    uint64_t bytes;
    uint8_t *data;
    uint64_t begun;
    bool lossy; /* the host lost data here meanwhile */
    bool void_; /* the server died meanwhile */
};

struct SimOracleRead {
    AshList link;
    uint64_t offset;
    uint64_t bytes;
    uint64_t begun;
    bool void_;
};

struct SimOracle {
    SimWorld *world;
    SimReport *report;
    const char *name;
    uint64_t size;
    uint64_t n_sectors;
    SimOracleSector *sectors;
    AshList ops;
    AshList reads;
    uint64_t now;
    uint64_t floor;     /* what was past before is not durable */
    uint64_t lost_at;   /* 0: the host lost nothing */
    uint64_t failed_at; /* 0: no flush failed */
    bool writethrough;
};

/* ---- sim-sector.c ---- */

void sim_sector_init(SimOracleSector *sec);
void sim_sector_done(SimOracleSector *sec);
/* May a power cut bring this entry back? */
bool sim_entry_is_durable(const SimOracle *o, const SimEntry *e);
/* The part of sector @i that [offset, offset + bytes) covers. */
void sim_sector_part(uint64_t i, uint64_t offset, uint64_t bytes,
                     unsigned *ret_start, unsigned *ret_end);
unsigned sim_sector_n_free(const SimOracleSector *sec);
void sim_sector_begin(SimOracle *o, uint64_t i, SimOracleOp *op);
void sim_sector_end(SimOracle *o, uint64_t i, SimOracleOp *op, bool applied,
                    bool fua);
/* What was possible since the last flush is possible now. */
void sim_sector_reopen(SimOracle *o, uint64_t i);
void sim_sector_crashed(SimOracle *o, uint64_t i, bool power);
/* Compare what a read of bytes [start, end) of the sector returned; sent at
 * @since. */
void sim_sector_check(SimOracle *o, uint64_t i, unsigned start, unsigned end,
                      const uint8_t *data, uint64_t since);
/* Could bytes [start, end) have been zero since? */
bool sim_sector_may_be_zero(const SimOracle *o, uint64_t i, unsigned start,
                            unsigned end, uint64_t since);
