/*
 * tests/unit/aio/test-uring.c - the bounds of a ring: entries, completions,
 * slots for files.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <glib.h>
#include <liburing.h>
#include <sys/resource.h>

#include "coro/co-lock.h"
#include "drivers/aio/engine-priv.h"
#include "drivers/aio/uring-probe.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

static const AioVariant uring_variant = {
    .name = "io_uring",
    .kind = AIO_IO_URING,
    .align = 1,
};

static void
test_probe(void)
{
    AioUringTraits traits;
    GError *error = NULL;

    g_assert_true(aio_uring_probe(&traits, &error));
    g_assert_no_error(error);
    g_test_message("set-up flags 0x%x, restrictions %d, fallocate %d",
                   traits.setup_flags, traits.restrict_ops, traits.fallocate);
}

/* ---- a small ring ---- */

#define SMALL_BLOCK 512U

typedef struct Small {
    AioFile *file;
    unsigned n_total;
    unsigned next;
    unsigned n_running;
    CoQueue done;
} Small;

static void coroutine_fn
small_co_worker(void *arg)
{
    Small *s = arg;
    char out[SMALL_BLOCK], in[SMALL_BLOCK];

    while (s->next < s->n_total) {
        unsigned i = s->next++;
        uint64_t offset = (uint64_t)i * SMALL_BLOCK;

        aio_test_fill(out, sizeof(out), offset, i);
        aio_test_co_write(s->file, offset, out, sizeof(out));
        if (i % 1000 == 0) {
            g_assert_cmpint(aio_file_co_flush(s->file), ==, 0);
        }
        g_assert_cmpuint(aio_test_co_read(s->file, offset, in, sizeof(in)), ==,
                         sizeof(in));
        aio_test_assert_same(in, out, sizeof(in));
    }
    s->n_running--;
    if (s->n_running == 0) {
        co_queue_wake_all(&s->done);
    }
}

/* 5000 writes and 5000 reads, 300 at a time, through 4 entries. */
static void coroutine_fn
test_co_small_ring(AioTest *t)
{
    GError *error = NULL;
    AioEngine *before = t->engine;
    AioEngine *small = aio_uring_new(t->loop, 4, &error);
    Small s = { .n_total = 5000, .n_running = 300 };

    g_assert_no_error(error);
    t->engine = small;
    s.file = aio_test_co_open(t, "a", 0);
    co_queue_init(&s.done);
    for (unsigned i = 0; i < 300; i++) {
        coro_spawn_later(small_co_worker, &s);
    }
    co_queue_co_wait(&s.done);
    g_assert_cmpuint(s.next, ==, 5000);
    aio_file_co_close(s.file);
    co_pause(); /* the reaper ends in this turn */
    small->ops->free(small);
    t->engine = before;
}

/* ---- slots ---- */

#define SLOT_FILES (AIO_URING_SLOTS_MAX + 20)

/* More open files than the ring has slots: the rest uses the pool, and a slot
 * that was given back is used again. */
static void coroutine_fn
test_co_slots(AioTest *t)
{
    struct rlimit limit, old;
    g_autofree AioFile **files = g_new0(AioFile *, SLOT_FILES);
    char buf[64];
    unsigned n_slots = 0;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    limit = old;
    limit.rlim_cur = MIN(old.rlim_max, SLOT_FILES + 100);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    for (unsigned i = 0; i < SLOT_FILES; i++) {
        files[i] = aio_test_co_open(t, "a", 0);
        aio_test_fill(buf, sizeof(buf), 0, i);
        aio_test_co_write(files[i], i * sizeof(buf), buf, sizeof(buf));
        n_slots += files[i]->slot >= 0;
    }
    g_assert_cmpuint(n_slots, >=, AIO_URING_SLOTS_MIN);
    g_assert_cmpuint(n_slots, <, SLOT_FILES);
    aio_file_co_close(files[0]);
    for (unsigned i = 1; i < SLOT_FILES; i++) {
        char expected[64];

        aio_test_fill(expected, sizeof(expected), 0, i);
        g_assert_cmpuint(
            aio_test_co_read(files[i], i * sizeof(buf), buf, sizeof(buf)), ==,
            sizeof(buf));
        aio_test_assert_same(buf, expected, sizeof(buf));
    }
    n_slots = 0;
    for (unsigned i = 1; i < SLOT_FILES; i++) {
        n_slots += files[i]->slot >= 0;
        aio_file_co_close(files[i]);
    }
    g_assert_cmpuint(n_slots, >=, AIO_URING_SLOTS_MIN);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
}

/* ---- batches ---- */

static unsigned n_submits;

/* In the library's place, to count. */
int
io_uring_submit(struct io_uring *ring)
{
    static int (*real)(struct io_uring *);

    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "io_uring_submit");
    }
    n_submits++;
    return real(ring);
}

static const AioVariant uring_direct_variant = {
    .name = "io_uring-direct",
    .kind = AIO_IO_URING,
    .open_flags = O_DIRECT,
    .align = 4096,
};

#define BATCH 64U

typedef struct Batch {
    AioFile *file;
    unsigned next;
    unsigned n_running;
    CoQueue done;
} Batch;

static void coroutine_fn
batch_co_write(void *arg)
{
    Batch *b = arg;
    uint64_t offset = (uint64_t)b->next++ * 4096;
    char *buf = aio_test_alloc(4096);

    aio_test_fill(buf, 4096, offset, 1);
    aio_test_co_write(b->file, offset, buf, 4096);
    aio_test_release(buf);
    if (--b->n_running == 0) {
        co_queue_wake_all(&b->done);
    }
}

/* What begins in one turn of the loop is submitted at once; one alone does not
 * wait for others. */
static void coroutine_fn
test_co_batch(AioTest *t)
{
    Batch b = { .file = aio_test_co_open(t, "a", 0) };

    co_queue_init(&b.done);
    for (unsigned n = 1; n <= BATCH; n += BATCH - 1) {
        b.next = 0;
        b.n_running = n;
        n_submits = 0;
        for (unsigned i = 0; i < n; i++) {
            coro_spawn(batch_co_write, &b);
        }
        g_assert_cmpuint(b.n_running, ==, n);
        g_assert_cmpuint(n_submits, ==, 0);
        co_queue_co_wait(&b.done);
        g_assert_cmpuint(n_submits, ==, 1);
    }
    aio_file_co_close(b.file);
}

void
test_uring_add(void)
{
    g_test_add_func("/aio/uring/probe", test_probe);
    aio_test_add_one("small-ring", &uring_variant, test_co_small_ring);
    aio_test_add_one("slots", &uring_variant, test_co_slots);
    aio_test_add_one("batch", &uring_direct_variant, test_co_batch);
}
