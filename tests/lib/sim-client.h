/*
 * tests/lib/sim-client.h - SimClient: an NBD client that trusts nobody.
 *
 * A client is a coroutine that shakes hands, keeps requests in flight, checks
 * every byte that comes back, and leaves, politely or not.  What it modifies
 * and reads it tells its export's oracle.
 *
 * Layer:   tests/lib.      Thread: the world's.
 * Yields:  sim_client_co_run().
 * Method:  sim-client.c (life), sim-client-option.c (handshake),
 *          sim-client-request.c, sim-client-reply.c.      Tests: tests/sim
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/sim-net.h"
#include "tests/lib/sim-oracle.h"

typedef struct SimClient SimClient;

typedef enum {
    SIM_MODE_SIMPLE,
    SIM_MODE_STRUCTURED,
    SIM_MODE_EXTENDED,
    SIM_N_MODES,
} SimMode;

typedef enum {
    SIM_LEAVE_DISC,       /* when everything was answered */
    SIM_LEAVE_DISC_EARLY, /* with requests in flight */
    SIM_LEAVE_FIN,        /* half-close, then listen */
    SIM_LEAVE_CLOSE,      /* with requests in flight */
    SIM_LEAVE_RST,
    SIM_LEAVE_SILENCE,
    SIM_N_LEAVES,
} SimLeave;

/* What may go wrong now that is not the server's fault. */
typedef struct SimHealth {
    bool disk_fails;   /* requests may end with an error */
    bool server_stops; /* connections may end */
} SimHealth;

typedef struct SimClientConfig {
    SimWorld *world;
    Loop *loop;
    SimReport *report;
    SimOracle *oracle;
    const SimHealth *health;
    const char *name; /* borrowed, like all of these */
    const char *export_name;
    uint64_t size; /* that the export has to have */
    bool read_only;
    SimMode mode;
    bool use_go; /* else EXPORT_NAME */
    bool no_zeroes;
    bool want_meta;    /* base:allocation */
    unsigned n_noise;  /* options that lead nowhere, first */
    bool abort;        /* leave with OPT_ABORT instead of choosing */
    bool verify;       /* read everything once, and no more */
    unsigned commands; /* bits by SimCommand */
    unsigned n_requests;
    unsigned depth;        /* most requests in flight */
    uint64_t bytes_max;    /* of data in one request */
    uint64_t hot_bytes;    /* where most requests go; 0: everywhere */
    unsigned bad_permille; /* requests that must fail */
    uint64_t slow_ns;      /* longest pause between two receives */
    bool cut;              /* the connection is going to be cut */
    SimLeave leave;
    uint64_t timeout_ns; /* no answer for so long is a violation */
} SimClientConfig;

SimClient *sim_client_new(const SimClientConfig *config, SimPeer *take_peer);
/* Returns when the connection is over at this end. */
void coroutine_fn sim_client_co_run(SimClient *client);
/* Send no more requests; leave when what is in flight was answered. */
void sim_client_stop(SimClient *client);
/* The connection is over at the server: what was not answered never will be,
 * and happened or did not. */
void sim_client_closed(SimClient *client);
/* Has it returned, and has sim_client_closed() been called? */
bool sim_client_is_over(const SimClient *client);
/* Is it over without a broken connection or an error? */
bool sim_client_succeeded(const SimClient *client);
void sim_client_free(SimClient *client);
