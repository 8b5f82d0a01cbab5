/*
 * tests/unit/aio/test-control.c - open, identity, space and holes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

/* ---- open ---- */

static int coroutine_fn
open_co_result(AioTest *t, const char *path, int flags)
{
    AioFile *file = NULL;
    int ret = aio_file_co_open(t->engine, path, flags | t->variant->open_flags,
                               0, &file);

    g_assert_cmpint(ret, <, 0);
    g_assert_null(file);
    return ret;
}

static void coroutine_fn
test_co_open_refuses(AioTest *t)
{
    g_autofree char *missing = aio_test_path(t, "missing");
    g_autofree char *below = aio_test_path(t, "missing/a");
    g_autofree char *fifo = aio_test_path(t, "fifo");

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(open_co_result(t, missing, O_RDWR), ==, -ENOENT);
    g_assert_cmpint(open_co_result(t, below, O_RDWR), ==, -ENOENT);
    g_assert_cmpint(open_co_result(t, t->dir, O_RDWR), ==, -EISDIR);
    g_assert_cmpint(open_co_result(t, t->dir, O_RDONLY), ==, -EISDIR);
    g_assert_cmpint(open_co_result(t, fifo, O_RDONLY), ==, -ENOTBLK);
    g_assert_cmpint(open_co_result(t, fifo, O_RDWR), ==, -ENOTBLK);
    g_assert_cmpint(open_co_result(t, "/dev/null", O_RDWR), ==, -ENOTBLK);
}

