/*
 * drivers/fault-break.c - breakpoints of "fault"; see drivers/fault.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "base/assert.h"
#include "drivers/fault-priv.h"
#include "drivers/fault.h"

/* A place to stop, then a request that stopped there. */
typedef struct FaultBreak {
    AshList link;
    char *event;
    char *tag;
    Coro *co; /* NULL: nobody came by yet */
} FaultBreak;

static FaultBreak *
fault_break_of(AshList *link)
{
    return ash_container_of(link, FaultBreak, link);
}

static void
fault_break_free(FaultBreak *brk)
{
    ash_list_remove(&brk->link);
    g_free(brk->event);
    g_free(brk->tag);
    g_free(brk);
}

/* The first that waits for @event, NULL: none. */
static FaultBreak *
fault_find_waiting(Fault *fault, const char *event)
{
    ash_list_foreach(link, &fault->breaks) {
        FaultBreak *brk = fault_break_of(link);

        if (!brk->co && strcmp(brk->event, event) == 0) {
            return brk;
        }
    }
    return NULL;
}

/* The first that was hit with @tag, NULL: none. */
static FaultBreak *
fault_find_hit(Fault *fault, const char *tag)
{
    ash_list_foreach(link, &fault->breaks) {
        FaultBreak *brk = fault_break_of(link);

        if (brk->co && strcmp(brk->tag, tag) == 0) {
            return brk;
        }
    }
    return NULL;
}

void coroutine_fn
fault_co_break(Fault *fault, const char *event)
{
    FaultBreak *brk = fault_find_waiting(fault, event);

    if (brk) {
        brk->co = coro_self();
        co_queue_wake_all(&fault->watchers);
        co_yield();
    }
}

void
fault_break_done(Fault *fault)
{
    ash_list_foreach_safe(link, next, &fault->breaks) {
        ash_assert(!fault_break_of(link)->co);
        fault_break_free(fault_break_of(link));
    }
}

/* ---- for tests ---- */

static bool
fault_is_event(const char *name)
{
    for (size_t i = 0; fault_event_names[i]; i++) {
        if (strcmp(fault_event_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

void
fault_suspend(BlkNode *node, const char *event, const char *tag)
{
    Fault *fault = blk_node_state(node);
    FaultBreak *brk = g_new0(FaultBreak, 1);

    ash_assert(fault_is_event(event));
    brk->event = g_strdup(event);
    brk->tag = g_strdup(tag);
    ash_list_init(&brk->link);
    ash_list_append(&fault->breaks, &brk->link);
}

bool
fault_resume(BlkNode *node, const char *tag)
{
    Fault *fault = blk_node_state(node);
    FaultBreak *brk = fault_find_hit(fault, tag);

    if (!brk) {
        return false;
    }
    coro_wake(brk->co);
    fault_break_free(brk);
    return true;
}

bool
fault_is_suspended(BlkNode *node, const char *tag)
{
    return fault_find_hit(blk_node_state(node), tag) != NULL;
}

void coroutine_fn
fault_co_wait_suspended(BlkNode *node, const char *tag)
{
    Fault *fault = blk_node_state(node);

    while (!fault_find_hit(fault, tag)) {
        co_queue_co_wait(&fault->watchers);
    }
}
