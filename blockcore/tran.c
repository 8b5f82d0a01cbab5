/*
 * blockcore/tran.c - see blockcore/tran.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/tran.h"

#include <glib.h>

typedef struct TranStep {
    const BlkTranOps *ops;
    void *data;
} TranStep;

struct BlkTran {
    GArray *steps; /* of TranStep, in the order of preparation */
};

BlkTran *
blk_tran_new(void)
{
    BlkTran *tran = g_new0(BlkTran, 1);

    tran->steps = g_array_new(FALSE, FALSE, sizeof(TranStep));
    return tran;
}

void
blk_tran_add(BlkTran *tran, const BlkTranOps *ops, void *take_data)
{
    TranStep step = { .ops = ops, .data = take_data };

    g_array_append_val(tran->steps, step);
}

static void
tran_free(BlkTran *tran)
{
    for (unsigned i = 0; i < tran->steps->len; i++) {
        TranStep *step = &g_array_index(tran->steps, TranStep, i);

        if (step->ops->free) {
            step->ops->free(step->data);
        }
    }
    g_array_free(tran->steps, TRUE);
    g_free(tran);
}

void coroutine_fn
blk_tran_co_commit(BlkTran *take_tran)
{
    for (unsigned i = 0; i < take_tran->steps->len; i++) {
        TranStep *step = &g_array_index(take_tran->steps, TranStep, i);

        if (step->ops->co_commit) {
            step->ops->co_commit(step->data);
        }
    }
    tran_free(take_tran);
}

void coroutine_fn
blk_tran_co_abort(BlkTran *take_tran)
{
    for (unsigned i = take_tran->steps->len; i > 0; i--) {
        TranStep *step = &g_array_index(take_tran->steps, TranStep, i - 1);

        if (step->ops->co_abort) {
            step->ops->co_abort(step->data);
        }
    }
    tran_free(take_tran);
}
