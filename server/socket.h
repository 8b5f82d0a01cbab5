/*
 * server/socket.h - listening sockets: from an address to descriptors.
 *
 * One address may need several sockets (a name with several numbers, "" for
 * IPv4 and IPv6), so opening gives a list.  They are bound and listening: the
 * address is ours, and who connects waits until somebody accepts.
 *
 * A socket file that nobody listens on any more is replaced; one in use, and
 * anything that is no socket, is an error.  Two daemons that start at one
 * moment are kept apart by a lock on the directory.  At the end a socket file
 * is removed only if it is still the one that was made here.
 *
 * Layer:   server.      Blocking (names are looked up): at start only.
 * Tests:   tests/unit/server/test-socket.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "conf/conf.h"

typedef struct ServerSocket {
    int fd;     /* non-blocking, close-on-exec, listening */
    int family; /* AF_INET, AF_INET6, AF_UNIX */
    char *file; /* absolute path of the socket file we made, else NULL */
    dev_t file_dev;
    ino_t file_ino;
} ServerSocket;

/* Remove our file, if it is still ours. */
void server_socket_remove_file(const ServerSocket *socket);
/* Close, and remove our file. */
void server_socket_free(ServerSocket *socket);

/**
 * server_sockets_open() - every socket of an address.
 * @ret:    array of ServerSocket, with its free function; at least one
 *
 * Errors:  CONFLICT (address or file in use), CONFIG (no such host or
 *          service, not a listening socket), IO, all naming the address.
 */
bool server_sockets_open(const ConfAddr *addr, GPtrArray **ret, GError **error);

/* "127.0.0.1:10809", "[::1]:10809", "unix socket '/run/a'", for messages. */
char *server_addr_describe(const ConfAddr *addr);

/**
 * server_socket_uri() - how a client reaches an export here.
 * @export_name:  its name, empty for the default export
 *
 * Shape:   nbd://HOST:PORT/NAME or nbd+unix:///NAME?socket=PATH; a socket
 *          bound to every address names the loopback one.  NULL if no URI
 *          can say it (abstract sockets).
 * Source:  NBD doc/uri.md.
 */
char *server_socket_uri(const ServerSocket *socket, const char *export_name);
