/*
 * server/server.h - one run of the daemon: start, serve, drain, end.
 *
 * Layer:   server.      Thread: the main one.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/error.h"
#include "server/options.h"

/**
 * server_run() - serve until a signal says stop.
 * @opts:        with action RUN; borrowed
 * @take_ready:  of server_daemonize(), -1: in the foreground
 *
 * Returns: true after a clean drain: everything in flight was answered and
 *          flushed.
 * Errors:  whatever kept it from starting, or a last flush that failed.
 *          Everything is undone then.
 */
bool server_run(const ServerOptions *opts, int take_ready, GError **error);

/**
 * server_forget_failure() - remove the mark on a file that lost data.
 * @file:      its path
 * @state_dir: --state-dir or NULL
 */
bool server_forget_failure(const char *file, const char *state_dir,
                           GError **error);
