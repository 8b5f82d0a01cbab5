/*
 * tests/unit/drivers/test-host.c - see tests/unit/drivers/test-host.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/drivers/test-host.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"

/* ---- files ---- */

void
test_file_new(TestFile *f, uint64_t size)
{
    *f = (TestFile){ .dir = g_strdup("./drivers-test-XXXXXX") };
    g_assert_nonnull(g_mkdtemp(f->dir));
    f->path = g_build_filename(f->dir, "disk.img", NULL);
    f->fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    g_assert_cmpint(f->fd, >=, 0);
    g_assert_cmpint(ftruncate(f->fd, (int64_t)size), ==, 0);
}

static void
test_file_detach_loop(TestFile *f)
{
    int fd = open(f->loop, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ioctl(fd, LOOP_CLR_FD, 0), ==, 0);
    close(fd);
    g_free(f->loop);
    f->loop = NULL;
}

/* Only files: tests make no folders in it. */
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
test_file_free(TestFile *f)
{
    if (f->loop) {
        test_file_detach_loop(f);
    }
    close(f->fd);
    test_remove_dir(f->dir);
    g_free(f->path);
    g_free(f->dir);
}

void
test_file_fill(const TestFile *f, uint64_t offset, uint64_t bytes, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(bytes);

    memset(buf, byte, bytes);
    g_assert_cmpint(pwrite(f->fd, buf, bytes, (int64_t)offset), ==,
                    (int64_t)bytes);
    g_assert_cmpint(fsync(f->fd), ==, 0);
}

static void
test_file_stat(const TestFile *f, struct stat *st)
{
    g_assert_cmpint(fsync(f->fd), ==, 0);
    g_assert_cmpint(fstat(f->fd, st), ==, 0);
}

uint64_t
test_file_size(const TestFile *f)
{
    struct stat st;

    test_file_stat(f, &st);
    return (uint64_t)st.st_size;
}

uint64_t
test_file_allocated(const TestFile *f)
{
    struct stat st;

    test_file_stat(f, &st);
    return (uint64_t)st.st_blocks * 512;
}

/* ---- loop devices ---- */

/* -1: somebody else took it. */
static int
test_loop_try(const TestFile *f, const char *path, unsigned sector,
              bool read_only)
{
    struct loop_config config = {
        .fd = (unsigned)f->fd,
        .block_size = sector,
        .info.lo_flags = read_only ? LO_FLAGS_READ_ONLY : 0,
    };
    int fd = open(path, O_RDWR | O_CLOEXEC);
    int ret;

    if (fd < 0) {
        g_error("cannot open '%s': %s", path, g_strerror(errno));
    }
    ret = ioctl(fd, LOOP_CONFIGURE, &config);
    if (ret != 0 && errno != EBUSY) {
        g_error("cannot set up '%s': %s", path, g_strerror(errno));
    }
    close(fd);
    return ret;
}

void
test_file_attach_loop(TestFile *f, unsigned sector, bool read_only)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

    if (control < 0) {
        g_error("cannot open '/dev/loop-control': %s; these tests are run as "
                "root",
                g_strerror(errno));
    }
    for (unsigned i = 0; i < 100 && !f->loop; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        g_autofree char *path = g_strdup_printf("/dev/loop%d", number);

        g_assert_cmpint(number, >=, 0);
        if (test_loop_try(f, path, sector, read_only) == 0) {
            f->loop = g_steal_pointer(&path);
        }
    }
    g_assert_nonnull(f->loop);
    close(control);
}

/* ---- nodes ---- */

const char *const test_host_variants[] = {
    "",
    " aio=threads",
    " aio=io_uring",
    " cache.direct=on",
    " cache.direct=on aio=threads",
    " cache.direct=on aio=native",
    " cache.direct=on aio=io_uring",
    NULL,
};

void coroutine_fn
test_host_co_open(TestNode *t, const char *driver, const char *path,
                  const char *more)
{
    g_autofree char *text =
        g_strdup_printf("driver=%s filename=%s%s", driver, path, more);

    test_co_open(t, NULL, text);
}

