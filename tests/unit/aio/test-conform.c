/*
 * tests/unit/aio/test-conform.c - transfers that every engine must do alike.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

/* ---- whole transfers ---- */

static void coroutine_fn
test_co_write_read(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    size_t bytes = 1 << 20;
    char *out = aio_test_alloc(bytes);
    char *in = aio_test_alloc(bytes);

    aio_test_fill(out, bytes, 0, 1);
    aio_test_co_write(file, 0, out, bytes);
    memset(in, 0xee, bytes);
    g_assert_cmpuint(aio_test_co_read(file, 0, in, bytes), ==, bytes);
    aio_test_assert_same(in, out, bytes);

    aio_test_fill(out + 8192, 4096, 8192, 2);
    aio_test_co_write(file, 8192, out + 8192, 4096);
    g_assert_cmpuint(aio_test_co_read(file, 4096, in, 65536), ==, 65536);
    aio_test_assert_same(in, out + 4096, 65536);

    aio_test_release(out);
    aio_test_release(in);
    aio_file_co_close(file);
}

/* The end of the file: short at it, nothing after it, never an error. */
static void coroutine_fn
test_co_end_of_file(AioTest *t)
{
    static const uint64_t sizes[] = { 0,     1,     511,   512,
                                      513,   4095,  4096,  4608,
                                      65535, 65536, 66048, 131072 + 512 };
    AioFile *file = aio_test_co_open(t, "a", 0);
    size_t bytes = 1 << 18;
    char *in = aio_test_alloc(bytes);

    for (size_t i = 0; i < ASH_N_ELEMENTS(sizes); i++) {
        uint64_t size = sizes[i];
        uint64_t next = ash_round_up(size + 1, 4096);

        g_assert_cmpint(aio_file_co_truncate(file, 0), ==, 0);
        g_assert_cmpint(aio_file_co_truncate(file, size), ==, 0);
        memset(in, 0xee, bytes);
        g_assert_cmpuint(aio_test_co_read(file, 0, in, bytes), ==, size);
        g_assert_true(ash_buf_is_zero(in, size));
        g_assert_cmpuint(aio_test_co_read(file, next, in, 4096), ==, 0);
        if (size > 0) {
            uint64_t at = ash_round_down(size - 1, 4096);

            g_assert_cmpuint(aio_test_co_read(file, at, in, 8192), ==,
                             size - at);
        }
    }
    aio_test_release(in);
    aio_file_co_close(file);
}

/* Writing past the end makes the file larger; the gap reads zero. */
static void coroutine_fn
test_co_extend(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    char *buf = aio_test_alloc(16384);
    AioStat st;

    aio_test_fill(buf, 4096, 8192, 3);
    aio_test_co_write(file, 8192, buf, 4096);
    g_assert_cmpint(aio_file_co_stat(file, &st), ==, 0);
    g_assert_cmpuint(st.size, ==, 12288);
    g_assert_cmpuint(aio_test_co_read(file, 0, buf, 16384), ==, 12288);
    g_assert_true(ash_buf_is_zero(buf, 8192));
    g_assert_false(ash_buf_is_zero(buf + 8192, 4096));
    aio_test_release(buf);
    aio_file_co_close(file);
}

/* Vectors of 1 piece up to more than the kernel takes at once. */
static void coroutine_fn
test_co_vectors(AioTest *t)
{
    static const unsigned counts[] = {
        1, 2, 3, 16, IOV_MAX - 1, IOV_MAX, IOV_MAX + 1, 2 * IOV_MAX + 7
    };
    AioFile *file = aio_test_co_open(t, "a", 0);
    size_t piece = t->variant->align == 1 ? 37 : t->variant->align;

    for (size_t i = 0; i < ASH_N_ELEMENTS(counts); i++) {
        unsigned n = counts[i];
        size_t bytes = n * piece;
        size_t got = 0;
        char *out = aio_test_alloc(bytes);
        char *in = aio_test_alloc(bytes);
        g_autofree struct iovec *v = g_new(struct iovec, n);
        IoVec iov;

        aio_test_fill(out, bytes, 0, n);
        /* Scattered backwards, so that a wrong order shows. */
        for (unsigned k = 0; k < n; k++) {
            v[k].iov_base = out + (n - 1 - k) * piece;
            v[k].iov_len = piece;
        }
        iov_init_array(&iov, v, n);
        g_assert_cmpint(aio_file_co_write(file, 0, &iov, 0), ==, 0);
        for (unsigned k = 0; k < n; k++) {
            v[k].iov_base = in + (n - 1 - k) * piece;
        }
        iov_init_array(&iov, v, n);
        g_assert_cmpint(aio_file_co_read(file, 0, &iov, &got), ==, 0);
        g_assert_cmpuint(got, ==, bytes);
        aio_test_assert_same(in, out, bytes);
        aio_test_release(out);
        aio_test_release(in);
    }
    aio_file_co_close(file);
}

