/*
 * drivers/fault-priv.h - the state of a "fault" node: rules and breakpoints.
 *
 * Layer:   drivers.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "blockcore/driver.h"
#include "coro/co-lock.h"

/* Kinds of requests, as the option "iotype" has them. */
typedef enum {
    FAULT_READ,
    FAULT_WRITE,
    FAULT_ZERO,
    FAULT_DISCARD,
    FAULT_FLUSH,
    FAULT_STATUS,
    FAULT_N_OPS,
} FaultOp;

/* One "inject-error.N". */
typedef struct FaultRule {
    int event;      /* index of fault_event_names; 0: needs none */
    int op;         /* FaultOp, -1: all but FAULT_STATUS */
    BlkRange range; /* requests that touch it; flushes do */
    uint64_t nth;   /* the first match to act on, from 1 */
    uint64_t probability_ppm;
    uint64_t delay_ns;
    int err; /* positive errno, 0: none */
    bool once;
    bool immediately;
    bool short_io;

    bool armed; /* the event has happened, or needs not */
    bool spent; /* once */
    uint64_t n_matches;
} FaultRule;

typedef struct Fault {
    BlkEdge *file;
    GArray *rules; /* of FaultRule */
    uint64_t delay_ns[FAULT_N_OPS];
    uint64_t random; /* state of the generator */
    bool drop_flush;
    bool lie_flush;
    bool may_resize;  /* a parent may write past the end */
    BlkLimits limits; /* 0: the child's */
    AshList breaks;   /* of FaultBreak */
    CoQueue watchers; /* of breaks that are hit */
} Fault;

/* What the rules make of one request. */
typedef struct FaultVerdict {
    uint64_t delay_ns;
    int err; /* 0 or -errno */
    bool immediately;
    bool short_io;
} FaultVerdict;

extern const BlkOptionSpec fault_options[];

/* ---- fault-options.c ---- */

/* By FaultOp, NULL-terminated. */
extern const char *const fault_op_names[];
/* Take the rules and all other options but the child.  Error: CONFIG. */
bool fault_take_options(Fault *fault, BlkOptions *opts, GError **error);

/* ---- fault-rules.c ---- */

/* An event happened: arm the rules that wait for it. */
void fault_arm(Fault *fault, const char *event);
/* Ask all rules about a request; counts. */
FaultVerdict fault_judge(Fault *fault, FaultOp op, BlkRange range);
/* Might anything happen to a request of this kind? */
bool fault_touches(const Fault *fault, FaultOp op);
/* From 1 to @max. */
uint64_t fault_random(Fault *fault, uint64_t max);

/* ---- fault-break.c ---- */

/* Stop here if somebody asked for it. */
void coroutine_fn fault_co_break(Fault *fault, const char *event);
void fault_break_done(Fault *fault);
