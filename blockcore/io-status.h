/*
 * blockcore/io-status.h - what is where: one layer, or the whole chain.
 *
 * A layer is a node that decides about its data; filters and whatever else
 * answers BLK_STATUS_RAW pass the question to a child.  Below a layer comes
 * its backing node.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: the _co_ ones.
 * Method:  io-status.c.    Tests: tests/unit/blockcore/test-status.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>

#include "base/annotate.h"
#include "blockcore/node-priv.h"
#include "blockcore/range.h"
#include "blockcore/types.h"

/* The edge to what shows through @node, NULL: nothing does. */
BlkEdge *blk_node_backing(const BlkNode *node);

/* Layers of the chain that @node is the top of: 1 without backing. */
int blk_node_depth(const BlkNode *node);

/**
 * blk_node_co_status() - the state at @range.offset as @node's reader sees it.
 * @range:  not empty, begins inside the size
 * @ret:    bytes in [1, range.bytes]; neighbours may be alike
 *
 * Shape:   DATA or ZERO or both; ALLOCATED if the top layer decides; EOF if
 *          the extent reaches the end of @node; never RAW.
 * Errors:  -EIO when a layer's answer makes no sense; the drivers'.
 */
int coroutine_fn blk_node_co_status(BlkNode *node, BlkRange range,
                                    BlkExtent *ret);

/* How many layers down the data at @range.offset is: 0: nowhere, it reads as
 * zeros since no layer decides; 1: the top.  @ret_bytes as in an extent. */
int coroutine_fn blk_node_co_allocation_depth(BlkNode *node, BlkRange range,
                                              uint64_t *ret_bytes,
                                              uint32_t *ret_depth);
