/*
 * tests/unit/coro/test-loop-fd.c - watched file descriptors: what is asked of
 * the implementation (with a loop that only counts), and real sockets.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "coro/loop-priv.h"

#include "tests/unit/coro/tests.h"

/* ---- a loop that counts ---- */

typedef struct FakeLoop {
    Loop loop;
    uint64_t now_ns;
    unsigned n_wants;
    unsigned last_want;
} FakeLoop;

static FakeLoop fake;

static uint64_t
fake_now_ns(Loop *loop)
{
    g_assert_true(loop == &fake.loop);
    return fake.now_ns;
}

static void
fake_set_alarm(Loop *loop, uint64_t deadline_ns)
{
    g_assert_true(loop == &fake.loop);
    g_assert_cmpuint(deadline_ns, >, 0);
}

static LoopFd *
fake_fd_new(Loop *loop, int fd, GError **error)
{
    g_assert_true(loop == &fake.loop);
    g_assert_cmpint(fd, ==, 7);
    g_assert_true(error == NULL);
    return g_new0(LoopFd, 1);
}

static void
fake_fd_free(LoopFd *watch)
{
    g_free(watch);
}

static void
fake_fd_want(LoopFd *watch, unsigned events)
{
    g_assert_true(watch->loop == &fake.loop);
    fake.n_wants++;
    fake.last_want = events;
}

static const LoopOps fake_ops = {
    .now_ns = fake_now_ns,
    .set_alarm = fake_set_alarm,
    .fd_new = fake_fd_new,
    .fd_free = fake_fd_free,
    .fd_want = fake_fd_want,
};

static LoopFd *
fake_start(void)
{
    fake = (FakeLoop){ .now_ns = 1000 };
    loop_init(&fake.loop, &fake_ops, "fake");
    loop_set_current(&fake.loop);
    return loop_fd_new(&fake.loop, 7, NULL);
}

static void
fake_end(LoopFd *watch)
{
    CoroStats stats;

    loop_fd_free(watch);
    loop_done(&fake.loop);
    loop_set_current(NULL);
    coro_get_stats(&stats);
    g_assert_cmpuint(stats.n_live, ==, 0);
}

typedef struct Waits {
    LoopFd *watch;
    LoopFdEvents event;
    uint64_t timeout_ns;
    unsigned n;
    unsigned n_done;
    int last;
} Waits;

static void coroutine_fn
test_co_waits(void *arg)
{
    Waits *w = arg;

    for (unsigned i = 0; i < w->n; i++) {
        w->last = co_wait_fd(w->watch, w->event, w->timeout_ns);
        w->n_done++;
    }
}

/* Wait, event, wait, event: only the first wait asks for anything. */
static void
test_steady(void)
{
    LoopFd *watch = fake_start();
    Waits w = { .watch = watch,
                .event = LOOP_FD_READ,
                .n = 100,
                .timeout_ns = UINT64_MAX };

    coro_spawn(test_co_waits, &w);
    for (unsigned i = 0; i < 100; i++) {
        g_assert_cmpuint(w.n_done, ==, i);
        loop_fd_ready(watch, LOOP_FD_READ);
        loop_run_ready(&fake.loop);
    }
    g_assert_cmpuint(w.n_done, ==, 100);
    g_assert_cmpint(w.last, ==, 0);
    g_assert_cmpuint(fake.n_wants, ==, 1);
    g_assert_cmpuint(fake.last_want, ==, LOOP_FD_READ);

    /* Nobody waits any more: the next event is the last. */
    loop_fd_ready(watch, LOOP_FD_READ);
    g_assert_cmpuint(fake.n_wants, ==, 2);
    g_assert_cmpuint(fake.last_want, ==, 0);
    fake_end(watch);
}

