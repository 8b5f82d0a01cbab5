/*
 * tests/sim/sim-state.c - see tests/sim/sim-state.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/sim/sim-state.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/assert.h"

struct SimState {
    char *root;
    char *dir; /* of the living process; NULL: none yet */
};

SimState *
sim_state_new(void)
{
    SimState *state = g_new0(SimState, 1);

    state->root = g_dir_make_tmp("ashlar-sim-XXXXXX", NULL);
    ash_assert(state->root);
    return state;
}

/* The record of @file, NULL: none. */
static char *
sim_state_find(const SimState *state, const char *file)
{
    g_autofree char *line = g_strdup_printf("\npath=%s\n", file);
    g_autoptr(GDir) dir = g_dir_open(state->dir, 0, NULL);
    const char *name;

    ash_assert(dir);
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(state->dir, name, NULL);
        g_autofree char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL) &&
            strstr(text, line)) {
            return g_steal_pointer(&path);
        }
    }
    return NULL;
}

const char *
sim_state_hand_over(SimState *state, unsigned pid)
{
    g_autofree char *name = g_strdup_printf("%u", pid);
    char *dir = g_build_filename(state->root, name, NULL);
    int r = state->dir ? g_rename(state->dir, dir) : g_mkdir(dir, 0700);

    ash_assert(r == 0);
    g_free(state->dir);
    state->dir = dir;
    return dir;
}

bool
sim_state_has(const SimState *state, const char *file)
{
    g_autofree char *path = sim_state_find(state, file);

    return path != NULL;
}

bool
sim_state_forget(SimState *state, const char *file)
{
    g_autofree char *path = sim_state_find(state, file);

    return path && g_unlink(path) == 0;
}

static void
sim_state_empty(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
    }
}

void
sim_state_free(SimState *state)
{
    if (state->dir) {
        sim_state_empty(state->dir);
        g_rmdir(state->dir);
    }
    g_rmdir(state->root);
    g_free(state->dir);
    g_free(state->root);
    g_free(state);
}
