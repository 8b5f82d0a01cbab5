/*
 * blockcore/blk-io.h - requests on a Blk: what an export asks of the graph.
 *
 * Errors of the co_ functions, all -errno:
 *   -ENOMEDIUM  the node is gone            -EROFS   writing a read-only one
 *   -EINVAL     read, trim, cache or status past the end; an empty status;
 *               data of more than BLK_TRANSFER_MAX
 *   -ENOSPC     write or zero past the end, or the host is full
 *   -ENOMEM     no memory                   -ESHUTDOWN  a peer is gone
 *   -EIO        anything else, and every modification of a failed node
 *   -EAGAIN     only try_read
 *   -ENOTSUP    only zero with NO_FALLBACK; write with COMPRESSED; map_file
 * They are looked for in the order medium, read-only, range.  An empty request
 * at or before the end succeeds and does nothing.
 *
 * Layer:   blockcore.      Thread: blk_loop().      Yields: the co_ ones.
 * Tests:   tests/unit/blockcore/test-blk.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>

#include "base/annotate.h"
#include "base/iov.h"
#include "blockcore/range.h"
#include "blockcore/types.h"

int coroutine_fn blk_co_read(Blk *blk, BlkRange range, const IoVec *iov,
                             BlkReqFlags flags);
int coroutine_fn blk_co_write(Blk *blk, BlkRange range, const IoVec *iov,
                              BlkReqFlags flags);
int coroutine_fn blk_co_zero(Blk *blk, BlkRange range, BlkReqFlags flags);
int coroutine_fn blk_co_trim(Blk *blk, BlkRange range, BlkReqFlags flags);
int coroutine_fn blk_co_flush(Blk *blk);
int coroutine_fn blk_co_prefetch(Blk *blk, BlkRange range);

/* The state at range.offset through the whole chain: DATA and ZERO as the
 * client sees them; ret->bytes in [1, range.bytes]. */
int coroutine_fn blk_co_status(Blk *blk, BlkRange range, BlkExtent *ret);
/* How many layers down the data at range.offset is: 0 nowhere, 1 the top. */
int coroutine_fn blk_co_allocation_depth(Blk *blk, BlkRange range,
                                         uint64_t *ret_bytes,
                                         uint32_t *ret_depth);

/*
 * Zero copy: the plain file range that holds exactly this data, in memory, or
 * -ENOTSUP.  On 0 the caller must not yield before it has taken references to
 * the pages (splice) or given up; counts as a read of range.bytes.
 */
int blk_map_file(Blk *blk, BlkRange range, BlkFileRange *ret);

/*
 * A read that does not wait for anything, or -EAGAIN: then, and after any
 * other error, ask blk_co_read().  Never yields, so it needs no coroutine.
 */
int blk_try_read(Blk *blk, BlkRange range, const IoVec *iov);
