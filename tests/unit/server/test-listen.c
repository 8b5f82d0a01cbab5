/*
 * tests/unit/server/test-listen.c - accepting: limits, shortage, stopping.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "server/listen.h"
#include "tests/unit/server/test-server.h"

#define WAIT_NS ((uint64_t)10000000000)

typedef struct Fixture {
    char *dir;
    char *path;
    ConfServer *conf;
    Loop *loop;
    ServerListener *listener;
    GArray *accepted; /* of ServerAccepted */
    void coroutine_fn (*co_body)(struct Fixture *fx);
} Fixture;

static void
accepted_cb(ServerListener *listener, const ServerAccepted *accepted, void *arg)
{
    Fixture *fx = arg;

    g_assert_true(listener == fx->listener);
    g_array_append_val(fx->accepted, *accepted);
}

/* Let the loop go on until @n connections are there. */
static void coroutine_fn
co_wait_accepted(Fixture *fx, unsigned n)
{
    uint64_t end = loop_now_ns(fx->loop) + WAIT_NS;

    while (fx->accepted->len < n) {
        g_assert_cmpuint(loop_now_ns(fx->loop), <, end);
        co_sleep_ns(100000);
    }
}

/* Long enough for what must not happen to happen. */
static void coroutine_fn
co_let_pass(void)
{
    co_sleep_ns(30000000);
}

static ServerAccepted *
accepted_at(Fixture *fx, unsigned i)
{
    return &g_array_index(fx->accepted, ServerAccepted, i);
}

static void
drop(Fixture *fx, unsigned i)
{
    ServerAccepted *accepted = accepted_at(fx, i);

    close(accepted->fd);
    accepted->fd = -1;
    server_listener_connection_closed(fx->listener);
}

static void coroutine_fn
fixture_co_run(void *arg)
{
    Fixture *fx = arg;
    g_autoptr(GError) error = NULL;

    server_listener_start(fx->listener, fx->loop, accepted_cb, fx, &error);
    g_assert_no_error(error);
    fx->co_body(fx);
    server_listener_co_stop(fx->listener);
}

static void
fixture_run(ConfServer *take_conf, void coroutine_fn (*co_body)(Fixture *fx))
{
    g_autoptr(GError) error = NULL;
    Fixture fx = {
        .dir = test_dir_new(),
        .conf = take_conf,
        .co_body = co_body,
        .accepted = g_array_new(FALSE, FALSE, sizeof(ServerAccepted)),
    };

    fx.path = g_build_filename(fx.dir, "s", NULL);
    fx.conf->id = g_strdup("t");
    if (fx.conf->addr.type == CONF_ADDR_UNIX) {
        fx.conf->addr.path = g_strdup(fx.path);
    }
    fx.loop = loop_new("test", &error);
    g_assert_no_error(error);
    fx.listener = server_listener_open(fx.conf, &error);
    g_assert_no_error(error);
    loop_run_coroutine(fx.loop, fixture_co_run, &fx);
    for (unsigned i = 0; i < fx.accepted->len; i++) {
        if (accepted_at(&fx, i)->fd >= 0) {
            close(accepted_at(&fx, i)->fd);
        }
        g_free(accepted_at(&fx, i)->peer);
    }
    server_listener_free(fx.listener);
    g_assert_false(g_file_test(fx.path, G_FILE_TEST_EXISTS));
    loop_free(fx.loop);
    g_array_free(fx.accepted, TRUE);
    conf_server_free(fx.conf);
    g_free(fx.path);
    test_dir_free(fx.dir);
}

static ConfServer *
unix_conf(void)
{
    ConfServer *conf = conf_server_new();

    conf->addr.type = CONF_ADDR_UNIX;
    return conf;
}

/* ---- what a connection is ---- */

static void coroutine_fn
unix_co_body(Fixture *fx)
{
    int client = test_connect_unix(fx->path);
    g_autofree char *peer =
        g_strdup_printf("unix (pid %d, uid %u)", (int)getpid(), getuid());
    const ServerAccepted *accepted;

    co_wait_accepted(fx, 1);
    accepted = accepted_at(fx, 0);
    g_assert_true(accepted->is_local);
    g_assert_cmpstr(accepted->peer, ==, peer);
    g_assert_true(fcntl(accepted->fd, F_GETFL) & O_NONBLOCK);
    g_assert_true(fcntl(accepted->fd, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpuint(server_listener_n_connections(fx->listener), ==, 1);
    close(client);
    drop(fx, 0);
    g_assert_cmpuint(server_listener_n_connections(fx->listener), ==, 0);
}

static void
test_unix(void)
{
    fixture_run(unix_conf(), unix_co_body);
}

static int
get_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);

    g_assert_cmpint(getsockopt(fd, level, option, &value, &len), ==, 0);
    return value;
}

