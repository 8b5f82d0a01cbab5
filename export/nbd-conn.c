/*
 * export/nbd-conn.c - the life of one connection.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "export/nbd-conn.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"

static void
nbd_conn_flush_cb(LoopDefer *defer)
{
    NbdConn *conn = ash_container_of(defer, NbdConn, flush);

    nbd_reply_flush(conn);
    if (conn->closing) {
        nbd_conn_start_closing(conn);
    }
}

NbdConn *
nbd_conn_new(NbdServer *server, NbdHome *home, const NbdClient *client)
{
    NbdConn *conn = g_new0(NbdConn, 1);

    conn->server = server;
    conn->home = home;
    conn->client = *client;
    conn->chan = client->channel;
    conn->mem_align = 1;
    ash_list_init(&conn->link);
    nbd_account_init(&conn->account, nbd_server_budget(server),
                     nbd_server_connection_memory(server));
    nbd_account_set_loop(&conn->account, home->loop, &home->pool);
    nbd_out_init(&conn->out);
    loop_defer_init(&conn->flush, nbd_conn_flush_cb);
    co_queue_init(&conn->out_space);
    co_queue_init(&conn->idle);
    return conn;
}

const char *
nbd_conn_peer(const NbdConn *conn)
{
    return conn->chan->peer ? conn->chan->peer : "unknown";
}

bool
nbd_conn_has_meta(const NbdConn *conn)
{
    return conn->negotiated.meta[NBD_META_BASE_ALLOCATION] ||
           conn->negotiated.meta[NBD_META_ALLOCATION_DEPTH];
}

void
nbd_conn_kill(NbdConn *conn)
{
    if (!conn->dead) {
        conn->dead = true;
        conn->chan->ops->shutdown(conn->chan);
    }
    /* A request may wait for the memory of what is not sent any more. */
    if (!conn->sender) {
        nbd_out_clear(&conn->out, &conn->home->pipes);
    }
    co_queue_wake_all(&conn->out_space);
}

bool
nbd_conn_lost_patience(NbdConn *conn, unsigned stalls)
{
    if (conn->closing) {
        return true;
    }
    if (stalls < NBD_STALLS_MAX || !nbd_account_hinders(&conn->account)) {
        return false;
    }
    ash_log_limited(&conn->log_limit, ASH_LOG_NOTICE,
                    "peer stalls and holds memory that others wait for, "
                    "closing: peer=%s export=%s bytes=%zu",
                    nbd_conn_peer(conn), export_id(conn->export),
                    conn->account.used);
    return true;
}

void
nbd_conn_start_closing(NbdConn *conn)
{
    conn->closing = true;
    if (conn->state != NBD_CONN_TRANSMISSION ||
        (conn->in_flight == 0 && !conn->in_batch && !conn->sender &&
         nbd_out_is_empty(&conn->out))) {
        nbd_conn_kill(conn);
    }
}

/* ---- moving between loops ---- */

static bool
nbd_conn_join(NbdConn *conn, NbdHome *home)
{
    g_autoptr(GError) error = NULL;

    conn->home = home;
    nbd_account_set_loop(&conn->account, home->loop, &home->pool);
    if (!conn->chan->ops->attach(conn->chan, home->loop, &error)) {
        ash_log(ASH_LOG_ERROR, "connection dropped: peer=%s: %s",
                nbd_conn_peer(conn), error->message);
        return false;
    }
    ash_list_append(&home->conns, &conn->link);
    if (nbd_server_is_closing(conn->server)) {
        nbd_conn_start_closing(conn);
    }
    return true;
}

static void
nbd_conn_leave(NbdConn *conn)
{
    conn->chan->ops->detach(conn->chan);
    ash_list_remove(&conn->link);
}

/* What was received with the handshake comes along as a copy. */
static bool coroutine_fn
nbd_conn_co_move(NbdConn *conn, NbdHome *home)
{
    size_t bytes = conn->in_end - conn->in_pos;
    g_autofree uint8_t *rest = NULL;

    if (conn->home == home) {
        return true;
    }
    if (bytes > 0) {
        rest = g_memdup2(conn->in->data + conn->in_pos, bytes);
    }
    nbd_buf_unref(conn->in);
    conn->in = NULL;
    ash_assert(nbd_out_is_empty(&conn->out));
    nbd_conn_leave(conn);
    co_hop(home->loop);
    if (!nbd_conn_join(conn, home)) {
        return false;
    }
    conn->in_pos = 0;
    conn->in_end = bytes;
    if (bytes > 0) {
        conn->in = nbd_conn_co_get_buf(conn, NBD_BUF_BYTES);
        if (!conn->in) {
            return false;
        }
        memcpy(conn->in->data, rest, bytes);
    }
    return true;
}

/* ---- the coroutine ---- */

static void coroutine_fn
nbd_conn_co_transmit(NbdConn *conn)
{
    int ret;

    if (!nbd_conn_co_move(
            conn, nbd_server_home(conn->server, export_home(conn->export)))) {
        return;
    }
    conn->state = NBD_CONN_TRANSMISSION;
    conn->mode = conn->negotiated.mode;
    conn->blk = export_blk(conn->export);
    conn->read_only = !export_is_writable(conn->export);
    conn->mem_align = blk_limits(conn->blk)->mem_align;
    conn->receiver = coro_self();
    ash_log(ASH_LOG_INFO, "client connected: peer=%s export=%s",
            nbd_conn_peer(conn), export_id(conn->export));
    ret = nbd_request_co_receive(conn);
    ash_log(ASH_LOG_INFO, "client left: peer=%s export=%s%s%s",
            nbd_conn_peer(conn), export_id(conn->export), ret < 0 ? ": " : "",
            ret < 0 ? g_strerror(-ret) : "");
    conn->in_batch = false;
    conn->receiver = NULL;
    if (ret < 0) {
        nbd_conn_kill(conn);
    }
}

/* Wait until no request, sender or deferred call refers to @conn. */
static void coroutine_fn
nbd_conn_co_settle(NbdConn *conn)
{
    conn->closing = true;
    while (conn->in_flight > 0 || conn->sender ||
           (!conn->dead && !nbd_out_is_empty(&conn->out))) {
        nbd_reply_flush(conn);
        if (conn->in_flight > 0 || conn->sender) {
            co_queue_co_wait(&conn->idle);
        }
    }
    nbd_conn_kill(conn);
    ash_assert(conn->n_charged == 0);
    loop_defer_cancel(&conn->flush);
    nbd_out_clear(&conn->out, &conn->home->pipes);
    nbd_out_done(&conn->out);
    nbd_buf_unref(conn->in);
    conn->in = NULL;
    nbd_buf_unref(conn->out_buf);
    conn->out_buf = NULL;
    nbd_account_co_done(&conn->account);
}

void coroutine_fn
nbd_conn_co_entry(void *arg)
{
    NbdConn *conn = arg;

    if (nbd_conn_join(conn, conn->home)) {
        int ret = nbd_handshake_co_run(conn);

        if (ret == 0) {
            nbd_conn_co_transmit(conn);
        } else {
            ash_log(ASH_LOG_INFO, "handshake ended: peer=%s: %s",
                    nbd_conn_peer(conn), g_strerror(-ret));
        }
    }
    nbd_conn_co_settle(conn);
    nbd_conn_leave(conn);
    conn->state = NBD_CONN_CLOSED;
    g_free(conn->negotiated.meta_export);
    export_unref(conn->export);
    nbd_server_conn_done(conn);
}
