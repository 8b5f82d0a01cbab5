/*
 * tests/fault/sweep-disk.h - SweepDisk: an engine with one file, "disk", in
 * memory, whose nth call goes wrong.
 *
 * What is written is visible at once, and durable after a good flush, or at
 * once with AIO_WRITE_FUA.  A sync that fails, of either kind, tells of the
 * loss of all that was not durable, and the next one succeeds without it: as
 * hosts do.
 *
 * Calls are checked: inside the file, and aligned with O_DIRECT.
 *
 * Layer:   tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "drivers/aio/engine.h"

#define SWEEP_SECTOR 512U
#define SWEEP_PAGE 4096U

/* Kinds of calls. */
typedef enum {
    SWEEP_OPEN,
    SWEEP_STAT,
    SWEEP_LOCK,
    SWEEP_SPACE,
    SWEEP_SEEK,
    SWEEP_READ,
    SWEEP_WRITE,
    SWEEP_TRY_READ,
    SWEEP_TRY_WRITE,
    SWEEP_FLUSH,
} SweepKind;
extern const char *const sweep_kind_names[];

typedef enum {
    SWEEP_EARLY,   /* fails, nothing is done */
    SWEEP_LATE,    /* fails, and all or half of it is done */
    SWEEP_SHORT,   /* a transfer of half of it */
    SWEEP_FOREVER, /* as EARLY, and all calls after it */
} SweepMode;
extern const char *const sweep_mode_names[];

/* What goes wrong: the @nth call, 0: nothing. */
typedef struct SweepFault {
    unsigned nth;
    SweepMode mode;
    int err; /* -errno */
} SweepFault;

/* A call. */
typedef struct SweepCall {
    SweepKind kind;
    uint64_t offset;
    uint64_t bytes;
    bool fua;
    bool unlock;
    AioSpaceOp space;
} SweepCall;

typedef struct SweepDisk {
    AioEngine engine; /* first */
    uint64_t size;
    uint8_t *visible;
    uint8_t *durable;
    bool *dirty; /* by sector */
    bool *hole;  /* by page */
    bool inline_io;
    bool sync_alone;

    SweepFault fault;
    unsigned n_calls;
    bool fired;
    SweepCall call;           /* the first that went wrong */
    unsigned n_flushes_since; /* calls to flush after that */
    unsigned n_open;
    unsigned n_bad; /* calls that no driver may make */
} SweepDisk;

SweepDisk *sweep_disk_new(Loop *loop, uint64_t size);
void sweep_disk_free(SweepDisk *disk);
/* Each byte is @fill, durably. */
void sweep_disk_reset(SweepDisk *disk, uint8_t fill);
/* From now on. */
void sweep_disk_set_fault(SweepDisk *disk, const SweepFault *fault);
