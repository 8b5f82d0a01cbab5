/*
 * tests/unit/aio/test-transfer.c - whole transfers over an engine that does
 * them in pieces, puts them off, or fails.
 *
 * The engine is a file in memory.  A script says what each call does; without
 * one it decides at random.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <string.h>

#include "base/bits.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

#define FAKE_BYTES ((uint64_t)1 << 20)

typedef struct Fake {
    AioEngine engine; /* first */
    AioFile file;
    uint8_t data[FAKE_BYTES];
    uint64_t size;
    uint64_t align; /* of offsets; 1: buffered */
    uint64_t wall;  /* a read from before stops here; 0: none */
    /* What the next calls do: a number of bytes at most, or -errno; after the
     * script everything is done at once. */
    const int64_t *script;
    unsigned n_script;
    unsigned odds;    /* of 100, with which a call misbehaves */
    unsigned n_short; /* since one did all: three may look like the end */
    unsigned n_calls;
    unsigned n_injected;
    unsigned n_flushes;
} Fake;

static Fake *
fake_of(AioFile *file)
{
    return ash_container_of(file, Fake, file);
}

/* How many of @bytes this call may move, or -errno. */
static int64_t
fake_allow(Fake *fake, uint64_t offset, const IoVec *iov)
{
    int64_t most = (int64_t)iov->bytes;

    fake->n_calls++;
    g_assert_cmpuint(iov->n, <=, IOV_MAX);
    g_assert_cmpuint(iov->n, >, 0);
    g_assert_true(ash_is_aligned(offset, fake->align));
    g_assert_true(iov_is_aligned(iov, fake->align));
    if (fake->n_script > 0) {
        most = *fake->script++;
        fake->n_script--;
    } else if (aio_test_random(100) < fake->odds) {
        fake->n_injected++;
        switch (aio_test_random(fake->n_short < 2 ? 3 : 2)) {
        case 0:
            return -EINTR;
        case 1:
            return -EAGAIN;
        default:
            most = 1 + (int64_t)aio_test_random(iov->bytes / fake->align);
            most *= (int64_t)fake->align;
            fake->n_short++;
        }
    } else {
        fake->n_short = 0;
    }
    return MIN(most, (int64_t)iov->bytes);
}

static int64_t coroutine_fn
fake_co_readv(AioFile *file, uint64_t offset, const IoVec *iov)
{
    Fake *fake = fake_of(file);
    int64_t n;

    if (!ash_is_aligned(offset, fake->align)) {
        /* Only to make sure where the end is. */
        g_assert_true(ash_is_aligned(offset, 512));
        g_assert_cmpuint(offset, ==, fake->size);
        fake->n_calls++;
        return -EINVAL;
    }
    n = fake_allow(fake, offset, iov);
    if (n <= 0) {
        /* A read of nothing would be the end of the file. */
        n = n == 0 ? (int64_t)fake->align : n;
    }
    if (n < 0 || offset >= fake->size) {
        return MIN(n, 0);
    }
    n = MIN(n, (int64_t)(fake->size - offset));
    if (offset < fake->wall) {
        n = MIN(n, (int64_t)(fake->wall - offset));
    }
    iov_from_buf(iov, 0, fake->data + offset, (size_t)n);
    return n;
}

static int64_t coroutine_fn
fake_co_writev(AioFile *file, uint64_t offset, const IoVec *iov, unsigned flags)
{
    Fake *fake = fake_of(file);
    int64_t n = fake_allow(fake, offset, iov);

    g_assert_cmpuint(flags, ==, 0);
    if (n > 0) {
        iov_to_buf(iov, 0, fake->data + offset, (size_t)n);
        fake->size = MAX(fake->size, offset + (uint64_t)n);
    }
    return n;
}

static int coroutine_fn
fake_co_flush(AioFile *file)
{
    Fake *fake = fake_of(file);

    fake->n_flushes++;
    if (fake->n_script == 0) {
        return 0;
    }
    fake->n_script--;
    return (int)*fake->script++;
}

static const AioEngineOps fake_ops = {
    .name = "fake",
    .co_readv = fake_co_readv,
    .co_writev = fake_co_writev,
    .co_flush = fake_co_flush,
};

static Fake *
fake_new(uint64_t align)
{
    Fake *fake = g_new0(Fake, 1);

    fake->engine.ops = &fake_ops;
    fake->file.engine = &fake->engine;
    fake->file.fd = -1;
    fake->file.open_flags = align > 1 ? O_RDWR | O_DIRECT : O_RDWR;
    fake->align = align;
    return fake;
}

static void
fake_run(AioTestFn *fn)
{
    static const AioVariant variant = {
        .name = "fake",
        .kind = AIO_THREADS,
        .align = 1,
    };

    aio_test_run(&variant, NULL, fn);
}

/* ---- scripts ---- */

typedef struct Scripted {
    const char *what;
    bool write;
    uint64_t align;
    uint64_t size; /* of the file, before */
    int64_t script[8];
    unsigned n_script;
    int ret;        /* of a transfer of 64 KiB at 0 */
    uint64_t bytes; /* read */
    unsigned n_calls;
} Scripted;

