/*
 * tests/lib/sim-fault.c - rules, hangs and failed write-back of a SimDisk; see
 * tests/lib/sim-disk.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "tests/lib/sim-disk-priv.h"

/* ---- rules ---- */

void
sim_disk_add_rule(SimDisk *disk, const SimRule *rule)
{
    SimRuleState state = { .rule = *rule };

    ash_assert(rule->kind < SIM_N_FAULTS);
    g_array_append_val(disk->rules, state);
}

void
sim_disk_clear_rules(SimDisk *disk)
{
    g_array_set_size(disk->rules, 0);
}

static bool
sim_rule_matches(const SimRule *rule, unsigned op, const char *file,
                 uint64_t offset, uint64_t bytes)
{
    if (!(rule->ops & op) ||
        (rule->file && file && strcmp(rule->file, file) != 0)) {
        return false;
    }
    /* A flush, a stat: the file as a whole. */
    return rule->bytes == 0 || bytes == 0 ||
           (offset < rule->offset + rule->bytes &&
            rule->offset < offset + bytes);
}

const SimRule *
sim_fault_find(SimDisk *disk, unsigned op, const char *file, uint64_t offset,
               uint64_t bytes)
{
    for (unsigned i = 0; i < disk->rules->len; i++) {
        SimRuleState *state = &g_array_index(disk->rules, SimRuleState, i);
        const SimRule *rule = &state->rule;

        if (state->spent || !sim_rule_matches(rule, op, file, offset, bytes)) {
            continue;
        }
        state->n_matches++;
        if (state->n_matches < rule->nth ||
            (rule->permille > 0 &&
             !sim_rng_chance(&disk->rng, rule->permille))) {
            continue;
        }
        state->spent = rule->once;
        disk->stats.n_faults[rule->kind]++;
        sim_trace(disk->world, "disk-fault", rule->kind, op, offset);
        return rule;
    }
    return NULL;
}

bool
sim_fault_is_possible(SimDisk *disk, unsigned op)
{
    for (unsigned i = 0; i < disk->rules->len; i++) {
        SimRuleState *state = &g_array_index(disk->rules, SimRuleState, i);

        if (!state->spent && state->rule.ops & op) {
            return true;
        }
    }
    return false;
}

int
sim_retry(SimDisk *disk)
{
    if (!sim_rng_chance(&disk->rng, disk->config.retry_permille)) {
        return 0;
    }
    disk->stats.n_retry++;
    return sim_rng_chance(&disk->rng, 500) ? -EINTR : -EAGAIN;
}

/* ---- hangs ---- */

typedef struct SimHang {
    AshList link;
    Coro *co;
} SimHang;

void coroutine_fn
sim_fault_co_hang(SimDisk *disk, const char *name)
{
    SimHang hang = { .co = coro_self() };
    SimWait wait;

    sim_wait_begin(disk->world, &wait, "hangs", name, 0, 0);
    ash_list_append(&disk->hung, &hang.link);
    co_yield();
    sim_wait_end(&wait);
}

void
sim_disk_release(SimDisk *disk)
{
    ash_list_foreach_safe(link, next, &disk->hung) {
        SimHang *hang = ash_container_of(link, SimHang, link);

        ash_list_remove(&hang->link);
        sim_wake(hang->co);
    }
}

/* ---- failed write-back ---- */

typedef struct SimLoss {
    SimDisk *disk;
    const char *name;
} SimLoss;

static void
sim_loss_page(void *arg, uint64_t offset, uint64_t bytes)
{
    const SimLoss *loss = arg;

    sim_trace(loss->disk->world, "disk-lost", offset, bytes, 0);
    if (loss->disk->lost_fn) {
        loss->disk->lost_fn(loss->disk->lost_arg, loss->name, offset, bytes);
    }
}

void
sim_fault_lose(SimDisk *disk, SimInode *inode, int err)
{
    SimLoss loss = { .disk = disk, .name = inode->name };

    disk->stats.n_pages_lost += sim_store_lose(
        inode->store, &disk->rng, disk->config.old_back, sim_loss_page, &loss);
    inode->errseq++;
    inode->wb_error = err;
}

void
sim_disk_drop_lost(SimDisk *disk, const char *name)
{
    SimInode *inode = sim_inode_find(disk, name);
    SimLoss loss = { .disk = disk, .name = inode->name };

    sim_store_drop_lost(inode->store, sim_loss_page, &loss);
}

/* ---- late writes ---- */

typedef struct SimLate {
    SimEvent event;
    AshList link;
    SimInode *inode;
    uint64_t offset;
    size_t bytes;
    uint8_t data[];
} SimLate;

static void
sim_late_cb(SimEvent *event)
{
    SimLate *late = (SimLate *)(void *)event;
    uint64_t op = sim_store_write(late->inode->store, late->offset, late->data,
                                  late->bytes);

    sim_store_complete(late->inode->store, op, late->offset, late->bytes);
    ash_list_remove(&late->link);
    g_free(late);
}

void
sim_fault_write_late(SimDisk *disk, SimInode *inode, uint64_t offset,
                     const IoVec *iov, uint64_t delay_ns)
{
    SimLate *late = g_malloc0(sizeof(*late) + iov->bytes);

    late->inode = inode;
    late->offset = offset;
    late->bytes = iov->bytes;
    iov_to_buf(iov, 0, late->data, iov->bytes);
    ash_list_append(&disk->late, &late->link);
    sim_event_init(&late->event, disk->world, sim_late_cb);
    sim_event_start(&late->event, delay_ns);
}

void
sim_fault_drop_late(SimDisk *disk)
{
    while (!ash_list_is_empty(&disk->late)) {
        SimLate *late = ash_list_first(&disk->late, SimLate, link);

        sim_event_stop(&late->event);
        ash_list_remove(&late->link);
        g_free(late);
    }
}
