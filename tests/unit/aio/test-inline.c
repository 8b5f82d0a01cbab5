/*
 * tests/unit/aio/test-inline.c - transfers without waiting, and what makes a
 * file stop taking them.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/aio/posix-io.h"
#include "drivers/aio/posix.h"
#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

static const AioVariant inline_tmpfs = {
    .name = "tmpfs",
    .kind = AIO_AUTO,
    .align = 1,
};
static const AioVariant inline_threads = {
    .name = "threads",
    .kind = AIO_THREADS,
    .align = 1,
};
static const AioVariant inline_uring = {
    .name = "io_uring",
    .kind = AIO_IO_URING,
    .align = 1,
};
static const AioVariant inline_direct = {
    .name = "direct",
    .kind = AIO_AUTO,
    .open_flags = O_DIRECT,
    .align = 4096,
};

/* Too large for a stack. */
static char out[8192];
static char in[8192];

static int
inline_read(AioFile *file, uint64_t offset, void *buf, size_t bytes)
{
    IoVec iov;

    iov_init_one(&iov, buf, bytes);
    return aio_file_try_read(file, offset, &iov);
}

static int
inline_write(AioFile *file, uint64_t offset, const void *buf, size_t bytes)
{
    IoVec iov;

    iov_init_one(&iov, (void *)(uintptr_t)buf, bytes);
    return aio_file_try_write(file, offset, &iov);
}

/* Until it says so: a loaded machine makes one attempt in many fail. */
static void
inline_write_for_sure(AioFile *file, uint64_t offset, const void *buf,
                      size_t bytes)
{
    AioStall *stall = &aio_posix(file)->stall;
    int ret;

    do {
        stall->stalled = false;
        ret = inline_write(file, offset, buf, bytes);
    } while (ret == -EAGAIN && stall->stalled);
    g_assert_cmpint(ret, ==, 0);
    stall->stalled = false;
}

/* Forget the pages of the file. */
static void coroutine_fn
inline_co_drop_cache(AioFile *file)
{
    g_assert_cmpint(aio_file_co_flush(file), ==, 0);
    g_assert_cmpint(fsync(file->fd), ==, 0);
    g_assert_cmpint(posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED), ==, 0);
}

/* ---- reads ---- */

static void coroutine_fn
test_co_inline_read(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    struct iovec v[2];
    IoVec iov;

    aio_test_fill(out, sizeof(out), 0, 1);
    aio_test_co_write(file, 0, out, sizeof(out));
    g_assert_cmpint(inline_read(file, 1000, in, 5000), ==, 0);
    aio_test_assert_same(in, out + 1000, 5000);

    v[0] = (struct iovec){ .iov_base = in + 10, .iov_len = 3 };
    v[1] = (struct iovec){ .iov_base = in, .iov_len = 10 };
    iov_init_array(&iov, v, 2);
    g_assert_cmpint(aio_file_try_read(file, 77, &iov), ==, 0);
    aio_test_assert_same(in + 10, out + 77, 3);
    aio_test_assert_same(in, out + 80, 10);

    /* Not all of it: somebody else must find out why. */
    g_assert_cmpint(inline_read(file, 4000, in, 8192), ==, -EAGAIN);
    g_assert_cmpint(inline_read(file, 1 << 20, in, 1), ==, -EAGAIN);
    aio_file_co_close(file);
}

static void coroutine_fn
test_co_inline_read_cold(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);

    aio_test_fill(out, sizeof(out), 0, 1);
    aio_test_co_write(file, 0, out, sizeof(out));
    g_assert_cmpint(inline_read(file, 0, in, sizeof(in)), ==, 0);
    g_assert_true(aio_file_is_resident(file, 0, sizeof(in)));
    g_assert_true(aio_file_is_resident(file, 4095, 2));
    g_assert_false(aio_file_is_resident(file, 0, 1 << 20));
    g_assert_false(aio_file_is_resident(file, 0, 0));

    inline_co_drop_cache(file);
    g_assert_false(aio_file_is_resident(file, 0, 4096));
    g_assert_cmpint(inline_read(file, 0, in, sizeof(in)), ==, -EAGAIN);
    g_assert_cmpuint(aio_test_co_read(file, 0, in, sizeof(in)), ==, 8192);
    aio_test_assert_same(in, out, sizeof(in));
    g_assert_cmpint(inline_read(file, 0, in, sizeof(in)), ==, 0);
    aio_file_co_close(file);
}

