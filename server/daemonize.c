/*
 * server/daemonize.c - see server/daemonize.h.
 *
 * Method: parent and child share a pipe.  A byte in it means ready, its end
 * without a byte means that the child is gone, and then its exit status says
 * the rest.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/daemonize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

bool
server_open_standard_fds(GError **error)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            continue;
        }
        if (open("/dev/null", O_RDWR) != fd) {
            ash_set_error_errno(error, errno, "can't open /dev/null");
            return false;
        }
    }
    return true;
}

void
server_raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        ash_log(ASH_LOG_WARNING,
                "can't raise the limit of descriptors: %s, ignoring",
                g_strerror(errno));
    }
}

void
server_leave(int code)
{
    _exit(code);
}

static ASH_NORETURN void
server_daemon_parent(pid_t child, int ready)
{
    char byte;
    ssize_t n;
    int status = 0;

    do {
        n = read(ready, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) {
        _exit(EXIT_SUCCESS);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        ash_log(ASH_LOG_ERROR, "the daemon died at start: %s",
                g_strsignal(WTERMSIG(status)));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
        _exit(WEXITSTATUS(status));
    }
    _exit(EXIT_FAILURE);
}

/* Standard descriptors that are in use by the caller's terminal or pipe. */
static bool
server_redirect_null(int first, int last)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0) {
        return false;
    }
    for (int fd = first; fd <= last; fd++) {
        if (dup2(null, fd) < 0) {
            close(null);
            return false;
        }
    }
    close(null);
    return true;
}

bool
server_daemonize(int *ret_ready, GError **error)
{
    int pipe_fds[2];
    pid_t child;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        ash_set_error_errno(error, errno, "--daemonize: can't make a pipe");
        return false;
    }
    fflush(NULL);
    child = fork();
    if (child < 0) {
        ash_set_error_errno(error, errno, "--daemonize: can't fork");
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        return false;
    }
    if (child > 0) {
        close(pipe_fds[1]);
        server_daemon_parent(child, pipe_fds[0]);
    }
    close(pipe_fds[0]);
    setsid();
    if (!server_redirect_null(STDIN_FILENO, STDIN_FILENO)) {
        ash_set_error_errno(error, errno, "can't open /dev/null");
        return false;
    }
    *ret_ready = pipe_fds[1];
    return true;
}

void
server_daemon_ready(int take_ready)
{
    fflush(NULL);
    if (chdir("/") < 0 || !server_redirect_null(STDOUT_FILENO, STDERR_FILENO)) {
        ash_log(ASH_LOG_WARNING, "can't leave the terminal: %s, ignoring",
                g_strerror(errno));
    }
    if (write(take_ready, "", 1) != 1) {
        ash_log(ASH_LOG_WARNING, "nobody waited for the daemon, ignoring");
    }
    close(take_ready);
}
