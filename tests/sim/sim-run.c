/*
 * tests/sim/sim-run.c - see tests/sim/sim-run.h.
 *
 * Method: a seed is a few lives of a daemon on one disk.  In each life, slots
 * run one client after the other, and faults are active; then the daemon stops
 * (on a signal, by force, or with its host), its clients come to an end, and
 * the next one starts, on a healthy disk, and answers for every sector.
 *
 * Two sets of loops take turns, so that a successor starts while what is left
 * of its predecessor is still there.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/sim/sim-run.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/sim-event.h"

/* No wait takes longer; then the world hangs. */
#define SIM_LIMIT_NS (2000 * SIM_S)

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
    SimProcess processes[2]; /* by set of loops */
    unsigned pid;            /* of the living one; its set is pid % 2 */
    unsigned n_running;      /* slots */
    bool stop_clients;
    SimClient *clients[SIM_SLOTS_MAX];
    uint64_t trigger;        /* replies after which the life ends */
} SimRun;

/* A place for one client after the other. */
typedef struct SimSlot {
    SimRun *run;
    unsigned number;
    bool verify;
    unsigned export; /* to verify */
} SimSlot;

/* ---- loops: set 0, set 1, the clients' ---- */

static Loop *
sim_run_loop(const SimRun *run, unsigned set, unsigned i)
{
    return sim_world_loop(run->world, set * (1 + run->swarm.n_workers) + i);
}

static Loop *
sim_run_client_loop(const SimRun *run)
{
    return sim_run_loop(run, 2, 0);
}

static SimProcess *
sim_run_process(SimRun *run)
{
    return &run->processes[run->pid % 2];
}

/* ---- endings ---- */

static uint64_t
sim_run_n_replies(const SimRun *run)
{
    const SimReport *r = &run->result->report;

    return r->n_ok + r->n_errors + r->n_refused;
}

/* Wait for @until; false when the world hangs. */
static bool
sim_run_wait(SimRun *run, bool (*until)(void *arg), void *arg,
             const char *what)
{
    static const char *const results[] = { "", "takes too long",
                                           "is a livelock", "is a deadlock" };
    SimSeedResult *result = run->result;
    SimRunResult r;

    if (result->hung) {
        return false;
    }
    r = sim_world_run(run->world, until, arg, SIM_LIMIT_NS);
    if (r != SIM_RUN_DONE) {
        g_autofree char *text = sim_world_describe(run->world);

        sim_report_violation(&result->report, run->world, "live", "%s %s\n%s",
                             what, results[r], text);
        result->hung = true;
    }
    return !result->hung;
}

/* ---- clients ---- */

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

    *config = (SimClientConfig){ .depth = 4, .bytes_max = 32768,
                                 .mode = (SimMode)(run->pid % SIM_N_MODES),
                                 .use_go = true, .timeout_ns = 120 * SIM_S };
    if (!slot->verify) {
        sim_swarm_draw_client(&run->swarm, run->rng, config);
        config->n_requests = (unsigned)sim_rng_skewed(
            run->rng, 1,
            ash_max(2, run->config->n_steps /
                           (run->swarm.n_slots * run->swarm.n_clients *
                            run->swarm.n_lives) * 2));
    }
    config->world = run->world;
    config->loop = sim_run_client_loop(run);
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
    sim_daemon_accept(sim_run_process(run)->daemon, channel,
                      sim_slot_closed_cb, client);
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
            sim_co_delay(run->world,
                         sim_rng_skewed(run->rng, 0, 20 * SIM_MS));
        }
        if (!run->stop_clients) {
            sim_slot_co_client(slot);
        }
    }
    run->n_running--;
    g_free(slot);
}

static void
sim_run_add_slot(SimRun *run, unsigned number, bool verify)
{
    SimSlot *slot = g_new0(SimSlot, 1);

    slot->run = run;
    slot->number = number;
    slot->verify = verify;
    slot->export = number;
    run->n_running++;
    sim_world_spawn(run->world, sim_run_client_loop(run), "client",
                    sim_slot_co_run, slot);
}

static bool
sim_run_clients_are_over(void *arg)
{
    return ((const SimRun *)arg)->n_running == 0;
}

static void
sim_run_stop_clients(SimRun *run)
{
    run->stop_clients = true;
    for (unsigned i = 0; i < SIM_SLOTS_MAX; i++) {
        if (run->clients[i]) {
            sim_client_stop(run->clients[i]);
        }
    }
}

/* ---- the daemon ---- */

static void coroutine_fn
sim_process_co_start(void *arg)
{
    SimProcess *p = arg;

    p->start_failed = !sim_daemon_co_start(p->daemon, &p->error);
    p->started = true;
}

static void coroutine_fn
sim_process_co_stop(void *arg)
{
    SimProcess *p = arg;

    p->stop_error = sim_daemon_co_stop(p->daemon);
    p->stopped = true;
}

static bool
sim_process_has_started(void *arg)
{
    return ((const SimProcess *)arg)->started;
}