/* A tmpfs refuses RWF_NOWAIT; a plain read does not wait there. */
static void coroutine_fn
test_co_inline_tmpfs(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);

    g_assert_cmpint(aio_posix(file)->try_read, ==, AIO_TRY_PLAIN);
    aio_test_fill(out, 5000, 0, 1);
    inline_write_for_sure(file, 3, out, 5000);
    g_assert_cmpint(inline_read(file, 3, in, 5000), ==, 0);
    aio_test_assert_same(in, out, 5000);
    aio_file_co_close(file);
}

static void coroutine_fn
test_co_inline_direct(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    char *buf = aio_test_alloc(4096);

    memset(buf, 1, 4096);
    g_assert_cmpint(inline_write(file, 0, buf, 4096), ==, -EAGAIN);
    aio_test_co_write(file, 0, buf, 4096);
    g_assert_cmpint(inline_read(file, 0, buf, 4096), ==, -EAGAIN);
    g_assert_false(aio_file_is_resident(file, 0, 4096));
    aio_test_release(buf);
    aio_file_co_close(file);
}

/* ---- writes ---- */

static void coroutine_fn
test_co_inline_write(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    char *big = aio_test_alloc(AIO_INLINE_WRITE_MAX + 4096);

    aio_test_fill(big, 8192, 0, 2);
    inline_write_for_sure(file, 0, big, 8192);
    g_assert_cmpuint(aio_test_co_read(file, 0, in, sizeof(in)), ==, 8192);
    aio_test_assert_same(in, big, sizeof(in));
    /* Parts of pages that are in the cache, and after the end. */
    inline_write_for_sure(file, 100, big, 5);
    inline_write_for_sure(file, 4090, big, 20);
    inline_write_for_sure(file, 12288 + 1, big, 20);
    /* Too large. */
    g_assert_cmpint(inline_write(file, 0, big, AIO_INLINE_WRITE_MAX + 1), ==,
                    -EAGAIN);
    aio_test_release(big);
    aio_file_co_close(file);
}

/* What is inline for a file that is not in the cache; a busy host may have put
 * it back by itself, so the answer "inline" is asked for again. */
static int coroutine_fn
inline_co_write_cold(AioFile *file, uint64_t offset, char *big, size_t bytes)
{
    int ret = 0;

    for (unsigned i = 0; i < 50 && ret == 0; i++) {
        aio_test_fill(big, 1 << 16, 0, 3);
        aio_test_co_write(file, 0, big, 1 << 16);
        inline_co_drop_cache(file);
        ret = inline_write(file, offset, big, bytes);
    }
    return ret;
}

/* A part of a page that is not there would have to be read first. */
static void coroutine_fn
test_co_inline_write_cold(AioTest *t)
{
    static const struct {
        uint64_t offset;
        size_t bytes;
        bool is_inline;
    } cases[] = {
        { 0, 4096, true },     { 4096, 8192, true }, { 1, 4095, false },
        { 0, 4095, false },    { 4095, 2, false },   { 4000, 4192, false },
        { 4096, 4097, false }, { 5000, 1, false },
    };
    AioFile *file = aio_test_co_open(t, "a", 0);
    char *big = aio_test_alloc(1 << 16);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (cases[i].is_inline) {
            aio_test_fill(big, 1 << 16, 0, 3);
            aio_test_co_write(file, 0, big, 1 << 16);
            inline_co_drop_cache(file);
            inline_write_for_sure(file, cases[i].offset, big, cases[i].bytes);
        } else {
            g_assert_cmpint(inline_co_write_cold(file, cases[i].offset, big,
                                                 cases[i].bytes),
                            ==, -EAGAIN);
        }
    }
    aio_test_release(big);
    aio_file_co_close(file);
}

