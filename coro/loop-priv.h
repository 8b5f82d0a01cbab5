/*
 * coro/loop-priv.h - what loop.c shares with the implementations of LoopOps.
 *
 * Layer:   coro; tests/lib for the simulated loop.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "coro/loop.h"

/* One offloaded call. */
typedef struct LoopWork {
    void (*fn)(void *arg);
    void *arg;
    void (*done)(struct LoopWork *work); /* on the loop */
    Loop *loop;
    AshList link;
} LoopWork;

/* The seam to the outside.  All but wakeup run on the loop's thread. */
typedef struct LoopOps {
    uint64_t (*now_ns)(Loop *loop);
    uint64_t (*random)(Loop *loop);
    /* Earliest timer changed; UINT64_MAX: none is armed. */
    void (*set_alarm)(Loop *loop, uint64_t deadline_ns);
    /* Any thread: make wait() return. */
    void (*wakeup)(Loop *loop);
    /* Wait for the outside and deliver its events; @block: or just look. */
    void (*wait)(Loop *loop, bool block);
    /* Run work->fn elsewhere, then work->done on the loop. */
    void (*work)(Loop *loop, LoopWork *work);
    /* Which of @n ready coroutines runs next; NULL: the first. */
    size_t (*pick)(Loop *loop, size_t n);
    LoopFd *(*fd_new)(Loop *loop, int fd, GError **error);
    void (*fd_free)(LoopFd *watch);
    /* Report @events (0: none) by loop_fd_ready(), level-triggered. */
    void (*fd_want)(LoopFd *watch, unsigned events);
    void (*free)(Loop *loop);
} LoopOps;

/* Embedded first in each implementation's watch. */
struct LoopFd {
    Loop *loop;
    Coro *waiter_read;
    Coro *waiter_write;
    unsigned wanted; /* events asked of the implementation */
    bool canceled;
};

struct Loop {
    const LoopOps *ops;
    char *name;
    AshList ready;      /* of Coro */
    size_t n_ready;
    AshList deferred;   /* of LoopDefer */
    struct LoopTimer **heap;
    size_t n_heap;
    size_t heap_capacity;
    LoopMsg *inbox;     /* atomic stack of posted messages, newest first */
    bool stopping;      /* atomic */
    uint64_t spin_ns;
    struct AioEngineSet *engines;
};

/* For implementations: set the common fields; undo that. */
void loop_init(Loop *loop, const LoopOps *ops, const char *name);
void loop_done(Loop *loop);
/* Make @loop the current one of this thread (NULL: none). */
void loop_set_current(Loop *loop);
/* An fd is ready: wakes its waiters; events nobody waits for are unwanted. */
void loop_fd_ready(LoopFd *watch, unsigned events);
/* Run what is ready and deferred; true if any of it ran. */
bool loop_run_ready(Loop *loop);
/* Run timers that are due and messages that have come. */
void loop_run_due(Loop *loop);
