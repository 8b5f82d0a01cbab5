/*
 * tests/sim/sim-run-priv.h - struct SimRun; sim-run.c and sim-slot.c only.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "tests/lib/sim-event.h"
#include "tests/lib/sim-file.h"
#include "tests/sim/sim-run.h"
#include "tests/sim/sim-state.h"

/* A process: alive, or a ghost that is being taken down. */
typedef struct SimProcess {
    SimDaemon *daemon;
    bool started;
    bool start_failed;
    bool stopped;
    int stop_error;
    GError *error;
} SimProcess;

typedef struct SimRun {
    const SimRunConfig *config;
    SimSeedResult *result;
    SimSwarm swarm;
    SimWorld *world;
    SimRng *rng;
    SimDisk *disk;
    SimNet *net;
    SimOracle *oracles[SIM_EXPORTS_MAX];
    SimHealth health;
    SimState *state;
    bool failed[SIM_EXPORTS_MAX];   /* on record when the daemon started */
    bool forgiven[SIM_EXPORTS_MAX]; /* the operator dealt with it */
    SimProcess processes[2];        /* by set of loops */
    unsigned pid;                   /* of the living one; its set is pid % 2 */
    unsigned n_running;             /* slots */
    bool stop_clients;
    SimClient *clients[SIM_SLOTS_MAX];
    uint64_t trigger; /* replies after which the life ends */
    SimEvent release;
} SimRun;

/* Loop @i of set 0, 1 (daemons) or 2 (clients). */
Loop *sim_run_loop(const SimRun *run, unsigned set, unsigned i);
SimProcess *sim_run_process(SimRun *run);

/* ---- sim-slot.c: one client after the other ---- */

/* @verify: one client, which reads all of export @number. */
void sim_run_add_slot(SimRun *run, unsigned number, bool verify);
/* No slot is running; @arg is the run. */
bool sim_run_clients_are_over(void *arg);
void sim_run_stop_clients(SimRun *run);
