/*
 * tests/lib/sim-net-priv.h - ends and pipes of a simulated connection;
 * sim-net.c and sim-pipe.c only.
 *
 * Invariants, of a pipe:
 *  P1  freed <= read <= arrived <= sent, and sent - freed <= window.
 *  P2  bytes holds what was sent and not read, but for what was swallowed.
 *  P3  Segments are in the order of their arrival times.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/list.h"
#include "tests/lib/sim-event.h"
#include "tests/lib/sim-net.h"

typedef struct SimConn SimConn;
typedef struct SimEndpoint SimEndpoint;

/* Somebody in sim_endpoint_co_wait(). */
typedef struct SimNetWait {
    Coro *co;
    int result;
    bool woken;
    SimEvent nudge;
    LoopTimer timer;
    SimEndpoint *end;
    ChanEvent event;
    SimWait wait;
} SimNetWait;

struct SimEndpoint {
    SimConn *conn;
    bool is_server;
    Loop *loop;
    SimNetWait *reader;
    SimNetWait *writer;
    bool shut;   /* shutdown() was called here */
    bool closed; /* the end is gone: what arrives is answered with RST */
    bool reset;  /* RST has come */
};

typedef enum {
    SIM_SEG_DATA,
    SIM_SEG_FIN,
    SIM_SEG_RST,
} SimSegmentKind;

typedef struct SimSegment {
    uint64_t at_ns;
    uint64_t end; /* DATA: of the stream */
    SimSegmentKind kind;
} SimSegment;

typedef struct SimPipe {
    SimConn *conn;
    SimDirection dir;
    GByteArray *bytes;
    uint64_t sent;
    uint64_t arrived;
    uint64_t read;
    uint64_t freed; /* read, as far as the writer knows */
    uint32_t window;
    GArray *segments; /* of SimSegment */
    SimEvent arrive;
    SimEvent ack;
    bool fin_sent;
    bool fin_arrived;
    bool silent; /* swallows what is sent */
    bool cut_armed;
    uint64_t cut_at;
    SimEnd cut;
} SimPipe;

struct SimConn {
    AshList link; /* in net->conns */
    SimNet *net;
    uint64_t number;
    char *name;
    unsigned n_refs; /* ends */
    bool severed;    /* the server's host is gone */
    SimEvent keepalive;
    SimPipe pipes[2];
    SimEndpoint server;
    SimEndpoint client;
};

struct SimNet {
    SimWorld *world;
    SimNetConfig config;
    SimRng rng;
    AshList conns;
    SimNetStats stats;
};

static inline SimPipe *
sim_pipe_out(SimEndpoint *end)
{
    return &end->conn->pipes[end->is_server ? SIM_TO_CLIENT : SIM_TO_SERVER];
}

static inline SimPipe *
sim_pipe_in(SimEndpoint *end)
{
    return &end->conn->pipes[end->is_server ? SIM_TO_SERVER : SIM_TO_CLIENT];
}

/* Who is at the receiving end of @pipe? */
static inline SimEndpoint *
sim_pipe_reader(SimPipe *pipe)
{
    return pipe->dir == SIM_TO_SERVER ? &pipe->conn->server
                                      : &pipe->conn->client;
}

static inline SimEndpoint *
sim_pipe_writer(SimPipe *pipe)
{
    return pipe->dir == SIM_TO_SERVER ? &pipe->conn->client
                                      : &pipe->conn->server;
}

/* ---- sim-pipe.c ---- */

void sim_pipe_init(SimPipe *pipe, SimConn *conn, SimDirection dir);
void sim_pipe_done(SimPipe *pipe);
/* A FIN or RST is on its way, behind what was sent. */
void sim_pipe_push(SimPipe *pipe, SimSegmentKind kind);
/* Bytes accepted or -errno; never 0. */
ptrdiff_t sim_pipe_send(SimPipe *pipe, const struct iovec *v, unsigned n);
/* Bytes taken, 0 at the end, or -errno. */
ptrdiff_t sim_pipe_recv(SimPipe *pipe, const struct iovec *v, unsigned n);
bool sim_pipe_can_read(SimPipe *pipe);
bool sim_pipe_can_write(SimPipe *pipe);
/* Apply an end to the connection of @pipe, as seen by its reader. */
void sim_pipe_end(SimPipe *pipe, SimEnd how);

/* ---- sim-net.c ---- */

/* Wake who waits here and has something to do. */
void sim_endpoint_notify(SimEndpoint *end);
