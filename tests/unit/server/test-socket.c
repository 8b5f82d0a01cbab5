/*
 * tests/unit/server/test-socket.c - listening sockets and their names.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/socket.h"
#include "tests/unit/server/test-server.h"

static GPtrArray *
open_good(const ConfAddr *addr)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *sockets = NULL;

    server_sockets_open(addr, &sockets, &error);
    g_assert_no_error(error);
    return sockets;
}

static void
check_bad(const ConfAddr *addr, int code, const char *part)
{
    GError *error = NULL;
    GPtrArray *sockets = NULL;

    g_assert_false(server_sockets_open(addr, &sockets, &error));
    g_assert_null(sockets);
    test_check_error(error, code, part);
}

static const ServerSocket *
socket_at(const GPtrArray *sockets, unsigned i)
{
    return g_ptr_array_index(sockets, i);
}

static void
check_uri(const ServerSocket *sock, const char *name, const char *expected)
{
    g_autofree char *uri = server_socket_uri(sock, name);

    g_assert_cmpstr(uri, ==, expected);
}

static char *
port_text(unsigned port)
{
    return g_strdup_printf("%u", port);
}

/* ---- TCP ---- */

static void
test_ipv4(void)
{
    unsigned port = test_free_port();
    g_autofree char *text = port_text(port);
    g_autofree char *uri = g_strdup_printf("nbd://127.0.0.1:%u/", port);
    ConfAddr addr = { .type = CONF_ADDR_INET,
                      .host = (char *)"127.0.0.1",
                      .port = text };
    GPtrArray *sockets = open_good(&addr);
    int client = test_connect_tcp("127.0.0.1", port);

    g_assert_cmpuint(sockets->len, ==, 1);
    g_assert_cmpint(client, >=, 0);
    g_assert_true(fcntl(socket_at(sockets, 0)->fd, F_GETFL) & O_NONBLOCK);
    g_assert_true(fcntl(socket_at(sockets, 0)->fd, F_GETFD) & FD_CLOEXEC);
    check_uri(socket_at(sockets, 0), "", uri);
    close(client);
    check_bad(&addr, ASH_ERROR_CONFLICT,
              "can't listen on 127.0.0.1: the port is in use");
    g_ptr_array_unref(sockets);
    sockets = open_good(&addr); /* at once, in spite of TIME_WAIT */
    g_ptr_array_unref(sockets);
}

/* "" is every address of both families, on one port. */
static void
test_any(void)
{
    unsigned port = test_free_port();
    g_autofree char *text = port_text(port);
    g_autofree char *uri4 = g_strdup_printf("nbd://127.0.0.1:%u/a", port);
    g_autofree char *uri6 = g_strdup_printf("nbd://[::1]:%u/a", port);
    ConfAddr addr = { .type = CONF_ADDR_INET,
                      .host = (char *)"",
                      .port = text };
    GPtrArray *sockets = open_good(&addr);
    int client4 = test_connect_tcp("127.0.0.1", port);
    int client6 = test_connect_tcp("::1", port);

    g_assert_cmpuint(sockets->len, ==, 2);
    g_assert_cmpint(client4, >=, 0);
    g_assert_cmpint(client6, >=, 0);
    for (unsigned i = 0; i < 2; i++) {
        const ServerSocket *sock = socket_at(sockets, i);

        check_uri(sock, "a", sock->family == AF_INET ? uri4 : uri6);
    }
    close(client4);
    close(client6);
    g_ptr_array_unref(sockets);
}

