/*
 * server/listen.c - see server/listen.h.
 *
 * Invariants:
 *  L1  n_connections counts what fn was given and has not reported closed.
 *  L2  n_running counts accept coroutines; sockets live while it is not 0.
 *  L3  the spare descriptor is open whenever a coroutine of ours yields.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"
#include "coro/co-lock.h"

/* A dead TCP peer is noticed after idle + count * interval seconds. */
#define SERVER_KEEPALIVE_IDLE 60
#define SERVER_KEEPALIVE_INTERVAL 10
#define SERVER_KEEPALIVE_COUNT 6

#define SERVER_SHED_PAUSE_NS ((uint64_t)10000000)
#define SERVER_RETRY_PAUSE_NS ((uint64_t)100000000)
/* Let others run after so many connections at once. */
#define SERVER_ACCEPT_BURST 64U

/* One socket and its coroutine. */
typedef struct ServerAcceptor {
    ServerListener *listener;
    ServerSocket *socket; /* borrowed from listener->sockets */
    LoopFd *watch;
    bool limit_logged; /* the wait at the limit was said once */
} ServerAcceptor;

struct ServerListener {
    const ConfServer *conf;
    GPtrArray *sockets;   /* of ServerSocket */
    GPtrArray *acceptors; /* of ServerAcceptor, while started */
    ServerAcceptFn *fn;
    void *arg;
    unsigned n_connections;
    unsigned n_running;
    bool stopping;
    int spare_fd;    /* given up for a moment to close what can't be served */
    CoQueue room;    /* acceptors at the limit */
    CoQueue stopped; /* who waits for n_running == 0 */
    AshLogLimit log_limit;
};

/* ---- life ---- */

ServerListener *
server_listener_open(const ConfServer *conf, GError **error)
{
    ServerListener *listener = g_new0(ServerListener, 1);

    listener->conf = conf;
    listener->spare_fd = -1;
    co_queue_init(&listener->room);
    co_queue_init(&listener->stopped);
    if (!server_sockets_open(&conf->addr, &listener->sockets, error)) {
        g_prefix_error(error, "server '%s': ", conf->id);
        g_free(listener);
        return NULL;
    }
    return listener;
}

static void
server_listener_close_sockets(ServerListener *listener)
{
    for (unsigned i = 0; listener->acceptors && i < listener->acceptors->len;
         i++) {
        ServerAcceptor *acceptor = g_ptr_array_index(listener->acceptors, i);

        loop_fd_free(acceptor->watch);
        acceptor->watch = NULL;
    }
    g_ptr_array_set_size(listener->sockets, 0);
    if (listener->spare_fd >= 0) {
        close(listener->spare_fd);
        listener->spare_fd = -1;
    }
}

void
server_listener_free(ServerListener *listener)
{
    if (!listener) {
        return;
    }
    ash_assert(listener->n_running == 0);
    server_listener_close_sockets(listener);
    g_ptr_array_unref(listener->sockets);
    if (listener->acceptors) {
        g_ptr_array_unref(listener->acceptors);
    }
    g_free(listener);
}

void
server_listener_abandon(ServerListener *listener)
{
    for (unsigned i = 0; i < listener->sockets->len; i++) {
        ServerSocket *sock = g_ptr_array_index(listener->sockets, i);

        server_socket_remove_file(sock);
    }
}

const ConfServer *
server_listener_conf(const ServerListener *listener)
{
    return listener->conf;
}

unsigned
server_listener_n_connections(const ServerListener *listener)
{
    return listener->n_connections;
}

const GPtrArray *
server_listener_sockets(const ServerListener *listener)
{
    return listener->sockets;
}

/* ---- one connection ---- */

/* Failures cost speed or the notice of a dead peer, not the connection. */
static void
server_tune_tcp(int fd)
{
    static const struct {
        int level;
        int option;
        int value;
    } rows[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },
        { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, SERVER_KEEPALIVE_IDLE },
        { IPPROTO_TCP, TCP_KEEPINTVL, SERVER_KEEPALIVE_INTERVAL },
        { IPPROTO_TCP, TCP_KEEPCNT, SERVER_KEEPALIVE_COUNT },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (setsockopt(fd, rows[i].level, rows[i].option, &rows[i].value,
                       sizeof(rows[i].value)) < 0) {
            ash_log(ASH_LOG_DEBUG, "setsockopt(%d, %d): %s", rows[i].level,
                    rows[i].option, g_strerror(errno));
        }
    }
}

static char *
server_peer_unix(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        return g_strdup("unix");
    }
    return g_strdup_printf("unix (pid %d, uid %u)", (int)cred.pid, cred.uid);
}

static char *
server_peer_inet(const struct sockaddr *addr, socklen_t len)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];

    if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return g_strdup("unknown");
    }
    return g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static void
server_acceptor_take(ServerAcceptor *acceptor, int take_fd,
                     const struct sockaddr *addr, socklen_t len)
{
    ServerListener *listener = acceptor->listener;
    ServerAccepted accepted = {
        .fd = take_fd,
        .is_local = acceptor->socket->family == AF_UNIX,
    };

    if (accepted.is_local) {
        accepted.peer = server_peer_unix(take_fd);
    } else {
        server_tune_tcp(take_fd);
        accepted.peer = server_peer_inet(addr, len);
    }
    listener->n_connections++;
    listener->fn(listener, &accepted, listener->arg);
}

/* ---- short of descriptors ---- */

static bool
server_fd_is_scarce(int fd)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
           limit.rlim_cur != RLIM_INFINITY &&
           (rlim_t)fd + SERVER_FD_HEADROOM >= limit.rlim_cur;
}

