/*
 * tests/lib/sim-sector.c - one sector of an oracle; see
 * tests/lib/sim-oracle-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/iov.h"
#include "tests/lib/sim-oracle-priv.h"

#define SIM_SECTOR_BYTES 512U

/* ---- contents ---- */

static SimValue *
sim_value_new(void)
{
    SimValue *value = g_new0(SimValue, 1);

    value->refs = 1;
    return value;
}

static SimValue *
sim_value_ref(SimValue *value)
{
    value->refs++;
    return value;
}

static void
sim_value_unref(SimValue *value)
{
    if (--value->refs == 0) {
        g_free(value);
    }
}

static void
sim_value_seal(SimValue *value)
{
    value->hash = sim_hash_bytes(0, value->data, sizeof(value->data));
}

static bool
sim_value_equal(const SimValue *a, const SimValue *b)
{
    return a == b || (a->hash == b->hash &&
                      memcmp(a->data, b->data, sizeof(a->data)) == 0);
}

void
sim_sector_part(uint64_t i, uint64_t offset, uint64_t bytes,
                unsigned *ret_start, unsigned *ret_end)
{
    uint64_t base = i * SIM_SECTOR_BYTES;

    *ret_start = (unsigned)(ash_max(offset, base) - base);
    *ret_end =
        (unsigned)(ash_min(offset + bytes, base + SIM_SECTOR_BYTES) - base);
}

/* The contents of sector @i after @op. */
static SimValue *
sim_value_apply(const SimValue *value, uint64_t i, const SimOracleOp *op)
{
    SimValue *after = sim_value_new();
    unsigned start, end;

    sim_sector_part(i, op->offset, op->bytes, &start, &end);
    memcpy(after->data, value->data, sizeof(after->data));
    if (op->kind == SIM_MOD_WRITE) {
        memcpy(after->data + start,
               op->data + (i * SIM_SECTOR_BYTES + start - op->offset),
               end - start);
    } else {
        memset(after->data + start, 0, end - start);
    }
    sim_value_seal(after);
    return after;
}

/* ---- entries ---- */

bool
sim_entry_is_durable(const SimOracle *o, const SimEntry *e)
{
    return e->current || (!e->dead && e->last >= o->floor);
}

static void
sim_sector_remove(SimOracleSector *sec, unsigned at)
{
    SimEntry *e = &sec->entries[at];

    if (!sec->past) {
        sec->past = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    }
    g_array_append_val(sec->past, e->value->hash);
    sim_value_unref(e->value);
    *e = sec->entries[--sec->n_entries];
}

static SimEntry *
sim_sector_find(SimOracleSector *sec, const SimValue *value, uint8_t mask)
{
    for (unsigned i = 0; i < sec->n_entries; i++) {
        SimEntry *e = &sec->entries[i];

        if (e->mask == mask && sim_value_equal(e->value, value)) {
            return e;
        }
    }
    return NULL;
}

/* These contents are possible now; true if that is new. */
static bool
sim_sector_add(SimOracleSector *sec, SimValue *take_value, uint8_t mask)
{
    SimEntry *e = sim_sector_find(sec, take_value, mask);
    bool is_new = !e || !e->current;

    if (e) {
        sim_value_unref(take_value);
    } else {
        if (sec->n_entries == sec->capacity) {
            sec->capacity = sec->capacity ? 2 * sec->capacity : 2;
            sec->entries = g_renew(SimEntry, sec->entries, sec->capacity);
        }
        e = &sec->entries[sec->n_entries++];
        *e = (SimEntry){ .value = take_value, .mask = mask };
    }
    e->current = true;
    e->dead = false;
    return is_new;
}

/* Apply everything that is in flight to every current entry, in all orders. */
static void
sim_sector_close(SimOracleSector *sec, uint64_t i)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (unsigned at = 0; at < sec->n_entries; at++) {
            for (unsigned s = 0; s < SIM_SLOTS; s++) {
                SimEntry *e = &sec->entries[at];
                uint8_t mask = (uint8_t)(e->mask | 1U << s);
                const SimOracleOp *op = sec->slots[s];

                if (!op || !e->current || mask == e->mask) {
                    continue;
                }
                if (op->kind == SIM_MOD_TRIM) {
                    changed |=
                        sim_sector_add(sec, sim_value_ref(e->value), mask);
                    e = &sec->entries[at];
                }
                changed |=
                    sim_sector_add(sec, sim_value_apply(e->value, i, op), mask);
            }
        }
    }
}

