/*
 * tests/lib/fake-setup.h - graphs of FakeDisks, Blks on them, and requests.
 *
 * Layer:   tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "blockcore/blk.h"
#include "blockcore/graph.h"
#include "coro/coro.h"
#include "tests/lib/fake-driver.h"

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

/* Fill in the first fields, start; then wait or look at done. */
void fake_req_start(FakeReq *req);
int coroutine_fn fake_req_co_wait(FakeReq *req);

/* Plain memory as a request's vector. */
int coroutine_fn fake_co_read(Blk *blk, uint64_t offset, void *buf,
                              size_t bytes);
int coroutine_fn fake_co_write(Blk *blk, uint64_t offset, const void *buf,
                               size_t bytes, BlkReqFlags flags);
