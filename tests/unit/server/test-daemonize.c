/*
 * tests/unit/server/test-daemonize.c - going to the background.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/daemonize.h"
#include "tests/unit/server/test-server.h"

/* What a daemon under test tells its test: one pipe, lines. */
typedef struct Report {
    int out; /* of the daemon */
    int in;  /* of the test */
} Report;

static void
report_open(Report *report)
{
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    report->in = fds[0];
    report->out = fds[1];
}

static bool
is_null(int fd)
{
    struct stat st;
    struct stat null;

    return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 &&
           st.st_rdev == null.st_rdev;
}

/* ---- a daemon that starts ---- */

static void
good_daemon(void *arg)
{
    const Report *report = arg;
    g_autofree char *cwd = NULL;
    g_autofree char *text = NULL;
    bool before;
    int ready;

    g_assert_true(server_daemonize(&ready, NULL));
    before = is_null(STDIN_FILENO) && !is_null(report->out);
    server_daemon_ready(ready);
    cwd = g_get_current_dir();
    text = g_strdup_printf(
        "%d %d %s", before,
        is_null(0) && is_null(1) && is_null(2) && getsid(0) == getpid(), cwd);
    g_assert_cmpint(write(report->out, text, strlen(text)), >, 0);
    _exit(0);
}

/* The parent leaves with 0 while the daemon goes on, in its own session,
 * without terminal and directory. */
static void
test_good(void)
{
    Report report;
    char text[128] = "";

    report_open(&report);
    g_assert_cmpint(test_in_child(good_daemon, &report), ==, 0);
    g_assert_cmpint(read(report.in, text, sizeof(text) - 1), >, 0);
    g_assert_cmpstr(text, ==, "1 1 /");
    close(report.in);
    close(report.out);
}

/* ---- daemons that don't ---- */

static void
failing_daemon(void *arg)
{
    int ready;

    g_assert_true(server_daemonize(&ready, NULL));
    server_leave(GPOINTER_TO_INT(arg));
}

static void
dying_daemon(void *arg)
{
    int ready;

    (void)arg;
    /* The parent says why; here nobody reads it. */
    g_assert_cmpint(dup2(open("/dev/null", O_WRONLY), STDERR_FILENO), ==, 2);
    g_assert_true(server_daemonize(&ready, NULL));
    kill(getpid(), SIGKILL);
}

/* The parent leaves as the daemon did; a good end before it was ready is
 * none. */
static void
test_failing(void)
{
    static const int codes[][2] = { { 1, 1 }, { 2, 2 }, { 78, 78 }, { 0, 1 } };

    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_assert_cmpint(
            test_in_child(failing_daemon, GINT_TO_POINTER(codes[i][0])), ==,
            codes[i][1]);
    }
    g_assert_cmpint(test_in_child(dying_daemon, NULL), ==, 1);
}

/* ---- descriptors ---- */

static void
closed_fds(void *arg)
{
    unsigned mask = GPOINTER_TO_UINT(arg);
    int next;

    for (int fd = 0; fd < 3; fd++) {
        if (mask & (1U << fd)) {
            close(fd);
        }
    }
    if (!server_open_standard_fds(NULL)) {
        _exit(1);
    }
    next = open("/", O_RDONLY);
    if (next <= STDERR_FILENO) {
        _exit(2);
    }
    for (int fd = 0; fd < 3; fd++) {
        if (is_null(fd) != ((mask & (1U << fd)) != 0)) {
            _exit(3);
        }
    }
}

/* Every combination of closed standard descriptors. */
static void
test_closed_fds(void)
{
    int saved[3];
    FILE *file = tmpfile();

    /* Something that is not /dev/null, whatever the test was started with. */
    for (int fd = 0; fd < 3; fd++) {
        saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
        g_assert_cmpint(dup2(fileno(file), fd), ==, fd);
    }
    for (unsigned mask = 0; mask < 8; mask++) {
        int code = test_in_child(closed_fds, GUINT_TO_POINTER(mask));

        if (code != 0) {
            dup2(saved[2], 2);
        }
        g_assert_cmpint(code, ==, 0);
    }
    for (int fd = 0; fd < 3; fd++) {
        dup2(saved[fd], fd);
        close(saved[fd]);
    }
    fclose(file);
}

static void
raise_limit(void *arg)
{
    struct rlimit limit = { 64, 128 };

    (void)arg;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    server_raise_fd_limit();
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    g_assert_cmpuint(limit.rlim_cur, ==, 128);
}

static void
test_fd_limit(void)
{
    g_assert_cmpint(test_in_child(raise_limit, NULL), ==, 0);
}

void
test_daemonize_add(void)
{
    g_test_add_func("/server/daemonize/good", test_good);
    g_test_add_func("/server/daemonize/failing", test_failing);
    g_test_add_func("/server/daemonize/closed-fds", test_closed_fds);
    g_test_add_func("/server/daemonize/fd-limit", test_fd_limit);
}