/* ---- durable ones ---- */

static void coroutine_fn
test_co_flush_and_fua(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    char *buf = aio_test_alloc(8192);
    IoVec iov;

    aio_test_fill(buf, 8192, 0, 4);
    g_assert_cmpint(aio_file_co_flush(file), ==, 0);
    iov_init_one(&iov, buf, 8192);
    g_assert_cmpint(aio_file_co_write(file, 4096, &iov, AIO_WRITE_FUA), ==, 0);
    g_assert_cmpint(aio_file_co_flush(file), ==, 0);
    memset(buf, 0, 8192);
    g_assert_cmpuint(aio_test_co_read(file, 4096, buf, 8192), ==, 8192);
    g_assert_false(ash_buf_is_zero(buf, 8192));
    aio_test_release(buf);
    aio_file_co_close(file);
}

/* A file that was opened for reading refuses writes, and says so. */
static void coroutine_fn
test_co_read_only(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    g_autofree char *path = aio_test_path(t, "a");
    char *buf = aio_test_alloc(4096);
    IoVec iov;

    aio_test_fill(buf, 4096, 0, 5);
    aio_test_co_write(file, 0, buf, 4096);
    aio_file_co_close(file);

    g_assert_cmpint(aio_file_co_open(t->engine, path,
                                     O_RDONLY | t->variant->open_flags, 0,
                                     &file),
                    ==, 0);
    g_assert_cmpuint(aio_test_co_read(file, 0, buf, 4096), ==, 4096);
    iov_init_one(&iov, buf, 4096);
    g_assert_cmpint(aio_file_co_write(file, 0, &iov, 0), ==, -EBADF);
    g_assert_cmpint(aio_file_co_truncate(file, 0), ==, -EINVAL);
    aio_test_release(buf);
    aio_file_co_close(file);
}

/* ---- a model in memory ---- */

#define MODEL_BYTES ((uint64_t)1 << 20)
#define MODEL_STEPS 600

typedef struct Model {
    AioTest *t;
    AioFile *file;
    uint8_t *data;
    uint64_t size;
    unsigned n_ops[5];
} Model;

/* A random aligned range that is not empty. */
static void
model_pick(Model *m, uint64_t *ret_offset, uint64_t *ret_bytes)
{
    uint64_t align = m->t->variant->align;
    uint64_t n = MODEL_BYTES / align;
    uint64_t at = aio_test_random(n);
    uint64_t most = aio_test_random(4) == 0 ? n - at : MIN(n - at, 20000);

    *ret_offset = at * align;
    *ret_bytes = (1 + aio_test_random(most)) * align;
}

/* Cut [0, bytes) of @buf into random aligned pieces. */
static unsigned
model_cut(const Model *m, char *buf, uint64_t bytes, struct iovec *v)
{
    uint64_t align = m->t->variant->align;
    unsigned n = 0;

    while (bytes > 0) {
        uint64_t len = (1 + aio_test_random(bytes / align)) * align;

        if (n == 15) {
            len = bytes;
        }
        v[n].iov_base = buf;
        v[n].iov_len = len;
        n++;
        buf += len;
        bytes -= len;
    }
    return n;
}

static void coroutine_fn
model_co_write(Model *m, unsigned seed)
{
    uint64_t offset, bytes;
    struct iovec v[16];
    IoVec iov;
    char *buf;

    model_pick(m, &offset, &bytes);
    buf = aio_test_alloc(bytes);
    aio_test_fill(buf, bytes, offset, seed);
    iov_init_array(&iov, v, model_cut(m, buf, bytes, v));
    g_assert_cmpint(aio_file_co_write(m->file, offset, &iov,
                                      seed % 50 == 0 ? AIO_WRITE_FUA : 0),
                    ==, 0);
    memcpy(m->data + offset, buf, bytes);
    m->size = MAX(m->size, offset + bytes);
    aio_test_release(buf);
}

