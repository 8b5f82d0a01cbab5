/*
 * blockcore/flush.c - see blockcore/flush.h.
 *
 * Invariants:
 *  F1  Only the holder of flush_active writes flushed_gen.
 *  F2  A good flush covers the modifications that were complete when it began,
 *      not those that complete meanwhile.
 *  F3  A failed flush, and one that left the disk out, covers nothing.
 *  F4  A node that was just opened is not covered: what an earlier process
 *      left in the page cache is flushed by the first flush.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/flush.h"

#include <errno.h>

#include "base/list.h"
#include "blockcore/driver-call.h"
#include "blockcore/edge-io.h"
#include "blockcore/inflight.h"
#include "coro/co-lock.h"

static int coroutine_fn
blk_flush_co_children(BlkNode *node)
{
    int ret = 0;

    if (node->driver->flushes_children) {
        return 0;
    }
    /* The node is in flight, so its edges stay. */
    ash_list_foreach(link, &node->children) {
        BlkEdge *edge = ash_container_of(link, BlkEdge, parent_link);

        if (!(edge->role & BLK_ROLE_BACKING)) {
            ret = blk_edge_co_flush(edge);
        }
        if (ret != 0) {
            break;
        }
    }
    return ret;
}

static int coroutine_fn
blk_flush_co_run(BlkNode *node)
{
    int ret;

    blk_driver_co_debug_event(node, "flush_to_os");
    ret = blk_driver_co_flush_os(node);
    if (ret == 0 && !node->options.cache_no_flush) {
        blk_driver_co_debug_event(node, "flush_to_disk");
        ret = blk_driver_co_flush_disk(node);
    }
    if (ret == 0) {
        ret = blk_flush_co_children(node);
    }
    return ret;
}

/* Be the one who flushes. */
static int coroutine_fn
blk_flush_co_active(BlkNode *node)
{
    uint64_t gen = node->write_gen;
    int ret;

    node->flush_active = true;
    ret = blk_flush_co_run(node);
    if (ret == 0 && !node->options.cache_no_flush) {
        node->flushed_gen = gen + 1;
    }
    node->flush_active = false;
    co_queue_wake_all(&node->flush_queue);
    return ret;
}

int coroutine_fn
blk_node_co_flush(BlkNode *node)
{
    uint64_t gen = node->write_gen;
    int ret;

    if (node->failed != 0) {
        return -EIO;
    }
    if (node->read_only) {
        return 0;
    }
    blk_inflight_begin(node);
    while (node->flushed_gen <= gen && node->flush_active) {
        co_queue_co_wait(&node->flush_queue);
    }
    if (node->failed != 0) {
        ret = -EIO;
    } else if (node->flushed_gen <= gen) {
        ret = blk_flush_co_active(node);
    } else {
        /* Nothing of ours is new; a child may have failed all the same. */
        ret = blk_flush_co_children(node);
    }
    blk_stats_count(&node->stats.op[BLK_OP_FLUSH], 0, ret);
    blk_inflight_end(node);
    return ret;
}
