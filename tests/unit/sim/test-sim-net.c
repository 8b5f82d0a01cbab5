/*
 * tests/unit/sim/test-sim-net.c - connections that cut anywhere.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-net.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "tests/lib/sim-event.h"
#include "tests/unit/sim/tests.h"

#define TALK_BYTES 3000U

/* An echo server and a client that talks to it. */
typedef struct Talk {
    SimWorld *world;
    SimNet *net;
    Channel *chan;
    SimPeer *peer;
    uint64_t n_echoed; /* by the server */
    uint64_t n_heard;  /* by the client, in order */
    int server_end;    /* how the server's stream ended */
    int client_end;
    bool hold; /* the client stops writing and listens */
    unsigned n_running;
} Talk;

static const SimNetConfig plain = {
    .latency_min_ns = SIM_US,
    .latency_max_ns = SIM_MS,
    .window_min = 1,
    .window_max = 4096,
    .segment_max = 1000,
};

static int coroutine_fn
co_echo(Channel *chan, const uint8_t *buf, size_t bytes)
{
    while (bytes > 0) {
        struct iovec v = { (void *)(uintptr_t)buf, bytes };
        ptrdiff_t n = chan_send(chan, &v, 1, false);

        if (n == -EAGAIN) {
            n = chan_co_wait(chan, CHAN_WRITE, 10 * SIM_S);
        }
        if (n < 0) {
            return (int)n;
        }
        buf += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static void coroutine_fn
co_server(void *arg)
{
    Talk *talk = arg;
    uint8_t buf[700];
    int r = 0;

    g_assert_true(talk->chan->ops->attach(talk->chan, loop_current(), NULL));
    while (r >= 0) {
        struct iovec v[2] = { { buf, 300 }, { buf + 300, 400 } };
        ptrdiff_t n = chan_recv(talk->chan, v, 2);

        if (n == -EAGAIN) {
            r = chan_co_wait(talk->chan, CHAN_READ, 10 * SIM_S);
        } else if (n <= 0) {
            r = n == 0 ? -ENODATA : (int)n;
        } else {
            talk->n_echoed += (uint64_t)n;
            r = co_echo(talk->chan, buf, (size_t)n);
        }
    }
    talk->server_end = r;
    talk->chan->ops->detach(talk->chan);
    talk->chan->ops->free(talk->chan);
    talk->n_running--;
}

static void coroutine_fn
co_writer(void *arg)
{
    Talk *talk = arg;
    uint8_t buf[TALK_BYTES];
    int r;

    for (unsigned i = 0; i < TALK_BYTES; i++) {
        buf[i] = (uint8_t)(i * 7 + i / 256);
    }
    r = sim_peer_co_send(talk->peer, buf, sizeof(buf), 10 * SIM_S);
    if (r == 0) {
        sim_peer_shutdown_write(talk->peer);
    }
    talk->n_running--;
}

static void coroutine_fn
co_reader(void *arg)
{
    Talk *talk = arg;

    for (;;) {
        uint8_t byte;
        int r = sim_peer_co_recv(talk->peer, &byte, 1, 10 * SIM_S);

        if (r < 0) {
            talk->client_end = r;
            break;
        }
        g_assert_cmpuint(byte, ==,
                         (uint8_t)(talk->n_heard * 7 + talk->n_heard / 256));
        talk->n_heard++;
    }
    talk->n_running--;
}

static void
talk_init(Talk *talk, uint64_t seed)
{
    memset(talk, 0, sizeof(*talk));
    talk->world = sim_world_new(seed, 2);
    talk->net = sim_net_new(talk->world, &plain);
    talk->peer = sim_net_connect(talk->net, sim_world_loop(talk->world, 1),
                                 "talk", &talk->chan);
    talk->n_running = 3;
    sim_world_spawn(talk->world, sim_world_loop(talk->world, 0), "server",
                    co_server, talk);
    sim_world_spawn(talk->world, sim_world_loop(talk->world, 1), "writer",
                    co_writer, talk);
    sim_world_spawn(talk->world, sim_world_loop(talk->world, 1), "reader",
                    co_reader, talk);
}

static uint64_t
talk_finish(Talk *talk)
{
    uint64_t hash;

    g_assert_cmpint(sim_world_run(talk->world, NULL, NULL, 200 * SIM_S), ==,
                    SIM_RUN_DONE);
    g_assert_cmpuint(talk->n_running, ==, 0);
    sim_peer_end(talk->peer, SIM_END_FIN);
    sim_peer_free(talk->peer);
    sim_net_free(talk->net);
    hash = sim_world_hash(talk->world);
    sim_world_free(talk->world);
    return hash;
}

static void
test_bytes_arrive_in_order(void)
{
    for (unsigned seed = 0; seed < 100; seed++) {
        uint64_t hash[2];

        for (unsigned i = 0; i < 2; i++) {
            Talk talk;

            talk_init(&talk, seed);
            hash[i] = talk_finish(&talk);
            g_assert_cmpuint(talk.n_echoed, ==, TALK_BYTES);
            g_assert_cmpuint(talk.n_heard, ==, TALK_BYTES);
            g_assert_cmpint(talk.server_end, ==, -ENODATA);
            g_assert_cmpint(talk.client_end, ==, -ENODATA);
        }
        g_assert_cmpuint(hash[0], ==, hash[1]);
    }
}

/* Cut each direction after each of some bytes, in each way. */
static void
test_cut_anywhere(void)
{
    unsigned n_cuts = 0;

    for (unsigned at = 0; at < TALK_BYTES; at += 59) {
        for (unsigned how = 0; how < SIM_N_ENDS; how++) {
            for (unsigned dir = 0; dir < 2; dir++) {
                Talk talk;

                talk_init(&talk, at);
                sim_peer_cut_after(talk.peer, (SimDirection)dir, at,
                                   (SimEnd)how);
                talk_finish(&talk);
                n_cuts++;
                if (dir == SIM_TO_SERVER) {
                    g_assert_cmpuint(talk.n_echoed, <=, at);
                } else {
                    g_assert_cmpuint(talk.n_heard, <=, at);
                }
                if (how == SIM_END_FIN && dir == SIM_TO_SERVER) {
                    g_assert_cmpuint(talk.n_echoed, ==, at);
                    g_assert_cmpint(talk.server_end, ==, -ENODATA);
                    g_assert_cmpint(talk.client_end, ==, -ENODATA);
                } else if (how == SIM_END_FIN) {
                    /* The server cannot send, closes, and resets what we
                     * still send. */
                    g_assert_true(talk.client_end == -ENODATA ||
                                  talk.client_end == -ECONNRESET);
                } else if (how == SIM_END_RST) {
                    g_assert_true(talk.client_end == -ECONNRESET ||
                                  talk.client_end == -ENODATA);
                } else {
                    g_assert_true(talk.client_end == -ETIMEDOUT ||
                                  talk.client_end == -ENODATA);
                }
            }
        }
    }
    g_test_message("%u cuts", n_cuts);
}

static bool
talk_has_begun(void *arg)
{
    return ((const Talk *)arg)->n_heard > 100;
}

static void
test_client_leaves(void)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        Talk talk;

        talk_init(&talk, seed);
        g_assert_cmpint(
            sim_world_run(talk.world, talk_has_begun, &talk, SIM_S * 100), ==,
            SIM_RUN_DONE);
        sim_peer_end(talk.peer, (SimEnd)(seed % 3));
        talk_finish(&talk);
        g_assert_cmpuint(talk.n_heard, >, 100);
    }
}

