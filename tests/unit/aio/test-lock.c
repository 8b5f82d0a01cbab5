/*
 * tests/unit/aio/test-lock.c - locks between open files, and their owners.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

static int
lock_file(AioFile *file, uint64_t offset, uint64_t bytes, short type)
{
    return file->engine->ops->lock(file, offset, bytes, type, false);
}

static int
lock_test(AioFile *file, uint64_t offset, uint64_t bytes, short type)
{
    return file->engine->ops->lock(file, offset, bytes, type, true);
}

static void coroutine_fn
test_co_lock(AioTest *t)
{
    AioFile *a = aio_test_co_open(t, "a", 0);
    AioFile *b = aio_test_co_open(t, "a", 0);

    g_assert_cmpint(lock_file(a, 100, 1, F_RDLCK), ==, 0);
    g_assert_cmpint(lock_file(b, 100, 1, F_RDLCK), ==, 0);
    g_assert_cmpint(lock_test(a, 100, 1, F_RDLCK), ==, 0);
    g_assert_cmpint(lock_test(a, 100, 1, F_WRLCK), ==, -EAGAIN);
    g_assert_cmpint(lock_file(a, 100, 1, F_WRLCK), ==, -EAGAIN);
    g_assert_cmpint(lock_test(a, 101, 1, F_WRLCK), ==, 0);
    g_assert_cmpint(lock_file(b, 100, 1, F_UNLCK), ==, 0);
    g_assert_cmpint(lock_test(a, 100, 1, F_WRLCK), ==, 0);
    g_assert_cmpint(lock_file(a, 100, 1, F_WRLCK), ==, 0);
    g_assert_cmpint(lock_test(b, 90, 20, F_RDLCK), ==, -EAGAIN);
    aio_file_co_close(a);
    /* Closing gives all of them back, at once. */
    g_assert_cmpint(lock_test(b, 0, 1000, F_WRLCK), ==, 0);
    aio_file_co_close(b);
}

/* After I/O too, which leaves references in some engines. */
static void coroutine_fn
test_co_lock_after_io(AioTest *t)
{
    AioFile *b = aio_test_co_open(t, "a", 0);
    char *buf = aio_test_alloc(4096);

    for (unsigned i = 0; i < 20; i++) {
        AioFile *a = aio_test_co_open(t, "a", 0);

        g_assert_cmpint(lock_file(a, 100, 1, F_WRLCK), ==, 0);
        aio_test_fill(buf, 4096, 0, i);
        aio_test_co_write(a, 0, buf, 4096);
        g_assert_cmpint(lock_file(a, 0, 0, F_UNLCK), ==, 0);
        aio_file_co_close(a);
        g_assert_cmpint(lock_test(b, 100, 1, F_WRLCK), ==, 0);
    }
    aio_test_release(buf);
    aio_file_co_close(b);
}

/* ---- owners ---- */

/* A process that locks bytes 201 and 202 of @path and waits. */
static pid_t
lock_spawn_owner(const char *path)
{
    int fds[2];
    pid_t pid;
    char done;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        struct flock lock = {
            .l_type = F_RDLCK,
            .l_whence = SEEK_SET,
            .l_start = 201,
            .l_len = 2,
        };
        int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0 ||
            write(fds[1], "", 1) != 1) {
            _exit(1);
        }
        for (;;) {
            pause();
        }
    }
    g_assert_cmpint(read(fds[0], &done, 1), ==, 1);
    close(fds[0]);
    close(fds[1]);
    return pid;
}

static void coroutine_fn
test_co_lock_owner(AioTest *t)
{
    AioFile *a = aio_test_co_open(t, "a", 0);
    AioFile *b;
    const AioEngineOps *ops = t->engine->ops;
    g_autofree char *path = aio_test_path(t, "a");
    pid_t pid = lock_spawn_owner(path);

    g_assert_cmpint(lock_test(a, 202, 1, F_WRLCK), ==, -EAGAIN);
    g_assert_cmpint(ops->co_lock_owner(a, 202, 1), ==, pid);
    g_assert_cmpint(ops->co_lock_owner(a, 0, 1000), ==, pid);
    g_assert_cmpint(ops->co_lock_owner(a, 0, 201), ==, 0);
    g_assert_cmpint(ops->co_lock_owner(a, 203, 1), ==, 0);
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_assert_cmpint(lock_test(a, 202, 1, F_WRLCK), ==, 0);
    g_assert_cmpint(ops->co_lock_owner(a, 202, 1), ==, 0);

    /* Our own do not count, those of another open file of ours do. */
    g_assert_cmpint(lock_file(a, 100, 1, F_WRLCK), ==, 0);
    g_assert_cmpint(ops->co_lock_owner(a, 100, 1), ==, 0);
    b = aio_test_co_open(t, "a", 0);
    g_assert_cmpint(ops->co_lock_owner(b, 100, 1), ==, getpid());
    aio_file_co_close(a);
    aio_file_co_close(b);
}

void
test_lock_add(void)
{
    aio_test_add("lock", test_co_lock);
    aio_test_add("lock-after-io", test_co_lock_after_io);
    aio_test_add("lock-owner", test_co_lock_owner);
}
