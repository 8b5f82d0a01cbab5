/*
 * tests/model/model-priv.h - ModelConn and ModelRequest; model-conn.c,
 * model-request.c and model-reply.c only.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "tests/model/model.h"

typedef struct ModelRequest {
    uint64_t cookie;
    uint16_t command;
    uint16_t flags;
    uint64_t offset;
    uint64_t len;         /* as the header says */
    uint64_t effect;      /* bytes that it is about */
    uint64_t payload;     /* bytes that follow the header */
    bool payload_is_junk; /* else it is data of WRITE, or a status filter */
    bool filter;          /* a status filter */
    uint32_t must_fail;   /* with this error; 0: it must not, on a good disk */
    bool malformed;       /* for what comes before any permission */
    ModelVersion *version;
    uint64_t since; /* of what reads */
    /* the reply so far */
    uint8_t *data; /* of READ */
    uint8_t *covered;
    uint64_t n_covered;
    uint32_t error;
    unsigned n_chunks;
    unsigned n_status;
} ModelRequest;

struct ModelConn {
    ModelRun *run;
    unsigned number;
    int fd;
    ModelMode mode;
    uint16_t flags;
    bool has_meta;
    uint32_t meta_id;
    SimRng rng;
    unsigned depth;
    unsigned n_left; /* requests to send */
    uint64_t n_written;
    uint8_t *verify; /* NULL: a round like others */
    uint64_t verified;
    bool verify_failed;  /* some of it could not be read */
    GPtrArray *requests; /* of ModelRequest, owned: sent and not answered */
    GByteArray *out;
    size_t sent;
    GByteArray *in;
    size_t taken; /* of in */
    bool broken;
};

/* Complain about @conn; it is broken then. */
void model_conn_complain(ModelConn *conn, const ModelRequest *r,
                         const char *what, uint64_t n);

/* ---- model-request.c ---- */

/* Draw a request and append it to what is to be sent. */
void model_request_add(ModelConn *conn);
void model_request_add_disc(ModelConn *conn);
void model_request_free(gpointer request);

/* ---- model-reply.c ---- */

/* Take one reply, or one chunk, out of @conn->in; false: there is no whole one
 * yet, or the connection is broken. */
bool model_reply_take(ModelConn *conn);
