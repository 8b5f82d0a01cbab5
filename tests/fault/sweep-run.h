/*
 * tests/fault/sweep-run.h - one run of a sweep: a graph, a script, a fault, and
 * what has to come of it.
 *
 * Layer:   tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "blockcore/blk.h"
#include "blockcore/graph.h"
#include "tests/fault/sweep-disk.h"
#include "tests/fault/sweep-model.h"
#include "tests/fault/sweep-script.h"
#include "tests/lib/fake-driver.h"
#include "tests/lib/fake-setup.h"

/* Who makes the mistake. */
typedef enum {
    SWEEP_BY_ENGINE, /* the host, below "file" */
    SWEEP_BY_RULE,   /* a rule of "fault" above a healthy host */
    SWEEP_BY_FAKE,   /* a driver in memory below "fault" */
} SweepBy;

/* A graph to sweep. */
typedef struct SweepRig {
    const char *name;
    SweepBy by;
    const char *options;
    uint64_t size;     /* of the file */
    uint64_t offset;   /* where in the file the script's byte 0 is */
    unsigned n_errors; /* only so many errnos; 0: all */
    bool inline_io;
    bool sync_alone;
} SweepRig;

typedef struct SweepRun {
    const SweepRig *rig;
    const SweepScript *script;
    SweepFault fault;
    const char *state_dir; /* also look at the next process */
    SweepDisk *disk;       /* borrowed, of the rig's size */
    SweepModel *model;

    /* ---- what came of it ---- */
    unsigned n_calls;      /* of the engine or the fake driver */
    unsigned n_open_calls; /* of these, before the first request */
    bool fired;
    unsigned n_failed; /* requests */
    unsigned n_violations;
} SweepRun;

/* Do it.  Violations are printed and counted. */
void coroutine_fn sweep_co_run(SweepRun *run);