/* Small packets leave at once, and a dead peer is noticed. */
static void coroutine_fn
tcp_co_body(Fixture *fx)
{
    unsigned port = (unsigned)g_ascii_strtoull(fx->conf->addr.port, NULL, 10);
    int client = test_connect_tcp("::1", port);
    const ServerAccepted *accepted;

    co_wait_accepted(fx, 1);
    accepted = accepted_at(fx, 0);
    g_assert_false(accepted->is_local);
    g_assert_true(g_str_has_prefix(accepted->peer, "[::1]:"));
    g_assert_cmpint(get_option(accepted->fd, IPPROTO_TCP, TCP_NODELAY), ==, 1);
    g_assert_cmpint(get_option(accepted->fd, SOL_SOCKET, SO_KEEPALIVE), ==, 1);
    g_assert_cmpint(get_option(accepted->fd, IPPROTO_TCP, TCP_KEEPIDLE), ==,
                    60);
    g_assert_cmpint(get_option(accepted->fd, IPPROTO_TCP, TCP_KEEPINTVL), ==,
                    10);
    g_assert_cmpint(get_option(accepted->fd, IPPROTO_TCP, TCP_KEEPCNT), ==, 6);
    close(client);
    client = test_connect_tcp("127.0.0.1", port);
    co_wait_accepted(fx, 2);
    g_assert_true(g_str_has_prefix(accepted_at(fx, 1)->peer, "127.0.0.1:"));
    close(client);
}

static void
test_tcp(void)
{
    ConfServer *conf = conf_server_new();

    conf->addr.type = CONF_ADDR_INET;
    conf->addr.host = g_strdup("");
    conf->addr.port = g_strdup_printf("%u", test_free_port());
    fixture_run(conf, tcp_co_body);
}

/* ---- many ---- */

static void coroutine_fn
many_co_body(Fixture *fx)
{
    int clients[200];

    for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
        clients[i] = test_connect_unix(fx->path);
        g_assert_cmpint(clients[i], >=, 0);
    }
    co_wait_accepted(fx, G_N_ELEMENTS(clients));
    for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
        close(clients[i]);
    }
}

static void
test_many(void)
{
    ConfServer *conf = unix_conf();

    conf->max_connections = 0;
    fixture_run(conf, many_co_body);
}

/* At the limit later clients wait; each that leaves lets one in. */
static void coroutine_fn
limit_co_body(Fixture *fx)
{
    int clients[7];

    for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
        clients[i] = test_connect_unix(fx->path);
        g_assert_cmpint(clients[i], >=, 0);
    }
    co_wait_accepted(fx, 3);
    for (unsigned i = 0; i < 4; i++) {
        co_let_pass();
        g_assert_cmpuint(fx->accepted->len, ==, 3 + i);
        g_assert_cmpuint(server_listener_n_connections(fx->listener), ==, 3);
        drop(fx, i);
        co_wait_accepted(fx, 4 + i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
        close(clients[i]);
    }
}

static void
test_limit(void)
{
    ConfServer *conf = unix_conf();

    conf->max_connections = 3;
    fixture_run(conf, limit_co_body);
}

/* With two sockets, room goes to the one where somebody waits, not to the one
 * that filled it. */
static void coroutine_fn
limit_two_co_body(Fixture *fx)
{
    unsigned port = (unsigned)g_ascii_strtoull(fx->conf->addr.port, NULL, 10);
    static const char *const hosts[] = { "127.0.0.1", "::1", "::1", "::1",
                                         "::1" };
    int clients[5];

    for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
        clients[i] = test_connect_tcp(hosts[i], port);
        co_wait_accepted(fx, 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        co_let_pass();
        g_assert_cmpuint(fx->accepted->len, ==, 1 + i);
        drop(fx, i);
        co_wait_accepted(fx, 2 + i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
        close(clients[i]);
    }
}

static void
test_limit_two(void)
{
    ConfServer *conf = conf_server_new();

    conf->addr.type = CONF_ADDR_INET;
    conf->addr.host = g_strdup("");
    conf->addr.port = g_strdup_printf("%u", test_free_port());
    conf->max_connections = 1;
    fixture_run(conf, limit_two_co_body);
}

/* ---- short of descriptors ---- */

/* Did the other side hang up? */
static bool
is_closed(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* A client that was connected but gets nothing: closed, and soon. */
static void coroutine_fn
co_wait_closed(Fixture *fx, int client)
{
    uint64_t end = loop_now_ns(fx->loop) + WAIT_NS;

    while (!is_closed(client)) {
        g_assert_cmpuint(loop_now_ns(fx->loop), <, end);
        co_sleep_ns(100000);
    }
}

static uint64_t
cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void
set_fd_limit(rlim_t limit)
{
    struct rlimit both;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &both), ==, 0);
    both.rlim_cur = limit;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &both), ==, 0);
}

