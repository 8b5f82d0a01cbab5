/*
 * tests/sim/sim-main.c - ashlar-sim: the whole daemon, simulated, seed by seed.
 *
 * Each seed is run twice, and both runs must have the same trace.  Then bugs
 * are planted, one after the other, and each must be found.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "coro/coro.h"
#include "tests/sim/sim-run.h"

#define SIM_PLANT_SEEDS 200U
#define SIM_FAILED_MAX 10U /* enough of it */

typedef struct SimOptions {
    gint64 seed; /* -1: drawn */
    gint n_seeds;
    gint n_steps;
    gint seconds; /* stop with the seeds after so long; 0: never */
    gboolean trace;
    gboolean once;
    gboolean no_plants;
    gint plant;
} SimOptions;

/* Sums over seeds. */
typedef struct SimTotal {
    uint64_t n_seeds;
    uint64_t n_failed;
    uint64_t n_unequal; /* hashes of two runs of one seed */
    SimSeedResult sum;
} SimTotal;

static double
sim_clock(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- the seed to name when everything ends ---- */

static char sim_last_words[128];

static void
sim_die_cb(void)
{
    ash_maybe(write(STDERR_FILENO, sim_last_words, strlen(sim_last_words)) > 0);
}

static void
sim_abort_cb(int number)
{
    sim_die_cb();
    signal(number, SIG_DFL);
    raise(number);
}

/* Sanitizers end the process in their own way. */
void __attribute__((weak))
__sanitizer_set_death_callback(void (*callback)(void));

static void
sim_watch_death(void)
{
    signal(SIGABRT, sim_abort_cb);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(sim_die_cb);
    }
}

/* ---- sums ---- */

/* Add @n counters. */
static void
sim_add(uint64_t *sum, const uint64_t *more, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] += more[i];
    }
}

static void
sim_add_report(SimReport *sum, const SimReport *r)
{
    sim_add(sum->n_requests, r->n_requests, SIM_N_COMMANDS);
    sum->n_ok += r->n_ok;
    sum->n_errors += r->n_errors;
    sum->n_refused += r->n_refused;
    sum->n_lost += r->n_lost;
    sum->n_options += r->n_options;
    sum->n_handshakes += r->n_handshakes;
    sum->n_sectors += r->n_sectors;
    sum->n_extents += r->n_extents;
    sum->n_violations += r->n_violations;
}

static void
sim_add_disk(SimDiskStats *sum, const SimDiskStats *d)
{
    sim_add(sum->n_ops, d->n_ops, SIM_N_OPS);
    sim_add(sum->n_faults, d->n_faults, SIM_N_FAULTS);
    sum->n_short += d->n_short;
    sum->n_retry += d->n_retry;
    sum->n_refused += d->n_refused;
    sum->n_enospc += d->n_enospc;
    sum->n_pages_lost += d->n_pages_lost;
    sum->n_power_cuts += d->n_power_cuts;
    sum->n_power_cuts_dirty += d->n_power_cuts_dirty;
    sum->n_power_cuts_lossy += d->n_power_cuts_lossy;
    sum->n_kills += d->n_kills;
    sum->n_zombie_writes += d->n_zombie_writes;
    sum->n_double_writers += d->n_double_writers;
    sum->crash.n_pages += d->crash.n_pages;
    sum->crash.n_pages_lost += d->crash.n_pages_lost;
    sum->crash.n_pages_torn += d->crash.n_pages_torn;
}

static void
sim_add_result(SimSeedResult *sum, const SimSeedResult *r)
{
    sum->virtual_ns += r->virtual_ns;
    sum->n_clients += r->n_clients;
    sum->n_records += r->n_records;
    sum->n_forgets += r->n_forgets;
    sum->n_untold += r->n_untold;
    sum->n_outside += r->n_outside;
    sim_add(sum->n_stops, r->n_stops, SIM_N_STOPS);
    sim_add_report(&sum->report, &r->report);
    sim_add_disk(&sum->disk, &r->disk);
    sum->net.n_connections += r->net.n_connections;
    sim_add(sum->net.n_bytes, r->net.n_bytes, 2);
    sim_add(sum->net.n_ends, r->net.n_ends, SIM_N_ENDS);
    sum->net.n_segments += r->net.n_segments;
}

/* ---- seeds ---- */

