/*
 * tests/lib/sim-net.h - SimNet: connections in memory, that cut anywhere.
 *
 * A connection has two ends: the server's is a Channel, the client's a
 * SimPeer.  What one sends arrives at the other later, in segments of drawn
 * sizes; at most a window of bytes is on the way or unread.  Either direction
 * can be cut after any byte, with FIN, RST or silence.
 *
 * Layer:   tests/lib.      Thread: the world's.
 * Yields:  sim_peer_co_send(), sim_peer_co_recv().
 * Method:  sim-net.c, sim-pipe.c.      Tests: tests/unit/sim/test-sim-net.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/channel.h"
#include "tests/lib/sim-loop.h"

typedef struct SimNet SimNet;
typedef struct SimPeer SimPeer;

typedef struct SimNetConfig {
    uint64_t latency_min_ns;
    uint64_t latency_max_ns;
    uint32_t window_min; /* of each direction, drawn: bytes, > 0 */
    uint32_t window_max;
    uint32_t segment_max;      /* largest piece that arrives at once; > 0 */
    uint64_t keepalive_ns;     /* after silence both ends are reset; 0: never */
    unsigned corrupt_permille; /* planted: sends with one wrong bit */
} SimNetConfig;

typedef enum {
    SIM_TO_SERVER,
    SIM_TO_CLIENT,
} SimDirection;

typedef enum {
    SIM_END_FIN,     /* the receiver sees the end of the stream */
    SIM_END_RST,     /* both see -ECONNRESET */
    SIM_END_SILENCE, /* nothing arrives any more, at either end */
    SIM_N_ENDS,
} SimEnd;

typedef struct SimNetStats {
    uint64_t n_connections;
    uint64_t n_bytes[2]; /* by direction */
    uint64_t n_segments;
    uint64_t n_ends[SIM_N_ENDS]; /* cuts and closes by SimEnd */
} SimNetStats;

SimNet *sim_net_new(SimWorld *world, const SimNetConfig *config);
/* Both ends of every connection were freed. */
void sim_net_free(SimNet *net);
const SimNetStats *sim_net_stats(const SimNet *net);

/**
 * sim_net_connect() - a new connection.
 * @name:        for messages
 * @client_loop: where the client's end is used
 * @ret_server:  the server's end, on no loop yet; owned by the caller
 */
SimPeer *sim_net_connect(SimNet *net, Loop *client_loop, const char *name,
                         Channel **ret_server);

/* The host of the servers dies: what is on the way may still arrive, then
 * comes RST or nothing; what they send from now on goes nowhere.  Connections
 * that are made later live. */
void sim_net_cut_servers(SimNet *net);

/* ---- the client's end; all on its loop ---- */

/* All of it, or -EPIPE, -ECONNRESET, -ETIMEDOUT (nothing moved for so long). */
int coroutine_fn sim_peer_co_send(SimPeer *peer, const void *buf, size_t bytes,
                                  uint64_t timeout_ns);
/* All of it: 0.  -ENODATA: the stream ended before the first byte; -EPIPE: it
 * ended later; -ECONNRESET; -ETIMEDOUT. */
int coroutine_fn sim_peer_co_recv(SimPeer *peer, void *buf, size_t bytes,
                                  uint64_t timeout_ns);
/* The end of what we send; we go on receiving. */
void sim_peer_shutdown_write(SimPeer *peer);
/* Close it (FIN), reset it, or unplug it.  Who waits here is woken and gets
 * -ECONNRESET; nothing more can be sent or received. */
void sim_peer_end(SimPeer *peer, SimEnd end);
/* After @bytes more in this direction comes @end. */
void sim_peer_cut_after(SimPeer *peer, SimDirection dir, uint64_t bytes,
                        SimEnd end);
/* Ended; nobody waits. */
void sim_peer_free(SimPeer *peer);
