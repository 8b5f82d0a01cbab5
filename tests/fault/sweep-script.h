/*
 * tests/fault/sweep-script.h - what the clients of a sweep do.
 *
 * Layer:   tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "blockcore/types.h"

/* One request.  Requests of a group overlap neither each other's bytes nor, as
 * whole sectors, unless one waits for the other. */
typedef struct SweepRequest {
    BlkOp op;
    uint32_t offset;
    uint32_t bytes;
    BlkReqFlags flags;
    bool and_next; /* at the same time as the next */
} SweepRequest;

typedef struct SweepScript {
    const char *name;
    const SweepRequest *requests;
    unsigned n;
} SweepScript;

#define SWEEP_REQUESTS_MAX 32U

/* All stay within SWEEP_SCRIPT_BYTES. */
#define SWEEP_SCRIPT_BYTES 16384U
extern const SweepScript sweep_scripts[];
extern const unsigned sweep_n_scripts;
