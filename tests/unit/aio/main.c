/*
 * tests/unit/aio/main.c - the engines, each in each of its modes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "coro/coro.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

const AioVariant aio_variants[] = {
    { .name = "threads", .kind = AIO_THREADS, .align = 1 },
    { .name = "threads-direct",
      .kind = AIO_THREADS,
      .open_flags = O_DIRECT,
      .align = 4096 },
    { .name = "io_uring", .kind = AIO_IO_URING, .align = 1 },
    { .name = "io_uring-direct",
      .kind = AIO_IO_URING,
      .open_flags = O_DIRECT,
      .align = 4096 },
    { .name = "native-direct",
      .kind = AIO_NATIVE,
      .open_flags = O_DIRECT,
      .align = 4096 },
    { .name = "native-tail", .kind = AIO_NATIVE, .align = 1, .tail = true },
    { .name = "auto", .kind = AIO_AUTO, .align = 1 },
    { .name = NULL },
};

/* ---- one test ---- */

static void coroutine_fn
test_co_body(void *arg)
{
    AioTest *t = arg;

    t->fn(t);
}

static void
test_remove_dir(const char *dir)
{
    GDir *entries = g_dir_open(dir, 0, NULL);
    const char *name;

    g_assert_nonnull(entries);
    while ((name = g_dir_read_name(entries)) != NULL) {
        g_autofree char *path = g_build_filename(dir, name, NULL);

        g_assert_cmpint(g_unlink(path), ==, 0);
    }
    g_dir_close(entries);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

void
aio_test_run(const AioVariant *variant, const char *parent, AioTestFn *fn)
{
    AioTest t = { .variant = variant, .fn = fn };
    AioEngineSet *set;
    GError *error = NULL;
    const char *why = NULL;
    bool direct = (variant->open_flags & O_DIRECT) != 0 || variant->tail;

    t.dir = g_build_filename(parent ? parent : ".", "aio-test-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(t.dir));
    t.loop = loop_new("test", &error);
    g_assert_no_error(error);
    set = aio_engine_set_new(t.loop);
    loop_set_engines(t.loop, set);
    t.engine = aio_engine_get(t.loop, variant->kind, direct, &why, &error);
    g_assert_no_error(error);
    t.why = g_strdup(why);

    loop_run_coroutine(t.loop, test_co_body, &t);

    aio_engine_set_free(set);
    loop_set_engines(t.loop, NULL);
    loop_free(t.loop);
    test_remove_dir(t.dir);
    g_free(t.dir);
    g_free(t.why);
}

typedef struct AioCase {
    const AioVariant *variant;
    AioTestFn *fn;
} AioCase;

static void
test_run_case(const void *data)
{
    const AioCase *c = data;

    aio_test_run(c->variant, NULL, c->fn);
}

void
aio_test_add_one(const char *name, const AioVariant *variant, AioTestFn *fn)
{
    g_autofree char *path = g_strdup_printf("/aio/%s/%s", name, variant->name);
    AioCase *c = g_new0(AioCase, 1);

    c->variant = variant;
    c->fn = fn;
    g_test_add_data_func_full(path, c, test_run_case, g_free);
}

void
aio_test_add(const char *name, AioTestFn *fn)
{
    for (const AioVariant *v = aio_variants; v->name; v++) {
        aio_test_add_one(name, v, fn);
    }
}

/* ---- helpers ---- */

char *
aio_test_path(const AioTest *t, const char *name)
{
    return g_build_filename(t->dir, name, NULL);
}

AioFile *coroutine_fn
aio_test_co_open(AioTest *t, const char *name, int flags)
{
    g_autofree char *path = aio_test_path(t, name);
    AioFile *file = NULL;
    int ret = aio_file_co_open(
        t->engine, path, O_RDWR | O_CREAT | t->variant->open_flags | flags,
        0600, &file);

    g_assert_cmpint(ret, ==, 0);
    g_assert_nonnull(file);
    return file;
}

void *
aio_test_alloc(size_t bytes)
{
    void *buf = NULL;

    g_assert_cmpint(posix_memalign(&buf, 4096, MAX(bytes, 1)), ==, 0);
    return buf;
}

void
aio_test_release(void *buf)
{
    (free)(buf);
}

void
aio_test_fill(void *buf, size_t bytes, uint64_t offset, unsigned seed)
{
    uint8_t *p = buf;

    for (size_t i = 0; i < bytes; i++) {
        uint64_t at = offset + i;

        p[i] = (uint8_t)(at ^ (at >> 8) ^ (at >> 16) ^ (at >> 24) ^
                         (seed * 0x9dU));
    }
}

void
aio_test_assert_same(const void *a, const void *b, size_t bytes)
{
    const uint8_t *p = a, *q = b;

    for (size_t i = 0; i < bytes && memcmp(p, q, bytes) != 0; i++) {
        if (p[i] != q[i]) {
            g_error("byte %zu of %zu is 0x%02x, not 0x%02x", i, bytes, p[i],
                    q[i]);
        }
    }
}

uint64_t
aio_test_random(uint64_t limit)
{
    g_assert_cmpuint(limit, <=, INT32_MAX);
    return (uint64_t)g_test_rand_int_range(0, (int32_t)limit);
}

void coroutine_fn
aio_test_co_write(AioFile *file, uint64_t offset, const void *buf, size_t bytes)
{
    IoVec iov;

    iov_init_one(&iov, (void *)(uintptr_t)buf, bytes);
    g_assert_cmpint(aio_file_co_write(file, offset, &iov, 0), ==, 0);
}

size_t coroutine_fn
aio_test_co_read(AioFile *file, uint64_t offset, void *buf, size_t bytes)
{
    size_t n = SIZE_MAX;
    IoVec iov;

    iov_init_one(&iov, buf, bytes);
    g_assert_cmpint(aio_file_co_read(file, offset, &iov, &n), ==, 0);
    g_assert_cmpuint(n, <=, bytes);
    return n;
}

int
main(int argc, char **argv)
{
    struct rlimit no_core = { 0, 0 };
    int r;

    setrlimit(RLIMIT_CORE, &no_core);
    g_test_init(&argc, &argv, NULL);
    test_stall_add();
    test_transfer_add();
    test_conform_add();
    test_control_add();
    test_inline_add();
    test_lock_add();
    test_many_add();
    test_move_add();
    test_uring_add();
    test_fallback_add();
    r = g_test_run();
    coro_pool_drain();
    return r;
}
