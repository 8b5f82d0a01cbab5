/*
 * server/state-dir.h - the directory for what must outlive the process.
 *
 * Layer:   server.      Tests: tests/unit/server/test-state-dir.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/**
 * server_state_dir_open() - find it, and make it (0700) if need be.
 * @given:  --state-dir, NULL: $STATE_DIRECTORY (the first of a list), else
 *          /var/lib/ashlar for root and $XDG_STATE_HOME/ashlar or
 *          ~/.local/state/ashlar for others
 * @ret:    absolute path; owned by the caller
 *
 * Errors:  IO, NOT_FOUND: can't be made, is no directory, can't be written;
 *          the text has the path.
 * Source:  systemd.exec(5), StateDirectory=; the XDG base directory
 *          specification.
 */
bool server_state_dir_open(const char *given, char **ret, GError **error);
