/*
 * coro/spin.c - see coro/spin.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/spin.h"

#include "base/assert.h"

/* At least so many short sleeps in a row bring an attempt forward. */
#define SPIN_SHORT_MIN 2U

static unsigned
spin_double(unsigned n)
{
    if (n == 0) {
        return 1;
    }
    return n < SPIN_SKIP_MAX ? n * 2 : SPIN_SKIP_MAX;
}

void
spin_init(Spin *spin)
{
    *spin = (Spin){ .short_min = SPIN_SHORT_MIN };
}

bool
spin_begin(const Spin *spin)
{
    return spin->left == 0;
}

void
spin_end(Spin *spin, bool caught)
{
    ash_assert(spin->left == 0);

    if (caught) {
        spin->skip = 0;
        if (spin->short_min > SPIN_SHORT_MIN) {
            spin->short_min -= spin->on_trial ? spin->short_min / 2 : 1;
        }
    } else {
        spin->skip = spin_double(spin->skip);
        spin->left = spin->skip;
        if (spin->on_trial) {
            spin->short_min = spin_double(spin->short_min);
        }
    }
    spin->on_trial = false;
    spin->short_run = 0;
}

void
spin_slept(Spin *spin, bool was_short)
{
    ash_assert(spin->left > 0);

    spin->left--;
    spin->short_run = was_short ? spin->short_run + 1 : 0;
    if (spin->left > 0 && spin->short_run >= spin->short_min) {
        spin->left = 0;
        spin->on_trial = true;
    }
}
