/*
 * blockcore/blk.c - see blockcore/blk.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/blk.h"

#include <glib.h>

#include "base/assert.h"
#include "blockcore/driver.h"
#include "blockcore/edge.h"
#include "blockcore/inflight.h"
#include "blockcore/io-status.h"
#include "blockcore/node-priv.h"
#include "coro/co-lock.h"

/* ---- life ---- */

Blk *
blk_new(const char *description)
{
    Blk *blk = g_new0(Blk, 1);

    blk->description = g_strdup(description);
    blk->write_cache = true;
    co_queue_init(&blk->resumed);
    return blk;
}

bool coroutine_fn
blk_co_attach(Blk *blk, BlkNode *node, BlkPerm perm, BlkPerm shared,
              GError **error)
{
    BlkEdge *root;

    ash_assert(!blk->root);
    if (!blk_edge_co_attach_root(blk, node, perm, shared, &root, error)) {
        return false;
    }
    ash_assert(!blk->root);
    blk->root = root;
    blk->loop = node->loop;
    blk_inflight_co_root_set(blk);
    return true;
}

void coroutine_fn
blk_co_detach(Blk *blk)
{
    BlkEdge *root;

    /* Only our own requests matter; others may go on with the node. */
    blk_inflight_stop_blk(blk);
    while (blk->stats.in_flight > 0) {
        co_queue_co_wait(&blk->resumed);
    }
    root = blk->root;
    blk->root = NULL;
    if (root) {
        blk->loop = root->child->loop;
        ash_maybe(blk_edge_co_detach_root(root));
    }
    blk_inflight_go_blk(blk);
}

void
blk_free(Blk *blk)
{
    ash_assert(!blk->root);
    ash_assert(blk->stats.in_flight == 0);
    ash_assert(blk->quiesce == 0);
    ash_assert(co_queue_is_empty(&blk->resumed));
    g_free(blk->description);
    g_free(blk);
}

/* ---- facts ---- */

BlkNode *
blk_root(const Blk *blk)
{
    return blk->root ? blk->root->child : NULL;
}

Loop *
blk_loop(const Blk *blk)
{
    return blk->root ? blk->root->child->loop : blk->loop;
}

uint64_t
blk_size(const Blk *blk)
{
    return blk->root ? blk->root->child->size : 0;
}

const BlkLimits *
blk_limits(const Blk *blk)
{
    static const BlkLimits none = { .request_align = 1, .mem_align = 1 };

    return blk->root ? &blk->root->child->limits : &none;
}

bool
blk_is_writable(const Blk *blk)
{
    return blk->root && (blk->root->perm & BLK_PERM_WRITE) &&
           !blk->root->child->read_only;
}

bool
blk_can_trim(const Blk *blk)
{
    const BlkEdge *edge = blk->root;

    if (!blk_is_writable(blk)) {
        return false;
    }
    for (; edge; edge = edge->child->primary) {
        const BlkNode *node = edge->child;

        if (!node->options.discard_unmap || !node->driver->co_trim) {
            return false;
        }
    }
    return true;
}

int
blk_depth(const Blk *blk)
{
    return blk->root ? blk_node_depth(blk->root->child) : 0;
}

BlkStats *
blk_stats(Blk *blk)
{
    return &blk->stats;
}

void
blk_set_write_cache(Blk *blk, bool enabled)
{
    blk->write_cache = enabled;
}

/* ---- drain ---- */

void coroutine_fn
blk_co_drain_begin(Blk *blk)
{
    blk_inflight_co_drain_blk(blk);
}

void
blk_drain_end(Blk *blk)
{
    blk_inflight_resume_blk(blk);
}
