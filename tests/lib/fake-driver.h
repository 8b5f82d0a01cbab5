/*
 * tests/lib/fake-driver.h - FakeDisk: a small block driver in memory that does
 * what a test tells it.
 *
 * Each FakeDisk is a driver of its own for one node, so a test may take slots
 * away (disk->driver.co_zero = NULL), set limits, make calls fail, hold them
 * until it says go on, and read what the core asked for:
 *
 *     "d:r0+512 d:w0+512:fua d:e:pwritev_done d:fd"
 *
 * is a read, a write with FUA, a debug event and a flush to disk, all of the
 * disk called "d".  Every driver call is checked against the limits, memory
 * alignment and number of pieces included.
 *
 * FAKE_LEAF    bytes in memory
 * FAKE_FILTER  passes everything to its child "file"
 * FAKE_OVERLAY bytes in memory in blocks of request_align, each in a state of
 *              its own; what is not allocated shows the child "backing";
 *              a child "file" may be there and is not used
 *
 * Layer:   tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "blockcore/blk.h"
#include "blockcore/driver.h"
#include "blockcore/graph.h"
#include "coro/co-lock.h"

typedef enum {
    FAKE_LEAF,
    FAKE_FILTER,
    FAKE_OVERLAY,
} FakeKind;

typedef enum {
    FAKE_READ = 1 << 0,
    FAKE_WRITE = 1 << 1,
    FAKE_ZERO = 1 << 2,
    FAKE_TRIM = 1 << 3,
    FAKE_FLUSH_OS = 1 << 4,
    FAKE_FLUSH_DISK = 1 << 5,
    FAKE_STATUS = 1 << 6,
    FAKE_PREFETCH = 1 << 7,
    FAKE_EVENT = 1 << 8,
    FAKE_ALL_IO = FAKE_EVENT - 1,
} FakeCall;

/* The state of a block of an overlay. */
typedef enum {
    FAKE_HOLE, /* not allocated */
    FAKE_DATA,
    FAKE_ZEROED,
    FAKE_PREALLOCATED, /* at an offset, but shows the backing */
} FakeBlock;

typedef struct FakeDisk {
    BlkDriver driver;
    FakeKind kind;
    BlkLimits limits; /* before open */
    uint64_t size;    /* before open; afterwards what co_size says */
    BlkNode *node;
    BlkEdge *file;
    BlkEdge *backing;

    uint8_t *mem; /* size, rounded up to whole blocks of 64 KiB */
    uint64_t mem_bytes;
    bool hollow;      /* a leaf that keeps nothing and reads zeros */
    uint64_t n_bytes; /* written, zeroed and trimmed */
    uint8_t *blocks; /* FakeBlock, one per limits.request_align */

    GString *log; /* NULL: none */
    bool owns_log;
    unsigned log_mask;
    unsigned n_calls[9]; /* by log2 of FakeCall */

    /* The fail_nth call from now, of those in fail_mask, fails; 0: none.
     * With fail_forever so do all after it. */
    unsigned fail_mask;
    unsigned fail_nth;
    bool fail_forever;
    int fail_err;
    bool fail_late; /* after the effect rather than before */
    unsigned n_failed;
    int fail_node; /* not 0: a failed flush fails the node with this */

    unsigned hold_mask;     /* calls that wait */
    const char *hold_event; /* the event that waits */
    unsigned n_held;
    CoQueue held;

    GRand *rand; /* not NULL: pause at random */
    unsigned pause_pct;
} FakeDisk;

/* A leaf or overlay of @size bytes, or a filter (@size 0).  The disk's name is
 * its driver's. */
FakeDisk *fake_disk_new(FakeKind kind, const char *name, uint64_t size);
void fake_disk_free(FakeDisk *disk);
/* Which slots are there, by FakeCall (those not in FAKE_ALL_IO | FAKE_EVENT
 * always are).  At first all but prefetch and event.  Before open. */
void fake_disk_set_slots(FakeDisk *disk, unsigned calls);
#define FAKE_SLOTS ((unsigned)FAKE_ALL_IO & ~(unsigned)FAKE_PREFETCH)

/* A graph that knows the @n drivers of @disks; free with fake_graph_free(),
 * which also frees the disks. */
typedef struct FakeGraph {
    BlkGraph *graph;
    FakeDisk **disks;
    const BlkDriver **drivers;
    unsigned n;
} FakeGraph;
FakeGraph *fake_graph_new(FakeDisk *const *disks, unsigned n);

/* Open the disk @top with "key=value" options separated by blanks, the node
 * named as the disk.  Other disks are named by "file=NAME", "backing=NAME". */
BlkNode *coroutine_fn fake_graph_co_open(FakeGraph *fg, FakeDisk *top,
                                         const char *options);
/* Close all nodes and free everything. */
void coroutine_fn fake_graph_co_free(FakeGraph *fg);

/* A Blk on @node that may do everything and shares everything. */
Blk *coroutine_fn fake_blk_co_new(BlkNode *node);
void coroutine_fn fake_blk_co_free(Blk *blk);

/* One disk in a graph of its own, and a Blk on it. */
typedef struct FakeSetup {
    FakeGraph *fg;
    FakeDisk *disk;
    BlkNode *node;
    Blk *blk;
} FakeSetup;
void coroutine_fn fake_setup_co_open(FakeSetup *setup, FakeDisk *disk,
                                     const char *options);
/* Frees the disk and its log too. */
void coroutine_fn fake_setup_co_done(FakeSetup *setup);

/* Write down calls of these kinds from now on. */
void fake_disk_start_log(FakeDisk *disk, unsigned calls);
/* What @disk logs goes to @other's log, which has begun. */
void fake_disk_share_log(FakeDisk *disk, const FakeDisk *other);
/* The log so far, without the last blank; it is empty afterwards.  Valid until
 * the next call. */
const char *fake_disk_take_log(FakeDisk *disk);
unsigned fake_disk_n(const FakeDisk *disk, FakeCall call);

/* Let those that wait go on, and nobody wait any more. */
void fake_disk_release(FakeDisk *disk);

/* Let everything else run until nothing is ready any more. */
void coroutine_fn fake_co_settle(void);

/* ---- one request, in a coroutine of its own ---- */

typedef struct FakeReq {
    Blk *blk;
    BlkOp op;
    BlkRange range;
    BlkReqFlags flags;
    void *buf; /* range.bytes, for read and write */
    BlkExtent extent;
    int ret;
    bool done;
    Coro *waiter;
} FakeReq;

/* Fill in the first fields, start; then wait or look at @done. */
void fake_req_start(FakeReq *req);
int coroutine_fn fake_req_co_wait(FakeReq *req);

/* Plain memory as a request's vector. */
int coroutine_fn fake_co_read(Blk *blk, uint64_t offset, void *buf,
                              size_t bytes);
int coroutine_fn fake_co_write(Blk *blk, uint64_t offset, const void *buf,
                               size_t bytes, BlkReqFlags flags);