#define SCRIPT(...) \
    { __VA_ARGS__ }, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)

static const Scripted scripted[] = {
    { "read at once", false, 1, 65536, SCRIPT(65536), 0, 65536, 1 },
    { "short read goes on", false, 1, 65536, SCRIPT(1, 2, 100), 0, 65536, 4 },
    { "read EINTR", false, 1, 65536, SCRIPT(-EINTR, -EINTR), 0, 65536, 3 },
    { "read EAGAIN", false, 1, 65536, SCRIPT(-EAGAIN, 7, -EAGAIN), 0, 65536,
      4 },
    { "read error", false, 1, 65536, SCRIPT(-EIO), -EIO, 0, 1 },
    { "read error after a piece", false, 1, 65536, SCRIPT(5, -EIO), -EIO, 0,
      2 },
    { "end of file", false, 1, 1000, SCRIPT(65536), 0, 1000, 2 },
    { "empty file", false, 1, 0, SCRIPT(65536), 0, 0, 1 },
    { "direct read goes on at an aligned place", false, 4096, 65536,
      SCRIPT(4096, 8192, 61440), 0, 65536, 4 },
    { "direct end of file in a sector", false, 4096, 4096 + 100, SCRIPT(65536),
      0, 4196, 1 },
    { "direct end of file at a sector", false, 4096, 4096 + 512, SCRIPT(65536),
      0, 4608, 3 },
    { "direct read as short as before", false, 4096, 65536,
      SCRIPT(4096, 4096, -EINTR), 0, 65536, 4 },
    { "write at once", true, 1, 0, SCRIPT(65536), 0, 0, 1 },
    { "short write goes on", true, 1, 0, SCRIPT(1, 60000), 0, 0, 3 },
    { "write EINTR", true, 1, 0, SCRIPT(-EINTR, 3, -EINTR), 0, 0, 4 },
    { "write EAGAIN", true, 1, 0, SCRIPT(-EAGAIN), 0, 0, 2 },
    { "write ENOSPC", true, 1, 0, SCRIPT(-ENOSPC), -ENOSPC, 0, 1 },
    { "short, then ENOSPC", true, 1, 0, SCRIPT(4096, -ENOSPC), -ENOSPC, 0, 2 },
    { "short, then EIO", true, 1, 0, SCRIPT(4096, -EIO), -EIO, 0, 2 },
    { "nothing once", true, 1, 0, SCRIPT(0), 0, 0, 2 },
    { "nothing twice", true, 1, 0, SCRIPT(5, 0, 0), -ENOSPC, 0, 3 },
    { "nothing, a bit, nothing", true, 1, 0, SCRIPT(0, 1, 0), 0, 0, 4 },
    { "direct short write goes on", true, 4096, 0, SCRIPT(4096, 8192), 0, 0,
      3 },
    { "direct write gets no further", true, 4096, 0, SCRIPT(8192, 8192, 8192),
      -ENOSPC, 0, 3 },
};

static void coroutine_fn
test_co_scripts(AioTest *t)
{
    char *buf = aio_test_alloc(65536);

    g_assert_nonnull(t);
    for (size_t i = 0; i < ASH_N_ELEMENTS(scripted); i++) {
        const Scripted *s = &scripted[i];
        Fake *fake = fake_new(s->align);
        size_t n = 0;
        IoVec iov;
        int ret;

        g_test_message("%s", s->what);
        fake->size = s->size;
        fake->script = s->script;
        fake->n_script = s->n_script;
        iov_init_one(&iov, buf, 65536);
        if (s->write) {
            aio_test_fill(buf, 65536, 0, 1);
            ret = aio_file_co_write(&fake->file, 0, &iov, 0);
        } else {
            aio_test_fill(fake->data, 65536, 0, 1);
            memset(buf, 0, 65536);
            ret = aio_file_co_read(&fake->file, 0, &iov, &n);
        }
        g_assert_cmpint(ret, ==, s->ret);
        g_assert_cmpuint(fake->n_calls, ==, s->n_calls);
        g_assert_cmpuint(n, ==, s->bytes);
        if (ret == 0) {
            aio_test_assert_same(buf, fake->data, s->write ? 65536 : n);
        }
        g_free(fake);
    }
    aio_test_release(buf);
}

static void
test_scripts(void)
{
    fake_run(test_co_scripts);
}

/* ---- at random ---- */

