/*
 * tests/sim/sim-swarm.c - what is drawn for a seed: not a little of everything,
 * but much of some things and nothing of others.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <stdio.h>

#include "base/bits.h"
#include "tests/lib/sim-nbd.h"
#include "tests/sim/sim-run.h"

const char *const sim_plant_names[SIM_N_PLANTS] = {
    [SIM_PLANT_NONE] = "none",
    [SIM_PLANT_FLUSH_NOOP] = "flush does nothing",
    [SIM_PLANT_FLUSH_LIES] = "flush loses pages and says success",
    [SIM_PLANT_NO_FUA] = "FUA is ignored",
    [SIM_PLANT_WRITE_DROPPED] = "write acknowledged and dropped",
    [SIM_PLANT_WRITE_MISDIRECTED] = "write goes one sector further",
    [SIM_PLANT_WRITE_LATE] = "write acknowledged before it happens",
    [SIM_PLANT_SPACE_DROPPED] = "zeroing acknowledged and dropped",
    [SIM_PLANT_READ_BITFLIP] = "read returns a wrong bit",
    [SIM_PLANT_NET_BITFLIP] = "reply arrives with a wrong bit",
};

static bool
sim_flip(SimRng *rng, unsigned permille)
{
    return sim_rng_chance(rng, permille);
}

static unsigned
sim_draw(SimRng *rng, unsigned lo, unsigned hi)
{
    return (unsigned)sim_rng_between(rng, lo, hi);
}

/* ---- the world ---- */

static void
sim_swarm_draw_disk(SimDiskConfig *disk, SimRng *rng)
{
    disk->model = sim_flip(rng, 500) ? SIM_DIRECT : SIM_BUFFERED;
    disk->old_back = sim_flip(rng, 400);
    disk->report_once = sim_flip(rng, 300);
    disk->sync_alone = sim_flip(rng, 200);
    disk->delay_min_ns = SIM_US;
    disk->delay_max_ns = sim_rng_skewed(rng, 10 * SIM_US, 20 * SIM_MS);
    if (sim_flip(rng, 300)) {
        disk->short_permille = sim_draw(rng, 1, 200);
    }
    if (sim_flip(rng, 300)) {
        disk->retry_permille = sim_draw(rng, 1, 100);
    }
    disk->refuse_permille = sim_flip(rng, 300)   ? 1000
                            : sim_flip(rng, 500) ? sim_draw(rng, 0, 500)
                                                 : 0;
}

static void
sim_swarm_draw_net(SimNetConfig *net, SimRng *rng)
{
    net->latency_min_ns = sim_rng_skewed(rng, 0, 100 * SIM_US);
    net->latency_max_ns =
        net->latency_min_ns + sim_rng_skewed(rng, 1, 5 * SIM_MS);
    net->window_min = sim_flip(rng, 200) ? 1 : 4096;
    net->window_max = sim_flip(rng, 200) ? net->window_min + 2000 : 1U << 20;
    net->segment_max =
        sim_flip(rng, 100) ? sim_draw(rng, 1, 100) : sim_draw(rng, 1000, 65536);
    net->keepalive_ns = 20 * SIM_S;
}

static void
sim_swarm_draw_export(SimExportSpec *spec, unsigned i, SimRng *rng)
{
    snprintf(spec->name, sizeof(spec->name), "export%u", i);
    snprintf(spec->file, sizeof(spec->file), "file%u", i);
    spec->size = sim_rng_skewed(rng, 8, 1024) * 512;
    spec->read_only = sim_flip(rng, 100);
    spec->writethrough = sim_flip(rng, 100);
    spec->direct = sim_flip(rng, 250);
    if (sim_flip(rng, 200)) {
        spec->size += sim_draw(rng, 1, 511);
    }
    if (sim_flip(rng, 250)) {
        /* The host's sectors are not torn: they are the export's, too. */
        spec->start = sim_draw(rng, 0, 16) * 512;
        spec->rest = sim_draw(rng, 0, 8192);
    }
}

void
sim_swarm_draw(SimSwarm *swarm, SimRng *rng, SimPlant plant)
{
    *swarm = (SimSwarm){ .n_workers = sim_draw(rng, 1, 2) };
    swarm->n_exports = sim_draw(rng, 1, SIM_EXPORTS_MAX);
    swarm->n_slots = sim_draw(rng, 1, SIM_SLOTS_MAX);
    swarm->n_clients = sim_draw(rng, 1, 4);
    swarm->n_lives = sim_draw(rng, 1, 4);
    swarm->commands =
        (unsigned)sim_rng_next(rng) | 1U << SIM_CMD_WRITE | 1U << SIM_CMD_READ;
    swarm->modes = sim_draw(rng, 1, (1U << SIM_N_MODES) - 1);
    swarm->cuts = sim_flip(rng, 400);
    swarm->slow = sim_flip(rng, 300);
    swarm->fault_permille = sim_flip(rng, 500) ? 600 : 0;
    sim_swarm_draw_disk(&swarm->disk, rng);
    sim_swarm_draw_net(&swarm->net, rng);
    for (unsigned i = 0; i < swarm->n_exports; i++) {
        sim_swarm_draw_export(&swarm->exports[i], i, rng);
    }
    if (plant == SIM_PLANT_NET_BITFLIP) {
        swarm->net.corrupt_permille = 5;
    }
    if (plant != SIM_PLANT_NONE) {
        /* What the bug is in has to be used at all. */
        swarm->commands = ~0U;
        swarm->fault_permille = 0;
    }
}