/* O2, after masks have changed. */
static void
sim_sector_merge(SimOracleSector *sec)
{
    for (unsigned i = 0; i < sec->n_entries; i++) {
        SimEntry *a = &sec->entries[i];

        for (unsigned j = sec->n_entries; j-- > i + 1;) {
            SimEntry *b = &sec->entries[j];

            if (a->mask != b->mask || !sim_value_equal(a->value, b->value)) {
                continue;
            }
            a->current |= b->current;
            a->dead &= b->dead;
            a->last = ash_max(a->last, b->last);
            sim_value_unref(b->value);
            *b = sec->entries[--sec->n_entries];
        }
    }
}

/* Forget what neither a read nor a power cut can show. */
static void
sim_sector_prune(const SimOracle *o, SimOracleSector *sec)
{
    uint64_t oldest = o->now;

    ash_list_foreach(link, &o->reads) {
        const SimOracleRead *read = ash_container_of(link, SimOracleRead, link);

        oldest = ash_min(oldest, read->begun);
    }
    for (unsigned at = sec->n_entries; at-- > 0;) {
        const SimEntry *e = &sec->entries[at];

        if (!sim_entry_is_durable(o, e) && e->last < oldest) {
            sim_sector_remove(sec, at);
        }
    }
}

/* ---- modifications ---- */

unsigned
sim_sector_n_free(const SimOracleSector *sec)
{
    unsigned n = 0;

    if (sec->n_entries > SIM_ENTRIES_MAX) {
        return 0;
    }
    for (unsigned s = 0; s < SIM_SLOTS; s++) {
        n += !sec->slots[s];
    }
    return n;
}

void
sim_sector_begin(SimOracle *o, uint64_t i, SimOracleOp *op)
{
    SimOracleSector *sec = &o->sectors[i];
    unsigned s = 0;

    while (sec->slots[s]) {
        s++;
        ash_assert(s < SIM_SLOTS);
    }
    sim_sector_prune(o, sec);
    sec->slots[s] = op;
    sec->touched = o->now;
    sec->fresh = false;
    sim_sector_close(sec, i);
}

void
sim_sector_end(SimOracle *o, uint64_t i, SimOracleOp *op, bool applied,
               bool fua)
{
    SimOracleSector *sec = &o->sectors[i];
    uint8_t bit = 0;

    for (unsigned s = 0; s < SIM_SLOTS; s++) {
        if (sec->slots[s] == op) {
            sec->slots[s] = NULL;
            bit = (uint8_t)(1U << s);
        }
    }
    ash_assert(bit);
    for (unsigned at = 0; at < sec->n_entries; at++) {
        SimEntry *e = &sec->entries[at];

        if (applied && !(e->mask & bit)) {
            e->last = e->current ? o->now : e->last;
            e->current = false;
            e->dead |= fua;
        }
        e->mask &= (uint8_t)~bit;
    }
    sec->touched = o->now;
    sim_sector_merge(sec);
}

/* ---- events ---- */

void
sim_sector_reopen(SimOracle *o, uint64_t i)
{
    SimOracleSector *sec = &o->sectors[i];

    for (unsigned at = 0; at < sec->n_entries; at++) {
        SimEntry *e = &sec->entries[at];

        e->current |= sim_entry_is_durable(o, e);
    }
    for (unsigned s = 0; s < SIM_SLOTS; s++) {
        if (sec->slots[s]) {
            sec->slots[s]->lossy = true;
        }
    }
    sec->touched = o->now;
    sim_sector_close(sec, i);
}

void
sim_sector_crashed(SimOracle *o, uint64_t i, bool power)
{
    SimOracleSector *sec = &o->sectors[i];

    memset(sec->slots, 0, sizeof(sec->slots));
    for (unsigned at = sec->n_entries; at-- > 0;) {
        SimEntry *e = &sec->entries[at];

        e->mask = 0;
        if (!sim_entry_is_durable(o, e)) {
            sim_sector_remove(sec, at);
        } else if (power) {
            e->current = true;
        }
    }
    sim_sector_merge(sec);
    sec->touched = o->now;
    sec->fresh = power;
}

