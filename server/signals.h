/*
 * server/signals.h - signals as calls on the main loop.
 *
 * SIGTERM and SIGINT ask to stop, SIGHUP is told of; both are blocked and read
 * from a descriptor, so nothing runs in a handler.  SIGPIPE and SIGXFSZ are
 * ignored: the calls that raise them fail with an errno, too.
 *
 * Layer:   server.      Thread: the main loop.
 * Tests:   tests/unit/server/test-signals.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "base/error.h"
#include "coro/loop.h"

typedef struct ServerSignals ServerSignals;

/* @signal: SIGTERM, SIGINT or SIGHUP.  Outside of a coroutine's business: must
 * not yield. */
typedef void ServerSignalFn(int signal, void *arg);

/* Block and ignore; before any thread is started, they inherit it. */
void server_signals_block(void);

/* Call @fn from now on, also for what came since the blocking.  @loop is the
 * current one.  Errors: IO. */
ServerSignals *server_signals_start(Loop *loop, ServerSignalFn *fn, void *arg,
                                    GError **error);

/* No call comes any more.  NULL-safe. */
void coroutine_fn server_signals_co_stop(ServerSignals *take_signals);