static void coroutine_fn
random_co_step(Fake *fake, uint8_t *model, unsigned seed)
{
    uint64_t align = fake->align;
    uint64_t blocks = FAKE_BYTES / align;
    uint64_t at = aio_test_random(blocks);
    uint64_t n_blocks = 1 + aio_test_random(MIN(blocks - at, 3000));
    uint64_t offset = at * align;
    uint64_t bytes = n_blocks * align;
    /* Many small pieces, sometimes more than IOV_MAX. */
    uint64_t piece = ash_max(bytes / (1 + aio_test_random(2000)), align);
    g_autofree struct iovec *v = g_new(struct iovec, n_blocks);
    char *buf = aio_test_alloc(bytes);
    unsigned n = 0;
    size_t got = 0;
    IoVec iov;

    piece = ash_round_down(piece, align);
    for (uint64_t done = 0; done < bytes; done += piece, n++) {
        v[n].iov_base = buf + done;
        v[n].iov_len = MIN(piece, bytes - done);
    }
    iov_init_array(&iov, v, n);
    if (aio_test_random(2) == 0) {
        aio_test_fill(buf, bytes, offset, seed);
        g_assert_cmpint(aio_file_co_write(&fake->file, offset, &iov, 0), ==, 0);
        memcpy(model + offset, buf, bytes);
    } else {
        uint64_t inside =
            offset < fake->size ? MIN(bytes, fake->size - offset) : 0;

        g_assert_cmpint(aio_file_co_read(&fake->file, offset, &iov, &got), ==,
                        0);
        g_assert_cmpuint(got, ==, inside);
        aio_test_assert_same(buf, model + offset, inside);
    }
    aio_test_release(buf);
}

static void coroutine_fn
random_co_run(uint64_t align, unsigned n_steps)
{
    Fake *fake = fake_new(align);
    uint8_t *model = g_malloc0(FAKE_BYTES);

    fake->odds = 10;
    for (unsigned i = 0; i < n_steps; i++) {
        random_co_step(fake, model, i);
    }
    aio_test_assert_same(fake->data, model, FAKE_BYTES);
    g_assert_cmpuint(fake->n_injected, >, n_steps / 20);
    g_test_message("align %u: %u transfers, %u calls, %u of them disturbed",
                   (unsigned)align, n_steps, fake->n_calls, fake->n_injected);
    g_free(model);
    g_free(fake);
}

static void coroutine_fn
test_co_disturbed(AioTest *t)
{
    g_assert_nonnull(t);
    random_co_run(1, 1000);
    random_co_run(512, 1000);
    random_co_run(4096, 300);
}

static void
test_disturbed(void)
{
    fake_run(test_co_disturbed);
}

/* ---- flush, and never ---- */

/* An error of a flush is final; EINTR and EAGAIN are not errors. */
static void coroutine_fn
test_co_flush(AioTest *t)
{
    static const int64_t script[] = { -EINTR, -EAGAIN, -EIO, 0 };
    Fake *fake = fake_new(1);

    g_assert_nonnull(t);
    fake->script = script;
    fake->n_script = ASH_N_ELEMENTS(script);
    g_assert_cmpint(aio_file_co_flush(&fake->file), ==, -EIO);
    g_assert_cmpuint(fake->n_flushes, ==, 3);
    g_free(fake);
}

static void
test_flush(void)
{
    fake_run(test_co_flush);
}

static int64_t coroutine_fn
never_co_readv(AioFile *file, uint64_t offset, const IoVec *iov)
{
    (void)offset;
    (void)iov;
    fake_of(file)->n_calls++;
    return -EINTR;
}

static const AioEngineOps never_ops = {
    .name = "never",
    .co_readv = never_co_readv,
};

/* A call that is interrupted for ever ends in EIO. */
static void coroutine_fn
test_co_never(AioTest *t)
{
    Fake *fake = fake_new(1);
    char buf[10];
    size_t n = 7;
    IoVec iov;

    g_assert_nonnull(t);
    fake->engine.ops = &never_ops;
    iov_init_one(&iov, buf, sizeof(buf));
    g_assert_cmpint(aio_file_co_read(&fake->file, 0, &iov, &n), ==, -EIO);
    g_assert_cmpuint(n, ==, 7);
    g_assert_cmpuint(fake->n_calls, >=, 100);
    g_free(fake);
}

static void
test_never(void)
{
    fake_run(test_co_never);
}

/* As on btrfs: what can't be read at once stops each read at the same place. */
static void coroutine_fn
test_co_wall(AioTest *t)
{
    static const uint64_t walls[] = { 4096, 61440, 65536, 69632, 196608 };
    char *buf = aio_test_alloc(262144);

    g_assert_nonnull(t);
    for (size_t i = 0; i < ASH_N_ELEMENTS(walls); i++) {
        Fake *fake = fake_new(4096);
        size_t n = 0;
        IoVec iov;

        fake->size = 262144;
        fake->wall = walls[i];
        aio_test_fill(fake->data, 262144, 0, 1);
        memset(buf, 0, 262144);
        iov_init_one(&iov, buf, 262144);
        g_assert_cmpint(aio_file_co_read(&fake->file, 0, &iov, &n), ==, 0);
        g_assert_cmpuint(n, ==, 262144);
        aio_test_assert_same(buf, fake->data, n);
        g_free(fake);
    }
    aio_test_release(buf);
}

static void
test_wall(void)
{
    fake_run(test_co_wall);
}

void
test_transfer_add(void)
{
    g_test_add_func("/aio/transfer/wall", test_wall);
    g_test_add_func("/aio/transfer/scripts", test_scripts);
    g_test_add_func("/aio/transfer/disturbed", test_disturbed);
    g_test_add_func("/aio/transfer/flush", test_flush);
    g_test_add_func("/aio/transfer/never", test_never);
}
