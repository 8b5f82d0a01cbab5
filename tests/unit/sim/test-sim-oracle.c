/*
 * tests/unit/sim/test-sim-oracle.c - the oracle accepts what is right and
 * finds what is not.
 *
 * A small disk that does nothing wrong, and applies the sectors of a request
 * one by one at any time between its begin and its end, is compared with the
 * oracle; then it is broken in one way after the other.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-oracle.h"

#include <glib.h>
#include <string.h>

#include "tests/lib/sim-crash.h"
#include "tests/unit/sim/tests.h"

#define DISK_SECTORS 12U
#define DISK_BYTES (DISK_SECTORS * 512U)
#define OPS_MAX 5U

typedef enum {
    BUG_NONE,
    BUG_DROPPED_SECTOR, /* a sector of a write is not written */
    BUG_NO_FLUSH,       /* FLUSH does nothing */
    BUG_NO_FUA,         /* FUA is ignored */
    BUG_STALE_READ,     /* a read returns what was there some time ago */
    BUG_CORRUPTION,     /* a bit flips */
    BUG_KILL_LOSES,     /* a killed process takes its writes along */
    N_BUGS,
} Bug;

/* A request at the disk. */
typedef struct Op {
    SimOracleOp *op;
    SimModKind kind;
    uint64_t offset;
    uint64_t bytes;
    uint8_t data[4096];
    uint64_t store_ops[DISK_SECTORS];
    bool applied[DISK_SECTORS];
    bool fua;
} Op;

typedef struct Disk {
    SimWorld *world;
    SimReport report;
    SimOracle *oracle;
    SimStore *store;
    SimRng rng;
    Bug bug;
    Op ops[OPS_MAX];
    uint8_t old[DISK_BYTES];
    uint64_t stamp;
    uint64_t mark;
    bool flushing;
} Disk;

static void
disk_part(const Op *op, unsigned s, uint64_t *start, uint64_t *end)
{
    *start = MAX(op->offset, s * 512U);
    *end = MIN(op->offset + op->bytes, (s + 1) * 512U);
}

static void
disk_begin(Disk *d, Op *op)
{
    op->offset = sim_rng_below(&d->rng, DISK_BYTES);
    op->bytes = sim_rng_skewed(&d->rng, 1, MIN(DISK_BYTES - op->offset, 4096));
    if (sim_rng_chance(&d->rng, 700)) {
        op->offset &= ~(uint64_t)511;
        op->bytes = (op->bytes + 511) & ~(uint64_t)511;
    }
    op->bytes = MIN(op->bytes, MIN(DISK_BYTES - op->offset, 4096));
    if (!sim_oracle_can_modify(d->oracle, op->offset, op->bytes)) {
        return;
    }
    op->kind = sim_rng_chance(&d->rng, 700)   ? SIM_MOD_WRITE
               : sim_rng_chance(&d->rng, 500) ? SIM_MOD_ZERO
                                              : SIM_MOD_TRIM;
    for (uint64_t i = 0; i < op->bytes; i++) {
        op->data[i] = (uint8_t)(sim_rng_next(&d->rng) | 1);
    }
    op->fua = sim_rng_chance(&d->rng, 300);
    for (unsigned s = 0; s < DISK_SECTORS; s++) {
        uint64_t start, end;

        disk_part(op, s, &start, &end);
        op->store_ops[s] = 0;
        op->applied[s] = start >= end;
    }
    op->op =
        sim_oracle_begin(d->oracle, op->kind, op->offset, op->bytes, op->data);
}

static void
disk_apply(Disk *d, Op *op)
{
    unsigned s = (unsigned)sim_rng_below(&d->rng, DISK_SECTORS);
    uint64_t start, end;

    if (op->applied[s]) {
        return;
    }
    op->applied[s] = true;
    disk_part(op, s, &start, &end);
    if (d->bug == BUG_DROPPED_SECTOR && sim_rng_chance(&d->rng, 100)) {
        return;
    }
    if (op->kind == SIM_MOD_WRITE) {
        op->store_ops[s] = sim_store_write(
            d->store, start, op->data + (start - op->offset), end - start);
    } else if (op->kind == SIM_MOD_ZERO || sim_rng_chance(&d->rng, 500)) {
        op->store_ops[s] =
            sim_store_space(d->store, SIM_STORE_ZERO, start, end - start);
    }
}

static void
disk_end(Disk *d, Op *op)
{
    bool fails = sim_rng_chance(&d->rng, 100);

    for (unsigned s = 0; s < DISK_SECTORS; s++) {
        if (!op->applied[s] && !fails) {
            return;
        }
    }
    for (unsigned s = 0; s < DISK_SECTORS; s++) {
        uint64_t start, end;

        disk_part(op, s, &start, &end);
        if (op->store_ops[s] != 0) {
            sim_store_complete(d->store, op->store_ops[s], start, end - start);
            if (op->fua && !fails && d->bug != BUG_NO_FUA) {
                sim_store_flush_op(d->store, op->store_ops[s], start,
                                   end - start);
            }
        }
    }
    sim_oracle_end(d->oracle, op->op, fails ? SIM_ENDED_ERROR : SIM_ENDED_OK,
                   op->fua);
    op->op = NULL;
}

