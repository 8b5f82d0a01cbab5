/*
 * tests/lib/sim-client.c - see tests/lib/sim-client.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-client.h"

#include <errno.h>
#include <glib.h>
#include <stdarg.h>

#include "base/assert.h"
#include "tests/lib/sim-client-priv.h"
#include "tests/lib/sim-event.h"

void
sim_client_complain(SimClient *c, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    c->broken = true;
    sim_report_violation(c->config.report, c->config.world, "stream",
                         "client %s: %s", c->name, text);
}

void
sim_client_broken(SimClient *c, int err)
{
    bool excused = c->config.cut || c->config.health->server_stops;

    if (!c->broken && !c->leaving && !excused) {
        sim_client_complain(c, "the connection ends: %s", g_strerror(-err));
    }
    c->broken = true;
}

/* ---- sending ---- */

static int coroutine_fn
sim_client_co_flush(SimClient *c)
{
    g_autoptr(GByteArray) out = NULL;
    int r;

    if (c->out->len == 0) {
        return 0;
    }
    out = g_steal_pointer(&c->out);
    c->out = g_byte_array_new();
    r = sim_peer_co_send(c->peer, out->data, out->len, c->config.timeout_ns);
    if (r < 0) {
        sim_client_broken(c, r);
    }
    return r;
}

/* Is there anything left to send? */
static bool
sim_client_goes_on(const SimClient *c)
{
    if (c->stop || c->broken) {
        return false;
    }
    return c->config.verify ? c->verified < c->config.size
                            : c->n_sent < c->config.n_requests;
}

static void coroutine_fn
sim_client_co_send(SimClient *c)
{
    while (sim_client_goes_on(c)) {
        if (c->n_requests >= c->config.depth) {
            if (sim_client_co_flush(c) == 0 && !c->broken &&
                c->n_requests >= c->config.depth) {
                co_queue_co_wait(&c->room);
            }
            continue;
        }
        sim_client_add_request(c);
        c->n_sent++;
        /* Some leave alone, some together. */
        if (sim_rng_chance(&c->rng, 400)) {
            (void)sim_client_co_flush(c);
        }
        if (sim_rng_chance(&c->rng, 100)) {
            sim_co_delay(c->config.world,
                         sim_rng_skewed(&c->rng, 0, 20 * SIM_MS));
        }
    }
    if (!c->broken) {
        (void)sim_client_co_flush(c);
    }
}

static void coroutine_fn
sim_client_co_wait_replies(SimClient *c)
{
    while (c->n_requests > 0 && !c->broken) {
        co_queue_co_wait(&c->room);
    }
}

/* Go, in the way that was chosen; the receiver goes on where that makes
 * sense. */
static void coroutine_fn
sim_client_co_leave(SimClient *c)
{
    SimLeave leave = c->config.leave;

    if (leave == SIM_LEAVE_DISC || c->config.verify) {
        sim_client_co_wait_replies(c);
    }
    if (c->broken) {
        return;
    }
    c->leaving = true;
    switch (leave) {
    case SIM_LEAVE_DISC:
    case SIM_LEAVE_DISC_EARLY:
        sim_client_add_disc(c);
        (void)sim_client_co_flush(c);
        break;
    case SIM_LEAVE_FIN:
        sim_peer_shutdown_write(c->peer);
        break;
    case SIM_LEAVE_CLOSE:
        sim_peer_end(c->peer, SIM_END_FIN);
        break;
    case SIM_LEAVE_RST:
        sim_peer_end(c->peer, SIM_END_RST);
        break;
    default:
        sim_peer_end(c->peer, SIM_END_SILENCE);
        break;
    }
}

/* ---- life ---- */

/* When both ends are over, nothing in flight can change its mind. */
static void
sim_client_settle(SimClient *c)
{
    if (!sim_client_is_over(c)) {
        return;
    }
    while (!ash_list_is_empty(&c->requests)) {
        sim_request_abandon(c, ash_list_first(&c->requests, SimRequest, link));
    }
}

void coroutine_fn
sim_client_co_run(SimClient *c)
{
    int r = sim_client_co_handshake(c);

    if (r == 0) {
        c->config.report->n_handshakes++;
        c->receiving = true;
        coro_spawn_later(sim_client_co_receive, c);
        sim_client_co_send(c);
        sim_client_co_leave(c);
        if (c->broken) {
            sim_peer_end(c->peer, SIM_END_RST);
        }
        while (c->receiving) {
            co_queue_co_wait(&c->ended);
        }
    } else if (r != -ECANCELED) {
        sim_client_broken(c, r);
    }
    sim_peer_end(c->peer, SIM_END_FIN);
    sim_peer_free(c->peer);
    c->peer = NULL;
    c->returned = true;
    sim_client_settle(c);
}

SimClient *
sim_client_new(const SimClientConfig *config, SimPeer *take_peer)
{
    SimClient *c = g_new0(SimClient, 1);

    ash_assert(config->depth > 0);
    c->config = *config;
    c->peer = take_peer;
    c->name = g_strdup(config->name);
    c->out = g_byte_array_new();
    sim_world_fork_rng(config->world, &c->rng);
    ash_list_init(&c->requests);
    co_queue_init(&c->room);
    co_queue_init(&c->ended);
    return c;
}

void
sim_client_stop(SimClient *c)
{
    c->stop = true;
}

void
sim_client_closed(SimClient *c)
{
    c->closed = true;
    sim_client_settle(c);
}

bool
sim_client_is_over(const SimClient *c)
{
    return c->returned && c->closed;
}

bool
sim_client_succeeded(const SimClient *c)
{
    return sim_client_is_over(c) && !c->broken && !c->had_error &&
           (!c->config.verify || c->verified == c->config.size);
}

void
sim_client_free(SimClient *c)
{
    ash_assert(sim_client_is_over(c));
    g_byte_array_unref(c->out);
    g_free(c->name);
    g_free(c);
}
