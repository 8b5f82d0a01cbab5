/*
 * blockcore/io-status.c - see blockcore/io-status.h.
 *
 * Method.  Three steps, each on top of the one before:
 *   own    the driver's answer, cut to the question and to the node's end
 *   layer  RAW followed to the node that decides; then, by what it says:
 *            DATA or ZERO        ALLOCATED: this layer decides
 *            neither             ZERO if no backing node has anything there
 *            DATA at an offset   ZERO too if the file is a hole there
 *   chain  down the backing nodes until a layer knows
 *
 * Each step can only shorten the extent, and never to nothing.  The node that
 * is asked is in flight all the while, so what is below it stays.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/io-status.h"

#include <errno.h>

#include "base/assert.h"
#include "base/bits.h"
#include "base/list.h"
#include "blockcore/driver-call.h"
#include "blockcore/inflight.h"

/* What one layer says. */
typedef struct BlkLayer {
    BlkNode *node;   /* that decides */
    uint64_t offset; /* there */
    BlkExtent extent;
} BlkLayer;

#define BLK_STATUS_KNOWN ((unsigned)BLK_STATUS_DATA | BLK_STATUS_ZERO)

BlkEdge *
blk_node_backing(const BlkNode *node)
{
    ash_list_foreach(link, &node->children) {
        BlkEdge *edge = ash_container_of(link, BlkEdge, parent_link);

        if (edge->role & BLK_ROLE_BACKING) {
            return edge;
        }
    }
    return NULL;
}

int
blk_node_depth(const BlkNode *node)
{
    int depth = 1;

    for (;;) {
        const BlkEdge *backing = blk_node_backing(node);

        if (backing) {
            depth++;
            node = backing->child;
        } else if (node->primary) {
            node = node->primary->child;
        } else {
            return depth;
        }
    }
}

/* The driver's answer, at @range.offset and within @range, which begins inside
 * the size. */
static int coroutine_fn
blk_status_co_own(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    uint32_t align = node->limits.request_align;
    uint64_t bytes = ash_min(range.bytes, node->size - range.offset);
    BlkRange outer = blk_range_align_out(blk_range(range.offset, bytes), align);
    uint64_t head = range.offset - outer.offset;
    int err;

    err = blk_driver_co_status(node, outer, ret);
    if (err == 0) {
        ret->bytes = ash_min(ret->bytes - head, bytes);
        ret->host_offset += head;
    }
    return err;
}

/* Find the node that decides about @range of @node. */
static int coroutine_fn
blk_status_co_resolve(BlkNode *node, BlkRange range, BlkLayer *layer)
{
    BlkExtent *ext = &layer->extent;
    int err;

    layer->node = node;
    layer->offset = range.offset;
    err = blk_status_co_own(node, range, ext);
    while (err == 0 && (ext->status & BLK_STATUS_RAW)) {
        uint64_t bytes = ext->bytes;

        if (!blk_range_validate(ext->host_offset, bytes, &range)) {
            return -EIO;
        }
        layer->node = ext->file;
        layer->offset = range.offset;
        if (range.offset >= layer->node->size) {
            /* Shorter than its parent says: zeros, but nobody's. */
            *ext = (BlkExtent){ .bytes = bytes, .status = BLK_STATUS_ZERO };
            layer->node = NULL;
            return 0;
        }
        err = blk_status_co_own(layer->node, range, ext);
    }
    return err;
}

/* The layer has valid data at an offset of its file; that may be a hole.
 * Useful but not necessary: errors are not ours. */
static void coroutine_fn
blk_status_co_ask_file(BlkLayer *layer)
{
    BlkExtent *ext = &layer->extent;
    BlkLayer below;
    BlkRange range;

    if (ext->file == layer->node ||
        !blk_range_validate(ext->host_offset, ext->bytes, &range)) {
        return;
    }
    if (range.offset >= ext->file->size) {
        ext->status |= BLK_STATUS_ZERO;
        return;
    }
    if (blk_status_co_resolve(ext->file, range, &below) == 0) {
        ext->bytes = below.extent.bytes;
        ext->status |= below.extent.status & BLK_STATUS_ZERO;
    }
}

static int coroutine_fn
blk_status_co_layer(BlkNode *node, BlkRange range, BlkLayer *layer)
{
    const unsigned at_offset = BLK_STATUS_DATA | BLK_STATUS_OFFSET_VALID;
    BlkExtent *ext = &layer->extent;
    int err = blk_status_co_resolve(node, range, layer);

    if (err != 0 || !layer->node) {
        return err;
    }
    if (ext->status & BLK_STATUS_KNOWN) {
        ext->status |= BLK_STATUS_ALLOCATED;
    } else {
        const BlkEdge *backing = blk_node_backing(layer->node);

        if (!backing || layer->offset >= backing->child->size) {
            ext->status |= BLK_STATUS_ZERO;
        }
    }
    if ((ext->status & at_offset) == at_offset &&
        !(ext->status & BLK_STATUS_ZERO)) {
        blk_status_co_ask_file(layer);
    }
    return 0;
}

/* Down the chain until a layer knows; *ret_depth counts layers from 1. */
static int coroutine_fn
blk_status_co_chain(BlkNode *node, BlkRange range, BlkExtent *ret,
                    uint32_t *ret_depth)
{
    uint64_t left = node->size - range.offset;
    uint32_t depth = 1;
    BlkLayer layer;

    ash_assert(range.bytes > 0);
    ash_assert(range.offset < node->size);
    for (;; depth++) {
        int err = blk_status_co_layer(node, range, &layer);

        if (err != 0) {
            return err;
        }
        ash_assert(layer.extent.bytes > 0);
        ash_assert(layer.extent.bytes <= range.bytes);
        if (layer.extent.status & BLK_STATUS_KNOWN) {
            break;
        }
        range = blk_range(layer.offset, layer.extent.bytes);
        node = blk_node_backing(layer.node)->child;
    }
    *ret = layer.extent;
    if (ret->bytes == left) {
        ret->status |= BLK_STATUS_EOF;
    }
    *ret_depth = depth;
    return 0;
}

int coroutine_fn
blk_node_co_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    uint32_t depth;
    int err;

    blk_inflight_begin(node);
    err = blk_status_co_chain(node, range, ret, &depth);
    if (err == 0 && depth > 1) {
        ret->status &= ~(unsigned)BLK_STATUS_ALLOCATED;
    }
    blk_stats_count(&node->stats.op[BLK_OP_STATUS], 0, err);
    blk_inflight_end(node);
    return err;
}

int coroutine_fn
blk_node_co_allocation_depth(BlkNode *node, BlkRange range, uint64_t *ret_bytes,
                             uint32_t *ret_depth)
{
    BlkExtent ext;
    uint32_t depth;
    int err;

    blk_inflight_begin(node);
    err = blk_status_co_chain(node, range, &ext, &depth);
    if (err == 0) {
        *ret_bytes = ext.bytes;
        *ret_depth = ext.status & BLK_STATUS_ALLOCATED ? depth : 0;
    }
    blk_stats_count(&node->stats.op[BLK_OP_STATUS], 0, err);
    blk_inflight_end(node);
    return err;
}
