/*
 * tests/model/model.h - a real daemon, connections to it, and a model of what
 * they may see.
 *
 * The client is written apart from the server: of export/ it shares the
 * numbers of the protocol, not its code.
 *
 * Layer:   tests/model.
 * Method:  model-main.c (seeds, rounds), model-daemon.c (processes, files),
 *          model-backend.c (what is served), model-conn.c (handshake, bytes),
 *          model-request.c (what is asked), model-reply.c (what is answered),
 *          model-shadow.h (what is true).
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>

#include "base/annotate.h"
#include "export/nbd-wire.h"
#include "tests/lib/sim-random.h"
#include "tests/model/model-shadow.h"

#define MODEL_CONNS_MAX 8U
#define MODEL_COMMANDS 9U /* those of NBD, and one for unknown ones */
#define MODEL_UNKNOWN 8U

typedef enum {
    MODEL_SIMPLE,
    MODEL_STRUCTURED,
    MODEL_EXTENDED,
    MODEL_N_MODES,
} ModelMode;

typedef struct ModelStats {
    uint64_t n_requests[MODEL_COMMANDS];
    uint64_t n_conns[MODEL_N_MODES];
    uint64_t n_rounds;
    uint64_t n_ok;
    uint64_t n_refused;  /* had to fail, with exactly this error */
    uint64_t n_injected; /* failed, as they were made to */
    uint64_t n_slow;     /* FAST_ZERO, and it is not fast */
    uint64_t n_extents;
    uint64_t n_extents_zero;
    uint64_t n_outside; /* bytes of files that no client can reach */
    uint64_t n_violations;
    ModelChecked checked;
} ModelStats;

/* Something that can be served, and what its clients have to expect. */
typedef struct ModelBackend {
    const char *name;
    /* An option of ashlard; FILE is the image, SIZE, START and SEED are
     * numbers. */
    const char *blockdev;
    const char *export_options;
    bool forgets;   /* reads zeros whatever is written */
    bool read_only; /* says the export */
    bool fails;     /* requests with data or space end with EIO at times */
    bool window;    /* a part of the file, which begins at START */
    bool small;     /* small files do */
} ModelBackend;
extern const ModelBackend model_backends[];
extern const unsigned model_n_backends;

/* One backend with its daemon. */
typedef struct ModelRun {
    const ModelBackend *backend;
    ModelStats *stats;
    ModelShadow *shadow;
    uint64_t seed;
    uint64_t size;  /* of the export */
    uint64_t start; /* in the file */
    uint64_t rest;  /* of the file, behind the export */
    unsigned n_conns;
    unsigned round;
    unsigned n_complaints;
    char *socket;
} ModelRun;

/* Something that must not be; counted. */
void model_complain(ModelRun *run, const char *fmt, ...) ASH_PRINTF(2, 3);

/* ---- model-daemon.c ---- */

typedef struct ModelDaemon ModelDaemon;

/* @dir: for the image, the socket and the log; kept until model_daemon_free().
 * NULL: it does not start, which was complained about. */
ModelDaemon *model_daemon_start(ModelRun *run, const char *program,
                                const char *dir, SimRng *rng);
/* SIGTERM; it ends well, and the image has what the shadow has. */
void model_daemon_stop(ModelRun *run, ModelDaemon *daemon);
void model_daemon_free(ModelDaemon *daemon);

/* ---- model-conn.c ---- */

typedef struct ModelConn ModelConn;

/* Connect and shake hands; NULL: complained about. */
ModelConn *model_conn_new(ModelRun *run, unsigned number);
/* The number of requests to send from now on. */
void model_conn_begin(ModelConn *conn, uint64_t stream, unsigned n_requests);
/* Read everything instead, into @contents. */
void model_conn_begin_verify(ModelConn *conn, uint8_t *contents);
bool model_conn_has_verified(const ModelConn *conn);
/* All at once, until each is done; false: they are of no use any more. */
bool model_conns_run(ModelRun *run, ModelConn *const *conns, unsigned n);
/* DISC, or the end of what we send: the end follows, and nothing else. */
void model_conn_end(ModelConn *conn);
void model_conn_free(ModelConn *conn);
