/*
 * tests/lib/sim-oracle.h - SimOracle: what each sector of an export may
 * contain.
 *
 * All connections of an export tell the same oracle what they send and what
 * they are answered.  It knows, for each 512-byte sector, every content that
 * the promises of docs/durability.md allow at this moment (C1, C5, C6, C8), and
 * every content that they allow after a power cut (C2, C3, C4).  Whatever a
 * READ returns is compared with the first; after sim_oracle_crashed() the
 * second becomes the first.
 *
 * Layer:   tests/lib.      Thread: the world's.
 * Method:  see sim-oracle-priv.h.      Tests: tests/unit/sim/test-sim-oracle.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/sim-report.h"

typedef struct SimOracle SimOracle;
typedef struct SimOracleOp SimOracleOp;
typedef struct SimOracleRead SimOracleRead;

/* An export of @size bytes, all zero.  @name: borrowed, for messages. */
SimOracle *sim_oracle_new(SimWorld *world, SimReport *report, const char *name,
                          uint64_t size);
/* No operation or read is open. */
void sim_oracle_free(SimOracle *oracle);
/* Every modification is durable before it is answered. */
void sim_oracle_set_writethrough(SimOracle *oracle, bool on);

/* ---- modifications ---- */

typedef enum {
    SIM_MOD_WRITE,
    SIM_MOD_ZERO,
    SIM_MOD_TRIM, /* zeros or nothing, by sector */
} SimModKind;

/* Few enough are in flight there that the oracle can keep all orders. */
bool sim_oracle_can_modify(const SimOracle *oracle, uint64_t offset,
                           uint64_t bytes);
/* A request is about to be sent.  @data: of WRITE, copied. */
SimOracleOp *sim_oracle_begin(SimOracle *oracle, SimModKind kind,
                              uint64_t offset, uint64_t bytes,
                              const void *data);

typedef enum {
    SIM_ENDED_OK,
    SIM_ENDED_ERROR,   /* an error reply: old or new contents */
    SIM_ENDED_UNKNOWN, /* it will not be answered, and is over at the server:
                        * old or new contents */
} SimOutcome;
void sim_oracle_end(SimOracle *oracle, SimOracleOp *take_op, SimOutcome outcome,
                    bool fua);

/* ---- reads ---- */

/* A request is about to be sent. */
SimOracleRead *sim_oracle_read_begin(SimOracle *oracle, uint64_t offset,
                                     uint64_t bytes);
/* Its data have come; NULL: they have not. */
void sim_oracle_read_end(SimOracle *oracle, SimOracleRead *take_read,
                         const void *data);
/* The server said, about a part of the range, that it reads as zeros. */
void sim_oracle_check_zero(SimOracle *oracle, const SimOracleRead *read,
                           uint64_t offset, uint64_t bytes);

/* ---- flushes ---- */

/* A FLUSH is about to be sent: what it covers. */
uint64_t sim_oracle_flush_begin(SimOracle *oracle);
void sim_oracle_flush_end(SimOracle *oracle, uint64_t stamp, bool ok);

/* ---- events ---- */

/* The host lost data of this range that no flush had covered: what was there
 * since the last flush may be back, and no flush may succeed any more (C7). */
void sim_oracle_lost(SimOracle *oracle, uint64_t offset, uint64_t bytes);
/* The server died, and no answer of it is on the way any more.  @power: and
 * the host, too.  Open operations are over, open reads are void. */
void sim_oracle_crashed(SimOracle *oracle, bool power);
/* What was lost is not held against anybody any more: flushes may succeed. */
void sim_oracle_forgive(SimOracle *oracle);
/* Has the host lost data, or a flush failed, since? */
bool sim_oracle_has_lost(const SimOracle *oracle);
