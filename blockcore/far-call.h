/*
 * blockcore/far-call.h - requests in deep graphs.
 *
 * A request may pass BLK_DEPTH_MAX nodes, and each needs stack; so it goes on
 * on a stack of its own at every BLK_LEVELS_PER_STACK-th level above the
 * leaves.  Graphs that are not as high as that never notice.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: the _co_ one.
 * Tests:   tests/unit/blockcore/test-blk.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/iov.h"
#include "blockcore/node-priv.h"
#include "blockcore/range.h"
#include "blockcore/types.h"

#define BLK_LEVELS_PER_STACK 16U

/* Does a request on @node need a new stack? */
static inline bool
blk_node_is_far(const BlkNode *node)
{
    return ash_unlikely(node->height % BLK_LEVELS_PER_STACK == 0);
}

/**
 * blk_far_co_call() - a full request on @node, on a stack of its own.
 * @op:     READ, WRITE, ZERO, TRIM, FLUSH or CACHE
 * @range, @flags: as for that, 0 if it has none
 * @iov:    NULL for those without data
 *
 * Errors:  those of the request.
 */
int coroutine_fn blk_far_co_call(BlkNode *node, BlkOp op, BlkRange range,
                                 const IoVec *iov, BlkReqFlags flags);
