/*
 * drivers/aio/stall.c - see drivers/aio/stall.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/stall.h"

#include "base/bits.h"

void
aio_stall_slow(AioStall *stall, uint64_t end_ns)
{
    stall->n_quick = 0;
    stall->slow_ns = end_ns;
    if (stall->stalled) {
        return;
    }
    stall->stalled = true;
    stall->n_stalls++;
    if (stall->quick_ns != 0 &&
        end_ns - stall->quick_ns < AIO_STALL_MEMORY * stall->hold_ns) {
        stall->hold_ns = ash_min(2 * stall->hold_ns, AIO_STALL_HOLD_MAX_NS);
    } else {
        stall->hold_ns = AIO_STALL_HOLD_MIN_NS;
    }
}

void
aio_stall_note_offloaded(AioStall *stall, uint64_t bytes, uint64_t start_ns,
                         uint64_t end_ns)
{
    uint64_t own_ns = end_ns - ash_max(start_ns, stall->done_ns);

    stall->done_ns = end_ns;
    if (!stall->stalled) {
        return;
    }
    if (own_ns >= AIO_STALL_QUICK_NS + bytes) {
        aio_stall_slow(stall, end_ns);
        return;
    }
    stall->n_quick++;
    if (stall->n_quick >= AIO_STALL_QUICK_RUN &&
        end_ns - stall->slow_ns >= stall->hold_ns) {
        stall->stalled = false;
        stall->quick_ns = end_ns;
    }
}