static bool
sim_process_has_stopped(void *arg)
{
    return ((const SimProcess *)arg)->stopped;
}

/* Take what is left of process @p away. */
static void
sim_run_bury(SimRun *run, SimProcess *p)
{
    if (p->daemon &&
        sim_run_wait(run, sim_process_has_stopped, p, "stopping a daemon")) {
        sim_daemon_free(p->daemon);
        g_clear_error(&p->error);
        *p = (SimProcess){ .daemon = NULL };
    }
}

static void
sim_run_begin_stop(SimRun *run, SimProcess *p)
{
    unsigned set = (unsigned)(p - run->processes);

    sim_world_spawn(run->world, sim_run_loop(run, set, 0), "daemon stop",
                    sim_process_co_stop, p);
}

/* The next process begins to start. */
static void
sim_run_begin_start(SimRun *run)
{
    SimProcess *p = &run->processes[(run->pid + 1) % 2];
    SimDaemonConfig config = {
        .world = run->world,
        .disk = run->disk,
        .n_workers = run->swarm.n_workers,
        .exports = run->swarm.exports,
        .n_exports = run->swarm.n_exports,
    };

    sim_run_bury(run, p);
    if (run->result->hung) {
        return;
    }
    run->pid++;
    config.pid = run->pid;
    config.main = sim_run_loop(run, run->pid % 2, 0);
    for (unsigned i = 0; i < config.n_workers; i++) {
        config.workers[i] = sim_run_loop(run, run->pid % 2, 1 + i);
    }
    p->daemon = sim_daemon_new(&config);
    sim_world_spawn(run->world, config.main, "daemon start",
                    sim_process_co_start, p);
}

static bool
sim_run_finish_start(SimRun *run)
{
    SimProcess *p = sim_run_process(run);

    if (run->result->hung ||
        !sim_run_wait(run, sim_process_has_started, p, "starting a daemon")) {
        return false;
    }
    if (p->start_failed) {
        sim_report_violation(&run->result->report, run->world, "start", "%s",
                             p->error->message);
    }
    return !p->start_failed;
}

/* ---- a life ---- */

/* Read every sector of every export and compare. */
static void
sim_run_verify(SimRun *run)
{
    run->stop_clients = false;
    run->health = (SimHealth){ .disk_fails = false };
    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        sim_run_add_slot(run, i, true);
    }
    sim_run_wait(run, sim_run_clients_are_over, run, "verification");
}

static bool
sim_run_life_is_over(void *arg)
{
    const SimRun *run = arg;

    return run->n_running == 0 || sim_run_n_replies(run) >= run->trigger;
}

/* The disk is well again. */
static void
sim_run_heal(SimRun *run)
{
    sim_disk_clear_rules(run->disk);
    sim_disk_set_quota(run->disk, 0);
    sim_disk_release(run->disk);
    sim_swarm_add_plant(run->config->plant, run->disk);
}

typedef struct SimRelease {
    SimEvent event;
    SimDisk *disk;
} SimRelease;

static void
sim_run_release_cb(SimEvent *event)
{
    sim_disk_release(((SimRelease *)(void *)event)->disk);
    sim_event_start(event, 5 * SIM_S);
}

/* Clients come and go until it is time. */
static void
sim_run_work(SimRun *run, SimStop stop)
{
    SimRelease release = { .disk = run->disk };
    uint64_t begun = sim_run_n_replies(run);

    run->stop_clients = false;
    run->health.disk_fails =
        sim_swarm_add_faults(&run->swarm, run->rng, run->disk);
    run->trigger = stop == SIM_STOP_IDLE
                       ? UINT64_MAX
                       : begun + sim_rng_skewed(run->rng, 1,
                                                run->config->n_steps /
                                                    run->swarm.n_lives);
    for (unsigned i = 0; i < run->swarm.n_slots; i++) {
        sim_run_add_slot(run, i, false);
    }
    sim_event_init(&release.event, run->world, sim_run_release_cb);
    sim_event_start(&release.event, 5 * SIM_S);
    sim_run_wait(run, sim_run_life_is_over, run, "work");
    sim_event_stop(&release.event);
}

/* SIGTERM: everything is flushed then. */
static void
sim_run_term(SimRun *run)
{
    SimProcess *p = sim_run_process(run);

    sim_run_begin_stop(run, p);
    sim_run_stop_clients(run);
    sim_disk_release(run->disk);
    sim_run_wait(run, sim_process_has_stopped, p, "SIGTERM");
    sim_run_wait(run, sim_run_clients_are_over, run, "the clients");
    if (run->result->hung) {
        return;
    }
    if (p->stop_error == 0) {
        for (unsigned i = 0; i < run->swarm.n_exports; i++) {
            sim_oracle_crashed(run->oracles[i], false);
            sim_oracle_flush_end(run->oracles[i],
                                 sim_oracle_flush_begin(run->oracles[i]),
                                 true);
        }
    } else if (!run->health.disk_fails) {
        sim_report_violation(&run->result->report, run->world, "stop",
                             "error %d", p->stop_error);
    }
    sim_run_heal(run);
    sim_run_begin_start(run);
}