/* The fd is ours alone: closed on exec, and blocking. */
static void coroutine_fn
test_co_open_flags(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    int flags = fcntl(file->fd, F_GETFL);

    g_assert_cmpint(fcntl(file->fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    g_assert_cmpint(flags & O_NONBLOCK, ==, 0);
    g_assert_cmpint(flags & O_ACCMODE, ==, O_RDWR);
    g_assert_cmpint(flags & O_DIRECT, ==, t->variant->open_flags);
    aio_file_co_close(file);
    aio_file_co_close(NULL);
}

/* ---- identity ---- */

static void coroutine_fn
test_co_stat(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    g_autofree char *path = aio_test_path(t, "a");
    struct stat expected;
    AioStat st;

    g_assert_cmpint(aio_file_co_truncate(file, 12345), ==, 0);
    g_assert_cmpint(stat(path, &expected), ==, 0);
    g_assert_cmpint(aio_file_co_stat(file, &st), ==, 0);
    g_assert_true(st.is_regular);
    g_assert_false(st.is_block);
    g_assert_cmpuint(st.size, ==, 12345);
    g_assert_cmpuint(st.allocated, ==, (uint64_t)expected.st_blocks * 512);
    g_assert_cmpuint(st.dev, ==, expected.st_dev);
    g_assert_cmpuint(st.ino, ==, expected.st_ino);
    g_assert_cmpint(st.ctime_ns, ==,
                    expected.st_ctim.tv_sec * 1000000000 +
                        expected.st_ctim.tv_nsec);
    g_assert_cmpint(st.btime_ns, <=, st.ctime_ns);
    g_assert_cmpuint(st.logical_block, ==, 0);
    if (st.dio_offset_align != 0) {
        g_assert_true(ash_is_pow2(st.dio_offset_align));
        g_assert_true(ash_is_pow2(st.dio_mem_align));
    }
    aio_file_co_close(file);
}

/* ---- space ---- */

#define SPACE_BYTES ((uint64_t)1 << 20)

static uint64_t coroutine_fn
space_co_allocated(AioFile *file)
{
    AioStat st;

    g_assert_cmpint(aio_file_co_stat(file, &st), ==, 0);
    return st.allocated;
}

/* Fill the file with data, change a piece of it, and look at all bytes. */
static void coroutine_fn
space_co_try(AioFile *file, AioSpaceOp op, uint64_t offset, uint64_t bytes)
{
    char *out = aio_test_alloc(SPACE_BYTES);
    char *in = aio_test_alloc(SPACE_BYTES);
    uint64_t inside = MIN(bytes, SPACE_BYTES - MIN(offset, SPACE_BYTES));

    aio_test_fill(out, SPACE_BYTES, 0, 7);
    aio_test_co_write(file, 0, out, SPACE_BYTES);
    g_assert_cmpint(aio_file_co_flush(file), ==, 0);
    g_assert_cmpint(aio_file_co_space(file, op, offset, bytes), ==, 0);
    memset(out + MIN(offset, SPACE_BYTES), 0, inside);
    g_assert_cmpuint(aio_test_co_read(file, 0, in, SPACE_BYTES), ==,
                     SPACE_BYTES);
    aio_test_assert_same(in, out, SPACE_BYTES);
    aio_test_release(out);
    aio_test_release(in);
}

static void coroutine_fn
test_co_space(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    uint64_t before;
    AioStat st;

    space_co_try(file, AIO_SPACE_PUNCH, 4096, 4096);
    space_co_try(file, AIO_SPACE_PUNCH, 1, 3);
    space_co_try(file, AIO_SPACE_PUNCH, 4095, 8194);
    space_co_try(file, AIO_SPACE_ZERO, 4096, 4096);
    space_co_try(file, AIO_SPACE_ZERO, 1, 3);
    space_co_try(file, AIO_SPACE_ZERO, 4095, 8194);
    /* Past the end. */
    space_co_try(file, AIO_SPACE_PUNCH, SPACE_BYTES - 1, 8192);
    g_assert_cmpint(aio_file_co_stat(file, &st), ==, 0);
    g_assert_cmpuint(st.size, ==, SPACE_BYTES);
    space_co_try(file, AIO_SPACE_ZERO, SPACE_BYTES - 1, 8192);
    g_assert_cmpint(aio_file_co_stat(file, &st), ==, 0);
    g_assert_cmpuint(st.size, ==, SPACE_BYTES + 8191);
    g_assert_cmpint(aio_file_co_truncate(file, SPACE_BYTES), ==, 0);

    space_co_try(file, AIO_SPACE_PUNCH, 0, SPACE_BYTES);
    g_assert_cmpuint(space_co_allocated(file), <, 65536);
    before = space_co_allocated(file);
    g_assert_cmpint(aio_file_co_space(file, AIO_SPACE_ALLOCATE, 0, 262144), ==,
                    0);
    g_assert_cmpuint(space_co_allocated(file), >=, before + 262144);

    /* Not for regular files. */
    g_assert_cmpint(aio_file_co_space(file, AIO_SPACE_BLKDISCARD, 0, 4096), ==,
                    -ENOTSUP);
    g_assert_cmpint(aio_file_co_space(file, AIO_SPACE_BLKZEROOUT, 0, 4096), ==,
                    -ENOTSUP);
    aio_file_co_close(file);
}

static uint64_t coroutine_fn
seek_co_to(AioFile *file, uint64_t offset, int whence)
{
    uint64_t at = UINT64_MAX;

    g_assert_cmpint(aio_file_co_seek(file, offset, whence, &at), ==, 0);
    return at;
}

static void coroutine_fn
test_co_seek(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    char *buf = aio_test_alloc(65536);
    uint64_t at = 77;

    aio_test_fill(buf, 65536, 0, 8);
    g_assert_cmpint(aio_file_co_truncate(file, 1 << 20), ==, 0);
    aio_test_co_write(file, 262144, buf, 65536);
    g_assert_cmpint(aio_file_co_flush(file), ==, 0);
    g_assert_cmpuint(seek_co_to(file, 0, SEEK_DATA), ==, 262144);
    g_assert_cmpuint(seek_co_to(file, 5, SEEK_HOLE), ==, 5);
    g_assert_cmpuint(seek_co_to(file, 262145, SEEK_DATA), ==, 262145);
    g_assert_cmpuint(seek_co_to(file, 262144, SEEK_HOLE), ==, 327680);
    g_assert_cmpint(aio_file_co_seek(file, 327680, SEEK_DATA, &at), ==, -ENXIO);
    g_assert_cmpint(aio_file_co_seek(file, 1 << 20, SEEK_HOLE, &at), ==,
                    -ENXIO);
    g_assert_cmpuint(at, ==, 77);
    aio_test_release(buf);
    aio_file_co_close(file);
}

/* ---- the kernel runs out of space ---- */

static const AioVariant control_tmpfs = {
    .name = "tmpfs",
    .kind = AIO_THREADS,
    .align = 1,
};

/* A file system without zero-range says so, and changes nothing. */
static void coroutine_fn
test_co_space_is_missing(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    char buf[64];

    aio_test_fill(buf, sizeof(buf), 0, 9);
    aio_test_co_write(file, 0, buf, sizeof(buf));
    g_assert_cmpint(aio_file_co_space(file, AIO_SPACE_ZERO, 0, 64), ==,
                    -ENOTSUP);
    g_assert_cmpuint(aio_test_co_read(file, 0, buf, sizeof(buf)), ==, 64);
    g_assert_false(ash_buf_is_zero(buf, sizeof(buf)));
    g_assert_cmpint(aio_file_co_space(file, AIO_SPACE_PUNCH, 0, 64), ==, 0);
    g_assert_cmpuint(aio_test_co_read(file, 0, buf, sizeof(buf)), ==, 64);
    g_assert_true(ash_buf_is_zero(buf, sizeof(buf)));
    aio_file_co_close(file);
}

static void
test_space_is_missing(void)
{
    aio_test_run(&control_tmpfs, "/dev/shm", test_co_space_is_missing);
}

void
test_control_add(void)
{
    aio_test_add("open-refuses", test_co_open_refuses);
    aio_test_add("open-flags", test_co_open_flags);
    aio_test_add("stat", test_co_stat);
    aio_test_add("space", test_co_space);
    aio_test_add("seek", test_co_seek);
    g_test_add_func("/aio/space-is-missing/tmpfs", test_space_is_missing);
}
