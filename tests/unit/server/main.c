/*
 * tests/unit/server/main.c - the unit tests of server.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/server/test-server.h"

char *
test_dir_new(void)
{
    g_autoptr(GError) error = NULL;
    char *dir = g_dir_make_tmp("ashlar-XXXXXX", &error);

    g_assert_no_error(error);
    return dir;
}

static void
test_remove(const char *path)
{
    GDir *dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK)
                    ? NULL
                    : g_dir_open(path, 0, NULL);

    if (dir) {
        const char *name;

        while ((name = g_dir_read_name(dir)) != NULL) {
            g_autofree char *below = g_build_filename(path, name, NULL);

            test_remove(below);
        }
        g_dir_close(dir);
    }
    g_remove(path);
}

void
test_dir_free(char *take_dir)
{
    test_remove(take_dir);
    g_free(take_dir);
}

static int
test_connect(int family, const void *addr, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    if (connect(fd, addr, len) < 0) {
        int err = errno;

        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

int
test_connect_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    g_assert_cmpuint(strlen(path), <, sizeof(un.sun_path));
    memcpy(un.sun_path, path, strlen(path));
    return test_connect(AF_UNIX, &un, sizeof(un));
}

int
test_connect_tcp(const char *host, unsigned port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
                                .sin6_port = htons((uint16_t)port) };

    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        return test_connect(AF_INET, &in, sizeof(in));
    }
    g_assert_cmpint(inet_pton(AF_INET6, host, &in6.sin6_addr), ==, 1);
    return test_connect(AF_INET6, &in6, sizeof(in6));
}

unsigned
test_free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&in, len), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&in, &len), ==, 0);
    close(fd);
    return ntohs(in.sin_port);
}

int
test_in_child(void (*fn)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();

    g_assert_cmpint(child, >=, 0);
    if (child == 0) {
        fn(arg);
        _exit(0);
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void
test_check_error(GError *error, int code, const char *part)
{
    g_assert_error(error, ASH_ERROR, code);
    if (!strstr(error->message, part)) {
        g_test_message("'%s' lacks '%s'", error->message, part);
        g_test_fail();
    }
    g_error_free(error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_options_add();
    test_state_dir_add();
    test_pid_file_add();
    test_socket_add();
    test_listen_add();
    test_signals_add();
    test_daemonize_add();
    return g_test_run();
}
