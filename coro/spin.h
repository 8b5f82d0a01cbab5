/*
 * coro/spin.h - when is it worth polling for a while before going to sleep?
 *
 * Between two requests a loop can sleep, which costs the next one a wakeup
 * (some 5 to 50 us), or poll, which costs CPU.  Polling pays when the next
 * event comes soon and does not need our CPU to come.  A Spin decides from
 * what happened before.
 *
 * Spinning goes on while it catches events.  Each miss doubles the number of
 * sleeps until the next attempt, up to SPIN_SKIP_MAX; a catch sets it to none.
 * Sleeps that turn out shorter than the window would have been caught, so a
 * few of them in a row bring the next attempt forward.  Where such attempts
 * miss all the same (the peer needs our CPU, as on a machine with one), more
 * and more of them are asked for, also up to SPIN_SKIP_MAX; catches restore the
 * trust.
 *
 * Pure: knows no clock and does not poll.
 *
 * Layer:   coro.      Thread: any, one at a time.
 * Tests:   tests/unit/coro/test-spin.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SPIN_SKIP_MAX 64U

typedef struct Spin {
    unsigned skip;      /* sleeps that the last miss cost; 0 after a catch */
    unsigned left;      /* sleeps until the next attempt */
    unsigned short_run; /* short sleeps in a row */
    unsigned short_min; /* how many of them bring an attempt forward */
    bool on_trial;      /* this attempt was brought forward */
} Spin;

void spin_init(Spin *spin);

/* Before each sleep that follows events: poll first? */
bool spin_begin(const Spin *spin);

/* The polling that spin_begin() allowed is over: did an event come? */
void spin_end(Spin *spin, bool caught);

/* A sleep without polling before it is over: was it shorter than the window
 * that polling would have taken? */
void spin_slept(Spin *spin, bool was_short);
