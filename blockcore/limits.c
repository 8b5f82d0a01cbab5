/*
 * blockcore/limits.c - what a node wants of requests: merged from the bottom
 * up, completed by the driver, checked once.
 *
 * request_align is each node's own: who writes less than a block reads and
 * writes the whole block, and that must happen where all users of the block
 * meet, so it is not inherited.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <inttypes.h>

#include "base/bits.h"
#include "blockcore/graph-priv.h"
#include "blockcore/io-status.h"

/* The stricter of two maxima, where 0 is none. */
static uint64_t
limits_min(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0) {
        return a | b;
    }
    return ash_min(a, b);
}

/* @max as a multiple of @align, at least one of it; 0 stays 0. */
static uint64_t
limits_fit(uint64_t max, uint64_t align)
{
    if (max == 0 || align == 0) {
        return max;
    }
    return max < align ? align : max - max % align;
}

/* Take what @child wants into account.  Alignments of several children are
 * not reconciled: the largest wins, each child aligns for itself. */
static void
limits_merge(BlkLimits *into, const BlkLimits *child)
{
    into->mem_align = (uint32_t)ash_max(into->mem_align, child->mem_align);
    into->opt_transfer =
        (uint32_t)ash_max(into->opt_transfer, child->opt_transfer);
    into->max_transfer = limits_min(into->max_transfer, child->max_transfer);
    into->max_iov = (uint32_t)limits_min(into->max_iov, child->max_iov);
    into->trim_align = (uint32_t)ash_max(into->trim_align, child->trim_align);
    into->max_trim = limits_fit(limits_min(into->max_trim, child->max_trim),
                                into->trim_align);
    into->zero_align = (uint32_t)ash_max(into->zero_align, child->zero_align);
    into->max_zero = limits_fit(limits_min(into->max_zero, child->max_zero),
                                into->zero_align);
    into->rotational = into->rotational || child->rotational;
}

static bool
limits_check_pow2(const char *name, uint64_t value, GError **error)
{
    if (!ash_is_pow2(value) || value > BLK_ALIGN_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "limits: %s %" PRIu64 " is not a power of two from 1 to "
                    "%" PRIu32,
                    name, value, BLK_ALIGN_MAX);
        return false;
    }
    return true;
}

static bool
limits_check_multiple(const char *name, uint64_t value, const char *of_name,
                      uint64_t of, GError **error)
{
    if (of != 0 && value % of != 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "limits: %s %" PRIu64 " is not a multiple of %s %" PRIu64,
                    name, value, of_name, of);
        return false;
    }
    return true;
}

/* A unit of trims or zero writes, 0: none.  Ranges are rounded to it with
 * masks. */
static bool
limits_check_unit(const char *name, uint64_t value, uint64_t block,
                  GError **error)
{
    if (value == 0) {
        return true;
    }
    if (!limits_check_multiple(name, value, "the request alignment", block,
                               error)) {
        return false;
    }
    if (!ash_is_pow2(value)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "limits: %s %" PRIu64 " is not a power of two", name,
                    value);
        return false;
    }
    return true;
}

static bool
limits_check(const BlkLimits *l, GError **error)
{
    const char *request = "the request alignment";

    return limits_check_pow2("request alignment", l->request_align, error) &&
           limits_check_pow2("memory alignment", l->mem_align, error) &&
           limits_check_multiple("optimal transfer", l->opt_transfer, request,
                                 l->request_align, error) &&
           limits_check_multiple("maximal transfer", l->max_transfer, request,
                                 l->request_align, error) &&
           limits_check_unit("trim alignment", l->trim_align, l->request_align,
                             error) &&
           limits_check_multiple("maximal trim", l->max_trim,
                                 "the trim alignment", l->trim_align, error) &&
           limits_check_multiple("maximal trim", l->max_trim, request,
                                 l->request_align, error) &&
           limits_check_unit("zero alignment", l->zero_align, l->request_align,
                             error) &&
           limits_check_multiple("maximal zero", l->max_zero,
                                 "the zero alignment", l->zero_align, error) &&
           limits_check_multiple("maximal zero", l->max_zero, request,
                                 l->request_align, error);
}

bool
blk_limits_refresh(BlkNode *node, GError **error)
{
    BlkLimits limits = { .request_align = 1, .mem_align = 1 };

    ash_list_foreach(i, &node->children) {
        const BlkEdge *edge = ash_container_of(i, BlkEdge, parent_link);

        limits_merge(&limits, &edge->child->limits);
    }
    if (node->primary) {
        limits.fast_zero = node->primary->child->limits.fast_zero;
        limits.zero_init = node->primary->child->limits.zero_init;
    }
    if (node->driver->get_limits) {
        node->driver->get_limits(node, &limits);
    }
    if (blk_node_backing(node)) {
        limits.zero_init = false; /* a new layer shows what is below it */
    }
    if (!limits_check(&limits, error)) {
        return false;
    }
    node->limits = limits;
    return true;
}
