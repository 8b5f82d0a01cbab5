/*
 * tests/fault/sweep-priv.h - the state of a run; for sweep-run.c and
 * sweep-judge.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "tests/fault/sweep-run.h"

/* The values of bytes: those of the file as it was, and of a request. */
#define SWEEP_FILL 31U
#define SWEEP_VALUE(i) ((uint8_t)((i) + 1))

/* What a run holds while it goes on. */
typedef struct SweepState {
    SweepRun *run;
    SweepDisk *disk; /* NULL: @fake */
    FakeDisk *fake;
    BlkGraph *graph;
    BlkNode *node;
    Blk *blk;
    SweepModel *model;
    const BlkDriver *drivers[16];

    FakeReq reqs[SWEEP_REQUESTS_MAX];
    bool was_fired;     /* before this group */
    bool lost;          /* the file must be failed */
    unsigned n_flushed; /* flushes of @fake when the last change ended */
    bool refused;       /* the host said that it has no such operation */
} SweepState;

/* Say what is wrong, and where. */
void sweep_violation(SweepRun *run, const char *fmt, ...) ASH_PRINTF(2, 3);

/* Has anything gone wrong up to now? */
bool sweep_state_fired(const SweepState *s);

/* ---- sweep-judge.c: what has to come of a fault ---- */

/* A group of requests [@first, @end) has ended. */
void sweep_judge_group(SweepState *s, unsigned first, unsigned end);
/* The graph was opened, or was not. */
void sweep_judge_open(SweepState *s, bool opened, const GError *error);
/* It was closed with this result. */
void sweep_judge_close(SweepState *s, int ret);