static void
test_server_host_dies(void)
{
    unsigned n_reset = 0, n_silent = 0;

    for (unsigned seed = 0; seed < 60; seed++) {
        Talk talk;

        talk_init(&talk, seed);
        g_assert_cmpint(
            sim_world_run(talk.world, talk_has_begun, &talk, SIM_S * 100), ==,
            SIM_RUN_DONE);
        sim_net_cut_servers(talk.net);
        talk_finish(&talk);
        n_reset += talk.client_end == -ECONNRESET;
        n_silent += talk.client_end == -ETIMEDOUT;
        if (talk.n_heard < TALK_BYTES) {
            g_assert_cmpint(talk.server_end, ==, -ECONNRESET);
        }
    }
    g_assert_cmpuint(n_reset, >, 5);
    g_assert_cmpuint(n_silent, >, 5);
}

/* ---- shutdown by the server ---- */

static void coroutine_fn
co_shut_waiter(void *arg)
{
    Talk *talk = arg;

    talk->server_end = chan_co_wait(talk->chan, CHAN_READ, UINT64_MAX);
    talk->n_running++;
}

static void coroutine_fn
co_shut(void *arg)
{
    Talk *talk = arg;
    uint8_t byte = 0;
    struct iovec v = { &byte, 1 };

    g_assert_true(talk->chan->ops->attach(talk->chan, loop_current(), NULL));
    coro_spawn(co_shut_waiter, talk);
    co_sleep_ns(SIM_MS);
    g_assert_cmpuint(talk->n_running, ==, 0);
    g_assert_cmpint(chan_co_wait(talk->chan, CHAN_WRITE, SIM_S), ==, 0);
    talk->chan->ops->shutdown(talk->chan);
    talk->chan->ops->shutdown(talk->chan);
    co_sleep_ns(SIM_MS);
    g_assert_cmpuint(talk->n_running, ==, 1);
    g_assert_cmpint(talk->server_end, ==, -ECANCELED);
    g_assert_cmpint(chan_co_wait(talk->chan, CHAN_WRITE, SIM_S), ==,
                    -ECANCELED);
    g_assert_cmpint(chan_send(talk->chan, &v, 1, false), ==, -EPIPE);
    g_assert_cmpint(chan_recv(talk->chan, &v, 1), ==, 0);
    talk->chan->ops->free(talk->chan);
}

static void
test_shutdown_wakes_who_waits(void)
{
    Talk talk = { .n_running = 0 };

    talk.world = sim_world_new(5, 2);
    talk.net = sim_net_new(talk.world, &plain);
    talk.peer = sim_net_connect(talk.net, sim_world_loop(talk.world, 1), "talk",
                                &talk.chan);
    g_assert_cmpint(sim_world_call(talk.world, sim_world_loop(talk.world, 0),
                                   "shut", co_shut, &talk, SIM_S),
                    ==, SIM_RUN_DONE);
    talk.n_running = 1;
    sim_world_spawn(talk.world, sim_world_loop(talk.world, 1), "reader",
                    co_reader, &talk);
    talk_finish(&talk);
    g_assert_cmpint(talk.client_end, ==, -ENODATA);
}

void
test_sim_net_add(void)
{
    g_test_add_func("/sim/net/bytes-arrive-in-order",
                    test_bytes_arrive_in_order);
    g_test_add_func("/sim/net/cut-anywhere", test_cut_anywhere);
    g_test_add_func("/sim/net/client-leaves", test_client_leaves);
    g_test_add_func("/sim/net/server-host-dies", test_server_host_dies);
    g_test_add_func("/sim/net/shutdown-wakes-who-waits",
                    test_shutdown_wakes_who_waits);
}
