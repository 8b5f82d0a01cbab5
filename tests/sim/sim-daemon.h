/*
 * tests/sim/sim-daemon.h - SimDaemon: one process of ashlard in a simulated
 * world: the real drivers, block core and NBD server on simulated loops and a
 * simulated disk.
 *
 * Layer:   tests/sim.      Thread: the world's.
 * Yields:  sim_daemon_co_start(), sim_daemon_co_stop().
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "export/channel.h"
#include "tests/lib/sim-disk.h"

/* What an export is made of. */
typedef struct SimExportSpec {
    char name[32];  /* of the export, and of what belongs to it */
    char file[32];  /* on the simulated disk */
    uint64_t start; /* of the window in the file */
    uint64_t rest;  /* of the file, behind the window */
    uint64_t size;
    bool read_only;
    bool writethrough;
    bool direct; /* cache.direct=on */
} SimExportSpec;

typedef struct SimDaemonConfig {
    SimWorld *world;
    SimDisk *disk;
    unsigned pid;
    Loop *main;
    Loop *workers[2];
    unsigned n_workers;
    const SimExportSpec *exports;
    unsigned n_exports;
    const char *state_dir; /* of the host; copied */
} SimDaemonConfig;

typedef struct SimDaemon SimDaemon;

SimDaemon *sim_daemon_new(const SimDaemonConfig *config);
/* On the main loop.  On failure sim_daemon_co_stop() cleans up. */
bool coroutine_fn sim_daemon_co_start(SimDaemon *daemon, GError **error);
/* As on SIGTERM; 0 or the errno of the last flush. */
int coroutine_fn sim_daemon_co_stop(SimDaemon *daemon);
/* Stopped. */
void sim_daemon_free(SimDaemon *daemon);

/* A new connection; @closed runs when it is gone.  Any loop. */
void sim_daemon_accept(SimDaemon *daemon, Channel *take_channel,
                       void (*closed)(void *arg), void *arg);
