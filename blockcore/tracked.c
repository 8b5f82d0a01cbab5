/*
 * blockcore/tracked.c - see blockcore/tracked.h.
 *
 * Method: wait for one conflicting request, then look at the whole list again,
 * for others may have come meanwhile.  One that waits itself is skipped: it
 * looks again before it goes on, finds us, and waits for us.  So of two that
 * conflict exactly one runs, and no cycle of waiters can form.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/tracked.h"

/* The first request that @req must wait for, NULL: none. */
static BlkTracked *
blk_tracked_find_conflict(const BlkTracked *req)
{
    ash_list_foreach(link, &req->node->tracked) {
        BlkTracked *other = ash_container_of(link, BlkTracked, link);

        if (other == req || !(req->serialising || other->serialising) ||
            !blk_range_overlaps(req->range, other->range)) {
            continue;
        }
        /* A coroutine that waits for itself would wait forever. */
        ash_assert(other->co != req->co);
        if (!other->waiting_for) {
            return other;
        }
    }
    return NULL;
}

bool
blk_tracked_is_alone(const BlkTracked *req)
{
    ash_list_foreach(link, &req->node->tracked) {
        const BlkTracked *other = ash_container_of(link, BlkTracked, link);

        if (other != req && !other->no_wait && !other->waiting_for &&
            blk_range_overlaps(req->range, other->range)) {
            return false;
        }
    }
    return true;
}

void coroutine_fn
blk_tracked_co_wait(BlkTracked *req)
{
    BlkTracked *other;

    while ((other = blk_tracked_find_conflict(req)) != NULL) {
        if (!other->has_waiters) {
            other->has_waiters = true;
            co_queue_init(&other->waiters);
        }
        req->waiting_for = other;
        co_queue_co_wait(&other->waiters);
        req->waiting_for = NULL;
    }
}
