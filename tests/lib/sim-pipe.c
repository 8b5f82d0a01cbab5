/*
 * tests/lib/sim-pipe.c - one direction of a simulated connection; see
 * tests/lib/sim-net-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/sim-net-priv.h"

static SimNet *
sim_pipe_net(const SimPipe *pipe)
{
    return pipe->conn->net;
}

static uint64_t
sim_pipe_latency(const SimPipe *pipe)
{
    SimNet *net = sim_pipe_net(pipe);

    return sim_rng_skewed(&net->rng, net->config.latency_min_ns,
                          net->config.latency_max_ns);
}

static uint64_t
sim_pipe_id(const SimPipe *pipe)
{
    return pipe->conn->number << 1 | pipe->dir;
}

/* ---- arrival ---- */

static void
sim_pipe_arm(SimPipe *pipe)
{
    uint64_t now = sim_world_now_ns(sim_pipe_net(pipe)->world);
    uint64_t at;

    if (pipe->segments->len == 0) {
        sim_event_stop(&pipe->arrive);
        return;
    }
    at = g_array_index(pipe->segments, SimSegment, 0).at_ns;
    sim_event_start(&pipe->arrive, at > now ? at - now : 0);
}

static void
sim_pipe_add_segment(SimPipe *pipe, SimSegmentKind kind, uint64_t end)
{
    uint64_t now = sim_world_now_ns(sim_pipe_net(pipe)->world);
    SimSegment seg = { .kind = kind, .end = end };
    uint64_t last = 0;

    if (pipe->segments->len > 0) {
        last =
            g_array_index(pipe->segments, SimSegment, pipe->segments->len - 1)
                .at_ns;
    }
    seg.at_ns = ash_max(last, now + sim_pipe_latency(pipe));
    g_array_append_val(pipe->segments, seg);
    if (pipe->segments->len == 1) {
        sim_pipe_arm(pipe);
    }
}

void
sim_pipe_push(SimPipe *pipe, SimSegmentKind kind)
{
    if (!pipe->silent) {
        sim_pipe_add_segment(pipe, kind, pipe->sent);
    }
}

/* What has arrived and was not read is lost. */
static void
sim_pipe_drop(SimPipe *pipe)
{
    g_byte_array_remove_range(pipe->bytes, 0,
                              (guint)(pipe->arrived - pipe->read));
    pipe->read = pipe->arrived;
}

static void
sim_pipe_arrive_data(SimPipe *pipe, uint64_t end)
{
    SimEndpoint *reader = sim_pipe_reader(pipe);

    pipe->arrived = end;
    sim_pipe_net(pipe)->stats.n_segments++;
    if (reader->closed || reader->reset) {
        sim_pipe_drop(pipe);
    }
    if (reader->closed) {
        /* Nobody is there to take it. */
        sim_pipe_push(sim_pipe_out(reader), SIM_SEG_RST);
    }
}

static void
sim_pipe_arrive_cb(SimEvent *event)
{
    SimPipe *pipe = ash_container_of(event, SimPipe, arrive);
    SimSegment seg = g_array_index(pipe->segments, SimSegment, 0);
    SimEndpoint *reader = sim_pipe_reader(pipe);

    g_array_remove_index(pipe->segments, 0);
    sim_trace(event->world, "net-arrive", sim_pipe_id(pipe), seg.kind, seg.end);
    if (seg.kind == SIM_SEG_DATA) {
        sim_pipe_arrive_data(pipe, seg.end);
    } else if (seg.kind == SIM_SEG_FIN) {
        pipe->fin_arrived = true;
    } else {
        reader->reset = true;
        if (sim_rng_chance(&sim_pipe_net(pipe)->rng, 500)) {
            sim_pipe_drop(pipe);
        }
    }
    sim_pipe_arm(pipe);
    sim_endpoint_notify(reader);
}

/* The writer hears that bytes were read. */
static void
sim_pipe_ack_cb(SimEvent *event)
{
    SimPipe *pipe = ash_container_of(event, SimPipe, ack);

    pipe->freed = pipe->read;
    sim_endpoint_notify(sim_pipe_writer(pipe));
}

/* ---- ends ---- */

void
sim_pipe_end(SimPipe *pipe, SimEnd how)
{
    SimPipe *back = &pipe->conn->pipes[pipe->dir ^ 1];

    sim_pipe_net(pipe)->stats.n_ends[how]++;
    sim_trace(sim_pipe_net(pipe)->world, "net-end", sim_pipe_id(pipe), how,
              pipe->sent);
    if (how == SIM_END_FIN) {
        if (!pipe->fin_sent) {
            pipe->fin_sent = true;
            sim_pipe_push(pipe, SIM_SEG_FIN);
        }
        return;
    }
    if (how == SIM_END_RST) {
        sim_pipe_push(pipe, SIM_SEG_RST);
        sim_pipe_push(back, SIM_SEG_RST);
    }
    pipe->silent = true;
    back->silent = true;
    if (sim_pipe_net(pipe)->config.keepalive_ns > 0) {
        sim_event_start(&pipe->conn->keepalive,
                        sim_pipe_net(pipe)->config.keepalive_ns);
    }
}

/* ---- transfers ---- */

bool
sim_pipe_can_write(SimPipe *pipe)
{
    return sim_pipe_writer(pipe)->reset || pipe->fin_sent ||
           pipe->sent - pipe->freed < pipe->window;
}

bool
sim_pipe_can_read(SimPipe *pipe)
{
    return sim_pipe_reader(pipe)->reset || pipe->arrived > pipe->read ||
           pipe->fin_arrived;
}

