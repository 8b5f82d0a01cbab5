/*
 * tests/lib/sim-disk.c - files and processes of a SimDisk; see
 * tests/lib/sim-disk.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-disk.h"

#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/sim-disk-priv.h"

/* ---- files ---- */

SimInode *
sim_inode_find(SimDisk *disk, const char *name)
{
    ash_list_foreach(link, &disk->inodes) {
        SimInode *inode = ash_container_of(link, SimInode, link);

        if (inode->linked && strcmp(inode->name, name) == 0) {
            return inode;
        }
    }
    return NULL;
}

SimInode *
sim_inode_new(SimDisk *disk, const char *name)
{
    SimInode *inode = g_new0(SimInode, 1);

    inode->name = g_strdup(name);
    inode->ino = ++disk->n_inodes;
    inode->linked = true;
    inode->store = sim_store_new(disk->config.model);
    inode->locks = g_array_new(FALSE, TRUE, sizeof(SimLock));
    inode->btime_ns = sim_world_now_ns(disk->world);
    inode->ctime_ns = inode->btime_ns;
    ash_list_append(&disk->inodes, &inode->link);
    return inode;
}

static void
sim_inode_free(SimInode *inode)
{
    ash_list_remove(&inode->link);
    sim_store_free(inode->store);
    g_array_free(inode->locks, TRUE);
    g_free(inode->name);
    g_free(inode);
}

void
sim_disk_create(SimDisk *disk, const char *name, uint64_t size)
{
    SimInode *inode;

    ash_assert(!sim_inode_find(disk, name));
    inode = sim_inode_new(disk, name);
    inode->name_durable = true;
    sim_store_truncate(inode->store, size);
    sim_store_complete_all(inode->store);
    sim_store_flush(inode->store, sim_store_mark(inode->store));
}

void
sim_disk_peek(SimDisk *disk, const char *name, uint64_t offset, void *buf,
              size_t bytes)
{
    SimInode *inode = sim_inode_find(disk, name);
    uint64_t size = inode ? sim_store_size(inode->store) : 0;
    size_t n = offset < size ? (size_t)ash_min(size - offset, bytes) : 0;

    memset(buf, 0, bytes);
    if (n > 0) {
        sim_store_read(inode->store, offset, buf, n);
    }
}

void
sim_disk_poke(SimDisk *disk, const char *name, uint64_t offset, const void *buf,
              size_t bytes)
{
    SimStore *store = sim_inode_find(disk, name)->store;

    sim_store_write(store, offset, buf, bytes);
    sim_store_complete_all(store);
    sim_store_flush(store, sim_store_mark(store));
}

bool
sim_disk_has_told(SimDisk *disk, const char *name)
{
    const SimInode *inode = sim_inode_find(disk, name);

    return inode->reported == inode->errseq;
}

uint64_t
sim_disk_n_allocated(SimDisk *disk)
{
    uint64_t n = 0;

    ash_list_foreach(link, &disk->inodes) {
        SimInode *inode = ash_container_of(link, SimInode, link);

        n += inode->linked ? sim_store_n_allocated(inode->store) : 0;
    }
    return n;
}

void
sim_file_drop_locks(SimFile *file)
{
    GArray *locks = file->inode->locks;

    for (unsigned i = locks->len; i-- > 0;) {
        if (g_array_index(locks, SimLock, i).owner == file) {
            g_array_remove_index(locks, i);
        }
    }
}

/* ---- processes ---- */

static void
sim_engine_die(SimEngine *engine, SimFate fate)
{
    SimDisk *disk = engine->disk;

    engine->fate = fate;
    ash_list_foreach(link, &disk->files) {
        SimFile *file = ash_container_of(link, SimFile, link);

        if (file->base.engine != &engine->base) {
            continue;
        }
        file->zombie = fate == SIM_KILLED && file->in_flight > 0 &&
                       sim_rng_chance(&disk->rng, 500);
        if (!file->zombie) {
            sim_file_drop_locks(file);
        }
    }
}