/* ---- checks ---- */

/* What a violation is about, by where else these contents were seen. */
static void
sim_sector_violation(SimOracle *o, uint64_t i, unsigned start, unsigned end,
                     const uint8_t *data)
{
    SimOracleSector *sec = &o->sectors[i];
    g_autoptr(GString) allowed = g_string_new(NULL);
    uint64_t found = 0;
    bool was = false;
    SimValue *whole;

    memcpy(&found, data, ash_min(sizeof(found), end - start));
    for (unsigned at = 0; at < sec->n_entries; at++) {
        const SimEntry *e = &sec->entries[at];
        uint64_t first = 0;

        memcpy(&first, e->value->data + start,
               ash_min(sizeof(first), end - start));
        g_string_append_printf(allowed, " %s%" G_GINT64_MODIFIER "x",
                               e->current ? "" : "past:", first);
        was |= memcmp(e->value->data + start, data, end - start) == 0;
    }
    whole = sim_value_new();
    memcpy(whole->data + start, data, end - start);
    sim_value_seal(whole);
    for (unsigned p = 0; sec->past && p < sec->past->len; p++) {
        was |= g_array_index(sec->past, uint64_t, p) == whole->hash;
    }
    sim_value_unref(whole);
    sim_report_violation(
        o->report, o->world, was ? (sec->fresh ? "C2" : "C1") : "C4",
        "export %s, bytes %u to %u of sector %" G_GINT64_MODIFIER
        "u: read %" G_GINT64_MODIFIER "x, %s; allowed:%s",
        o->name, start, end, i, found,
        was ? (sec->fresh ? "which a flush had made past" : "which is past")
            : "which was never there",
        allowed->str);
}

/* @data is what the sector holds: other contents are not possible. */
static void
sim_sector_settle(SimOracle *o, uint64_t i, unsigned start, unsigned end,
                  const uint8_t *data)
{
    SimOracleSector *sec = &o->sectors[i];

    for (unsigned at = sec->n_entries; at-- > 0;) {
        SimEntry *e = &sec->entries[at];

        if (memcmp(e->value->data + start, data, end - start) == 0) {
            continue;
        }
        if (sec->fresh) {
            /* After a power cut everything is durable. */
            sim_sector_remove(sec, at);
        } else if (e->current) {
            e->current = false;
            e->last = o->now;
        }
    }
}

void
sim_sector_check(SimOracle *o, uint64_t i, unsigned start, unsigned end,
                 const uint8_t *data, uint64_t since)
{
    SimOracleSector *sec = &o->sectors[i];
    bool found = false, found_now = false;

    o->report->n_sectors++;
    for (unsigned at = 0; at < sec->n_entries; at++) {
        const SimEntry *e = &sec->entries[at];

        if ((e->current || e->last >= since) &&
            memcmp(e->value->data + start, data, end - start) == 0) {
            found = true;
            found_now |= e->current;
        }
    }
    if (!found) {
        sim_sector_violation(o, i, start, end, data);
        return;
    }
    if (sim_sector_n_free(sec) == SIM_SLOTS && sec->touched < since &&
        found_now) {
        sim_sector_settle(o, i, start, end, data);
    }
}

bool
sim_sector_may_be_zero(const SimOracle *o, uint64_t i, unsigned start,
                       unsigned end, uint64_t since)
{
    const SimOracleSector *sec = &o->sectors[i];

    for (unsigned at = 0; at < sec->n_entries; at++) {
        const SimEntry *e = &sec->entries[at];

        if ((e->current || e->last >= since) &&
            ash_buf_is_zero(e->value->data + start, end - start)) {
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

void
sim_sector_init(SimOracleSector *sec)
{
    SimValue *zero = sim_value_new();

    sim_value_seal(zero);
    sim_sector_add(sec, zero, 0);
}

void
sim_sector_done(SimOracleSector *sec)
{
    while (sec->n_entries > 0) {
        sim_value_unref(sec->entries[--sec->n_entries].value);
    }
    g_free(sec->entries);
    if (sec->past) {
        g_array_free(sec->past, TRUE);
    }
}