void coroutine_fn
test_host_co_open_fails(const char *driver, const char *path, const char *more,
                        int code, const char *message)
{
    g_autofree char *text =
        g_strdup_printf("driver=%s filename=%s%s", driver, path, more);
    g_autofree char *full =
        g_strdup_printf("node 'n': %s: %s", driver, message);

    test_co_open_fails(NULL, text, code, full);
}

/* ---- random requests ---- */

typedef struct RandomRun {
    TestNode *t;
    GRand *rand;
    uint8_t *model;
    uint8_t *buf;
    uint64_t size;
    unsigned i;
} RandomRun;

/* Often small, now and then anything; never empty. */
static BlkRange
random_range(RandomRun *r)
{
    uint64_t max = g_rand_int_range(r->rand, 0, 4) ? 3000 : r->size;
    uint64_t from = g_rand_int(r->rand) % r->size;
    uint64_t bytes = 1 + g_rand_int(r->rand) % ash_min(max, r->size - from);

    return blk_range(from, bytes);
}

static void coroutine_fn
random_co_write(RandomRun *r, BlkRange x)
{
    BlkReqFlags flags = g_rand_int_range(r->rand, 0, 8) ? 0 : BLK_REQ_FUA;

    memset(r->buf, (int)(r->i % 255 + 1), x.bytes);
    memset(r->model + x.offset, (int)(r->i % 255 + 1), x.bytes);
    g_assert_cmpint(fake_co_write(r->t->blk, x.offset, r->buf, x.bytes, flags),
                    ==, 0);
}

static void coroutine_fn
random_co_read(RandomRun *r, BlkRange x)
{
    IoVec iov;
    int ret;

    iov_init_one(&iov, r->buf, x.bytes);
    memset(r->buf, 0xa5, x.bytes);
    ret = blk_try_read(r->t->blk, x, &iov);
    if (ret != 0) {
        g_assert_cmpint(ret, ==, -EAGAIN);
        g_assert_cmpint(blk_co_read(r->t->blk, x, &iov, 0), ==, 0);
    }
    test_assert_same(r->buf, r->model + x.offset, x.bytes);
}

/* Trimmed bytes are as before or zero. */
static void coroutine_fn
random_co_trim(RandomRun *r, BlkRange x)
{
    g_assert_cmpint(test_co_request(r->t, BLK_OP_TRIM, x.offset, x.bytes, 0),
                    ==, 0);
    g_assert_cmpint(fake_co_read(r->t->blk, x.offset, r->buf, x.bytes), ==, 0);
    for (uint64_t i = 0; i < x.bytes; i++) {
        if (r->buf[i] != 0) {
            g_assert_cmpuint(r->buf[i], ==, r->model[x.offset + i]);
        }
        r->model[x.offset + i] = r->buf[i];
    }
}

/* What is said to be zero is. */
static void coroutine_fn
random_co_status(RandomRun *r, BlkRange x)
{
    while (x.bytes > 0) {
        BlkExtent e;

        g_assert_cmpint(blk_co_status(r->t->blk, x, &e), ==, 0);
        g_assert_cmpuint(e.bytes, >, 0);
        g_assert_cmpuint(e.bytes, <=, x.bytes);
        g_assert_cmpint(!!(e.status & BLK_STATUS_EOF), ==,
                        x.offset + e.bytes == r->size);
        if (e.status & BLK_STATUS_ZERO) {
            g_assert_true(ash_buf_is_zero(r->model + x.offset, e.bytes));
        } else {
            g_assert_true(e.status & BLK_STATUS_DATA);
            g_assert_cmpuint(e.host_offset, ==, x.offset);
        }
        x = blk_range_skip(x, e.bytes);
    }
}