static void
disk_read(Disk *d)
{
    uint64_t offset = sim_rng_below(&d->rng, DISK_BYTES);
    uint64_t bytes = sim_rng_between(&d->rng, 1, DISK_BYTES - offset);
    SimOracleRead *read = sim_oracle_read_begin(d->oracle, offset, bytes);
    g_autofree uint8_t *buf = g_malloc(bytes);

    sim_store_read(d->store, offset, buf, bytes);
    if (d->bug == BUG_STALE_READ && sim_rng_chance(&d->rng, 100)) {
        memcpy(buf, d->old + offset, bytes);
    }
    if (d->bug == BUG_CORRUPTION && sim_rng_chance(&d->rng, 10)) {
        buf[sim_rng_below(&d->rng, bytes)] ^= 4;
    }
    sim_oracle_read_end(d->oracle, read, buf);
    if (sim_rng_chance(&d->rng, 100)) {
        sim_store_read(d->store, 0, d->old, DISK_BYTES);
    }
}

static void
disk_flush(Disk *d)
{
    if (!d->flushing) {
        d->stamp = sim_oracle_flush_begin(d->oracle);
        d->mark = sim_store_mark(d->store);
    } else {
        if (d->bug != BUG_NO_FLUSH) {
            sim_store_flush(d->store, d->mark);
        }
        sim_oracle_flush_end(d->oracle, d->stamp, true);
    }
    d->flushing = !d->flushing;
}

static void
disk_crash(Disk *d, bool power)
{
    SimCrash stats = { 0 };

    if (power || d->bug == BUG_KILL_LOSES) {
        sim_store_crash(d->store, &d->rng, &stats);
    } else {
        sim_store_complete_all(d->store);
    }
    sim_oracle_crashed(d->oracle, power);
    for (unsigned i = 0; i < OPS_MAX; i++) {
        if (d->ops[i].op) {
            sim_oracle_end(d->oracle, d->ops[i].op, SIM_ENDED_UNKNOWN, false);
            d->ops[i].op = NULL;
        }
    }
    d->flushing = false;
    sim_store_read(d->store, 0, d->old, DISK_BYTES);
}

static void
disk_step(Disk *d)
{
    Op *op = &d->ops[sim_rng_below(&d->rng, OPS_MAX)];
    uint64_t what = sim_rng_below(&d->rng, 200);

    if (what < 4) {
        disk_crash(d, what & 1);
    } else if (what < 20) {
        disk_flush(d);
    } else if (what < 60) {
        disk_read(d);
    } else if (!op->op) {
        disk_begin(d, op);
    } else if (what < 190) {
        disk_apply(d, op);
    } else {
        disk_end(d, op);
    }
}

/* Violations that @n_seeds runs find. */
static unsigned
disk_run(Bug bug, unsigned n_seeds, uint64_t *ret_sectors)
{
    unsigned n_found = 0;

    for (unsigned seed = 0; seed < n_seeds; seed++) {
        g_autofree Disk *d = g_new0(Disk, 1);

        d->bug = bug;
        d->world = sim_world_new(seed, 1);
        d->report.quiet = bug != BUG_NONE;
        d->oracle = sim_oracle_new(d->world, &d->report, "test", DISK_BYTES);
        d->store = sim_store_new(seed & 1 ? SIM_DIRECT : SIM_BUFFERED);
        sim_store_truncate(d->store, DISK_BYTES);
        sim_store_complete_all(d->store);
        sim_store_flush(d->store, sim_store_mark(d->store));
        sim_rng_init(&d->rng, seed, 9);
        for (unsigned i = 0; i < 1500; i++) {
            disk_step(d);
        }
        disk_crash(d, true);
        disk_read(d);
        n_found += d->report.n_violations > 0;
        *ret_sectors += d->report.n_sectors;
        sim_oracle_free(d->oracle);
        sim_store_free(d->store);
        sim_report_done(&d->report);
        sim_world_free(d->world);
    }
    return n_found;
}

static void
test_right_disk_is_accepted(void)
{
    uint64_t n_sectors = 0;

    g_assert_cmpuint(disk_run(BUG_NONE, 150, &n_sectors), ==, 0);
    g_test_message("%u sectors checked", (unsigned)n_sectors);
}

static void
test_wrong_disks_are_found(void)
{
    for (unsigned bug = 1; bug < N_BUGS; bug++) {
        uint64_t n_sectors = 0;
        unsigned n = disk_run((Bug)bug, 40, &n_sectors);

        g_test_message("bug %u: found in %u of 40 runs", bug, n);
        g_assert_cmpuint(n, >=, 10);
    }
}

void
test_sim_oracle_add(void)
{
    g_test_add_func("/sim/oracle/right-disk-is-accepted",
                    test_right_disk_is_accepted);
    g_test_add_func("/sim/oracle/wrong-disks-are-found",
                    test_wrong_disks_are_found);
}