/* ipv4 and ipv6 choose: nine combinations, one of them refused earlier. */
static void
test_families(void)
{
    unsigned n = 0;

    for (int v4 = CONF_UNSET; v4 <= CONF_ON; v4++) {
        for (int v6 = CONF_UNSET; v6 <= CONF_ON; v6++) {
            unsigned port = test_free_port();
            g_autofree char *text = port_text(port);
            ConfAddr addr = { .type = CONF_ADDR_INET,
                              .host = (char *)"",
                              .port = text,
                              .ipv4 = v4,
                              .ipv6 = v6 };
            bool want4 = v4 == CONF_ON || (v4 == CONF_UNSET && v6 != CONF_ON);
            bool want6 = v6 == CONF_ON || (v6 == CONF_UNSET && v4 != CONF_ON);
            GPtrArray *sockets;
            int client4;
            int client6;

            if (v4 == CONF_OFF && v6 == CONF_OFF) {
                continue;
            }
            sockets = open_good(&addr);
            client4 = test_connect_tcp("127.0.0.1", port);
            client6 = test_connect_tcp("::1", port);
            g_assert_true((client4 >= 0) == want4);
            g_assert_true((client6 >= 0) == want6);
            close(client4);
            close(client6);
            g_ptr_array_unref(sockets);
            n++;
        }
    }
    g_test_message("%u combinations", n);
}

static void
test_names(void)
{
    unsigned port = test_free_port();
    g_autofree char *text = port_text(port);
    ConfAddr addr = { .type = CONF_ADDR_INET,
                      .host = (char *)"localhost",
                      .port = text };
    GPtrArray *sockets = open_good(&addr);
    int client = test_connect_tcp("127.0.0.1", port);

    g_assert_cmpint(client, >=, 0);
    close(client);
    g_ptr_array_unref(sockets);
    addr.host = (char *)"name.invalid";
    check_bad(&addr, ASH_ERROR_CONFIG, "name.invalid:");
    addr.host = (char *)"127.0.0.1";
    addr.port = (char *)"no-such-service";
    check_bad(&addr, ASH_ERROR_CONFIG, "can't look up the address");
    addr.host = (char *)"192.0.2.1"; /* TEST-NET-1: nobody's */
    addr.port = text;
    check_bad(&addr, ASH_ERROR_IO, "192.0.2.1:");
    addr.host = (char *)"2001:db8::1";
    check_bad(&addr, ASH_ERROR_IO, "[2001:db8::1]:");
}

/* ---- unix ---- */

static void
test_unix(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "a b.sock", NULL);
    g_autofree char *expected =
        g_strdup_printf("nbd+unix:///x%%20y/z%%3F?socket=%s/a%%20b.sock", dir);
    ConfAddr addr = { .type = CONF_ADDR_UNIX, .path = path };
    mode_t before = umask(027);
    GPtrArray *sockets = open_good(&addr);
    int client = test_connect_unix(path);
    struct stat st;

    umask(before);
    g_assert_cmpint(client, >=, 0);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0750);
    check_uri(socket_at(sockets, 0), "x y/z?", expected);
    check_bad(&addr, ASH_ERROR_CONFLICT, "a running server listens there");
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    close(client);
    g_ptr_array_unref(sockets);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
}

/* A full backlog is a running server, too. */
static void
test_unix_busy(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    ConfAddr addr = { .type = CONF_ADDR_UNIX, .path = path };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int clients[2];

    memcpy(un.sun_path, path, strlen(path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 0), ==, 0);
    for (unsigned i = 0; i < 2; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(clients[i], (struct sockaddr *)&un, sizeof(un));
    }
    check_bad(&addr, ASH_ERROR_CONFLICT, "a running server listens there");
    close(clients[0]);
    close(clients[1]);
    close(fd);
    test_dir_free(dir);
}

