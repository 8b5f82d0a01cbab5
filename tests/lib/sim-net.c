/*
 * tests/lib/sim-net.c - the ends of simulated connections; see
 * tests/lib/sim-net.h and, for the data structure, sim-net-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-net.h"

#include <errno.h>

#include "base/assert.h"
#include "tests/lib/sim-net-priv.h"

typedef struct SimChannel {
    Channel base; /* first */
    SimEndpoint *end;
} SimChannel;

struct SimPeer {
    SimEndpoint *end;
};

/* ---- waiting ---- */

static bool
sim_endpoint_is_ready(SimEndpoint *end, ChanEvent event)
{
    return event == CHAN_READ ? sim_pipe_can_read(sim_pipe_in(end))
                              : sim_pipe_can_write(sim_pipe_out(end));
}

static void
sim_net_wait_wake(SimNetWait *wait, int result)
{
    if (!wait->woken) {
        wait->woken = true;
        wait->result = result;
        sim_wake(wait->co);
    }
}

static void
sim_net_wait_check(SimNetWait *wait)
{
    if (wait && sim_endpoint_is_ready(wait->end, wait->event)) {
        sim_net_wait_wake(wait, 0);
    }
}

void
sim_endpoint_notify(SimEndpoint *end)
{
    sim_net_wait_check(end->reader);
    sim_net_wait_check(end->writer);
}

static void
sim_net_nudge_cb(SimEvent *event)
{
    sim_net_wait_check(ash_container_of(event, SimNetWait, nudge));
}

static void
sim_net_timeout_cb(LoopTimer *timer)
{
    sim_net_wait_wake(ash_container_of(timer, SimNetWait, timer), -ETIMEDOUT);
}

/* 0, -ETIMEDOUT, -ECANCELED when the end is or gets shut.  What is ready
 * already is told after a moment, as by a poll. */
static int coroutine_fn
sim_endpoint_co_wait(SimEndpoint *end, ChanEvent event, uint64_t timeout_ns)
{
    SimNet *net = end->conn->net;
    SimNetWait wait = { .co = coro_self(), .end = end, .event = event };
    SimNetWait **slot = event == CHAN_READ ? &end->reader : &end->writer;

    ash_assert(end->loop == loop_current());
    ash_assert(!*slot);
    if (end->shut) {
        return -ECANCELED;
    }
    *slot = &wait;
    sim_event_init(&wait.nudge, net->world, sim_net_nudge_cb);
    loop_timer_init(&wait.timer, end->loop, sim_net_timeout_cb);
    if (timeout_ns != UINT64_MAX) {
        loop_timer_start(&wait.timer, timeout_ns);
    }
    if (sim_endpoint_is_ready(end, event)) {
        sim_event_start(&wait.nudge, sim_rng_skewed(&net->rng, 0, 10 * SIM_US));
    }
    sim_wait_begin(net->world, &wait.wait,
                   event == CHAN_READ ? "readable" : "writable",
                   end->conn->name, end->is_server, 0);
    co_yield();
    sim_wait_end(&wait.wait);
    loop_timer_stop(&wait.timer);
    sim_event_stop(&wait.nudge);
    *slot = NULL;
    return wait.result;
}

/* ---- ends ---- */

/* Nothing was heard of the other side for too long. */
static void
sim_conn_keepalive_cb(SimEvent *event)
{
    SimConn *conn = ash_container_of(event, SimConn, keepalive);

    sim_trace(event->world, "net-keepalive", conn->number, 0, 0);
    conn->server.reset = true;
    conn->client.reset = true;
    sim_endpoint_notify(&conn->server);
    sim_endpoint_notify(&conn->client);
}

static void
sim_conn_unref(SimConn *conn)
{
    if (--conn->n_refs == 0) {
        sim_event_stop(&conn->keepalive);
        ash_list_remove(&conn->link);
        sim_pipe_done(&conn->pipes[0]);
        sim_pipe_done(&conn->pipes[1]);
        g_free(conn->name);
        g_free(conn);
    }
}

static void
sim_endpoint_shut(SimEndpoint *end, int result)
{
    end->shut = true;
    if (end->reader) {
        sim_net_wait_wake(end->reader, result);
    }
    if (end->writer) {
        sim_net_wait_wake(end->writer, result);
    }
}

