/*
 * tests/lib/sim-disk-priv.h - struct SimDisk; sim-disk.c, sim-engine.c and
 * sim-fault.c only.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/list.h"
#include "tests/lib/sim-disk.h"
#include "tests/lib/sim-event.h"
#include "tests/lib/sim-file.h"

typedef struct SimInode SimInode;
typedef struct SimFile SimFile;

/* A lock on bytes [start, end) by one open file. */
typedef struct SimLock {
    SimFile *owner;
    uint64_t start;
    uint64_t end;
    short type;
} SimLock;

struct SimInode {
    AshList link; /* in disk->inodes */
    char *name;
    uint64_t ino;
    bool linked;       /* found by name */
    bool name_durable; /* survives a power cut */
    SimStore *store;
    GArray *locks;     /* of SimLock */
    uint64_t errseq;   /* failed write-backs */
    int wb_error;      /* errno of the last */
    uint64_t reported; /* of errseq, to anybody */
    uint64_t ctime_ns;
    uint64_t btime_ns;
};

typedef enum {
    SIM_ALIVE,
    SIM_KILLED, /* I/O in flight may still happen */
    SIM_CUT,
} SimFate;

typedef struct SimEngine {
    AioEngine base; /* first */
    AshList link;   /* in disk->engines */
    SimDisk *disk;
    unsigned pid;
    SimFate fate;
} SimEngine;

#define SIM_CUTS 16U

/* An open file description. */
struct SimFile {
    AioFile base; /* first */
    AshList link; /* in disk->files */
    SimInode *inode;
    uint64_t errseq_seen;
    unsigned in_flight;
    bool zombie; /* killed: keeps its locks while I/O is in flight */
    bool has_written;
    uint64_t cuts[SIM_CUTS]; /* where short transfers ended, a ring */
    unsigned n_cuts;
};

/* A rule and how often it has matched. */
typedef struct SimRuleState {
    SimRule rule;
    unsigned n_matches;
    bool spent;
} SimRuleState;

struct SimDisk {
    SimWorld *world;
    SimDiskConfig config;
    SimRng rng;
    AshList inodes;
    AshList engines;
    AshList files;
    AshList hung;  /* of SimHang, private to sim-fault.c */
    AshList late;  /* of SimLate, private to sim-fault.c */
    GArray *rules; /* of SimRuleState */
    uint64_t n_inodes;
    SimDiskStats stats;
    void (*lost_fn)(void *arg, const char *file, uint64_t offset,
                    uint64_t bytes);
    void *lost_arg;
};

static inline SimFile *
sim_file(AioFile *file)
{
    return (SimFile *)(void *)file;
}

static inline SimEngine *
sim_file_engine(const SimFile *file)
{
    return (SimEngine *)(void *)file->base.engine;
}

extern const AioEngineOps sim_engine_ops;

/* By name, NULL: none. */
SimInode *sim_inode_find(SimDisk *disk, const char *name);
SimInode *sim_inode_new(SimDisk *disk, const char *name);
uint64_t sim_disk_n_allocated(SimDisk *disk); /* pages */
/* All locks of @file are gone. */
void sim_file_drop_locks(SimFile *file);

/* Which rule applies to this operation; NULL: none.  Counts matches. */
const SimRule *sim_fault_find(SimDisk *disk, unsigned op, const char *file,
                              uint64_t offset, uint64_t bytes);
/* Could any rule apply?  Counts nothing. */
bool sim_fault_is_possible(SimDisk *disk, unsigned op);
/* 0; -EINTR or -EAGAIN: the operation has to be tried again. */
int sim_retry(SimDisk *disk);
/* Wait for sim_disk_release(). */
void coroutine_fn sim_fault_co_hang(SimDisk *disk, const char *name);
/* These bytes are written later (planted). */
void sim_fault_write_late(SimDisk *disk, SimInode *inode, uint64_t offset,
                          const IoVec *iov, uint64_t delay_ns);
/* Forget what was to be written late. */
void sim_fault_drop_late(SimDisk *disk);
/* Pages of @inode are lost, with @err for the next flush of each fd. */
void sim_fault_lose(SimDisk *disk, SimInode *inode, int err);