void
sim_disk_kill(SimDisk *disk, unsigned pid)
{
    disk->stats.n_kills++;
    sim_trace(disk->world, "disk-kill", pid, 0, 0);
    ash_list_foreach(link, &disk->engines) {
        SimEngine *engine = ash_container_of(link, SimEngine, link);

        if (engine->pid == pid && engine->fate == SIM_ALIVE) {
            sim_engine_die(engine, SIM_KILLED);
        }
    }
    ash_list_foreach(link, &disk->inodes) {
        sim_store_complete_all(ash_container_of(link, SimInode, link)->store);
    }
}

void
sim_disk_power_cut(SimDisk *disk)
{
    const SimCrash before = disk->stats.crash, *after = &disk->stats.crash;

    disk->stats.n_power_cuts++;
    sim_fault_drop_late(disk);
    ash_list_foreach(link, &disk->engines) {
        SimEngine *engine = ash_container_of(link, SimEngine, link);

        if (engine->fate != SIM_CUT) {
            sim_engine_die(engine, SIM_CUT);
        }
    }
    ash_list_foreach(link, &disk->inodes) {
        SimInode *inode = ash_container_of(link, SimInode, link);

        if (!inode->name_durable && sim_rng_chance(&disk->rng, 500)) {
            inode->linked = false;
        }
        inode->name_durable = true;
        inode->reported = inode->errseq;
        sim_store_crash(inode->store, &disk->rng, &disk->stats.crash);
    }
    disk->stats.n_power_cuts_dirty += after->n_pages > before.n_pages;
    disk->stats.n_power_cuts_lossy +=
        after->n_pages_lost > before.n_pages_lost ||
        after->n_pages_torn > before.n_pages_torn;
    sim_trace(disk->world, "disk-cut", disk->stats.crash.n_pages,
              disk->stats.crash.n_pages_lost, disk->stats.crash.n_pages_torn);
    sim_disk_release(disk);
}

/* ---- life ---- */

SimDisk *
sim_disk_new(SimWorld *world, const SimDiskConfig *config)
{
    SimDisk *disk = g_new0(SimDisk, 1);

    disk->world = world;
    disk->config = *config;
    sim_world_fork_rng(world, &disk->rng);
    ash_list_init(&disk->inodes);
    ash_list_init(&disk->engines);
    ash_list_init(&disk->files);
    ash_list_init(&disk->hung);
    ash_list_init(&disk->late);
    disk->rules = g_array_new(FALSE, TRUE, sizeof(SimRuleState));
    return disk;
}

void
sim_disk_free(SimDisk *disk)
{
    ash_assert(ash_list_is_empty(&disk->engines));
    ash_assert(ash_list_is_empty(&disk->files));
    sim_fault_drop_late(disk);
    ash_list_foreach_safe(link, next, &disk->inodes) {
        sim_inode_free(ash_container_of(link, SimInode, link));
    }
    g_array_free(disk->rules, TRUE);
    g_free(disk);
}

AioEngine *
sim_disk_engine_new(SimDisk *disk, Loop *loop, unsigned pid)
{
    SimEngine *engine = g_new0(SimEngine, 1);

    engine->base.ops = &sim_engine_ops;
    engine->base.loop = loop;
    engine->disk = disk;
    engine->pid = pid;
    ash_list_append(&disk->engines, &engine->link);
    return &engine->base;
}

void
sim_disk_set_quota(SimDisk *disk, uint64_t pages)
{
    disk->config.quota_pages = pages;
}

void
sim_disk_set_lost_fn(SimDisk *disk,
                     void (*fn)(void *arg, const char *file, uint64_t offset,
                                uint64_t bytes),
                     void *arg)
{
    disk->lost_fn = fn;
    disk->lost_arg = arg;
}

SimDiskStats *
sim_disk_stats(SimDisk *disk)
{
    return &disk->stats;
}