/* ---- stalls ---- */

#define HOG_BYTES ((size_t)192 << 20)

typedef struct Hog {
    int fd;
    void *zeros;
} Hog;

/* One huge write holds the inode's lock all the time. */
static void *
hog_write(void *arg)
{
    Hog *hog = arg;

    g_assert_cmpint(pwrite(hog->fd, hog->zeros, HOG_BYTES, 4096), >, 0);
    return NULL;
}

/* Write while the file is busy.  On a busy host the hog may be done before. */
static void
stall_once(AioFile *file, Hog *hog)
{
    GThread *thread;
    struct stat st;

    g_assert_cmpint(ftruncate(file->fd, 4096), ==, 0);
    thread = g_thread_new("hog", hog_write, hog);
    do {
        g_assert_cmpint(fstat(file->fd, &st), ==, 0);
    } while (st.st_size < 1 << 20);
    g_assert_cmpint(inline_write(file, 0, out, 4096), ==, 0);
    g_thread_join(thread);
}

/* The file stalls for real: its writes leave the loop, and come back when it
 * is quick again. */
static void coroutine_fn
test_co_stall(AioTest *t)
{
    AioFile *file = aio_test_co_open(t, "a", 0);
    AioStall *stall = &aio_posix(file)->stall;
    Hog hog = { .fd = file->fd };
    unsigned n = 0;

    memset(out, 5, 4096);
    hog.zeros =
        mmap(NULL, HOG_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(hog.zeros != MAP_FAILED);
    for (unsigned i = 0; i < 20 && !stall->stalled; i++) {
        stall_once(file, &hog);
    }
    g_assert_true(stall->stalled);
    g_assert_cmpuint(stall->n_stalls, ==, 1);
    g_assert_cmpint(inline_write(file, 0, out, 4096), ==, -EAGAIN);
    /* Reads have nothing to do with it. */
    g_assert_cmpint(inline_read(file, 0, out, 4096), ==, 0);
    munmap(hog.zeros, HOG_BYTES);
    g_assert_cmpint(aio_file_co_truncate(file, 4096), ==, 0);

    while (stall->stalled && n < 1000000) {
        aio_test_co_write(file, 0, out, 4096);
        n++;
    }
    g_assert_false(stall->stalled);
    g_assert_cmpuint(n, >=, AIO_STALL_QUICK_RUN);
    g_test_message("%u offloaded writes until it was quick again", n);
    inline_write_for_sure(file, 0, out, 4096);
    aio_file_co_close(file);
}

static void
test_inline_on_tmpfs(void)
{
    aio_test_run(&inline_tmpfs, "/dev/shm", test_co_inline_tmpfs);
}

void
test_inline_add(void)
{
    aio_test_add_one("inline-read", &inline_threads, test_co_inline_read);
    aio_test_add_one("inline-read", &inline_uring, test_co_inline_read);
    aio_test_add_one("inline-read-cold", &inline_threads,
                     test_co_inline_read_cold);
    aio_test_add_one("inline-read-cold", &inline_uring,
                     test_co_inline_read_cold);
    g_test_add_func("/aio/inline/tmpfs", test_inline_on_tmpfs);
    aio_test_add_one("inline", &inline_direct, test_co_inline_direct);
    aio_test_add_one("inline-write", &inline_threads, test_co_inline_write);
    aio_test_add_one("inline-write-cold", &inline_threads,
                     test_co_inline_write_cold);
    aio_test_add_one("stall", &inline_threads, test_co_stall);
    aio_test_add_one("stall", &inline_uring, test_co_stall);
}
