/*
 * tests/unit/aio/aio-test.h - what the tests of the engines share.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "drivers/aio/engine.h"

/* One engine in one mode of files. */
typedef struct AioVariant {
    const char *name; /* "io_uring-direct" */
    AioKind kind;
    int open_flags; /* O_DIRECT or 0 */
    uint32_t align; /* of offsets, lengths and memory */
    bool tail;      /* a file without O_DIRECT on an engine for direct I/O */
} AioVariant;

extern const AioVariant aio_variants[]; /* ends with a NULL name */

/* One test: a loop with its engines, and a folder for files. */
typedef struct AioTest AioTest;
typedef void coroutine_fn AioTestFn(AioTest *t);
struct AioTest {
    const AioVariant *variant;
    AioTestFn *fn;
    Loop *loop;
    AioEngine *engine;
    char *dir;
    char *why; /* what aio_engine_get() said */
};

/* Add @fn once a variant, as /aio/NAME/VARIANT. */
void aio_test_add(const char *name, AioTestFn *fn);
/* Add it for one variant only. */
void aio_test_add_one(const char *name, const AioVariant *variant,
                      AioTestFn *fn);
/* Run @fn in a coroutine with the engines of @variant, in a folder below
 * @parent (NULL: the current one). */
void aio_test_run(const AioVariant *variant, const char *parent, AioTestFn *fn);

/* All of test-conform.c for one variant. */
void aio_test_conform(const AioVariant *variant);

/* A file in the test's folder; the flags are O_RDWR, O_CREAT and the
 * variant's, with @flags added. */
AioFile *coroutine_fn aio_test_co_open(AioTest *t, const char *name, int flags);
char *aio_test_path(const AioTest *t, const char *name);

/* Memory aligned to 4096. */
void *aio_test_alloc(size_t bytes);
void aio_test_release(void *buf);
/* Fill with a pattern that says where (@offset) and which (@seed). */
void aio_test_fill(void *buf, size_t bytes, uint64_t offset, unsigned seed);
void aio_test_assert_same(const void *a, const void *b, size_t bytes);
/* The n-th of a repeatable series below @limit; the seed is printed. */
uint64_t aio_test_random(uint64_t limit);

/* Write or read one flat buffer through aio_file_co_*; fails the test on
 * error.  read returns how much there was. */
void coroutine_fn aio_test_co_write(AioFile *file, uint64_t offset,
                                    const void *buf, size_t bytes);
size_t coroutine_fn aio_test_co_read(AioFile *file, uint64_t offset, void *buf,
                                     size_t bytes);
