/*
 * drivers/null.c - driver "null-co": reads zeros, forgets writes.
 *
 * The smallest driver; the one to read first, and to measure everything above
 * it with.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>

#include "blockcore/driver.h"

/* One call does as much as a client can ask for, more or less. */
#define NULL_SPACE_MAX (UINT64_C(1) << 62)

typedef struct Null {
    uint64_t size;
    uint64_t latency_ns; /* each request takes at least this long */
    bool read_zeroes;    /* say so in status */
} Null;

static const BlkOptionSpec null_options[] = {
    {
        .name = "size",
        .type = BLK_OPT_SIZE,
        .fallback = "1G",
        .help = "size in bytes",
    },
    {
        .name = "read-zeroes",
        .type = BLK_OPT_BOOL,
        .fallback = "off",
        .help = "report all of it as zeros; it reads as zeros in any case",
    },
    {
        .name = "latency-ns",
        .type = BLK_OPT_UINT,
        .fallback = "0",
        .help = "nanoseconds that each request takes at least",
    },
    { .name = NULL },
};

static bool coroutine_fn
null_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    Null *null = blk_node_state(node);

    return blk_options_take_uint(opts, blk_option_find(null_options, "size"),
                                 &null->size, error) &&
           blk_options_take_bool(opts,
                                 blk_option_find(null_options, "read-zeroes"),
                                 &null->read_zeroes, error) &&
           blk_options_take_uint(opts,
                                 blk_option_find(null_options, "latency-ns"),
                                 &null->latency_ns, error);
}

static int coroutine_fn
null_co_size(BlkNode *node, uint64_t *ret)
{
    const Null *null = blk_node_state(node);

    *ret = null->size;
    return 0;
}

static void
null_get_limits(BlkNode *node, BlkLimits *ret)
{
    (void)node;
    ret->fast_zero = true;
    ret->zero_init = true;
    ret->max_trim = NULL_SPACE_MAX;
    ret->max_zero = NULL_SPACE_MAX;
}

static void coroutine_fn
null_co_delay(BlkNode *node)
{
    const Null *null = blk_node_state(node);

    if (null->latency_ns > 0) {
        co_sleep_ns(null->latency_ns);
    }
}

static int coroutine_fn
null_co_read(BlkNode *node, BlkRange range, const IoVec *iov, BlkReqFlags flags)
{
    (void)flags;
    null_co_delay(node);
    iov_memset(iov, 0, 0, range.bytes);
    return 0;
}

static int
null_try_read(BlkNode *node, BlkRange range, const IoVec *iov)
{
    const Null *null = blk_node_state(node);

    if (null->latency_ns > 0) {
        return -EAGAIN;
    }
    iov_memset(iov, 0, 0, range.bytes);
    return 0;
}

static int coroutine_fn
null_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
              BlkReqFlags flags)
{
    (void)range;
    (void)iov;
    (void)flags;
    null_co_delay(node);
    return 0;
}

static int coroutine_fn
null_co_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    (void)range;
    (void)flags;
    null_co_delay(node);
    return 0;
}

static int coroutine_fn
null_co_trim(BlkNode *node, BlkRange range)
{
    (void)range;
    null_co_delay(node);
    return 0;
}

static int coroutine_fn
null_co_flush_disk(BlkNode *node)
{
    null_co_delay(node);
    return 0;
}

static int coroutine_fn
null_co_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    const Null *null = blk_node_state(node);

    *ret = (BlkExtent){
        .bytes = range.bytes,
        .status = null->read_zeroes ? BLK_STATUS_ZERO : BLK_STATUS_DATA,
    };
    return 0;
}

static int coroutine_fn
null_co_prefetch(BlkNode *node, BlkRange range)
{
    (void)node;
    (void)range;
    return 0;
}

const BlkDriver blk_driver_null_co = {
    .name = "null-co",
    .help = "reads zeros, forgets writes; to measure and to test",
    .kind = BLK_PROTOCOL,
    .state_bytes = sizeof(Null),
    .options = null_options,
    .write_flags = BLK_REQ_FUA,
    .zero_flags =
        (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK,
    .co_open = null_co_open,
    .co_size = null_co_size,
    .get_limits = null_get_limits,
    .co_read = null_co_read,
    .co_write = null_co_write,
    .co_zero = null_co_zero,
    .co_trim = null_co_trim,
    .co_flush_disk = null_co_flush_disk,
    .co_status = null_co_status,
    .try_read = null_try_read,
    .co_prefetch = null_co_prefetch,
};
