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
    /* Any thread: make wait() return, or the next one not block. */
    void (*wakeup)(Loop *loop);
    /* Deliver the outside's events.  @block: wait for one, a wakeup or the
     * alarm (it may also return for no reason); else just look. */
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
    unsigned wanted; /* events asked of the implementation: what somebody waits
                      * for, and what somebody has waited for since the last
                      * time that it came and nobody did */
    bool canceled;
};

struct Loop {
    const LoopOps *ops;
    char *name;
    AshList ready; /* of Coro; by coro_wake() and coro_enter() only */
    size_t n_ready;
    AshList deferred; /* of LoopDefer */
    struct LoopTimer **heap;
    size_t n_heap;
    size_t heap_capacity;
    uint64_t n_timer_starts;
    uint64_t n_events;  /* fds, messages and work that came from outside */
    unsigned n_fds;     /* watches */
    unsigned n_works;   /* calls offloaded and not done */
    LoopMsg *inbox;     /* atomic stack of posted messages, newest first */
    unsigned n_posting; /* atomic: threads in loop_post() */
    LoopMsg stop_msg;
    bool stop_posted; /* atomic: stop_msg is on its way */
    bool stopping;
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
/* Run what is ready and deferred, at most LOOP_RUN_MAX coroutines; true if any
 * of it ran. */
bool loop_run_ready(Loop *loop);
/* Run timers that are due and messages that have come. */
void loop_run_due(Loop *loop);
/* Is something ready, deferred or posted, so that wait() must not block?
 * (Timers are not asked: they are the alarm's.) */
bool loop_is_busy(const Loop *loop);
/* Run the timers that are due. */
void loop_run_timers(Loop *loop);

/* Coroutines that run between two looks at the outside. */
#define LOOP_RUN_MAX 256U