/* Reader and writer of one fd do not disturb each other. */
static void
test_both(void)
{
    LoopFd *watch = fake_start();
    Waits r = {
        .watch = watch, .event = LOOP_FD_READ, .n = 2, .timeout_ns = UINT64_MAX
    };
    Waits w = {
        .watch = watch, .event = LOOP_FD_WRITE, .n = 1, .timeout_ns = UINT64_MAX
    };

    coro_spawn(test_co_waits, &r);
    coro_spawn(test_co_waits, &w);
    g_assert_cmpuint(fake.last_want, ==, LOOP_FD_READ | LOOP_FD_WRITE);
    loop_fd_ready(watch, LOOP_FD_WRITE);
    loop_run_ready(&fake.loop);
    g_assert_cmpuint(r.n_done, ==, 0);
    g_assert_cmpuint(w.n_done, ==, 1);
    loop_fd_ready(watch, LOOP_FD_READ | LOOP_FD_WRITE);
    loop_run_ready(&fake.loop);
    g_assert_cmpuint(r.n_done, ==, 1);
    g_assert_cmpuint(fake.last_want, ==, LOOP_FD_READ);
    loop_fd_ready(watch, LOOP_FD_READ);
    loop_run_ready(&fake.loop);
    g_assert_cmpuint(r.n_done, ==, 2);
    fake_end(watch);
}

/* Every order of event, timeout and cancel before the waiter runs. */
static void
test_races(void)
{
    static const char *const orders[] = { "e",  "t",  "c",  "et", "te",
                                          "ec", "ce", "tc", "ct" };

    for (unsigned i = 0; i < G_N_ELEMENTS(orders); i++) {
        LoopFd *watch = fake_start();
        Waits w = {
            .watch = watch, .event = LOOP_FD_READ, .n = 1, .timeout_ns = 10
        };
        int expected = 0;

        coro_spawn(test_co_waits, &w);
        for (const char *p = orders[i]; *p; p++) {
            if (*p == 'e') {
                loop_fd_ready(watch, LOOP_FD_READ);
            } else if (*p == 't') {
                fake.now_ns += 10;
                loop_run_timers(&fake.loop);
            } else {
                loop_fd_cancel(watch);
            }
        }
        loop_run_ready(&fake.loop);
        if (orders[i][0] == 't') {
            expected = -ETIMEDOUT;
        } else if (strchr(orders[i], 'c')) {
            expected = -ECANCELED;
        }
        g_assert_cmpuint(w.n_done, ==, 1);
        g_assert_cmpint(w.last, ==, expected);
        g_assert_cmpuint(fake.loop.n_heap, ==, 0);
        fake_end(watch);
    }
}

/* ---- real ones ---- */

static void
test_socketpair(int fds[2])
{
    int r =
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);

    g_assert_cmpint(r, ==, 0);
}

static void
test_close(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

static void
test_put(int fd, char c)
{
    ssize_t r = write(fd, &c, 1);

    g_assert_cmpint((int)r, ==, 1);
}

typedef struct Echo {
    int fd;
    unsigned n;
} Echo;

static void coroutine_fn
test_co_echo(void *arg)
{
    const Echo *e = arg;
    LoopFd *watch = loop_fd_new(loop_current(), e->fd, NULL);

    for (unsigned i = 0; i < e->n; i++) {
        char c;

        while (read(e->fd, &c, 1) != 1) {
            g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==, 0);
        }
        test_put(e->fd, c);
    }
    loop_fd_free(watch);
}

static void coroutine_fn
test_co_socket(void *arg)
{
    int fds[2];
    Echo echo = { .n = 2000 };
    LoopFd *watch;
    GError *error = NULL;

    g_assert_null(arg);
    test_socketpair(fds);
    echo.fd = fds[1];
    watch = loop_fd_new(loop_current(), fds[0], &error);
    g_assert_no_error(error);
    coro_spawn(test_co_echo, &echo);
    for (unsigned i = 0; i < echo.n; i++) {
        char c = 0;

        test_put(fds[0], (char)i);
        while (read(fds[0], &c, 1) != 1) {
            g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==, 0);
        }
        g_assert_cmpint(c, ==, (char)i);
    }
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_WRITE, UINT64_MAX), ==, 0);
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, 1000000), ==, -ETIMEDOUT);
    loop_fd_free(watch);
    test_close(fds);
}

static void
test_socket(void)
{
    test_run(test_co_socket, NULL);
}

/* A peer that goes away ends the wait. */
static void coroutine_fn
test_co_hangup(void *arg)
{
    int fds[2];
    LoopFd *watch;
    char c;

    g_assert_null(arg);
    test_socketpair(fds);
    watch = loop_fd_new(loop_current(), fds[0], NULL);
    close(fds[1]);
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==, 0);
    g_assert_cmpint((int)read(fds[0], &c, 1), ==, 0);
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_WRITE, UINT64_MAX), ==, 0);
    loop_fd_free(watch);
    close(fds[0]);

    /* A pipe without a reader is an error, which libuv reports apart. */
    g_assert_cmpint(pipe2(fds, O_NONBLOCK | O_CLOEXEC), ==, 0);
    watch = loop_fd_new(loop_current(), fds[1], NULL);
    while (write(fds[1], "0123456789abcdef", 16) == 16) {
    }
    close(fds[0]);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(co_wait_fd(watch, LOOP_FD_WRITE, UINT64_MAX), ==, 0);
    }
    loop_fd_free(watch);
    close(fds[1]);
}

