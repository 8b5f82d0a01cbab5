/*
 * drivers/fault.h - what tests do with a node of driver "fault" while it runs:
 * stop requests at named events, and let them go.
 *
 * Events are those that the core and the drivers above report
 * ("pwritev_rmw_head", "flush_to_disk") and, for each request that reaches the
 * node itself, the name of its kind ("read", "write", "write-zeroes",
 * "discard", "flush", "block-status").
 *
 * Layer:   drivers.      Thread: the node's loop.
 * Yields:  fault_co_wait_suspended().
 * Tests:   tests/unit/drivers/test-fault.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "blockcore/types.h"

/* All events, NULL-terminated; the first, "none", never happens. */
extern const char *const fault_event_names[];

/* Stop the next request that comes by @event; @tag is how to call it. */
void fault_suspend(BlkNode *node, const char *event, const char *tag);
/* Let the first request go that is stopped with @tag; false: there is none. */
bool fault_resume(BlkNode *node, const char *tag);
bool fault_is_suspended(BlkNode *node, const char *tag);
/* Wait until a request is stopped with @tag. */
void coroutine_fn fault_co_wait_suspended(BlkNode *node, const char *tag);
