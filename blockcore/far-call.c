/*
 * blockcore/far-call.c - see blockcore/far-call.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/far-call.h"

#include "base/assert.h"
#include "blockcore/flush.h"
#include "blockcore/io-align.h"
#include "blockcore/io-fallback.h"
#include "coro/coro.h"

typedef struct BlkFarCall {
    BlkNode *node;
    BlkOp op;
    BlkRange range;
    const IoVec *iov;
    BlkReqFlags flags;
    int ret;
    bool done;
    Coro *waiter; /* NULL: it did not have to wait */
} BlkFarCall;

static int coroutine_fn
blk_far_co_do(const BlkFarCall *call)
{
    switch (call->op) {
    case BLK_OP_READ:
        return blk_node_co_read(call->node, call->range, call->iov,
                                call->flags);
    case BLK_OP_WRITE:
        return blk_node_co_write(call->node, call->range, call->iov,
                                 call->flags);
    case BLK_OP_ZERO:
        return blk_node_co_zero(call->node, call->range, call->flags);
    case BLK_OP_TRIM:
        return blk_node_co_trim(call->node, call->range);
    case BLK_OP_FLUSH:
        return blk_node_co_flush(call->node);
    case BLK_OP_CACHE:
        return blk_node_co_prefetch(call->node, call->range);
    case BLK_OP_STATUS:
    case BLK_N_OPS:
    default:
        ash_unreachable();
    }
}

static void coroutine_fn
blk_far_co_run(void *arg)
{
    BlkFarCall *call = arg;

    call->ret = blk_far_co_do(call);
    call->done = true;
    if (call->waiter) {
        coro_wake(call->waiter);
    }
}

int coroutine_fn
blk_far_co_call(BlkNode *node, BlkOp op, BlkRange range, const IoVec *iov,
                BlkReqFlags flags)
{
    BlkFarCall call = {
        .node = node,
        .op = op,
        .range = range,
        .iov = iov,
        .flags = flags,
    };

    coro_spawn(blk_far_co_run, &call);
    if (!call.done) {
        call.waiter = coro_self();
        co_yield();
    }
    return call.ret;
}
