/*
 * export/nbd-server.h - NbdServer: exports, the connections to them, and the
 * memory that they share.
 *
 * Listeners (server/) hand over connected channels; each becomes a connection
 * that shakes hands on one of the workers and then lives on the home of its
 * export.
 *
 * Layer:   export.      Thread: the loop given as @main, except where noted.
 * Source:  NBD doc/proto.md, fixed newstyle.
 * Tests:   tests/unit/export/, tests/sim, tests/scenario
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>

#include "base/annotate.h"
#include "coro/loop.h"
#include "export/channel.h"
#include "export/export.h"

typedef struct NbdServer NbdServer;

typedef struct NbdServerConfig {
    Loop *main;
    Loop *const *workers; /* borrowed; at least one (may be main) */
    unsigned n_workers;
    uint64_t memory_bytes;            /* for all requests; >= 64 MiB */
    uint64_t connection_memory_bytes; /* for those of one; >= 1 MiB */
} NbdServerConfig;

#define NBD_MEMORY_DEFAULT ((uint64_t)256 << 20)
#define NBD_CONNECTION_MEMORY_DEFAULT ((uint64_t)32 << 20)
#define NBD_HANDSHAKE_SECONDS_DEFAULT 10U

NbdServer *nbd_server_new(const NbdServerConfig *config);
/* No connection is left (nbd_server_co_shutdown() was called). */
void nbd_server_free(NbdServer *server);

/* Offer @export (a reference is taken).  Error: CONFLICT, the name is taken. */
bool nbd_server_add_export(NbdServer *server, Export *export, GError **error);
/* No new client finds it; those there stay.  Any reference is dropped. */
void nbd_server_remove_export(NbdServer *server, Export *export);

/* A new connection. */
typedef struct NbdClient {
    Channel *channel;          /* taken; not attached to a loop */
    uint64_t handshake_ns;     /* time limit of the handshake; 0: none */
    void (*closed)(void *arg); /* on main, when the connection is gone */
    void *arg;
} NbdClient;
void nbd_server_accept(NbdServer *server, const NbdClient *client);

/**
 * nbd_server_co_shutdown() - end all connections in good order.
 *
 * Requests in flight are finished and answered, new ones get ESHUTDOWN, then
 * the connections are closed.  Returns when none is left; a peer that for 5 s
 * does not take its replies, or send the rest of a request, is cut off.
 */
void coroutine_fn nbd_server_co_shutdown(NbdServer *server);

/* Open connections; on main. */
unsigned nbd_server_n_connections(const NbdServer *server);
/* Bytes of request memory in use; any thread. */
uint64_t nbd_server_memory_used(const NbdServer *server);
