/*
 * server/socket-priv.h - the parts of server/socket.c.
 *
 * Layer:   server.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "server/socket.h"

/* Connections that wait to be accepted; the kernel has a limit of its own. */
#define SERVER_BACKLOG 4096

ServerSocket *server_socket_new(int take_fd, int family);

/* The kinds of address; each appends to @ret. */
bool server_inet_open(const ConfAddr *addr, GPtrArray *ret, GError **error);
bool server_unix_open(const ConfAddr *addr, GPtrArray *ret, GError **error);
bool server_fd_open(const ConfAddr *addr, GPtrArray *ret, GError **error);
