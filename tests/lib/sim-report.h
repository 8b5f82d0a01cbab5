/*
 * tests/lib/sim-report.h - SimReport: what a simulation counted and found.
 *
 * Layer:   tests/lib.      Tests: tests/sim
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "tests/lib/sim-loop.h"

#define SIM_N_COMMANDS 9 /* those of NBD, and one for unknown ones */

typedef struct SimReport {
    uint64_t n_requests[SIM_N_COMMANDS];
    uint64_t n_ok;
    uint64_t n_errors;
    uint64_t n_refused; /* requests that had to fail, and did */
    uint64_t n_lost;    /* without an answer: the connection broke */
    uint64_t n_options;
    uint64_t n_handshakes;
    uint64_t n_sectors; /* compared with what they may contain */
    uint64_t n_extents;
    uint64_t n_violations;
    char *first; /* of the violations; owned */
    bool quiet;
} SimReport;

/**
 * sim_report_violation() - a promise was broken.
 * @world:   where it happened
 * @promise: "C2", or a word for what is no promise of docs/durability.md
 * @fmt:     what happened
 */
void sim_report_violation(SimReport *report, SimWorld *world,
                          const char *promise, const char *fmt, ...)
    ASH_PRINTF(4, 5);
void sim_report_done(SimReport *report);
