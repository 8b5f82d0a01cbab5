/*
 * tests/unit/aio/test-many.c - many requests at a time, and closing under them.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>

#include "coro/co-lock.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

#define MANY_BLOCK 4096U

typedef struct Many {
    AioFile *file;
    unsigned n_blocks;
    unsigned n_running;
    unsigned n_done;
    unsigned next; /* request to begin */
    unsigned n_total;
    CoQueue all_done;
} Many;

static void
many_finish(Many *m)
{
    m->n_running--;
    if (m->n_running == 0) {
        co_queue_wake_all(&m->all_done);
    }
}

/* Take requests until none is left: write a block of its own, read it back. */
static void coroutine_fn
many_co_worker(void *arg)
{
    Many *m = arg;
    char *out = aio_test_alloc(MANY_BLOCK);
    char *in = aio_test_alloc(MANY_BLOCK);

    while (m->next < m->n_total) {
        unsigned i = m->next++;
        uint64_t offset = (uint64_t)(i % m->n_blocks) * MANY_BLOCK;

        aio_test_fill(out, MANY_BLOCK, offset, i);
        aio_test_co_write(m->file, offset, out, MANY_BLOCK);
        g_assert_cmpuint(aio_test_co_read(m->file, offset, in, MANY_BLOCK), ==,
                         MANY_BLOCK);
        aio_test_assert_same(in, out, MANY_BLOCK);
        m->n_done++;
        if (i % 64 == 63) {
            g_assert_cmpint(aio_file_co_flush(m->file), ==, 0);
        }
    }
    aio_test_release(out);
    aio_test_release(in);
    many_finish(m);
}

static void coroutine_fn
many_co_run(AioTest *t, unsigned n_workers, unsigned n_total)
{
    /* More blocks than workers: nobody meets another on a block. */
    Many m = {
        .file = aio_test_co_open(t, "a", 0),
        .n_blocks = 4 * n_workers,
        .n_running = n_workers,
        .n_total = n_total,
    };

    co_queue_init(&m.all_done);
    for (unsigned i = 0; i < n_workers; i++) {
        coro_spawn_later(many_co_worker, &m);
    }
    co_queue_co_wait(&m.all_done);
    g_assert_cmpuint(m.n_done, ==, n_total);
    aio_file_co_close(m.file);
}

static void coroutine_fn
test_co_many(AioTest *t)
{
    many_co_run(t, 64, 2000);
}

/* More at a time than the ring, the pool or the kernel takes. */
static void coroutine_fn
test_co_very_many(AioTest *t)
{
    many_co_run(t, 1500, 3000);
}

/* ---- close ---- */

#define CLOSE_ROUNDS 60U
#define CLOSE_WRITES 8U

typedef struct CloseWrite {
    AioFile *file;
    uint64_t offset;
    char *buf;
    unsigned *n_running;
} CloseWrite;

static void coroutine_fn
close_co_write(void *arg)
{
    CloseWrite *w = arg;

    aio_test_co_write(w->file, w->offset, w->buf, MANY_BLOCK);
    --*w->n_running;
}

/* Does the file hold the blocks of round @round, all of them and no other? */
static void coroutine_fn
close_co_check(AioTest *t, const char *name, unsigned round)
{
    AioFile *file = aio_test_co_open(t, name, 0);
    char *in = aio_test_alloc(MANY_BLOCK);
    char *expected = aio_test_alloc(MANY_BLOCK);
    AioStat st;

    g_assert_cmpint(aio_file_co_stat(file, &st), ==, 0);
    g_assert_cmpuint(st.size, ==, CLOSE_WRITES * MANY_BLOCK);
    for (unsigned i = 0; i < CLOSE_WRITES; i++) {
        uint64_t offset = (uint64_t)i * MANY_BLOCK;

        aio_test_fill(expected, MANY_BLOCK, offset, round);
        g_assert_cmpuint(aio_test_co_read(file, offset, in, MANY_BLOCK), ==,
                         MANY_BLOCK);
        aio_test_assert_same(in, expected, MANY_BLOCK);
    }
    aio_test_release(in);
    aio_test_release(expected);
    aio_file_co_close(file);
}

/* Each round begins writes and closes the file in the same turn, before they
 * have entered the kernel, and opens the next file, which gets the same fd.
 * Every write must be in its own file. */
static void coroutine_fn
test_co_close_under_writes(AioTest *t)
{
    unsigned n_running = 0;
    CloseWrite w[CLOSE_WRITES];

    for (unsigned i = 0; i < CLOSE_WRITES; i++) {
        w[i].buf = aio_test_alloc(MANY_BLOCK);
    }
    for (unsigned round = 0; round < CLOSE_ROUNDS; round++) {
        g_autofree char *name = g_strdup_printf("f%u", round);
        AioFile *file = aio_test_co_open(t, name, 0);

        n_running = CLOSE_WRITES;
        for (unsigned i = 0; i < CLOSE_WRITES; i++) {
            w[i].file = file;
            w[i].offset = (uint64_t)i * MANY_BLOCK;
            w[i].n_running = &n_running;
            aio_test_fill(w[i].buf, MANY_BLOCK, w[i].offset, round);
            coro_spawn(close_co_write, &w[i]);
        }
        g_assert_cmpuint(n_running, >, 0);
        aio_file_co_close(file);
        g_assert_cmpuint(n_running, ==, 0);
    }
    for (unsigned round = 0; round < CLOSE_ROUNDS; round++) {
        g_autofree char *name = g_strdup_printf("f%u", round);

        close_co_check(t, name, round);
    }
    for (unsigned i = 0; i < CLOSE_WRITES; i++) {
        aio_test_release(w[i].buf);
    }
}

void
test_many_add(void)
{
    aio_test_add("many", test_co_many);
    aio_test_add("very-many", test_co_very_many);
    aio_test_add("close-under-writes", test_co_close_under_writes);
}
