/*
 * export/nbd-buf.h - request memory: buffers, the account of a connection, the
 * budget of the server.
 *
 * Everything that grows with what clients ask for is an NbdBuf: received
 * bytes, replies, payloads.  A buffer counts against the account of its
 * connection and the budget of the server until its last reference goes.  When
 * either is used up, whoever wants more waits, which in the end stops reading
 * the client's socket.
 *
 * Nobody waits for memory that only he himself could give back:
 *  B1  An account may always have NBD_ACCOUNT_FLOOR bytes, and as much in small
 *      buffers next to the rest, whatever it and others hold.
 *  B2  Its own limit always lets it have one large piece.
 *  B3  Who waits holds nothing, except the receiver of the connection, which
 *      needs no more than B1 to go on.
 *  B4  Heads of replies, which end requests, are counted and never refused.
 *
 * Layer:   export.      Thread: the connection's loop; the budget any.
 * Yields:  nbd_buf_co_get().      Bounds: budget + floor a connection;
 *          a connection: its limit or one payload, + 2 floors; + heads.
 * Tests:   tests/unit/export/test-buf.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/list.h"
#include "coro/co-lock.h"
#include "coro/loop.h"

/* What a buffer holds at least, and the size most have. */
#define NBD_BUF_BYTES ((size_t)256 << 10)
#define NBD_ACCOUNT_FLOOR ((size_t)1 << 20)
/* Free buffers that a loop keeps. */
#define NBD_POOL_BYTES_MAX ((size_t)16 << 20)
#define NBD_POOL_CLASSES 8

/* The server's; shared by all loops. */
typedef struct NbdBudget {
    GMutex lock;
    uint64_t used; /* by @lock */
    uint64_t limit;
    AshList waiting; /* of NbdAccount.budget_link; by @lock */
} NbdBudget;

/* One loop's free buffers, by size class (256 KiB << class). */
typedef struct NbdPool {
    struct NbdBuf *free[NBD_POOL_CLASSES];
    size_t bytes;
} NbdPool;

/* What memory is for; the limits treat it differently. */
typedef enum {
    NBD_MEMORY_SMALL, /* a buffer of NBD_BUF_BYTES */
    NBD_MEMORY_LARGE, /* a larger one */
    NBD_MEMORY_OTHER, /* counted only: stacks of requests */
} NbdMemory;

/* One connection's. */
typedef struct NbdAccount {
    NbdBudget *budget;
    NbdPool *pool;
    Loop *loop;
    size_t used;
    size_t small; /* of @used: buffers of NBD_BUF_BYTES */
    size_t large; /* of @used: larger buffers */
    size_t limit;
    CoQueue waiters;
    AshList budget_link; /* in budget->waiting; by its lock */
    size_t wanted;       /* the least that somebody waits for; by the lock */
    LoopMsg wake;        /* from another loop: memory came back */
    bool wake_posted;    /* by the budget's lock */
} NbdAccount;

typedef struct NbdBuf {
    NbdAccount *account;
    struct NbdBuf *next; /* in a pool */
    unsigned refs;
    size_t capacity;
    size_t used;   /* bytes given out, by who fills it */
    uint8_t *data; /* page-aligned */
} NbdBuf;

void nbd_budget_init(NbdBudget *budget, uint64_t limit);
void nbd_budget_done(NbdBudget *budget);
uint64_t nbd_budget_used(NbdBudget *budget);

void nbd_pool_done(NbdPool *pool);

void nbd_account_init(NbdAccount *account, NbdBudget *budget, size_t limit);
/* The loop and pool that its buffers come from; no buffer is held. */
void nbd_account_set_loop(NbdAccount *account, Loop *loop, NbdPool *pool);
/* Waits for messages under way; all buffers are back. */
void coroutine_fn nbd_account_co_done(NbdAccount *account);

/* Count @bytes that are not a buffer (stacks of requests, say): waits like
 * nbd_buf_co_get().  Given back by nbd_account_discharge(). */
void coroutine_fn nbd_account_co_charge(NbdAccount *account, size_t bytes);
void nbd_account_discharge(NbdAccount *account, size_t bytes);

/* Does the account hold more than is its own while somebody waits? */
bool nbd_account_hinders(NbdAccount *account);

/* At least @bytes with one reference; NULL: not now. */
NbdBuf *nbd_buf_try_get(NbdAccount *account, size_t bytes);
/* The same, beyond the budgets if need be.  NULL: out of memory. */
NbdBuf *nbd_buf_force(NbdAccount *account, size_t bytes);
/* The same, but waits until the budgets allow it.  NULL: out of memory. */
NbdBuf *coroutine_fn nbd_buf_co_get(NbdAccount *account, size_t bytes);

void nbd_buf_release(NbdBuf *buf);

static inline NbdBuf *
nbd_buf_ref(NbdBuf *buf)
{
    buf->refs++;
    return buf;
}

static inline void
nbd_buf_unref(NbdBuf *buf)
{
    if (buf && --buf->refs == 0) {
        nbd_buf_release(buf);
    }
}