/* Run a seed; true if it is all right. */
static bool
sim_run_seed(const SimOptions *opts, uint64_t seed, SimPlant plant,
             SimTotal *total)
{
    SimRunConfig config = {
        .seed = seed,
        .n_steps = (unsigned)opts->n_steps,
        .trace = opts->trace,
        .quiet = plant != SIM_PLANT_NONE,
        .plant = plant,
    };
    SimSeedResult result, again = { .hash = 0 };
    bool ok;

    snprintf(sim_last_words, sizeof(sim_last_words),
             "\ndied of: ashlar-sim --seed %" PRIu64 " --steps %d --plant %d\n",
             seed, opts->n_steps, (int)plant);
    sim_run(&config, &result);
    ok = result.report.n_violations == 0;
    total->n_seeds++;
    sim_add_result(&total->sum, &result);
    if (!opts->once && plant == SIM_PLANT_NONE && !result.hung) {
        config.quiet = true;
        config.trace = false;
        sim_run(&config, &again);
        if (again.hash != result.hash) {
            total->n_unequal++;
            printf("seed %" PRIu64 ": two runs differ: %016" PRIx64
                   " %016" PRIx64 "\n",
                   seed, result.hash, again.hash);
            ok = false;
        }
        sim_report_done(&again.report);
    }
    if (!ok && plant == SIM_PLANT_NONE) {
        printf("ashlar-sim --seed %" PRIu64 " --steps %d: %" PRIu64
               " violations: %s\n",
               seed, opts->n_steps, result.report.n_violations,
               result.report.first ? result.report.first : "none");
    }
    total->n_failed += !ok;
    sim_report_done(&result.report);
    return ok;
}

static void
sim_run_seeds(const SimOptions *opts, SimTotal *total)
{
    double begun = sim_clock();

    printf("seeds from %" PRIu64 " on, about %d requests each, each twice\n",
           (uint64_t)opts->seed, opts->n_steps);
    for (int i = 0; i < opts->n_seeds && total->n_failed < SIM_FAILED_MAX;
         i++) {
        if (opts->seconds > 0 && sim_clock() - begun > opts->seconds) {
            break;
        }
        sim_run_seed(opts, (uint64_t)opts->seed + (uint64_t)i,
                     (SimPlant)opts->plant, total);
    }
    printf("%s 1 - %" PRIu64 " seeds in %.1f s\n",
           total->n_failed > 0 ? "not ok" : "ok", total->n_seeds,
           sim_clock() - begun);
}

/* ---- planted bugs ---- */

static bool
sim_find_plant(const SimOptions *opts, SimPlant plant)
{
    for (unsigned i = 0; i < SIM_PLANT_SEEDS; i++) {
        SimTotal total = { .n_seeds = 0 };

        if (!sim_run_seed(opts, (uint64_t)opts->seed + i, plant, &total)) {
            printf("ok %d - planted: %s: found, seed %" PRIu64 "\n",
                   (int)plant + 1, sim_plant_names[plant],
                   (uint64_t)opts->seed + i);
            return true;
        }
    }
    printf("not ok %d - planted: %s: not found in %u seeds\n", (int)plant + 1,
           sim_plant_names[plant], SIM_PLANT_SEEDS);
    return false;
}

/* How many were not found. */
static unsigned
sim_find_plants(const SimOptions *opts)
{
    unsigned n = 0;

    for (unsigned p = SIM_PLANT_NONE + 1; p < SIM_N_PLANTS; p++) {
        n += !sim_find_plant(opts, (SimPlant)p);
    }
    printf("planted %u, found %u\n", SIM_N_PLANTS - 1, SIM_N_PLANTS - 1 - n);
    return n;
}

/* ---- figures ---- */

static void
sim_print_requests(const SimReport *r)
{
    static const char *const names[SIM_N_COMMANDS] = {
        "read",  "write",  "disc",   "flush",   "trim",
        "cache", "zeroes", "status", "unknown",
    };

    printf("requests:");
    for (unsigned i = 0; i < SIM_N_COMMANDS; i++) {
        printf(" %s %" PRIu64, names[i], r->n_requests[i]);
    }
    printf("\nreplies: ok %" PRIu64 ", errors %" PRIu64 ", refused %" PRIu64
           ", never came %" PRIu64 "\n",
           r->n_ok, r->n_errors, r->n_refused, r->n_lost);
    printf("checked: %" PRIu64 " sectors, %" PRIu64 " zero extents, %" PRIu64
           " handshakes, %" PRIu64 " options\n",
           r->n_sectors, r->n_extents, r->n_handshakes, r->n_options);
}