static void coroutine_fn
random_co_request(RandomRun *r)
{
    BlkRange x = random_range(r);
    BlkReqFlags flags = 0;

    switch (g_rand_int_range(r->rand, 0, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        random_co_write(r, x);
        break;
    case 4:
    case 5:
        flags = g_rand_int(r->rand) & (BLK_REQ_FUA | BLK_REQ_MAY_UNMAP);
        g_assert_cmpint(
            test_co_request(r->t, BLK_OP_ZERO, x.offset, x.bytes, flags), ==,
            0);
        memset(r->model + x.offset, 0, x.bytes);
        break;
    case 6:
        random_co_trim(r, x);
        break;
    case 7:
        random_co_status(r, x);
        break;
    case 8:
        g_assert_cmpint(blk_co_flush(r->t->blk), ==, 0);
        break;
    case 9:
        g_assert_cmpint(
            test_co_request(r->t, BLK_OP_CACHE, x.offset, x.bytes, 0), ==, 0);
        break;
    default:
        random_co_read(r, x);
        break;
    }
}

void coroutine_fn
test_host_co_random(TestNode *t, const TestFile *f, GRand *rand, unsigned n)
{
    RandomRun r = { .t = t, .rand = rand, .size = blk_size(t->blk) };
    BlkRange all = blk_range(0, r.size);
    uint64_t file_size = test_file_size(f);

    r.model = g_malloc0(r.size + 1);
    r.buf = g_malloc0(r.size + 1);
    for (r.i = 0; r.i < n && r.size > 0; r.i++) {
        random_co_request(&r);
    }
    if (r.size > 0) {
        random_co_status(&r, all);
        random_co_read(&r, all);
    }
    g_assert_cmpint(blk_co_flush(t->blk), ==, 0);
    test_co_close(t);
    g_assert_cmpuint(test_file_size(f), ==, file_size);
    g_assert_cmpint(pread(f->fd, r.buf, r.size, 0), ==, (int64_t)r.size);
    test_assert_same(r.buf, r.model, r.size);
    g_free(r.model);
    g_free(r.buf);
}

/* ---- faults of the host ---- */

static TestHook *hook;
static AioEngine *hook_engine;
static const AioEngineOps *hook_real;
static AioEngineOps hook_ops;

static int coroutine_fn
hook_co_open(AioEngine *engine, const char *path, int open_flags, unsigned mode,
             AioFile **ret)
{
    if (hook->open_rdwr != 0 && (open_flags & O_ACCMODE) != O_RDONLY) {
        return hook->open_rdwr;
    }
    return hook_real->co_open(engine, path, open_flags, mode, ret);
}

static int64_t coroutine_fn
hook_co_writev(AioFile *file, uint64_t offset, const IoVec *iov, unsigned flags)
{
    int64_t err = hook->write;

    hook->n_write++;
    if ((flags & AIO_WRITE_FUA) != 0) {
        err = hook->fua;
        hook->fua = 0;
    }
    return err != 0 ? err : hook_real->co_writev(file, offset, iov, flags);
}

static int coroutine_fn
hook_co_flush(AioFile *file)
{
    int err = hook->flush;

    hook->n_flush++;
    hook->flush = 0;
    return err != 0 ? err : hook_real->co_flush(file);
}

static int coroutine_fn
hook_co_space(AioFile *file, AioSpaceOp op, uint64_t offset, uint64_t bytes)
{
    hook->n_space++;
    return hook->space != 0 ? hook->space
                            : hook_real->co_space(file, op, offset, bytes);
}

static int coroutine_fn
hook_co_seek(AioFile *file, uint64_t offset, int whence, uint64_t *ret)
{
    int err = hook->seek;

    hook->n_seek++;
    hook->seek = 0;
    return err != 0 ? err : hook_real->co_seek(file, offset, whence, ret);
}

void
test_hook_install(TestHook *new_hook)
{
    g_autoptr(GError) error = NULL;

    hook = new_hook;
    hook_engine =
        aio_engine_get(loop_current(), AIO_THREADS, false, NULL, &error);
    g_assert_no_error(error);
    hook_real = hook_engine->ops;
    hook_ops = *hook_real;
    hook_ops.co_open = hook_co_open;
    hook_ops.co_writev = hook_co_writev;
    hook_ops.try_writev = NULL;
    hook_ops.co_space = hook_co_space;
    hook_ops.co_seek = hook_co_seek;
    hook_ops.co_flush = hook_co_flush;
    hook_engine->ops = &hook_ops;
}

void
test_hook_remove(void)
{
    hook_engine->ops = hook_real;
}
