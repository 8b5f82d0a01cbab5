/*
 * server/server-priv.h - struct Server: what is running.
 *
 * Invariants:
 *  V1  Nothing is accepted before everything else is up, and nothing but
 *      listeners is taken down while one accepts.
 *  V2  doing says what the main coroutine waits for, at any time; if the end
 *      takes too long it is what the last message names.
 *
 * Layer:   server.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "blockcore/graph.h"
#include "coro/co-lock.h"
#include "coro/loop.h"
#include "export/export.h"
#include "export/nbd-server.h"
#include "server/listen.h"
#include "server/pid-file.h"
#include "server/server.h"
#include "server/signals.h"

typedef struct Server {
    const ServerOptions *opts;
    Loop *main;
    GPtrArray *workers; /* of Loop; their threads run */
    char *state_dir;    /* NULL: none */
    int ready_fd;       /* -1: nobody waits */

    ServerPidFile *pid_file;
    ServerSignals *signals;
    GPtrArray *listeners; /* of ServerListener */
    BlkGraph *graph;
    NbdServer *nbd;
    GPtrArray *exports; /* of Export */
    unsigned next_worker;

    char *doing;
    unsigned n_stop_signals;
    CoQueue stop_queue;
    LoopTimer drain_timer;
    GError *error; /* the first */
} Server;

/* Note what comes next (V2). */
void server_set_doing(Server *server, const char *fmt, ...) ASH_PRINTF(2, 3);

/**
 * server_co_apply() - make everything that the options ask for.
 *
 * On success nothing accepts yet; on failure what was made stays for
 * server_co_unapply().
 */
bool coroutine_fn server_co_apply(Server *server, GError **error);
/* Accept connections.  Errors as above. */
bool server_start_listeners(Server *server, GError **error);

/* Undo all that was made, in good order: requests in flight are answered, all
 * is flushed.  Error: IO, a flush failed. */
bool coroutine_fn server_co_unapply(Server *server, GError **error);