/* As close(2): bytes that nobody will read are answered with RST. */
static void
sim_endpoint_close(SimEndpoint *end)
{
    SimPipe *in = sim_pipe_in(end);

    ash_assert(!end->reader && !end->writer);
    if (!end->closed) {
        end->closed = true;
        sim_pipe_end(sim_pipe_out(end),
                     in->arrived > in->read ? SIM_END_RST : SIM_END_FIN);
    }
    sim_conn_unref(end->conn);
}

/* ---- the server's end: ChannelOps ---- */

static SimEndpoint *
sim_channel_end(Channel *chan)
{
    return ((SimChannel *)(void *)chan)->end;
}

static ptrdiff_t
sim_channel_recv(Channel *chan, const struct iovec *v, unsigned n)
{
    SimEndpoint *end = sim_channel_end(chan);

    ash_assert(end->loop == loop_current());
    return end->shut ? 0 : sim_pipe_recv(sim_pipe_in(end), v, n);
}

static ptrdiff_t
sim_channel_send(Channel *chan, const struct iovec *v, unsigned n, bool more)
{
    SimEndpoint *end = sim_channel_end(chan);

    (void)more;
    ash_assert(end->loop == loop_current());
    return end->shut ? -EPIPE : sim_pipe_send(sim_pipe_out(end), v, n);
}

static int coroutine_fn
sim_channel_co_wait(Channel *chan, ChanEvent event, uint64_t timeout_ns)
{
    return sim_endpoint_co_wait(sim_channel_end(chan), event, timeout_ns);
}

static void
sim_channel_shutdown(Channel *chan)
{
    SimEndpoint *end = sim_channel_end(chan);

    if (!end->shut) {
        sim_pipe_end(sim_pipe_out(end), SIM_END_FIN);
        sim_endpoint_shut(end, -ECANCELED);
    }
}

static void
sim_channel_detach(Channel *chan)
{
    SimEndpoint *end = sim_channel_end(chan);

    ash_assert(!end->reader && !end->writer);
    end->loop = NULL;
}

static bool
sim_channel_attach(Channel *chan, Loop *loop, GError **error)
{
    (void)error;
    ash_assert(!sim_channel_end(chan)->loop);
    sim_channel_end(chan)->loop = loop;
    return true;
}

static void
sim_channel_free(Channel *chan)
{
    sim_endpoint_close(sim_channel_end(chan));
    g_free(chan->peer);
    g_free(chan);
}

static const ChannelOps sim_channel_ops = {
    .recv = sim_channel_recv,
    .send = sim_channel_send,
    .co_wait = sim_channel_co_wait,
    .shutdown = sim_channel_shutdown,
    .detach = sim_channel_detach,
    .attach = sim_channel_attach,
    .free = sim_channel_free,
};

/* ---- the client's end ---- */

int coroutine_fn
sim_peer_co_send(SimPeer *peer, const void *buf, size_t bytes,
                 uint64_t timeout_ns)
{
    struct iovec v = { .iov_base = (void *)(uintptr_t)buf, .iov_len = bytes };

    while (v.iov_len > 0) {
        SimEndpoint *end = peer->end;
        ptrdiff_t n =
            end->shut ? -ECONNRESET : sim_pipe_send(sim_pipe_out(end), &v, 1);

        if (n == -EAGAIN) {
            int r = sim_endpoint_co_wait(end, CHAN_WRITE, timeout_ns);

            n = r == -ECANCELED ? -ECONNRESET : r;
        }
        if (n < 0) {
            return (int)n;
        }
        v.iov_base = (char *)v.iov_base + n;
        v.iov_len -= (size_t)n;
    }
    return 0;
}

