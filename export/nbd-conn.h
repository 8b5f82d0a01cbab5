/*
 * export/nbd-conn.h - what nbd-server.c knows of a connection.
 *
 * Layer:   export.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "export/nbd-conn-priv.h"

/* A connection that will live on @home first; @client is copied, the channel
 * is taken.  Run nbd_conn_co_entry() on the home's loop next. */
NbdConn *nbd_conn_new(NbdServer *server, NbdHome *home,
                      const NbdClient *client);

/* ---- nbd-server.c, for connections ---- */

/* Any thread.  A reference, or NULL. */
Export *nbd_server_find_export(NbdServer *server, const char *name, size_t len);
/* References to all exports in order of their names; free with
 * g_ptr_array_unref(). */
GPtrArray *nbd_server_get_exports(NbdServer *server);
NbdHome *nbd_server_home(NbdServer *server, Loop *loop);
NbdBudget *nbd_server_budget(NbdServer *server);
size_t nbd_server_connection_memory(const NbdServer *server);
bool nbd_server_is_closing(const NbdServer *server);
/* The connection's coroutine ends; @conn is freed on main. */
void nbd_server_conn_done(NbdConn *conn);