static void
make_stale(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(un.sun_path, path, strlen(path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    close(fd);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void
test_unix_left_behind(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    ConfAddr addr = { .type = CONF_ADDR_UNIX, .path = path };
    GPtrArray *sockets;

    make_stale(path);
    sockets = open_good(&addr);
    g_ptr_array_unref(sockets);
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
}

/* What is no socket stays, whatever it is. */
static void
test_unix_other_files(void)
{
    char *dir = test_dir_new();
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);
    g_autofree char *link = g_build_filename(dir, "link", NULL);
    g_autofree char *below = g_build_filename(dir, "no", "s", NULL);
    char *paths[] = { file, fifo, link, dir };
    ConfAddr addr = { .type = CONF_ADDR_UNIX };

    g_assert_true(g_file_set_contents(file, "data", 4, NULL));
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink("nowhere", link), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct stat st;

        addr.path = paths[i];
        check_bad(&addr, ASH_ERROR_CONFLICT,
                  "the file exists and is not a socket");
        g_assert_cmpint(lstat(paths[i], &st), ==, 0);
    }
    addr.path = below;
    check_bad(&addr, ASH_ERROR_NOT_FOUND, "can't bind");
    test_dir_free(dir);
}

/* At the end only the file that we made is removed. */
static void
test_unix_replaced(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    ConfAddr addr = { .type = CONF_ADDR_UNIX, .path = path };
    GPtrArray *sockets = open_good(&addr);

    g_assert_cmpint(unlink(path), ==, 0);
    make_stale(path); /* another inode */
    g_ptr_array_unref(sockets);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    test_dir_free(dir);
}

/* A relative path is removed even from another directory. */
static void
test_unix_relative(void)
{
    char *dir = test_dir_new();
    g_autofree char *before = g_get_current_dir();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *uri = g_strdup_printf("nbd+unix:///?socket=%s", path);
    ConfAddr addr = { .type = CONF_ADDR_UNIX, .path = (char *)"s" };
    GPtrArray *sockets;

    g_assert_cmpint(chdir(dir), ==, 0);
    sockets = open_good(&addr);
    g_assert_cmpint(chdir("/"), ==, 0);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    check_uri(socket_at(sockets, 0), "", uri);
    g_ptr_array_unref(sockets);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(chdir(before), ==, 0);
    test_dir_free(dir);
}

/* ---- abstract ---- */

static void
test_abstract(void)
{
    g_autofree char *name = g_strdup_printf("ashlar-test-%d", (int)getpid());
    ConfAddr addr = {
        .type = CONF_ADDR_UNIX, .path = name, .abstract = true, .tight = true
    };

    for (int tight = 0; tight < 2; tight++) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        socklen_t len = sizeof(un);
        GPtrArray *sockets;
        int client = socket(AF_UNIX, SOCK_STREAM, 0);

        addr.tight = tight;
        sockets = open_good(&addr);
        memcpy(un.sun_path + 1, name, strlen(name));
        if (tight) {
            len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                              strlen(name));
        }
        g_assert_cmpint(connect(client, (struct sockaddr *)&un, len), ==, 0);
        check_uri(socket_at(sockets, 0), "", NULL);
        check_bad(&addr, ASH_ERROR_CONFLICT, "a running server listens there");
        close(client);
        g_ptr_array_unref(sockets);
    }
}

/* ---- inherited ---- */

static void
test_fd(void)
{
    unsigned port = test_free_port();
    g_autofree char *uri = g_strdup_printf("nbd://127.0.0.1:%u/", port);
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    g_autofree char *text = g_strdup_printf("%d", fd);
    ConfAddr addr = { .type = CONF_ADDR_FD, .fd = text };
    GPtrArray *sockets;
    int client;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&in, sizeof(in)), ==, 0);
    check_bad(&addr, ASH_ERROR_CONFIG, "it is not a listening stream socket");
    g_assert_cmpint(listen(fd, 1), ==, 0);
    sockets = open_good(&addr);
    client = test_connect_tcp("127.0.0.1", port);
    g_assert_cmpint(client, >=, 0);
    check_uri(socket_at(sockets, 0), "", uri);
    g_assert_true(fcntl(socket_at(sockets, 0)->fd, F_GETFL) & O_NONBLOCK);
    close(client);
    g_ptr_array_unref(sockets);
    g_assert_cmpint(fcntl(fd, F_GETFD), <, 0); /* it was taken */
    check_bad(&addr, ASH_ERROR_IO, "Bad file descriptor");
}

