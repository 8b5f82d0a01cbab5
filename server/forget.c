/*
 * server/forget.c - the operator's word on a file that lost data.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file.h"
#include "server/server.h"

bool
server_forget_failure(const char *file, const char *state_dir, GError **error)
{
    return file_failure_forget(state_dir, file, error);
}
