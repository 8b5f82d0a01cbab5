/*
 * tests/lib/sim-oracle.c - see tests/lib/sim-oracle.h and, for the method,
 * sim-oracle-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-oracle.h"

#include <glib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/sim-oracle-priv.h"

/* Sectors that a range touches: from @first up to, not with, @end. */
typedef struct SimSpan {
    uint64_t first;
    uint64_t end;
} SimSpan;

static SimSpan
sim_oracle_span(const SimOracle *o, uint64_t offset, uint64_t bytes)
{
    ash_assert(offset <= o->size && bytes <= o->size - offset);
    return (SimSpan){ .first = offset / 512,
                      .end =
                          bytes ? (offset + bytes + 511) / 512 : offset / 512 };
}

/* ---- modifications ---- */

bool
sim_oracle_can_modify(const SimOracle *o, uint64_t offset, uint64_t bytes)
{
    SimSpan span = sim_oracle_span(o, offset, bytes);

    for (uint64_t i = span.first; i < span.end; i++) {
        if (sim_sector_n_free(&o->sectors[i]) == 0) {
            return false;
        }
    }
    return true;
}

SimOracleOp *
sim_oracle_begin(SimOracle *o, SimModKind kind, uint64_t offset, uint64_t bytes,
                 const void *data)
{
    SimSpan span = sim_oracle_span(o, offset, bytes);
    SimOracleOp *op = g_new0(SimOracleOp, 1);

    op->kind = kind;
    op->offset = offset;
    op->bytes = bytes;
    op->data = data ? g_memdup2(data, bytes) : NULL;
    op->begun = ++o->now;
    ash_list_append(&o->ops, &op->link);
    for (uint64_t i = span.first; i < span.end; i++) {
        sim_sector_begin(o, i, op);
    }
    return op;
}

/* C7: has this no business to succeed?  @what was sent at @begun. */
static void
sim_oracle_check_failed(SimOracle *o, const char *what, uint64_t begun)
{
    if (o->failed_at != 0 && begun > o->failed_at) {
        sim_report_violation(o->report, o->world, "C7",
                             "export %s: a %s succeeds although a flush has "
                             "failed before",
                             o->name, what);
    }
}

void
sim_oracle_end(SimOracle *o, SimOracleOp *take_op, SimOutcome outcome, bool fua)
{
    SimSpan span = sim_oracle_span(o, take_op->offset, take_op->bytes);
    bool ok = outcome == SIM_ENDED_OK;

    o->now++;
    fua |= o->writethrough;
    if (!take_op->void_) {
        if (ok) {
            sim_oracle_check_failed(o, "modification", take_op->begun);
        }
        for (uint64_t i = span.first; i < span.end; i++) {
            sim_sector_end(o, i, take_op, ok && !take_op->lossy, fua);
        }
    }
    ash_list_remove(&take_op->link);
    g_free(take_op->data);
    g_free(take_op);
}

/* ---- reads ---- */

SimOracleRead *
sim_oracle_read_begin(SimOracle *o, uint64_t offset, uint64_t bytes)
{
    SimOracleRead *read = g_new0(SimOracleRead, 1);

    read->offset = offset;
    read->bytes = bytes;
    read->begun = ++o->now;
    ash_list_append(&o->reads, &read->link);
    return read;
}

void
sim_oracle_read_end(SimOracle *o, SimOracleRead *take_read, const void *data)
{
    SimSpan span = sim_oracle_span(o, take_read->offset, take_read->bytes);

    o->now++;
    for (uint64_t i = span.first; data && !take_read->void_ && i < span.end;
         i++) {
        unsigned start, end;

        sim_sector_part(i, take_read->offset, take_read->bytes, &start, &end);
        sim_sector_check(o, i, start, end,
                         (const uint8_t *)data +
                             (i * 512 + start - take_read->offset),
                         take_read->begun);
    }
    ash_list_remove(&take_read->link);
    g_free(take_read);
}

void
sim_oracle_check_zero(SimOracle *o, const SimOracleRead *read, uint64_t offset,
                      uint64_t bytes)
{
    SimSpan span = sim_oracle_span(o, offset, bytes);

    o->report->n_extents++;
    for (uint64_t i = span.first; !read->void_ && i < span.end; i++) {
        unsigned start, end;

        sim_sector_part(i, offset, bytes, &start, &end);
        if (!sim_sector_may_be_zero(o, i, start, end, read->begun)) {
            sim_report_violation(o->report, o->world, "C1",
                                 "export %s: sector %" G_GINT64_MODIFIER
                                 "u is said to read as zeros",
                                 o->name, i);
            return;
        }
    }
}

/* ---- flushes ---- */

uint64_t
sim_oracle_flush_begin(SimOracle *o)
{
    return ++o->now;
}

void
sim_oracle_flush_end(SimOracle *o, uint64_t stamp, bool ok)
{
    o->now++;
    if (!ok) {
        o->failed_at = o->failed_at ? o->failed_at : o->now;
        return;
    }
    sim_oracle_check_failed(o, "flush", stamp);
    if (o->lost_at != 0 && stamp > o->lost_at) {
        sim_report_violation(o->report, o->world, "C7",
                             "export %s: a flush succeeds although the host "
                             "has lost data",
                             o->name);
    }
    o->floor = ash_max(o->floor, stamp);
}

/* ---- events ---- */

void
sim_oracle_lost(SimOracle *o, uint64_t offset, uint64_t bytes)
{
    SimSpan span;

    if (offset >= o->size) {
        return;
    }
    span = sim_oracle_span(o, offset, ash_min(bytes, o->size - offset));
    o->now++;
    o->lost_at = o->lost_at ? o->lost_at : o->now;
    for (uint64_t i = span.first; i < span.end; i++) {
        sim_sector_reopen(o, i);
    }
}

void
sim_oracle_forgive(SimOracle *o)
{
    o->lost_at = 0;
    o->failed_at = 0;
}

bool
sim_oracle_has_lost(const SimOracle *o)
{
    return o->lost_at != 0 || o->failed_at != 0;
}

void
sim_oracle_crashed(SimOracle *o, bool power)
{
    o->now++;
    for (uint64_t i = 0; i < o->n_sectors; i++) {
        sim_sector_crashed(o, i, power);
    }
    ash_list_foreach(link, &o->ops) {
        ash_container_of(link, SimOracleOp, link)->void_ = true;
    }
    ash_list_foreach(link, &o->reads) {
        ash_container_of(link, SimOracleRead, link)->void_ = true;
    }
    if (power) {
        sim_oracle_forgive(o);
    }
}

/* ---- life ---- */

SimOracle *
sim_oracle_new(SimWorld *world, SimReport *report, const char *name,
               uint64_t size)
{
    SimOracle *o = g_new0(SimOracle, 1);

    o->world = world;
    o->report = report;
    o->name = name;
    o->size = size;
    o->n_sectors = (size + 511) / 512;
    o->sectors = g_new0(SimOracleSector, o->n_sectors);
    for (uint64_t i = 0; i < o->n_sectors; i++) {
        sim_sector_init(&o->sectors[i]);
    }
    ash_list_init(&o->ops);
    ash_list_init(&o->reads);
    return o;
}

void
sim_oracle_free(SimOracle *o)
{
    ash_assert(ash_list_is_empty(&o->ops));
    ash_assert(ash_list_is_empty(&o->reads));
    for (uint64_t i = 0; i < o->n_sectors; i++) {
        sim_sector_done(&o->sectors[i]);
    }
    g_free(o->sectors);
    g_free(o);
}

void
sim_oracle_set_writethrough(SimOracle *o, bool on)
{
    o->writethrough = on;
}
