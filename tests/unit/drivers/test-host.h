/*
 * tests/unit/drivers/test-host.h - files and loop devices for the tests of
 * "file" and "host_device", and what both have to do with them.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "drivers/aio/engine.h"
#include "tests/unit/drivers/test-drivers.h"

/* A file in a folder of its own, below the current one. */
typedef struct TestFile {
    char *dir;
    char *path;
    int fd; /* buffered, for the test itself */
    /* A loop device on the file, of one kind of sector; NULL: none. */
    char *loop;
} TestFile;

/* All hole. */
void test_file_new(TestFile *f, uint64_t size);
/* Removes the device too. */
void test_file_free(TestFile *f);
void test_file_fill(const TestFile *f, uint64_t offset, uint64_t bytes,
                    uint8_t byte);
uint64_t test_file_size(const TestFile *f);
/* Bytes on disk, once everything is written back. */
uint64_t test_file_allocated(const TestFile *f);
/* Needs root and /dev/loop-control. */
void test_file_attach_loop(TestFile *f, unsigned sector, bool read_only);

/* Engines and page cache on and off, as options: " aio=threads", ...; ends
 * with NULL. */
extern const char *const test_host_variants[];

/* "driver=DRIVER filename=PATH" and more. */
void coroutine_fn test_host_co_open(TestNode *t, const char *driver,
                                    const char *path, const char *more);
/* Expect an error; @message without the prefix for node and driver. */
void coroutine_fn test_host_co_open_fails(const char *driver, const char *path,
                                          const char *more, int code,
                                          const char *message);

/* @n random requests on a node of all zeros, against a model, and the model
 * against the file in the end.  Closes the node. */
void coroutine_fn test_host_co_random(TestNode *t, const TestFile *f,
                                      GRand *rand, unsigned n);

/* ---- faults of the host ---- */

/* Calls of an engine that fail with -errno, 0: not, and how many came. */
typedef struct TestHook {
    int open_rdwr; /* every open for writing */
    int flush;     /* the next flush */
    int fua;       /* the next write with AIO_WRITE_FUA */
    int write;     /* every other */
    int space;     /* every change of space */
    int seek;      /* the next seek */
    unsigned n_flush;
    unsigned n_write;
    unsigned n_space;
    unsigned n_seek;
} TestHook;

/* Put @hook before the engine aio=threads of the current loop, until
 * test_hook_remove(). */
void test_hook_install(TestHook *hook);
void test_hook_remove(void);

/* Where graphs that tests open keep their state; NULL: nowhere. */
extern const char *test_state_dir;