int coroutine_fn
sim_peer_co_recv(SimPeer *peer, void *buf, size_t bytes, uint64_t timeout_ns)
{
    struct iovec v = { .iov_base = buf, .iov_len = bytes };

    while (v.iov_len > 0) {
        SimEndpoint *end = peer->end;
        ptrdiff_t n =
            end->shut ? -ECONNRESET : sim_pipe_recv(sim_pipe_in(end), &v, 1);

        if (n == 0) {
            return v.iov_len == bytes ? -ENODATA : -EPIPE;
        }
        if (n == -EAGAIN) {
            int r = sim_endpoint_co_wait(end, CHAN_READ, timeout_ns);

            n = r == -ECANCELED ? -ECONNRESET : r;
        }
        if (n < 0) {
            return (int)n;
        }
        v.iov_base = (char *)v.iov_base + n;
        v.iov_len -= (size_t)n;
    }
    return 0;
}

void
sim_peer_shutdown_write(SimPeer *peer)
{
    sim_pipe_end(sim_pipe_out(peer->end), SIM_END_FIN);
}

void
sim_peer_end(SimPeer *peer, SimEnd how)
{
    SimEndpoint *end = peer->end;

    if (end->closed) {
        return;
    }
    end->closed = true;
    sim_pipe_end(sim_pipe_out(end), how);
    sim_endpoint_shut(end, -ECONNRESET);
}

void
sim_peer_cut_after(SimPeer *peer, SimDirection dir, uint64_t bytes, SimEnd how)
{
    SimPipe *pipe = &peer->end->conn->pipes[dir];

    pipe->cut_armed = true;
    pipe->cut_at = pipe->sent + bytes;
    pipe->cut = how;
}

void
sim_peer_free(SimPeer *peer)
{
    ash_assert(peer->end->closed);
    ash_assert(!peer->end->reader && !peer->end->writer);
    sim_conn_unref(peer->end->conn);
    g_free(peer);
}

/* ---- the network ---- */

SimPeer *
sim_net_connect(SimNet *net, Loop *client_loop, const char *name,
                Channel **ret_server)
{
    SimConn *conn = g_new0(SimConn, 1);
    SimChannel *chan = g_new0(SimChannel, 1);
    SimPeer *peer = g_new0(SimPeer, 1);

    conn->net = net;
    conn->number = net->stats.n_connections++;
    conn->name = g_strdup(name);
    conn->n_refs = 2;
    sim_event_init(&conn->keepalive, net->world, sim_conn_keepalive_cb);
    sim_pipe_init(&conn->pipes[SIM_TO_SERVER], conn, SIM_TO_SERVER);
    sim_pipe_init(&conn->pipes[SIM_TO_CLIENT], conn, SIM_TO_CLIENT);
    conn->server.conn = conn;
    conn->server.is_server = true;
    conn->client.conn = conn;
    conn->client.loop = client_loop;
    ash_list_append(&net->conns, &conn->link);
    chan->base.ops = &sim_channel_ops;
    chan->base.peer = g_strdup(name);
    chan->base.is_local = sim_rng_chance(&net->rng, 500);
    chan->end = &conn->server;
    peer->end = &conn->client;
    *ret_server = &chan->base;
    sim_trace(net->world, "net-connect", conn->number, 0, 0);
    return peer;
}

void
sim_net_cut_servers(SimNet *net)
{
    ash_list_foreach(link, &net->conns) {
        SimConn *conn = ash_container_of(link, SimConn, link);
        SimPipe *to_client = &conn->pipes[SIM_TO_CLIENT];

        if (conn->severed) {
            continue;
        }
        conn->severed = true;
        if (sim_rng_chance(&net->rng, 700)) {
            sim_pipe_push(to_client, SIM_SEG_RST);
        }
        to_client->silent = true;
        /* The ghost has to go. */
        sim_pipe_push(&conn->pipes[SIM_TO_SERVER], SIM_SEG_RST);
        conn->pipes[SIM_TO_SERVER].silent = true;
    }
}

SimNet *
sim_net_new(SimWorld *world, const SimNetConfig *config)
{
    SimNet *net = g_new0(SimNet, 1);

    ash_assert(config->window_min > 0 && config->segment_max > 0);
    net->world = world;
    net->config = *config;
    sim_world_fork_rng(world, &net->rng);
    ash_list_init(&net->conns);
    return net;
}

void
sim_net_free(SimNet *net)
{
    ash_assert(ash_list_is_empty(&net->conns));
    g_free(net);
}

const SimNetStats *
sim_net_stats(const SimNet *net)
{
    return &net->stats;
}