static void
test_fd_kinds(void)
{
    int kinds[4];
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    kinds[0] = open("/dev/null", O_RDWR);
    kinds[1] = socket(AF_INET, SOCK_DGRAM, 0);
    kinds[2] = pair[0];
    kinds[3] = pair[1];
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *text = g_strdup_printf("%d", kinds[i]);
        ConfAddr addr = { .type = CONF_ADDR_FD, .fd = text };

        check_bad(&addr, ASH_ERROR_CONFIG,
                  i == 0 ? "it is not a socket" : "it is not a listening");
        close(kinds[i]);
    }
}

/* An inherited unix socket: its file is not ours, its name is known. */
static void
test_fd_unix(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *uri = g_strdup_printf("nbd+unix:///e?socket=%s", path);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_autofree char *text = g_strdup_printf("%d", fd);
    ConfAddr addr = { .type = CONF_ADDR_FD, .fd = text };
    GPtrArray *sockets;

    memcpy(un.sun_path, path, strlen(path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&un, sizeof(un)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    sockets = open_good(&addr);
    check_uri(socket_at(sockets, 0), "e", uri);
    g_ptr_array_unref(sockets);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    test_dir_free(dir);
}

/* ---- a race ---- */

#define RACERS 8
#define ROUNDS 40

static ASH_NORETURN void
race_run(const char *path, int start_fd, int hold_fd)
{
    ConfAddr addr = { .type = CONF_ADDR_UNIX, .path = (char *)path };
    GPtrArray *sockets = NULL;
    char byte;

    if (read(start_fd, &byte, 1) != 0) {
        _exit(9);
    }
    if (!server_sockets_open(&addr, &sockets, NULL)) {
        _exit(1);
    }
    if (read(hold_fd, &byte, 1) != 0) {
        _exit(9);
    }
    g_ptr_array_unref(sockets);
    _exit(0);
}

/* Of many that start at one moment exactly one listens, and who connects
 * reaches it; a file left behind changes nothing. */
static void
race_once(const char *path)
{
    int start[2];
    int hold[2];
    unsigned n_lost = 0;
    int client;
    int status;

    g_assert_cmpint(pipe(start), ==, 0);
    g_assert_cmpint(pipe(hold), ==, 0);
    for (unsigned i = 0; i < RACERS; i++) {
        if (fork() == 0) {
            close(start[1]);
            close(hold[1]);
            race_run(path, start[0], hold[0]);
        }
    }
    close(start[0]);
    close(start[1]);
    for (; n_lost < RACERS - 1; n_lost++) {
        g_assert_cmpint(waitpid(-1, &status, 0), >, 0);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    }
    client = test_connect_unix(path);
    g_assert_cmpint(client, >=, 0);
    close(client);
    close(hold[0]);
    close(hold[1]);
    g_assert_cmpint(waitpid(-1, &status, 0), >, 0);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void
test_race(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 2 == 1) {
            make_stale(path);
        }
        race_once(path);
    }
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
    g_test_message("%d rounds of %d starters, one owner each", ROUNDS, RACERS);
}

void
test_socket_add(void)
{
    g_test_add_func("/server/socket/ipv4", test_ipv4);
    g_test_add_func("/server/socket/any", test_any);
    g_test_add_func("/server/socket/families", test_families);
    g_test_add_func("/server/socket/names", test_names);
    g_test_add_func("/server/socket/unix", test_unix);
    g_test_add_func("/server/socket/unix/busy", test_unix_busy);
    g_test_add_func("/server/socket/unix/left-behind", test_unix_left_behind);
    g_test_add_func("/server/socket/unix/other-files", test_unix_other_files);
    g_test_add_func("/server/socket/unix/replaced", test_unix_replaced);
    g_test_add_func("/server/socket/unix/relative", test_unix_relative);
    g_test_add_func("/server/socket/unix/race", test_race);
    g_test_add_func("/server/socket/abstract", test_abstract);
    g_test_add_func("/server/socket/fd", test_fd);
    g_test_add_func("/server/socket/fd/kinds", test_fd_kinds);
    g_test_add_func("/server/socket/fd/unix", test_fd_unix);
}