/* ---- clients ---- */

void
sim_swarm_draw_client(const SimSwarm *swarm, SimRng *rng,
                      SimClientConfig *config)
{
    do {
        config->mode = (SimMode)sim_rng_below(rng, SIM_N_MODES);
    } while (!(swarm->modes & 1U << config->mode));
    config->use_go = sim_flip(rng, 700);
    config->no_zeroes = sim_flip(rng, 500);
    config->want_meta = sim_flip(rng, 600);
    config->n_noise = sim_flip(rng, 300) ? sim_draw(rng, 1, 6) : 0;
    config->abort = sim_flip(rng, 30);
    config->commands = swarm->commands;
    config->depth = (unsigned)sim_rng_skewed(rng, 1, 32);
    config->bytes_max = sim_rng_skewed(rng, 512, 128 << 10);
    config->hot_bytes =
        sim_flip(rng, 600) ? sim_rng_skewed(rng, 1, 64) * 1024 : 0;
    config->bad_permille = sim_flip(rng, 300) ? sim_draw(rng, 1, 200) : 0;
    config->slow_ns = swarm->slow && sim_flip(rng, 500) ? 50 * SIM_MS : 0;
    config->leave = sim_flip(rng, 500)
                        ? SIM_LEAVE_DISC
                        : (SimLeave)sim_rng_below(rng, SIM_N_LEAVES);
    config->cut = swarm->cuts && sim_flip(rng, 400);
    config->timeout_ns = 120 * SIM_S;
}

/* ---- faults ---- */

static void
sim_swarm_draw_error(SimRule *rule, SimRng *rng)
{
    static const unsigned ops[] = {
        SIM_OP_READ,  SIM_OP_WRITE, SIM_OP_WRITE,     SIM_OP_FLUSH,
        SIM_OP_SPACE, SIM_OP_SEEK,  SIM_OP_WRITEBACK,
    };

    rule->kind = SIM_FAULT_ERROR;
    rule->ops = ops[sim_rng_below(rng, ASH_N_ELEMENTS(ops))];
    rule->err = sim_flip(rng, 700) ? EIO : ENOSPC;
    rule->nth = sim_draw(rng, 1, 30);
    rule->once = sim_flip(rng, 600);
    rule->permille = rule->once ? 0 : sim_draw(rng, 1, 100);
    if (sim_flip(rng, 200)) {
        rule->offset = sim_rng_below(rng, 128) * 512;
        rule->bytes = sim_draw(rng, 1, 64) * 512;
    }
}

bool
sim_swarm_add_faults(const SimSwarm *swarm, SimRng *rng, SimDisk *disk)
{
    unsigned n = sim_draw(rng, 1, 3);
    bool fails = false;

    if (!sim_flip(rng, swarm->fault_permille)) {
        return false;
    }
    while (n-- > 0) {
        SimRule rule = { .kind = SIM_FAULT_DELAY,
                         .ops = SIM_OP_ALL,
                         .permille = 50,
                         .delay_ns = SIM_S };

        if (sim_flip(rng, 600)) {
            sim_swarm_draw_error(&rule, rng);
            fails = true;
        } else if (sim_flip(rng, 400)) {
            rule.kind = SIM_FAULT_HANG;
            rule.ops = (unsigned)SIM_OP_READ | SIM_OP_WRITE | SIM_OP_FLUSH;
            rule.once = true;
            rule.nth = sim_draw(rng, 1, 30);
        }
        sim_disk_add_rule(disk, &rule);
    }
    if (sim_flip(rng, 200)) {
        sim_disk_set_quota(disk, sim_rng_skewed(rng, 1, 200));
        fails = true;
    }
    return fails;
}

void
sim_swarm_add_plant(SimPlant plant, SimDisk *disk)
{
    SimRule rule = { .ops = SIM_OP_WRITE, .permille = 20 };

    switch (plant) {
    case SIM_PLANT_FLUSH_NOOP:
        rule = (SimRule){ .kind = SIM_FAULT_DROP, .ops = SIM_OP_FLUSH };
        break;
    case SIM_PLANT_FLUSH_LIES:
        rule = (SimRule){ .kind = SIM_FAULT_LIE,
                          .ops = SIM_OP_FLUSH,
                          .permille = 300 };
        break;
    case SIM_PLANT_NO_FUA:
        rule.kind = SIM_FAULT_NO_FUA;
        rule.permille = 0;
        break;
    case SIM_PLANT_WRITE_DROPPED:
        rule.kind = SIM_FAULT_DROP;
        break;
    case SIM_PLANT_WRITE_MISDIRECTED:
        rule.kind = SIM_FAULT_MISDIRECT;
        break;
    case SIM_PLANT_WRITE_LATE:
        rule.kind = SIM_FAULT_LATE;
        rule.delay_ns = 20 * SIM_MS;
        break;
    case SIM_PLANT_SPACE_DROPPED:
        rule.kind = SIM_FAULT_DROP;
        rule.ops = SIM_OP_SPACE;
        rule.permille = 300;
        break;
    case SIM_PLANT_READ_BITFLIP:
        rule.kind = SIM_FAULT_BITFLIP;
        rule.ops = SIM_OP_READ;
        break;
    default:
        return;
    }
    sim_disk_add_rule(disk, &rule);
}

SimStop
sim_swarm_draw_stop(SimRng *rng)
{
    return sim_flip(rng, 400) ? SIM_STOP_POWER
                              : (SimStop)sim_rng_below(rng, SIM_N_STOPS);
}