static void
server_listener_log_shed(ServerListener *listener, int err)
{
    ash_log_limited(&listener->log_limit, ASH_LOG_WARNING,
                    "server=%s: no file descriptor for a connection (%s), "
                    "closing it",
                    listener->conf->id, g_strerror(err));
}

/* accept() failed for want of a descriptor: use the spare one to take the
 * connection that waits, and close it. */
static void
server_acceptor_shed(ServerAcceptor *acceptor, int err)
{
    ServerListener *listener = acceptor->listener;
    int fd;

    server_listener_log_shed(listener, err);
    if (listener->spare_fd >= 0) {
        close(listener->spare_fd);
        listener->spare_fd = -1;
        fd = accept4(acceptor->socket->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            close(fd);
        }
    }
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- the accept loop ---- */

static bool
server_listener_is_full(const ServerListener *listener)
{
    return listener->conf->max_connections > 0 &&
           listener->n_connections >= listener->conf->max_connections;
}

static void coroutine_fn
server_acceptor_co_wait_room(ServerAcceptor *acceptor)
{
    ServerListener *listener = acceptor->listener;

    if (!acceptor->limit_logged) {
        acceptor->limit_logged = true;
        ash_log(ASH_LOG_NOTICE,
                "server=%s: %u connections are the limit (max-connections), "
                "later clients wait",
                listener->conf->id, listener->n_connections);
    }
    co_queue_co_wait(&listener->room);
}

/* accept() failed with @err. */
static void coroutine_fn
server_acceptor_co_handle_error(ServerAcceptor *acceptor, int err)
{
    switch (err) {
    case EAGAIN:
        co_wait_fd(acceptor->watch, LOOP_FD_READ, UINT64_MAX);
        break;
    case EMFILE:
    case ENFILE:
        server_acceptor_shed(acceptor, err);
        co_sleep_ns(SERVER_SHED_PAUSE_NS);
        break;
    case EINTR:
    case ECONNABORTED:
        break; /* the client left; the next one may be there */
    default:
        /* accept(2) also passes on network errors of the new socket. */
        ash_log_limited(&acceptor->listener->log_limit, ASH_LOG_WARNING,
                        "server=%s: can't accept: %s, trying again",
                        acceptor->listener->conf->id, g_strerror(err));
        co_sleep_ns(SERVER_RETRY_PAUSE_NS);
        break;
    }
}

static void coroutine_fn
server_acceptor_co_accept(ServerAcceptor *acceptor)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    int fd = accept4(acceptor->socket->fd, (struct sockaddr *)&addr, &len,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        server_acceptor_co_handle_error(acceptor, errno);
    } else if (server_fd_is_scarce(fd)) {
        server_listener_log_shed(acceptor->listener, EMFILE);
        close(fd);
        co_sleep_ns(SERVER_SHED_PAUSE_NS);
    } else {
        server_acceptor_take(acceptor, fd, (struct sockaddr *)&addr, len);
    }
}

static void coroutine_fn
server_acceptor_co_run(void *arg)
{
    ServerAcceptor *acceptor = arg;
    ServerListener *listener = acceptor->listener;

    for (unsigned n = 1; !listener->stopping; n++) {
        if (server_listener_is_full(listener)) {
            server_acceptor_co_wait_room(acceptor);
            continue;
        }
        server_acceptor_co_accept(acceptor);
        if (n % SERVER_ACCEPT_BURST == 0) {
            co_pause();
        }
    }
    listener->n_running--;
    if (listener->n_running == 0) {
        co_queue_wake_all(&listener->stopped);
    }
}

static bool
server_acceptor_add(ServerListener *listener, Loop *loop, ServerSocket *sock,
                    GError **error)
{
    ServerAcceptor *acceptor;
    LoopFd *watch = loop_fd_new(loop, sock->fd, error);

    if (!watch) {
        return false;
    }
    acceptor = g_new0(ServerAcceptor, 1);
    acceptor->listener = listener;
    acceptor->socket = sock;
    acceptor->watch = watch;
    g_ptr_array_add(listener->acceptors, acceptor);
    return true;
}

bool
server_listener_start(ServerListener *listener, Loop *loop, ServerAcceptFn *fn,
                      void *arg, GError **error)
{
    listener->fn = fn;
    listener->arg = arg;
    listener->acceptors = g_ptr_array_new_with_free_func(g_free);
    listener->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (listener->spare_fd < 0) {
        ash_set_error_errno(error, errno, "can't open /dev/null");
        g_prefix_error(error, "server '%s': ", listener->conf->id);
        return false;
    }
    for (unsigned i = 0; i < listener->sockets->len; i++) {
        if (!server_acceptor_add(listener, loop,
                                 g_ptr_array_index(listener->sockets, i),
                                 error)) {
            g_prefix_error(error, "server '%s': ", listener->conf->id);
            return false;
        }
    }
    for (unsigned i = 0; i < listener->acceptors->len; i++) {
        listener->n_running++;
        coro_spawn_later(server_acceptor_co_run,
                         g_ptr_array_index(listener->acceptors, i));
    }
    return true;
}

void
server_listener_connection_closed(ServerListener *listener)
{
    ash_assert(listener->n_connections > 0);
    listener->n_connections--;
    /* All: the first may find that nobody waits at its own socket. */
    co_queue_wake_all(&listener->room);
}

void coroutine_fn
server_listener_co_stop(ServerListener *listener)
{
    listener->stopping = true;
    co_queue_wake_all(&listener->room);
    for (unsigned i = 0; listener->acceptors && i < listener->acceptors->len;
         i++) {
        ServerAcceptor *acceptor = g_ptr_array_index(listener->acceptors, i);

        if (acceptor->watch) {
            loop_fd_cancel(acceptor->watch);
        }
    }
    while (listener->n_running > 0) {
        co_queue_co_wait(&listener->stopped);
    }
    server_listener_close_sockets(listener);
}
