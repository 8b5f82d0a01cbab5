/*
 * blockcore/flush.h - make what was acknowledged durable.
 *
 * A node counts its modifications; a flush remembers up to which one
 * everything is on the disk.  So a flush with nothing new since does no work,
 * and of many at once one works for all.
 *
 * Layer:   blockcore.      Thread: the node's loop.      Yields: yes.
 * Tests:   tests/unit/blockcore/test-flush.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "blockcore/node-priv.h"

/**
 * blk_node_co_flush() - everything that completed before is durable.
 * @node:   and its children, but for backing ones
 *
 * First the driver's flush_os, then its flush_disk (not with cache.no-flush),
 * then the children; the first error ends it.  A read-only node has nothing
 * to flush.
 *
 * Errors:  -EIO if the node or a child of it has failed; the driver's.
 * Source:  docs/durability.md, C2, C7.
 */
int coroutine_fn blk_node_co_flush(BlkNode *node);