/* Cut @bytes into segments, each with a latency of its own. */
static void
sim_pipe_segment(SimPipe *pipe, uint64_t bytes)
{
    SimNet *net = sim_pipe_net(pipe);
    uint64_t end = pipe->sent + bytes;
    uint64_t pos = pipe->sent;

    while (pos < end) {
        uint64_t n = sim_rng_skewed(&net->rng, 1, net->config.segment_max);

        if (sim_rng_chance(&net->rng, 700)) {
            n = net->config.segment_max;
        }
        pos += ash_min(n, end - pos);
        sim_pipe_add_segment(pipe, SIM_SEG_DATA, pos);
    }
}

/* How much of @bytes to take now. */
static uint64_t
sim_pipe_part(SimPipe *pipe, uint64_t bytes)
{
    SimNet *net = sim_pipe_net(pipe);

    return sim_rng_chance(&net->rng, 700)
               ? bytes
               : sim_rng_between(&net->rng, 1, bytes);
}

/* Before a send of up to @bytes: how much may go before the cut? */
static uint64_t
sim_pipe_before_cut(SimPipe *pipe, uint64_t bytes)
{
    if (!pipe->cut_armed || pipe->sent + bytes <= pipe->cut_at) {
        return bytes;
    }
    if (pipe->sent < pipe->cut_at) {
        return pipe->cut_at - pipe->sent;
    }
    pipe->cut_armed = false;
    sim_pipe_end(pipe, pipe->cut);
    return bytes;
}

static void
sim_pipe_store(SimPipe *pipe, const struct iovec *v, unsigned n, uint64_t bytes)
{
    SimNet *net = sim_pipe_net(pipe);
    uint64_t hash = 0, left = bytes;
    bool swallow = pipe->silent || pipe->fin_sent;

    for (unsigned i = 0; i < n && left > 0; i++) {
        size_t len = (size_t)ash_min(v[i].iov_len, left);

        hash = sim_hash_bytes(hash, v[i].iov_base, len);
        if (!swallow) {
            g_byte_array_append(pipe->bytes, v[i].iov_base, (guint)len);
        }
        left -= len;
    }
    if (!swallow && pipe->dir == SIM_TO_CLIENT &&
        sim_rng_chance(&net->rng, net->config.corrupt_permille)) {
        pipe->bytes->data[pipe->bytes->len - 1] ^= 16;
    }
    sim_trace(sim_pipe_net(pipe)->world, "net-send", sim_pipe_id(pipe), bytes,
              hash);
}

ptrdiff_t
sim_pipe_send(SimPipe *pipe, const struct iovec *v, unsigned n)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < n; i++) {
        bytes += v[i].iov_len;
    }
    ash_assert(bytes > 0);
    if (sim_pipe_writer(pipe)->reset) {
        return -ECONNRESET;
    }
    if (pipe->fin_sent) {
        return -EPIPE;
    }
    bytes = ash_min(bytes, pipe->window - (pipe->sent - pipe->freed));
    if (bytes == 0) {
        return -EAGAIN;
    }
    bytes = sim_pipe_before_cut(pipe, sim_pipe_part(pipe, bytes));
    sim_pipe_store(pipe, v, n, bytes);
    sim_pipe_net(pipe)->stats.n_bytes[pipe->dir] += bytes;
    if (!pipe->silent && !pipe->fin_sent) {
        sim_pipe_segment(pipe, bytes);
    }
    pipe->sent += bytes;
    return (ptrdiff_t)bytes;
}

ptrdiff_t
sim_pipe_recv(SimPipe *pipe, const struct iovec *v, unsigned n)
{
    uint64_t ready = pipe->arrived - pipe->read, want = 0, done = 0;

    for (unsigned i = 0; i < n; i++) {
        want += v[i].iov_len;
    }
    if (ready == 0) {
        return sim_pipe_reader(pipe)->reset ? -ECONNRESET
               : pipe->fin_arrived          ? 0
                                            : -EAGAIN;
    }
    want = sim_pipe_part(pipe, ash_min(want, ready));
    for (unsigned i = 0; i < n && done < want; i++) {
        size_t len = (size_t)ash_min(v[i].iov_len, want - done);

        memcpy(v[i].iov_base, pipe->bytes->data + done, len);
        done += len;
    }
    g_byte_array_remove_range(pipe->bytes, 0, (guint)done);
    pipe->read += done;
    sim_trace(sim_pipe_net(pipe)->world, "net-recv", sim_pipe_id(pipe), done,
              pipe->read);
    if (!pipe->silent && !sim_event_is_pending(&pipe->ack)) {
        sim_event_start(&pipe->ack, sim_pipe_latency(pipe));
    }
    return (ptrdiff_t)done;
}

/* ---- life ---- */

void
sim_pipe_init(SimPipe *pipe, SimConn *conn, SimDirection dir)
{
    SimNet *net = conn->net;

    pipe->conn = conn;
    pipe->dir = dir;
    pipe->bytes = g_byte_array_new();
    pipe->segments = g_array_new(FALSE, TRUE, sizeof(SimSegment));
    pipe->window = (uint32_t)sim_rng_skewed(&net->rng, net->config.window_min,
                                            net->config.window_max);
    sim_event_init(&pipe->arrive, net->world, sim_pipe_arrive_cb);
    sim_event_init(&pipe->ack, net->world, sim_pipe_ack_cb);
}

void
sim_pipe_done(SimPipe *pipe)
{
    sim_event_stop(&pipe->arrive);
    sim_event_stop(&pipe->ack);
    g_byte_array_free(pipe->bytes, TRUE);
    g_array_free(pipe->segments, TRUE);
}