/* SIGKILL or a power cut: the successor starts at once. */
static void
sim_run_die(SimRun *run, bool power)
{
    SimProcess *p = sim_run_process(run);

    if (power) {
        sim_disk_power_cut(run->disk);
    } else {
        sim_disk_kill(run->disk, run->pid);
    }
    sim_net_cut_servers(run->net);
    sim_run_stop_clients(run);
    sim_run_heal(run);
    sim_run_begin_stop(run, p);
    sim_run_begin_start(run);
    sim_run_wait(run, sim_run_clients_are_over, run, "the clients");
    for (unsigned i = 0; !run->result->hung && i < run->swarm.n_exports;
         i++) {
        sim_oracle_crashed(run->oracles[i], power);
    }
}

static void
sim_run_live(SimRun *run)
{
    SimStop stop = sim_swarm_draw_stop(run->rng);

    sim_run_work(run, stop);
    if (run->result->hung) {
        return;
    }
    run->result->n_stops[stop]++;
    run->health.server_stops = true;
    sim_trace(run->world, "stop", stop, run->pid, 0);
    if (stop == SIM_STOP_KILL || stop == SIM_STOP_POWER) {
        sim_run_die(run, stop == SIM_STOP_POWER);
    } else {
        sim_run_term(run);
    }
    if (sim_run_finish_start(run)) {
        sim_run_verify(run);
    }
}

/* ---- the whole ---- */

static void
sim_run_lost_cb(void *arg, const char *file, uint64_t offset, uint64_t bytes)
{
    SimRun *run = arg;

    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        const SimExportSpec *spec = &run->swarm.exports[i];
        uint64_t start = ash_max(offset, spec->start);

        if (g_str_equal(spec->file, file) && offset + bytes > start) {
            sim_oracle_lost(run->oracles[i], start - spec->start,
                            offset + bytes - start);
        }
    }
}

static void
sim_run_set_up(SimRun *run)
{
    SimRng rng;

    sim_rng_init(&rng, run->config->seed, 77);
    sim_swarm_draw(&run->swarm, &rng, run->config->plant);
    run->world =
        sim_world_new(run->config->seed, 2 * (1 + run->swarm.n_workers) + 1);
    sim_world_set_trace(run->world, run->config->trace);
    run->rng = sim_world_rng(run->world);
    run->disk = sim_disk_new(run->world, &run->swarm.disk);
    run->net = sim_net_new(run->world, &run->swarm.net);
    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        const SimExportSpec *spec = &run->swarm.exports[i];

        sim_disk_create(run->disk, spec->file, spec->start + spec->size);
        run->oracles[i] = sim_oracle_new(run->world, &run->result->report,
                                         spec->name, spec->size);
        sim_oracle_set_writethrough(run->oracles[i], spec->writethrough);
    }
    sim_disk_set_lost_fn(run->disk, sim_run_lost_cb, run);
    sim_swarm_add_plant(run->config->plant, run->disk);
}

static void
sim_run_tear_down(SimRun *run)
{
    if (!sim_run_process(run)->stopped) {
        sim_run_begin_stop(run, sim_run_process(run));
    }
    sim_run_bury(run, &run->processes[0]);
    sim_run_bury(run, &run->processes[1]);
    /* What is on the way in the network arrives. */
    sim_run_wait(run, NULL, NULL, "the rest");
    run->result->hash = sim_world_hash(run->world);
    run->result->disk = *sim_disk_stats(run->disk);
    run->result->net = *sim_net_stats(run->net);
    run->result->virtual_ns = sim_world_now_ns(run->world);
    if (run->result->disk.n_double_writers > 0) {
        sim_report_violation(&run->result->report, run->world, "C15",
                             "a dead process writes beside a living one");
    }
    if (run->result->hung) {
        return;
    }
    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        sim_oracle_free(run->oracles[i]);
    }
    sim_net_free(run->net);
    sim_disk_free(run->disk);
    sim_world_free(run->world);
}

void
sim_run(const SimRunConfig *config, SimSeedResult *ret)
{
    g_autofree SimRun *run = g_new0(SimRun, 1);
    uint64_t begun;

    *ret = (SimSeedResult){ .hash = 0 };
    ret->report.quiet = config->quiet;
    run->config = config;
    run->result = ret;
    sim_run_set_up(run);
    begun = sim_world_now_ns(run->world);
    sim_run_begin_start(run);
    if (sim_run_finish_start(run)) {
        for (unsigned i = 0; i < run->swarm.n_lives && !ret->hung &&
                             !sim_run_process(run)->start_failed;
             i++) {
            sim_run_live(run);
        }
    }
    sim_run_tear_down(run);
    ret->virtual_ns -= begun;
    if (ret->hung) {
        g_steal_pointer(&run); /* coroutines still refer to it */
    }
}