static void
test_hangup(void)
{
    test_run(test_co_hangup, NULL);
}

typedef struct CancelLater {
    LoopTimer timer;
    LoopFd *watch;
} CancelLater;

static void
test_cancel_later_cb(LoopTimer *timer)
{
    loop_fd_cancel(ash_container_of(timer, CancelLater, timer)->watch);
}

static void coroutine_fn
test_co_cancel(void *arg)
{
    int fds[2];
    CancelLater later;
    LoopFd *watch;

    g_assert_null(arg);
    test_socketpair(fds);
    watch = loop_fd_new(loop_current(), fds[0], NULL);
    later.watch = watch;
    loop_timer_init(&later.timer, loop_current(), test_cancel_later_cb);
    loop_timer_start(&later.timer, 500000);
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==,
                    -ECANCELED);
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==,
                    -ECANCELED);
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_WRITE, UINT64_MAX), ==,
                    -ECANCELED);
    loop_fd_free(watch);
    test_close(fds);
}

static void
test_cancel(void)
{
    test_run(test_co_cancel, NULL);
}

/* What cannot be watched is an error. */
static void
test_regular_file(void)
{
    Loop *loop = loop_new("file", NULL);
    GError *error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("ashlar-XXXXXX", &path, &error);

    g_assert_no_error(error);
    g_assert_null(loop_fd_new(loop, fd, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_IO);
    g_assert_true(g_str_has_prefix(error->message, "file descriptor "));
    g_clear_error(&error);
    g_assert_null(loop_fd_new(loop, -1, NULL));
    close(fd);
    unlink(path);
    loop_free(loop);
}

/* The number of an fd that was closed may come again at once. */
static void coroutine_fn
test_co_reuse(void *arg)
{
    g_assert_null(arg);
    for (unsigned i = 0; i < 100; i++) {
        int fds[2];
        LoopFd *watch;

        test_socketpair(fds);
        watch = loop_fd_new(loop_current(), fds[0], NULL);
        g_assert_nonnull(watch);
        test_put(fds[1], 'x');
        g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==, 0);
        loop_fd_free(watch);
        test_close(fds);
    }
}

static void
test_reuse(void)
{
    test_run(test_co_reuse, NULL);
}

static uint64_t
test_cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void coroutine_fn
test_co_unwanted(void *arg)
{
    int fds[2];
    LoopFd *watch;
    uint64_t cpu_ns;
    char c;

    g_assert_null(arg);
    test_socketpair(fds);
    watch = loop_fd_new(loop_current(), fds[0], NULL);
    test_put(fds[1], 'x');
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==, 0);
    /* It stays readable, and we do something else. */
    cpu_ns = test_cpu_ns();
    co_sleep_ns(100 * 1000000);
    cpu_ns = test_cpu_ns() - cpu_ns;
    g_assert_cmpuint(cpu_ns, <, 20 * 1000000);
    g_assert_cmpint(co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX), ==, 0);
    g_assert_cmpint((int)read(fds[0], &c, 1), ==, 1);
    loop_fd_free(watch);
    test_close(fds);
}

/* An event that nobody waits for does not keep the loop awake. */
static void
test_unwanted(void)
{
    test_run(test_co_unwanted, NULL);
}

void
test_loop_fd_add(void)
{
    g_test_add_func("/loop/fd/steady", test_steady);
    g_test_add_func("/loop/fd/both", test_both);
    g_test_add_func("/loop/fd/races", test_races);
    g_test_add_func("/loop/fd/socket", test_socket);
    g_test_add_func("/loop/fd/hangup", test_hangup);
    g_test_add_func("/loop/fd/cancel", test_cancel);
    g_test_add_func("/loop/fd/regular-file", test_regular_file);
    g_test_add_func("/loop/fd/reuse", test_reuse);
    g_test_add_func("/loop/fd/unwanted", test_unwanted);
}
