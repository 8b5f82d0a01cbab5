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
#include "tests/sim/sim-run-priv.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"

/* No wait takes longer; then the world hangs. */
#define SIM_LIMIT_NS (2000 * SIM_S)

/* ---- loops: set 0, set 1, the clients' ---- */

Loop *
sim_run_loop(const SimRun *run, unsigned set, unsigned i)
{
    return sim_world_loop(run->world, set * (1 + run->swarm.n_workers) + i);
}

SimProcess *
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
sim_run_wait(SimRun *run, bool (*until)(void *arg), void *arg, const char *what)
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

/* What is on record; the operator looks at it, or does not. */
static const char *
sim_run_hand_over(SimRun *run)
{
    const char *dir = sim_state_hand_over(run->state, run->pid);

    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        const char *file = run->swarm.exports[i].file;

        run->failed[i] = sim_state_has(run->state, file);
        run->forgiven[i] = false;
        run->result->n_records += run->failed[i];
        if (run->failed[i] && sim_rng_chance(run->rng, 500)) {
            run->forgiven[i] = sim_state_forget(run->state, file);
            run->failed[i] = false;
            run->result->n_forgets++;
        }
    }
    return dir;
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
    config.state_dir = sim_run_hand_over(run);
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

/* Bytes [start, end) of the file of @spec, which no window shows: made, or
 * compared. */
static void
sim_run_outside_part(SimRun *run, const SimExportSpec *spec, uint64_t start,
                     uint64_t end, bool make)
{
    g_autofree uint8_t *want = g_malloc(end - start);
    g_autofree uint8_t *have = g_malloc(end - start);

    for (uint64_t at = start; at < end; at++) {
        want[at - start] = (uint8_t)(at % 251 + 1);
    }
    if (make) {
        sim_disk_poke(run->disk, spec->file, start, want, end - start);
        return;
    }
    sim_disk_peek(run->disk, spec->file, start, have, end - start);
    run->result->n_outside += end - start;
    if (memcmp(have, want, end - start) != 0) {
        sim_report_violation(&run->result->report, run->world, "window",
                             "%s has changed outside of it", spec->file);
    }
}

static void
sim_run_outside(SimRun *run, const SimExportSpec *spec, bool make)
{
    uint64_t end = spec->start + spec->size;

    if (spec->start > 0) {
        sim_run_outside_part(run, spec, 0, spec->start, make);
    }
    if (spec->rest > 0) {
        sim_run_outside_part(run, spec, end, end + spec->rest, make);
    }
}

/* Read every sector of every export and compare. */
static void
sim_run_verify(SimRun *run)
{
    run->stop_clients = false;
    run->health = (SimHealth){ .disk_fails = false };
    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        sim_run_add_slot(run, i, true);
        sim_run_outside(run, &run->swarm.exports[i], false);
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

/* Nothing hangs forever. */
static void
sim_run_release_cb(SimEvent *event)
{
    sim_disk_release(ash_container_of(event, SimRun, release)->disk);
    sim_event_start(event, 5 * SIM_S);
}

/* Clients come and go until it is time. */
static void
sim_run_work(SimRun *run, SimStop stop)
{
    uint64_t begun = sim_run_n_replies(run);

    run->stop_clients = false;
    run->health.disk_fails =
        sim_swarm_add_faults(&run->swarm, run->rng, run->disk);
    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        /* On record, or a loss that nobody was told of yet. */
        run->health.disk_fails |=
            run->failed[i] || sim_oracle_has_lost(run->oracles[i]);
    }
    run->trigger = stop == SIM_STOP_IDLE
                       ? UINT64_MAX
                       : begun + sim_rng_between(run->rng, 1,
                                                 2 * run->config->n_steps /
                                                     run->swarm.n_lives);
    for (unsigned i = 0; i < run->swarm.n_slots; i++) {
        sim_run_add_slot(run, i, false);
    }
    sim_event_start(&run->release, 5 * SIM_S);
    sim_run_wait(run, sim_run_life_is_over, run, "work");
}

/* What the clients of the dead could know is settled now. */
static void
sim_run_forgive(SimRun *run, bool killed)
{
    for (unsigned i = 0; !run->result->hung && i < run->swarm.n_exports; i++) {
        const char *file = run->swarm.exports[i].file;

        /* The host says it once, and who it told died of it. */
        bool untold = killed && !run->failed[i] && !run->forgiven[i] &&
                      sim_oracle_has_lost(run->oracles[i]) &&
                      sim_disk_has_told(run->disk, file);

        run->result->n_untold += untold;
        if (untold || run->forgiven[i]) {
            sim_disk_drop_lost(run->disk, file);
            sim_oracle_forgive(run->oracles[i]);
        }
    }
}

/* SIGTERM: everything is flushed then. */
static void
sim_run_term(SimRun *run)
{
    SimProcess *p = sim_run_process(run);

    sim_run_begin_stop(run, p);
    sim_run_stop_clients(run);
    sim_run_wait(run, sim_process_has_stopped, p, "SIGTERM");
    sim_run_wait(run, sim_run_clients_are_over, run, "the clients");
    if (run->result->hung) {
        return;
    }
    if (p->stop_error == 0) {
        for (unsigned i = 0; i < run->swarm.n_exports; i++) {
            sim_oracle_crashed(run->oracles[i], false);
            sim_oracle_flush_end(run->oracles[i],
                                 sim_oracle_flush_begin(run->oracles[i]), true);
        }
    } else if (!run->health.disk_fails) {
        sim_report_violation(&run->result->report, run->world, "stop",
                             "error %d", p->stop_error);
    }
    sim_run_heal(run);
    sim_run_begin_start(run);
    sim_run_forgive(run, false);
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
    for (unsigned i = 0; !run->result->hung && i < run->swarm.n_exports; i++) {
        sim_oracle_crashed(run->oracles[i], power);
    }
    sim_run_forgive(run, !power);
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
    sim_event_stop(&run->release);
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
    run->state = sim_state_new();
    sim_event_init(&run->release, run->world, sim_run_release_cb);
    for (unsigned i = 0; i < run->swarm.n_exports; i++) {
        const SimExportSpec *spec = &run->swarm.exports[i];

        sim_disk_create(run->disk, spec->file,
                        spec->start + spec->size + spec->rest);
        sim_run_outside(run, spec, true);
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
    sim_state_free(run->state);
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
