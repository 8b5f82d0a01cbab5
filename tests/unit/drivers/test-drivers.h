/*
 * tests/unit/drivers/test-drivers.h - what the tests of drivers share.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>

#include "blockcore/blk.h"
#include "blockcore/graph.h"
#include "tests/lib/fake-driver.h"
#include "tests/lib/fake-setup.h"

void test_device_add(void);
void test_fault_add(void);
void test_fault_device_add(void);
void test_file_add(void);
void test_file_failure_add(void);
void test_file_lock_add(void);
void test_file_status_add(void);
void test_file_race_add(void);
void test_null_add(void);
void test_raw_add(void);
void test_table_add(void);

/* Run @fn in a coroutine of a loop that exists for this long. */
void test_run(CoroFn *fn);
/* A test of one such coroutine. */
void test_add_co(const char *path, CoroFn *fn);

/* The same @n bytes. */
void test_assert_same(const void *a, const void *b, size_t n);

/* A node "n" of a real driver, above the disk "d" if there is one, and a Blk on
 * it that may do everything. */
typedef struct TestNode {
    const BlkDriver *drivers[16];
    BlkGraph *graph;
    FakeDisk *disk;
    BlkNode *node;
    Blk *blk;
} TestNode;

/* @take_disk: may be NULL.  @options: "driver=raw file.driver=d ..." */
void coroutine_fn test_co_open(TestNode *t, FakeDisk *take_disk,
                               const char *options);
/* Expect this error, and nothing left over. */
void coroutine_fn test_co_open_fails(FakeDisk *take_disk, const char *options,
                                     int code, const char *message);
void coroutine_fn test_co_close(TestNode *t);

/* One request without data. */
int coroutine_fn test_co_request(TestNode *t, BlkOp op, uint64_t offset,
                                 uint64_t bytes, BlkReqFlags flags);
