/*
 * tests/sim/sim-slot.c - places for clients, one after the other; see
 * tests/sim/sim-run-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/assert.h"
#include "base/bits.h"
#include "tests/sim/sim-run-priv.h"

/* A place for one client after the other. */
typedef struct SimSlot {
    SimRun *run;
    unsigned number;
    bool verify;
    unsigned export; /* to verify */
} SimSlot;

static void
sim_slot_closed_cb(void *arg)
{
    sim_client_closed(arg);
}

static void
sim_slot_configure(SimSlot *slot, SimClientConfig *config)
{
    SimRun *run = slot->run;
    unsigned e = slot->verify
                     ? slot->export
                     : (unsigned)sim_rng_below(run->rng, run->swarm.n_exports);
    const SimExportSpec *spec = &run->swarm.exports[e];

    *config = (SimClientConfig){ .depth = 4,
                                 .bytes_max = 32768,
                                 .mode = (SimMode)(run->pid % SIM_N_MODES),
                                 .use_go = true,
                                 .timeout_ns = 120 * SIM_S };
    if (!slot->verify) {
        sim_swarm_draw_client(&run->swarm, run->rng, config);
        config->n_requests = (unsigned)sim_rng_between(
            run->rng, 1,
            4 * run->config->n_steps /
                    (run->swarm.n_slots * run->swarm.n_clients *
                     run->swarm.n_lives) +
                1);
    }
    config->world = run->world;
    config->loop = sim_run_loop(run, 2, 0);
    config->report = &run->result->report;
    config->oracle = run->oracles[e];
    config->health = &run->health;
    config->name = spec->name;
    config->export_name = spec->name;
    config->size = spec->size;
    config->read_only = spec->read_only;
    config->verify = slot->verify;
}

/* Where a connection is cut, if it is. */
static void
sim_slot_cut(SimRun *run, SimPeer *peer)
{
    SimDirection dir = (SimDirection)sim_rng_below(run->rng, 2);

    sim_peer_cut_after(peer, dir, sim_rng_skewed(run->rng, 0, 200000),
                       (SimEnd)sim_rng_below(run->rng, SIM_N_ENDS));
}

static void coroutine_fn
sim_slot_co_client(SimSlot *slot)
{
    SimRun *run = slot->run;
    SimClientConfig config;
    Channel *channel;
    SimClient *client;
    SimPeer *peer;

    sim_slot_configure(slot, &config);
    peer = sim_net_connect(run->net, config.loop, config.name, &channel);
    if (config.cut) {
        sim_slot_cut(run, peer);
    }
    client = sim_client_new(&config, peer);
    run->clients[slot->number] = client;
    run->result->n_clients++;
    sim_daemon_accept(sim_run_process(run)->daemon, channel, sim_slot_closed_cb,
                      client);
    if (run->stop_clients) {
        sim_client_stop(client);
    }
    sim_client_co_run(client);
    while (!sim_client_is_over(client)) {
        sim_co_delay(run->world, SIM_MS);
    }
    if (slot->verify && !sim_client_succeeded(client)) {
        sim_report_violation(&run->result->report, run->world, "verify",
                             "export %s can't be read", config.name);
    }
    run->clients[slot->number] = NULL;
    sim_client_free(client);
}

static void coroutine_fn
sim_slot_co_run(void *arg)
{
    SimSlot *slot = arg;
    SimRun *run = slot->run;
    unsigned n = slot->verify ? 1 : run->swarm.n_clients;

    while (n-- > 0 && !run->stop_clients) {
        if (!slot->verify) {
            sim_co_delay(run->world, sim_rng_skewed(run->rng, 0, 20 * SIM_MS));
        }
        if (!run->stop_clients) {
            sim_slot_co_client(slot);
        }
    }
    run->n_running--;
    g_free(slot);
}

void
sim_run_add_slot(SimRun *run, unsigned number, bool verify)
{
    SimSlot *slot = g_new0(SimSlot, 1);

    slot->run = run;
    slot->number = number;
    slot->verify = verify;
    slot->export = number;
    run->n_running++;
    sim_world_spawn(run->world, sim_run_loop(run, 2, 0), "client",
                    sim_slot_co_run, slot);
}

bool
sim_run_clients_are_over(void *arg)
{
    return ((const SimRun *)arg)->n_running == 0;
}

void
sim_run_stop_clients(SimRun *run)
{
    run->stop_clients = true;
    for (unsigned i = 0; i < SIM_SLOTS_MAX; i++) {
        if (run->clients[i]) {
            sim_client_stop(run->clients[i]);
        }
    }
}
