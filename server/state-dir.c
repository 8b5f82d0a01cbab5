/*
 * server/state-dir.c - see server/state-dir.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/state-dir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVER_STATE_DIR_ROOT "/var/lib/ashlar"
#define SERVER_STATE_DIR_MODE 0700

static char *
server_state_dir_choose(const char *given)
{
    const char *systemd = g_getenv("STATE_DIRECTORY");

    if (given) {
        return g_canonicalize_filename(given, NULL);
    }
    if (systemd && systemd[0] == '/') {
        return g_strndup(systemd, strcspn(systemd, ":"));
    }
    if (geteuid() == 0) {
        return g_strdup(SERVER_STATE_DIR_ROOT);
    }
    return g_build_filename(g_get_user_state_dir(), "ashlar", NULL);
}

bool
server_state_dir_open(const char *given, char **ret, GError **error)
{
    g_autofree char *dir = server_state_dir_choose(given);
    struct stat st;
    int err = 0;

    if (g_mkdir_with_parents(dir, SERVER_STATE_DIR_MODE) < 0 ||
        stat(dir, &st) < 0) {
        err = errno;
    } else if (!S_ISDIR(st.st_mode)) {
        err = ENOTDIR;
    } else if (access(dir, R_OK | W_OK | X_OK) < 0) {
        err = errno;
    }
    if (err != 0) {
        ash_set_error_errno(error, err, "state directory '%s'", dir);
        return false;
    }
    *ret = g_steal_pointer(&dir);
    return true;
}