static void coroutine_fn
model_co_read(Model *m)
{
    uint64_t offset, bytes, inside;
    struct iovec v[16];
    size_t n = 0;
    IoVec iov;
    char *buf;

    model_pick(m, &offset, &bytes);
    inside = offset < m->size ? MIN(bytes, m->size - offset) : 0;
    buf = aio_test_alloc(bytes);
    iov_init_array(&iov, v, model_cut(m, buf, bytes, v));
    g_assert_cmpint(aio_file_co_read(m->file, offset, &iov, &n), ==, 0);
    g_assert_cmpuint(n, ==, inside);
    aio_test_assert_same(buf, m->data + offset, inside);
    aio_test_release(buf);
}

static void coroutine_fn
model_co_punch(Model *m)
{
    uint64_t offset, bytes;

    model_pick(m, &offset, &bytes);
    if (aio_test_random(2) == 0) {
        g_assert_cmpint(
            aio_file_co_space(m->file, AIO_SPACE_PUNCH, offset, bytes), ==, 0);
    } else {
        g_assert_cmpint(
            aio_file_co_space(m->file, AIO_SPACE_ZERO, offset, bytes), ==, 0);
        m->size = MAX(m->size, offset + bytes);
    }
    memset(m->data + offset, 0, bytes);
}

static void coroutine_fn
model_co_truncate(Model *m)
{
    uint64_t size = aio_test_random(MODEL_BYTES);

    g_assert_cmpint(aio_file_co_truncate(m->file, size), ==, 0);
    if (size < m->size) {
        memset(m->data + size, 0, m->size - size);
    }
    m->size = size;
}

static void coroutine_fn
test_co_model(AioTest *t)
{
    Model m = { .t = t, .file = aio_test_co_open(t, "a", 0) };
    char *all = aio_test_alloc(MODEL_BYTES);

    m.data = g_malloc0(MODEL_BYTES);
    for (unsigned i = 0; i < MODEL_STEPS; i++) {
        uint64_t dice = aio_test_random(100);

        if (dice < 45) {
            model_co_write(&m, i);
            m.n_ops[0]++;
        } else if (dice < 85) {
            model_co_read(&m);
            m.n_ops[1]++;
        } else if (dice < 95) {
            model_co_punch(&m);
            m.n_ops[2]++;
        } else if (dice < 98) {
            model_co_truncate(&m);
            m.n_ops[3]++;
        } else {
            g_assert_cmpint(aio_file_co_flush(m.file), ==, 0);
            m.n_ops[4]++;
        }
    }
    g_assert_cmpuint(aio_test_co_read(m.file, 0, all, MODEL_BYTES), ==, m.size);
    aio_test_assert_same(all, m.data, m.size);
    g_test_message("%u writes, %u reads, %u zeroings, %u truncates, "
                   "%u flushes",
                   m.n_ops[0], m.n_ops[1], m.n_ops[2], m.n_ops[3], m.n_ops[4]);
    aio_test_release(all);
    g_free(m.data);
    aio_file_co_close(m.file);
}

static const struct {
    const char *name;
    AioTestFn *fn;
} conform_tests[] = {
    { "write-read", test_co_write_read },
    { "end-of-file", test_co_end_of_file },
    { "extend", test_co_extend },
    { "vectors", test_co_vectors },
    { "flush-and-fua", test_co_flush_and_fua },
    { "read-only", test_co_read_only },
    { "model", test_co_model },
};

void
aio_test_conform(const AioVariant *variant)
{
    for (size_t i = 0; i < ASH_N_ELEMENTS(conform_tests); i++) {
        aio_test_run(variant, NULL, conform_tests[i].fn);
    }
}

void
test_conform_add(void)
{
    for (size_t i = 0; i < ASH_N_ELEMENTS(conform_tests); i++) {
        aio_test_add(conform_tests[i].name, conform_tests[i].fn);
    }
}
