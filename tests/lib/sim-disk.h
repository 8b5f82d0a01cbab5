/*
 * tests/lib/sim-disk.h - SimDisk: a simulated disk behind an AioEngine.
 *
 * Named files in memory.  Writes are visible at once and durable after a
 * successful flush (tests/lib/sim-store.h).  A disk outlives the processes that
 * use it: each has engines of its own, one a loop; sim_disk_kill() ends a
 * process, sim_disk_power_cut() ends all and makes the disk forget.  A process
 * that is gone goes on as a ghost: all its I/O fails with -EIO and has no
 * effect, so that the code under test can be taken down in good order.
 *
 * Faults come from the configuration (always, with a probability) and from
 * rules.
 *
 * Layer:   tests/lib.      Thread: the world's.
 * Method:  sim-disk.c (files, processes), sim-engine.c (AioEngineOps),
 *          sim-fault.c (rules).      Tests: tests/unit/sim/test-sim-disk.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/aio/engine.h"
#include "tests/lib/sim-crash.h"
#include "tests/lib/sim-loop.h"

typedef struct SimDisk SimDisk;

typedef struct SimDiskConfig {
    SimModel model;
    bool old_back;    /* failed write-back: old data is visible again */
    bool report_once; /* and is told to one fd, not to each */
    bool sync_alone;  /* says so of its files */
    uint64_t delay_min_ns;
    uint64_t delay_max_ns;
    uint64_t quota_pages;     /* 0: none; then -ENOSPC */
    unsigned short_permille;  /* short transfers */
    unsigned retry_permille;  /* -EINTR, -EAGAIN, of any operation */
    unsigned refuse_permille; /* try_*: -EAGAIN */
} SimDiskConfig;

/* ---- faults ---- */

typedef enum {
    SIM_OP_OPEN = 1 << 0,
    SIM_OP_STAT = 1 << 1,
    SIM_OP_TRUNCATE = 1 << 2,
    SIM_OP_SPACE = 1 << 3,
    SIM_OP_SEEK = 1 << 4,
    SIM_OP_READ = 1 << 5,
    SIM_OP_WRITE = 1 << 6,
    SIM_OP_FLUSH = 1 << 7,
    SIM_OP_WRITEBACK = 1 << 8, /* by the host, after some write */
    SIM_OP_ALL = (1 << 9) - 1,
} SimOp;
#define SIM_N_OPS 9

typedef enum {
    SIM_FAULT_ERROR, /* fails; a part of a write may have happened */
    SIM_FAULT_DELAY, /* takes delay_ns longer */
    SIM_FAULT_HANG,  /* does not end before sim_disk_release() */
    /* what no healthy host does: planted, to see whether it is noticed */
    SIM_FAULT_DROP,      /* says success and does nothing */
    SIM_FAULT_MISDIRECT, /* a write goes to the next sector */
    SIM_FAULT_BITFLIP,   /* a read returns one wrong bit */
    SIM_FAULT_LIE,       /* a flush loses pages and says success */
    SIM_FAULT_NO_FUA,    /* a write ignores AIO_WRITE_FUA */
    SIM_FAULT_LATE,      /* a write says success and happens delay_ns later */
    SIM_N_FAULTS,
} SimFaultKind;

typedef struct SimRule {
    SimFaultKind kind;
    unsigned ops;     /* SIM_OP_* */
    const char *file; /* borrowed; NULL: any */
    uint64_t offset;  /* with bytes > 0: only what touches this range */
    uint64_t bytes;
    unsigned nth;      /* fires from the nth match on; 0 and 1: the first */
    unsigned permille; /* and then with this probability; 0: always */
    bool once;
    int err; /* positive errno */
    uint64_t delay_ns;
} SimRule;

typedef struct SimDiskStats {
    uint64_t n_ops[SIM_N_OPS]; /* by bit number */
    uint64_t n_faults[SIM_N_FAULTS];
    uint64_t n_short;
    uint64_t n_retry;
    uint64_t n_refused;
    uint64_t n_enospc;
    uint64_t n_pages_lost; /* by failed write-back */
    uint64_t n_power_cuts;
    uint64_t n_power_cuts_dirty; /* of them: with something to lose */
    uint64_t n_power_cuts_lossy; /* of these: something was lost */
    uint64_t n_kills;
    uint64_t n_zombie_writes;  /* of killed processes, after their death */
    uint64_t n_double_writers; /* of these: while another process writes */
    SimCrash crash;
} SimDiskStats;

/* ---- life ---- */

SimDisk *sim_disk_new(SimWorld *world, const SimDiskConfig *config);
/* No engine of it is left. */
void sim_disk_free(SimDisk *disk);
/* An engine of process @pid on @loop; AioEngineOps.free ends it. */
AioEngine *sim_disk_engine_new(SimDisk *disk, Loop *loop, unsigned pid);

/* ---- events ---- */

void sim_disk_add_rule(SimDisk *disk, const SimRule *rule);
void sim_disk_clear_rules(SimDisk *disk);
/* What hangs goes on. */
void sim_disk_release(SimDisk *disk);
void sim_disk_set_quota(SimDisk *disk, uint64_t pages);
/* The process dies; what it wrote stays.  Its I/O in flight happens later,
 * under its locks, or never. */
void sim_disk_kill(SimDisk *disk, unsigned pid);
/* All processes die and what was not flushed may be gone. */
void sim_disk_power_cut(SimDisk *disk);
/* Who is told about pages that failed write-back lost. */
void sim_disk_set_lost_fn(SimDisk *disk,
                          void (*fn)(void *arg, const char *file,
                                     uint64_t offset, uint64_t bytes),
                          void *arg);
SimDiskStats *sim_disk_stats(SimDisk *disk);
