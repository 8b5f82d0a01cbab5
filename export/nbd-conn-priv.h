/*
 * export/nbd-conn-priv.h - struct NbdConn; export only.
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
 *  K6  in_flight <= n_charged + NBD_REQUESTS_FREE: what waiting requests keep
 *      on their stacks counts as memory of the connection.
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

/* When we are closing, a peer that takes or sends nothing of what is begun for
 * so long is cut off; and after some times so long when it holds memory that
 * others wait for. */
#define NBD_STALL_NS ((uint64_t)5000000000)
#define NBD_STALLS_MAX 6U

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
    NbdMode mode;   /* = negotiated.mode, K4 */
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
    bool in_batch;   /* the receiver will flush */
    bool in_request; /* between a request's header and its end */
    bool sender;     /* a sender coroutine exists */
    bool dead;       /* nothing more can be sent */
    bool closing;    /* the server shuts down */

    unsigned in_flight;
    unsigned n_charged; /* requests whose stacks are counted; K6 */
    CoQueue idle;       /* waits for in_flight == 0 && !sender */
    LoopMsg msg;
} NbdConn;

/* ---- nbd-conn.c ---- */

/* The body of a connection's coroutine; @arg is an NbdConn, freed at the
 * end. */
void coroutine_fn nbd_conn_co_entry(void *arg);
/* Nothing more is sent, and what waits to be is dropped (by the sender, if
 * there is one); whoever waits is woken. */
void nbd_conn_kill(NbdConn *conn);
/* A peer took or sent nothing of what is begun for @stalls times NBD_STALL_NS:
 * is it to be cut off? */
bool nbd_conn_lost_patience(NbdConn *conn, unsigned stalls);
/* The server shuts down: close as soon as nothing is in flight. */
void nbd_conn_start_closing(NbdConn *conn);
/* Does the client have any context? */
bool nbd_conn_has_meta(const NbdConn *conn);
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

/* ---- nbd-reply.c ---- */

/* Send what can be sent now. */
void nbd_reply_flush(NbdConn *conn);
/* nbd_buf_co_get(), flushing first if it has to wait. */
NbdBuf *coroutine_fn nbd_conn_co_get_buf(NbdConn *conn, size_t bytes);
