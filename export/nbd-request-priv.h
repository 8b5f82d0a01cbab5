/*
 * export/nbd-request-priv.h - struct NbdRequest, and what the files that take,
 * run and answer requests share; export only.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "export/nbd-conn-priv.h"

typedef struct NbdRequest {
    NbdConn *conn;
    struct NbdRequest *next; /* in home->free_requests */
    NbdCall call;
    BlkRange range;
    NbdBuf *buf;   /* write: payload or its first part; read: room for the
                     header; a reference */
    NbdBuf *more;  /* write: the rest; read: large data; a reference */
    uint8_t *head; /* read: where the header goes */
    struct iovec v[2];
    unsigned n_v;
    size_t charged; /* memory that it uses and that is no NbdBuf */
    uint32_t n_ids; /* BLOCK_STATUS: contexts wanted */
    uint32_t ids[NBD_N_META];
} NbdRequest;

/* Free what a loop's pool keeps. */
void nbd_request_pool_done(NbdHome *home);

/* ---- nbd-input.c ---- */

static inline size_t
nbd_in_bytes(const NbdConn *conn)
{
    return conn->in_end - conn->in_pos;
}

/* Get more input: at least one byte.  0 or -errno: the stream is over. */
int coroutine_fn nbd_in_co_fill(NbdConn *conn);
/* Drop @bytes of payload that nobody wants. */
int coroutine_fn nbd_in_co_drop(NbdConn *conn, uint64_t bytes);
/* Take the payload of a WRITE: pieces in r->v, references in r->buf, r->more.
 * Nothing is written before all of it has come. */
int coroutine_fn nbd_in_co_payload(NbdRequest *r);
/* The payload of BLOCK_STATUS: which length and which contexts.  0 and
 * *ret_bytes, or -EINVAL; *ret_fatal: the stream is over. */
int coroutine_fn nbd_in_co_status_filter(NbdRequest *r, uint64_t *ret_bytes,
                                         bool *ret_fatal);

/* ---- nbd-request.c ---- */

/* A request's object from the pool / back into it. */
NbdRequest *nbd_request_new(NbdConn *conn);
void nbd_request_free(NbdRequest *r);

/* ---- nbd-read.c ---- */

/* Answer a small READ at once, without a coroutine; false: the long way. */
bool nbd_read_try_at_once(NbdConn *conn, const NbdCall *call);
/* Answer READ without memory of ours if possible; true: it is done. */
bool nbd_read_try_splice(NbdRequest *r);
/* Find room for the reply; false: out of memory (it was answered). */
bool coroutine_fn nbd_read_co_reserve(NbdRequest *r);
void coroutine_fn nbd_read_co_run(NbdRequest *r);

/* ---- nbd-status.c ---- */

void coroutine_fn nbd_status_co_run(NbdRequest *r);
