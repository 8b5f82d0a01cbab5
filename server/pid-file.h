/*
 * server/pid-file.h - one file that holds our process id while we serve.
 *
 * The file appears complete, by a rename, when clients can connect, and stays
 * locked (flock) as long as the process lives: a second instance with the same
 * file is refused at start, and a file left behind by a crash is not.  It is
 * removed at the end if it is still ours.
 *
 * Layer:   server.      Tests: tests/unit/server/test-pid-file.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

typedef struct ServerPidFile ServerPidFile;

/**
 * server_pid_file_claim() - is the file free?  Nothing is made yet.
 * @path:   relative to the present directory
 *
 * Owns:    the caller, NULL on error.
 * Errors:  CONFLICT: locked by a running process, or no regular file; IO.
 */
ServerPidFile *server_pid_file_claim(const char *path, GError **error);

/* Make it appear.  Errors: CONFLICT: another one was faster; IO. */
bool server_pid_file_publish(ServerPidFile *pid_file, GError **error);

/* Remove it if it is ours; NULL-safe. */
void server_pid_file_remove(ServerPidFile *pid_file);

/* Remove and free; NULL-safe. */
void server_pid_file_free(ServerPidFile *pid_file);
