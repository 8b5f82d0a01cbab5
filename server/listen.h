/*
 * server/listen.h - ServerListener: accept connections on one --nbd-server.
 *
 * Opening binds; nothing is accepted before start.  Each socket has one
 * coroutine that accepts until nobody waits.
 *
 * NBD has no way to say "too many" before the handshake, so at its limit a
 * listener stops accepting and goes on when a connection leaves; who connects
 * meanwhile waits in the socket's backlog.
 *
 * When the process runs out of descriptors (the last SERVER_FD_HEADROOM are
 * kept for images), connections are closed as they come, at most a hundred a
 * second, until there is room again.
 *
 * Layer:   server.      Thread: the loop given to start, open before it.
 * Yields:  server_listener_co_stop().
 * Tests:   tests/unit/server/test-listen.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/error.h"
#include "conf/conf.h"
#include "coro/loop.h"
#include "server/socket.h"

typedef struct ServerListener ServerListener;

#define SERVER_FD_HEADROOM 16

/* A new connection. */
typedef struct ServerAccepted {
    int fd;        /* connected, non-blocking, close-on-exec; taken */
    char *peer;    /* "127.0.0.1:4711", "unix (pid 1, uid 0)"; taken */
    bool is_local; /* a unix socket */
} ServerAccepted;

typedef void ServerAcceptFn(ServerListener *listener,
                            const ServerAccepted *accepted, void *arg);

/**
 * server_listener_open() - bind and listen.
 * @conf:   borrowed until free
 *
 * Owns:    the caller, NULL on error.
 * Errors:  those of server_sockets_open(), after "server 'id': ".
 */
ServerListener *server_listener_open(const ConfServer *conf, GError **error);

/* Accept from now on, at most until the limit; @fn is told of each.  @loop is
 * the current one.  Errors: IO. */
bool server_listener_start(ServerListener *listener, Loop *loop,
                           ServerAcceptFn *fn, void *arg, GError **error);

/* A connection that the listener's ServerAcceptFn got is gone. */
void server_listener_connection_closed(ServerListener *listener);

/* Accept no more, close the sockets, remove their files.  Idempotent; also
 * for one that was never started.  Connections stay. */
void coroutine_fn server_listener_co_stop(ServerListener *listener);

/* Just remove the files: the process ends now. */
void server_listener_abandon(ServerListener *listener);

/* Stopped, or never started. */
void server_listener_free(ServerListener *listener);

const ConfServer *server_listener_conf(const ServerListener *listener);
unsigned server_listener_n_connections(const ServerListener *listener);
/* The ServerSockets, empty when stopped; borrowed. */
const GPtrArray *server_listener_sockets(const ServerListener *listener);
