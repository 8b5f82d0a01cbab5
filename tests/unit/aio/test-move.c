/*
 * tests/unit/aio/test-move.c - a file that changes loops.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <fcntl.h>
#include <glib.h>
#include <string.h>

#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

typedef struct Move {
    AioFile *file;
    char *out;
    char *in;
    unsigned n; /* steps so far */
} Move;

/* The file works where we are. */
static void coroutine_fn
move_co_use(Move *m)
{
    uint64_t offset = (uint64_t)m->n * 4096;

    g_assert_true(m->file->engine->loop == loop_current());
    aio_test_fill(m->out, 4096, offset, m->n);
    aio_test_co_write(m->file, offset, m->out, 4096);
    g_assert_cmpint(aio_file_co_flush(m->file), ==, 0);
    for (unsigned i = 0; i <= m->n; i++) {
        offset = (uint64_t)i * 4096;
        aio_test_fill(m->out, 4096, offset, i);
        g_assert_cmpuint(aio_test_co_read(m->file, offset, m->in, 4096), ==,
                         4096);
        aio_test_assert_same(m->in, m->out, 4096);
    }
    m->n++;
}

static void coroutine_fn
test_co_move(AioTest *t)
{
    Move m = {
        .file = aio_test_co_open(t, "a", 0),
        .out = aio_test_alloc(4096),
        .in = aio_test_alloc(4096),
    };
    GError *error = NULL;
    Loop *other = loop_new("other", &error);
    AioEngineSet *set;

    g_assert_no_error(error);
    set = aio_engine_set_new(other);
    loop_set_engines(other, set);
    g_assert_true(loop_thread_start(other, &error));
    g_assert_no_error(error);
    move_co_use(&m);
    for (unsigned i = 0; i < 10; i++) {
        /* By the thread that the file leaves ... */
        g_assert_true(aio_file_move(m.file, other, &error));
        co_hop(other);
        move_co_use(&m);
        /* ... and by the one that it comes to. */
        co_hop(t->loop);
        g_assert_true(aio_file_move(m.file, t->loop, &error));
        g_assert_no_error(error);
        move_co_use(&m);
    }
    aio_file_co_close(m.file);
    loop_stop(other);
    loop_thread_join(other);
    aio_engine_set_free(set);
    loop_set_engines(other, NULL);
    loop_free(other);
    aio_test_release(m.out);
    aio_test_release(m.in);
}

/* ---- where it cannot go ---- */

/* An engine of a kind that the other loop does not have. */
static bool
refusing_attach(AioFile *file, AioEngine *engine, GError **error)
{
    (void)file;
    (void)engine;
    g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED, "not here");
    return false;
}

static void
refusing_free(AioEngine *engine)
{
    (void)engine;
}

static const AioEngineOps refusing_ops = {
    .name = "refusing",
    .free = refusing_free,
    .attach = refusing_attach,
};

static void coroutine_fn
test_co_move_fails(AioTest *t)
{
    Move m = {
        .file = aio_test_co_open(t, "a", 0),
        .out = aio_test_alloc(4096),
        .in = aio_test_alloc(4096),
    };
    GError *error = NULL;
    Loop *other = loop_new("other", &error);
    AioEngine refusing = { .ops = &refusing_ops, .loop = other };
    AioEngineSet *set = aio_engine_set_new_single(&refusing);

    loop_set_engines(other, set);
    move_co_use(&m);
    g_assert_false(aio_file_move(m.file, other, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED);
    g_clear_error(&error);
    move_co_use(&m);
    aio_file_co_close(m.file);
    aio_engine_set_free(set);
    loop_set_engines(other, NULL);
    loop_free(other);
    aio_test_release(m.out);
    aio_test_release(m.in);
}

void
test_move_add(void)
{
    aio_test_add("move", test_co_move);
    aio_test_add("move-fails", test_co_move_fails);
}
