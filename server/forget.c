/*
 * server/forget.c - ashlard --forget-failure; see server/server.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file.h"
#include "server/server.h"
#include "server/state-dir.h"

bool
server_forget_failure(const char *file, const char *state_dir, GError **error)
{
    g_autofree char *dir = NULL;

    if (!server_state_dir_open(state_dir, &dir, error) ||
        !file_failure_forget(dir, file, error)) {
        g_prefix_error(error, "--forget-failure: ");
        return false;
    }
    return true;
}
