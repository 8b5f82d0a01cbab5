/*
 * tests/sim/sim-run.h - one seed: a world, a daemon that dies now and then, its
 * clients, and what is left at the end.
 *
 * Layer:   tests/sim.
 * Method:  sim-run.c (what happens), sim-swarm.c (what is drawn).
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/sim-client.h"
#include "tests/lib/sim-disk.h"
#include "tests/lib/sim-net.h"
#include "tests/sim/sim-daemon.h"

#define SIM_EXPORTS_MAX 3U
#define SIM_SLOTS_MAX 4U

/* Bugs that the simulation has to find, one at a time. */
typedef enum {
    SIM_PLANT_NONE,
    SIM_PLANT_FLUSH_NOOP,
    SIM_PLANT_FLUSH_LIES,
    SIM_PLANT_NO_FUA,
    SIM_PLANT_WRITE_DROPPED,
    SIM_PLANT_WRITE_MISDIRECTED,
    SIM_PLANT_WRITE_LATE,
    SIM_PLANT_SPACE_DROPPED,
    SIM_PLANT_READ_BITFLIP,
    SIM_PLANT_NET_BITFLIP,
    SIM_N_PLANTS,
} SimPlant;
extern const char *const sim_plant_names[SIM_N_PLANTS];

/* How a daemon's life ends. */
typedef enum {
    SIM_STOP_IDLE,  /* SIGTERM when no client is left */
    SIM_STOP_BUSY,  /* SIGTERM under load */
    SIM_STOP_KILL,  /* SIGKILL */
    SIM_STOP_POWER, /* the host, too */
    SIM_N_STOPS,
} SimStop;

typedef struct SimRunConfig {
    uint64_t seed;
    unsigned n_steps; /* requests, about */
    bool trace;
    bool quiet;
    SimPlant plant;
} SimRunConfig;

typedef struct SimSeedResult {
    uint64_t hash;
    uint64_t virtual_ns;
    uint64_t n_clients;
    uint64_t n_stops[SIM_N_STOPS];
    uint64_t n_records; /* starts with a file on record that lost data */
    uint64_t n_forgets; /* of them: the operator had it forgotten */
    uint64_t n_untold;  /* losses that a SIGKILL kept from being recorded */
    uint64_t n_outside; /* bytes compared that belong to no export */
    SimReport report;
    SimDiskStats disk;
    SimNetStats net;
    bool hung; /* the world was left as it was: nothing was freed */
} SimSeedResult;

void sim_run(const SimRunConfig *config, SimSeedResult *ret);

/* ---- sim-swarm.c: what this seed is about ---- */

typedef struct SimSwarm {
    unsigned n_workers;
    unsigned n_exports;
    unsigned n_slots;   /* clients at once */
    unsigned n_clients; /* of each slot, in each life of the daemon */
    unsigned n_lives;
    unsigned commands;       /* bits: which the clients use */
    unsigned modes;          /* bits: which they speak */
    bool cuts;               /* connections are cut */
    bool slow;               /* clients that read slowly */
    unsigned fault_permille; /* of the lives that have disk faults */
    SimDiskConfig disk;
    SimNetConfig net;
    SimExportSpec exports[SIM_EXPORTS_MAX];
} SimSwarm;

void sim_swarm_draw(SimSwarm *swarm, SimRng *rng, SimPlant plant);
void sim_swarm_draw_client(const SimSwarm *swarm, SimRng *rng,
                           SimClientConfig *config);
/* Rules for one life, on @disk; true if requests may fail then. */
bool sim_swarm_add_faults(const SimSwarm *swarm, SimRng *rng, SimDisk *disk);
void sim_swarm_add_plant(SimPlant plant, SimDisk *disk);
SimStop sim_swarm_draw_stop(SimRng *rng);
