/*
 * tests/lib/sim-client-priv.h - struct SimClient; sim-client*.c only.
 *
 * Invariants:
 *  L1  requests holds those that were sent and have no final reply, n_requests
 *      of them.
 *  L2  Their cookies differ.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/be.h"
#include "base/list.h"
#include "coro/co-lock.h"
#include "tests/lib/sim-client.h"
#include "tests/lib/sim-nbd.h"

typedef struct SimRequest {
    AshList link;
    uint64_t cookie;
    uint16_t command;
    uint16_t flags;
    uint64_t offset;
    uint64_t bytes;
    uint32_t must_fail; /* with this error; 0: it must not, in good health */
    SimOracleOp *op;
    SimOracleRead *read;
    uint64_t stamp; /* of FLUSH */
    /* the reply so far */
    uint8_t *data;    /* of READ: what has come */
    uint8_t *covered; /* of READ: 1 for each byte that has come */
    uint64_t n_covered;
    uint32_t error;
    unsigned n_status; /* chunks of BLOCK_STATUS */
    unsigned n_chunks;
} SimRequest;

struct SimClient {
    SimClientConfig config;
    SimPeer *peer;
    SimRng rng;
    char *name;
    uint16_t flags; /* of the transmission, as the server says */
    bool has_meta;
    uint32_t meta_id;
    uint64_t next_write; /* for contents that nobody else writes */
    AshList requests;
    unsigned n_requests;
    unsigned n_sent;
    uint64_t verified; /* how far a verification has got */
    GByteArray *out;   /* requests that wait to be sent together */
    CoQueue room;      /* the sender waits for replies */
    CoQueue ended;     /* the sender waits for the receiver */
    bool receiving;
    bool stop;
    bool leaving; /* the end of the stream is expected */
    bool broken;
    bool returned;
    bool closed;
    bool had_error;
};

/* Something that the server must not do. */
void sim_client_complain(SimClient *c, const char *fmt, ...) ASH_PRINTF(2, 3);
/* The stream ended with @err: is that all right? */
void sim_client_broken(SimClient *c, int err);

/* ---- sim-client-option.c ---- */

/* 0 when transmission begins; -ECANCELED: left by ABORT; else broken. */
int coroutine_fn sim_client_co_handshake(SimClient *c);

/* ---- sim-client-request.c ---- */

/* Draw a request and append it to c->out. */
void sim_client_add_request(SimClient *c);
/* Append DISC. */
void sim_client_add_disc(SimClient *c);
/* Free it; what it told the oracle was ended. */
void sim_request_free(SimClient *c, SimRequest *r);
/* It will not be answered. */
void sim_request_abandon(SimClient *c, SimRequest *r);

/* ---- sim-client-reply.c ---- */

/* Receive until the stream ends; @arg is the client. */
void coroutine_fn sim_client_co_receive(void *arg);