/* Without descriptors clients are sent away, images keep some, the processor
 * rests, and afterwards all is well. */
static void coroutine_fn
shortage_co_body(Fixture *fx)
{
    int client;
    int clients[8];
    int highest = open("/dev/null", O_RDONLY);
    uint64_t used;
    rlim_t few;

    for (unsigned i = 0; i < G_N_ELEMENTS(clients); i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        close(clients[i]);
    }
    few = (rlim_t)highest + 4;
    /* (a) what is left is kept for images */
    set_fd_limit(few + SERVER_FD_HEADROOM - 8);
    client = test_connect_unix(fx->path);
    co_wait_closed(fx, client);
    close(client);
    /* (b) nothing is left at all: EMFILE */
    client = test_connect_unix(fx->path);
    set_fd_limit((rlim_t)client + 1);
    co_wait_closed(fx, client);
    g_assert_cmpuint(fx->accepted->len, ==, 0);
    set_fd_limit(1024);
    close(client);
    /* (c) idle afterwards, and open again */
    used = cpu_ns();
    co_sleep_ns(100000000);
    g_assert_cmpuint(cpu_ns() - used, <, 50000000);
    client = test_connect_unix(fx->path);
    co_wait_accepted(fx, 1);
    close(client);
    close(highest);
}

static void
test_shortage(void)
{
    ash_log_set_fd(-1);
    set_fd_limit(1024);
    fixture_run(unix_conf(), shortage_co_body);
    ash_log_set_fd(STDERR_FILENO);
}

/* ---- stopping ---- */

/* A listener that was stopped refuses, also while it was at its limit; what
 * it accepted stays. */
static void coroutine_fn
stop_co_body(Fixture *fx)
{
    int client = test_connect_unix(fx->path);
    int waiting = test_connect_unix(fx->path);

    co_wait_accepted(fx, 1);
    co_let_pass();
    server_listener_co_stop(fx->listener);
    g_assert_cmpuint(fx->accepted->len, ==, 1);
    g_assert_false(is_closed(client));
    g_assert_cmpint(test_connect_unix(fx->path), ==, -1);
    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_cmpuint(server_listener_sockets(fx->listener)->len, ==, 0);
    server_listener_co_stop(fx->listener); /* idempotent */
    drop(fx, 0);
    close(client);
    close(waiting);
}

static void
test_stop(void)
{
    ConfServer *conf = unix_conf();

    conf->max_connections = 1;
    ash_log_set_fd(-1);
    fixture_run(conf, stop_co_body);
    ash_log_set_fd(STDERR_FILENO);
}

static void
test_open_error(void)
{
    g_autoptr(ConfServer) conf = unix_conf();
    GError *error = NULL;

    conf->id = g_strdup("lan");
    conf->addr.path = g_strdup("/proc/no/socket");
    g_assert_null(server_listener_open(conf, &error));
    test_check_error(error, ASH_ERROR_NOT_FOUND,
                     "server 'lan': unix socket '/proc/no/socket': "
                     "can't bind: No such file or directory");
}

/* Opened and never started: closed and removed all the same. */
static void
test_not_started(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autoptr(ConfServer) conf = unix_conf();
    ServerListener *listener;

    conf->id = g_strdup("t");
    conf->addr.path = g_strdup(path);
    listener = server_listener_open(conf, NULL);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    server_listener_free(listener);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    listener = server_listener_open(conf, NULL);
    server_listener_abandon(listener);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    server_listener_free(listener);
    test_dir_free(dir);
}

void
test_listen_add(void)
{
    g_test_add_func("/server/listen/unix", test_unix);
    g_test_add_func("/server/listen/tcp", test_tcp);
    g_test_add_func("/server/listen/many", test_many);
    g_test_add_func("/server/listen/limit", test_limit);
    g_test_add_func("/server/listen/limit/two-sockets", test_limit_two);
    g_test_add_func("/server/listen/shortage", test_shortage);
    g_test_add_func("/server/listen/stop", test_stop);
    g_test_add_func("/server/listen/open-error", test_open_error);
    g_test_add_func("/server/listen/not-started", test_not_started);
}
