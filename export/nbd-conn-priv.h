/*
 * export/nbd-conn-priv.h - struct NbdConn and NbdRequest; export only.
 *
 * One coroutine per connection shakes hands, then receives requests; each
 * request is a coroutine of its own; a sender exists only while the socket
 * does not take what there is to send.
 *
 * Invariants:
 *  K1  in_flight is the number of requests that were dispatched and have not
 *      queued their final reply; the connection outlives them.
 *  K2  Every request queues exactly one final reply, unless @dead.
 *  K3  Between requests the input is at the first byte of a header.
 *  K4  @blk and @mode do not change during the transmission phase.
 *  K5  A reply that is queued outside of a batch has @flush deferred or a
 *      sender running.
 *
 * States (who moves):
 *   HANDSHAKE -> TRANSMISSION  [nbd_conn_co_run, after GO or EXPORT_NAME]
 *   HANDSHAKE -> CLOSED        [nbd_conn_co_run: ABORT, error, time limit]
 *   TRANSMISSION -> CLOSED     [nbd_conn_co_run: DISC, end of stream, error]
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/list.h"
#include "base/log.h"
#include "blockcore/range.h"
#include "coro/co-lock.h"
#include "export/channel.h"
#include "export/nbd-buf.h"
#include "export/nbd-codec.h"
#include "export/nbd-out.h"
#include "export/nbd-server.h"

/* What one loop has for the connections that live on it. */
typedef struct NbdHome {
    NbdServer *server;
    Loop *loop;
    AshList conns; /* of NbdConn.link */
    NbdPool pool;
    NbdPipePool pipes;
    struct NbdRequest *free_requests;
    unsigned n_free_requests;
} NbdHome;

typedef enum {
    NBD_CONN_HANDSHAKE,
    NBD_CONN_TRANSMISSION,
    NBD_CONN_CLOSED,
} NbdConnState;

/* What the client negotiated; STARTTLS starts it afresh. */
typedef struct NbdNegotiated {
    NbdMode mode;
    bool no_zeroes;
    bool meta[NBD_N_META + 1]; /* by context id */
    char *meta_export;         /* the export they were chosen for */
} NbdNegotiated;

typedef struct NbdConn {
    NbdServer *server;
    NbdHome *home;
    NbdClient client;
    Channel *chan;
    NbdConnState state;
    AshList link; /* in home->conns */
    NbdNegotiated negotiated;
    NbdMode mode; /* = negotiated.mode, K4 */
    Export *export; /* a reference */
    Blk *blk;
    bool read_only;
    uint32_t mem_align; /* of payloads */
    AshLogLimit log_limit;

    /* input: [in_pos, in_end) of in->data is received and not taken */
    NbdAccount account;
    NbdBuf *in;
    size_t in_pos;
    size_t in_end;

    /* output */
    NbdBuf *out_buf; /* where the next replies are laid */
    NbdOut out;
    LoopDefer flush;
    CoQueue out_space; /* the receiver, for room in @out */
    Coro *receiver;
    bool in_batch;     /* the receiver will flush */
    bool sender;       /* a sender coroutine exists */
    bool dead;         /* nothing more can be sent */
    bool closing;      /* the server shuts down */

    unsigned in_flight;
    CoQueue idle; /* waits for in_flight == 0 && !sender */
    LoopMsg msg;
} NbdConn;

typedef struct NbdRequest {
    NbdConn *conn;
    struct NbdRequest *next; /* in home->free_requests */
    NbdCall call;
    BlkRange range;
    NbdBuf *buf;  /* write: payload or its first part; read: room for the
                     header; a reference */
    NbdBuf *more; /* write: the rest; read: large data; a reference */
    uint8_t *head; /* read: where the header goes */
    struct iovec v[2];
    unsigned n_v;
    uint32_t n_ids; /* BLOCK_STATUS: contexts wanted */
    uint32_t ids[NBD_N_META];
} NbdRequest;

/* ---- nbd-conn.c ---- */

/* The body of a connection's coroutine; @arg is an NbdConn, freed at the
 * end. */
void coroutine_fn nbd_conn_co_entry(void *arg);
/* Nothing more is sent; whoever waits is woken. */
void nbd_conn_kill(NbdConn *conn);
/* The server shuts down: close as soon as nothing is in flight. */
void nbd_conn_start_closing(NbdConn *conn);
/* "127.0.0.1:4711" */
const char *nbd_conn_peer(const NbdConn *conn);

/* ---- nbd-handshake.c, nbd-opt*.c ---- */

/*
 * Negotiate until the client has chosen an export (0: conn->export is set),
 * leaves (-ECONNRESET, -ECANCELED), breaks the rules (-EPROTO) or takes too
 * long (-ETIMEDOUT).  Bytes received beyond are in the input.
 */
int coroutine_fn nbd_handshake_co_run(NbdConn *conn);

/* ---- nbd-request.c ---- */

/* Receive and dispatch until DISC or the end; 0 or -errno. */
int coroutine_fn nbd_request_co_receive(NbdConn *conn);
/* A request's object from the pool / back into it. */
NbdRequest *nbd_request_new(NbdConn *conn);
void nbd_request_free(NbdRequest *r);
/* ids: does the client have any context? */
bool nbd_conn_has_meta(const NbdConn *conn);

/* ---- nbd-read.c ---- */

/* Answer READ without memory of ours if possible; true: it is done. */
bool coroutine_fn nbd_read_co_try_splice(NbdRequest *r);
/* Find room for the reply; false: out of memory (it was answered). */
bool coroutine_fn nbd_read_co_reserve(NbdRequest *r);
void coroutine_fn nbd_read_co_run(NbdRequest *r);

/* ---- nbd-status.c ---- */

void coroutine_fn nbd_status_co_run(NbdRequest *r);

/* ---- nbd-reply.c ---- */

/* nbd_buf_co_get(), flushing first if it has to wait. */
NbdBuf *coroutine_fn nbd_conn_co_get_buf(NbdConn *conn, size_t bytes);
/* @bytes in conn->out_buf, aligned to @align so that @offset bytes in, memory
 * is a multiple of it; a reference in *ret_buf.  NULL: out of memory. */
uint8_t *coroutine_fn nbd_reply_co_reserve(NbdConn *conn, size_t bytes,
                                           size_t lead, size_t align,
                                           NbdBuf **ret_buf);
/* The final reply of a request without data: success or -errno. */
void coroutine_fn nbd_reply_co_done(NbdRequest *r, int ret);
/* The same, into room that is there already: nbd_reply_bytes_max(). */
void nbd_reply_done_into(NbdRequest *r, int ret, NbdBuf *take_buf,
                         uint8_t *head);
/* Encode an error chunk for a read that failed at @offset; its length. */
size_t nbd_reply_encode_error_at(NbdConn *conn, const NbdCall *call,
                                 uint64_t offset, int ret, uint8_t *out);
/* Room that a final reply without data may need, error text included. */
#define NBD_REPLY_DONE_MAX ((size_t)128)
/* Queue @bytes at @data of @take_buf. */
void nbd_reply_add(NbdConn *conn, NbdBuf *take_buf, const uint8_t *data,
                   size_t bytes);
/* The request's final reply is queued: let it go. */
void nbd_reply_end(NbdRequest *r);
/* Send what can be sent now. */
void nbd_reply_flush(NbdConn *conn);
/* Wait until fewer than @n_pieces wait to be sent, and no more than
 * @n_pipes pipes. */
void coroutine_fn nbd_reply_co_wait_room(NbdConn *conn, size_t n_pieces,
                                         size_t n_pipes);