static void
sim_print_faults(const SimSeedResult *r)
{
    const SimDiskStats *d = &r->disk;

    printf("daemons: SIGTERM %" PRIu64 ", SIGKILL %" PRIu64
           ", power cuts %" PRIu64 "; clients %" PRIu64 "\n",
           r->n_stops[SIM_STOP_IDLE] + r->n_stops[SIM_STOP_BUSY], d->n_kills,
           d->n_power_cuts, r->n_clients);
    printf("disk: errors %" PRIu64 ", delays %" PRIu64 ", hangs %" PRIu64
           ", short %" PRIu64 ", EINTR/EAGAIN %" PRIu64 ", ENOSPC %" PRIu64
           ", pages that failed write-back %" PRIu64 "\n",
           d->n_faults[SIM_FAULT_ERROR], d->n_faults[SIM_FAULT_DELAY],
           d->n_faults[SIM_FAULT_HANG], d->n_short, d->n_retry, d->n_enospc,
           d->n_pages_lost);
    printf("power cuts: %" PRIu64 " with data to lose, %" PRIu64
           " that took some; %" PRIu64 " dirty pages, %" PRIu64
           " lost, %" PRIu64 " torn; writes after SIGKILL %" PRIu64 "\n",
           d->n_power_cuts_dirty, d->n_power_cuts_lossy, d->crash.n_pages,
           d->crash.n_pages_lost, d->crash.n_pages_torn, d->n_zombie_writes);
    printf("files on record that lost data: %" PRIu64 ", forgotten %" PRIu64
           ", losses nobody was told of %" PRIu64
           "; bytes outside of windows compared %" PRIu64 "\n",
           r->n_records, r->n_forgets, r->n_untold, r->n_outside);
    printf("network: %" PRIu64 " connections, %" PRIu64
           " segments, FIN %" PRIu64 ", RST %" PRIu64 ", silence %" PRIu64 "\n",
           r->net.n_connections, r->net.n_segments, r->net.n_ends[SIM_END_FIN],
           r->net.n_ends[SIM_END_RST], r->net.n_ends[SIM_END_SILENCE]);
    printf("simulated time: %.1f hours\n", (double)r->virtual_ns / 3.6e12);
}

static bool
sim_parse(SimOptions *opts, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        { "seed", 0, 0, G_OPTION_ARG_INT64, &opts->seed,
          "the first; drawn without it", "N" },
        { "seeds", 0, 0, G_OPTION_ARG_INT, &opts->n_seeds, "how many", "N" },
        { "steps", 0, 0, G_OPTION_ARG_INT, &opts->n_steps,
          "requests of a seed, about", "N" },
        { "seconds", 0, 0, G_OPTION_ARG_INT, &opts->seconds,
          "begin no more seeds after so long", "N" },
        { "trace", 0, 0, G_OPTION_ARG_NONE, &opts->trace, "print every event",
          NULL },
        { "once", 0, 0, G_OPTION_ARG_NONE, &opts->once,
          "run each seed only once", NULL },
        { "no-plants", 0, 0, G_OPTION_ARG_NONE, &opts->no_plants,
          "plant no bugs at the end", NULL },
        { "plant", 0, 0, G_OPTION_ARG_INT, &opts->plant,
          "run the seeds with this bug", "N" },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }
    if (opts->seed < 0) {
        opts->seed = (gint64)g_random_int() << 16;
    }
    return opts->n_steps > 0 && opts->plant >= 0 && opts->plant < SIM_N_PLANTS;
}

int
main(int argc, char **argv)
{
    SimOptions opts = { .seed = -1, .n_seeds = 1, .n_steps = 300 };
    SimTotal total = { .n_seeds = 0 };
    unsigned n_missed = 0;

    if (!sim_parse(&opts, &argc, &argv)) {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    ash_log_set_level(ASH_LOG_ERROR);
    sim_watch_death();
    sim_run_seeds(&opts, &total);
    sim_print_requests(&total.sum.report);
    sim_print_faults(&total.sum);
    if (!opts.no_plants) {
        n_missed = sim_find_plants(&opts);
    }
    printf("violations %" PRIu64 ", seeds that failed %" PRIu64
           ", seeds whose runs differ %" PRIu64 "\n",
           total.sum.report.n_violations, total.n_failed, total.n_unequal);
    coro_pool_drain();
    return total.n_failed > 0 || n_missed > 0 ? 1 : 0;
}
