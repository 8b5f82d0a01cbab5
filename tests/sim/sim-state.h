/*
 * tests/sim/sim-state.h - SimState: the state directories of a simulated host's
 * daemons, with their records of files that lost data.
 *
 * A folder of the real host, as the records are written by the code under test
 * without an engine.  A daemon that died does not reach the records any more:
 * its successor's folder has another name.
 *
 * Layer:   tests/sim.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

typedef struct SimState SimState;

/* Below the folder for temporary files; removed by sim_state_free(). */
SimState *sim_state_new(void);
void sim_state_free(SimState *state);

/* What process @pid is given: what its predecessor, @pid - 1, has left.
 * Borrowed until the next call. */
const char *sim_state_hand_over(SimState *state, unsigned pid);
/* Is it recorded that @file lost data? */
bool sim_state_has(const SimState *state, const char *file);
/* As the operator does who dealt with it; false: there was no record. */
bool sim_state_forget(SimState *state, const char *file);
