/*
 * server/daemonize.h - the process: background, standard descriptors, limits,
 * leaving at once.
 *
 * Layer:   server.      Tests: tests/unit/server/test-daemonize.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/error.h"

/* Descriptors 0 to 2 that are closed lead to /dev/null, so that no image or
 * socket gets their numbers.  Before anything is opened. */
bool server_open_standard_fds(GError **error);

/* As many descriptors as the hard limit allows. */
void server_raise_fd_limit(void);

/**
 * server_daemonize() - go on in a child, in a session of its own.
 * @ret_ready:  for server_daemon_ready(), in the child
 *
 * The parent waits: it exits with 0 when the child is ready, else as the child
 * does, whose messages still reach the caller's standard error.
 *
 * Needs:   no thread was started, no loop made.
 * Errors:  IO, in the parent.
 */
bool server_daemonize(int *ret_ready, GError **error);

/* Let the parent exit with 0, leave the terminal and the directory. */
void server_daemon_ready(int take_ready);

/* End the process without cleaning up. */
ASH_NORETURN void server_leave(int code);
