/*
 * blockcore/tran.h - BlkTran: several changes of which all happen or none.
 *
 * Each change prepares itself, which may fail, and adds what is to be done to
 * complete it and what to undo it.  In the end the caller either commits (in
 * the order of preparation) or aborts (in reverse).  Neither can fail.
 *
 * Layer:   blockcore.      Control path; one loop at a time.
 * Yields:  the co_ ones, as the changes do.
 * Tests:   tests/unit/blockcore/test-tran.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"

typedef struct BlkTran BlkTran;

/* One kind of change; NULL: nothing to do. */
typedef struct BlkTranOps {
    void coroutine_fn (*co_commit)(void *data);
    void coroutine_fn (*co_abort)(void *data);
    void (*free)(void *data); /* afterwards, in either case */
} BlkTranOps;

BlkTran *blk_tran_new(void);
/* A change was prepared.  @take_data belongs to the transaction. */
void blk_tran_add(BlkTran *tran, const BlkTranOps *ops, void *take_data);
/* Both free the transaction. */
void coroutine_fn blk_tran_co_commit(BlkTran *take_tran);
void coroutine_fn blk_tran_co_abort(BlkTran *take_tran);
