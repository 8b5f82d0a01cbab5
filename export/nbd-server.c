/*
 * export/nbd-server.c - see export/nbd-server.h.
 *
 * Method: the export table is read by handshakes on any worker, so a mutex
 * guards it; nothing of the request path takes it.  Connections are counted
 * and freed on the main loop; each worker keeps the list of those that live
 * on it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "export/nbd-server.h"

#include <string.h>

#include "base/assert.h"
#include "export/nbd-conn.h"
#include "export/nbd-request-priv.h"

struct NbdServer {
    Loop *main;
    NbdHome *homes; /* one a worker */
    unsigned n_homes;
    unsigned next_home; /* for handshakes, round robin */
    NbdBudget budget;
    size_t connection_memory;
    GMutex lock;
    GPtrArray *exports;     /* by @lock; by name */
    bool closing;           /* atomic */
    unsigned n_connections; /* main */
    CoQueue empty;          /* waits for n_connections == 0; main */
};

/* ---- life ---- */

NbdServer *
nbd_server_new(const NbdServerConfig *config)
{
    NbdServer *server = g_new0(NbdServer, 1);

    ash_assert(config->n_workers > 0);
    ash_assert(config->memory_bytes >= NBD_PAYLOAD_MAX * (uint64_t)2);
    ash_assert(config->connection_memory_bytes >= NBD_ACCOUNT_FLOOR);
    server->main = config->main;
    server->n_homes = config->n_workers;
    server->homes = g_new0(NbdHome, config->n_workers);
    for (unsigned i = 0; i < config->n_workers; i++) {
        server->homes[i].server = server;
        server->homes[i].loop = config->workers[i];
        ash_list_init(&server->homes[i].conns);
    }
    nbd_budget_init(&server->budget, config->memory_bytes);
    server->connection_memory = config->connection_memory_bytes;
    g_mutex_init(&server->lock);
    server->exports =
        g_ptr_array_new_with_free_func((GDestroyNotify)export_unref);
    co_queue_init(&server->empty);
    return server;
}

static void
nbd_home_done(NbdHome *home)
{
    ash_assert(ash_list_is_empty(&home->conns));
    nbd_request_pool_done(home);
    nbd_pool_done(&home->pool);
    nbd_pipe_pool_done(&home->pipes);
}

void
nbd_server_free(NbdServer *server)
{
    ash_assert(server->n_connections == 0);
    for (unsigned i = 0; i < server->n_homes; i++) {
        nbd_home_done(&server->homes[i]);
    }
    g_free(server->homes);
    nbd_budget_done(&server->budget);
    g_ptr_array_unref(server->exports);
    g_mutex_clear(&server->lock);
    g_free(server);
}

/* ---- exports ---- */

/* The index of @name, or where it belongs; *ret_found says which. */
static guint
nbd_server_search(const NbdServer *server, const char *name, bool *ret_found)
{
    guint low = 0;
    guint high = server->exports->len;

    while (low < high) {
        guint mid = low + (high - low) / 2;
        const Export *export = g_ptr_array_index(server->exports, mid);
        int order = strcmp(name, export_name(export));

        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    *ret_found = false;
    return low;
}

bool
nbd_server_add_export(NbdServer *server, Export *export, GError **error)
{
    bool taken;
    guint i;

    g_mutex_lock(&server->lock);
    i = nbd_server_search(server, export_name(export), &taken);
    if (!taken) {
        g_ptr_array_insert(server->exports, (gint)i, export_ref(export));
    }
    g_mutex_unlock(&server->lock);
    if (taken) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                    "export '%s': the name '%s' is taken", export_id(export),
                    export_name(export));
    }
    return !taken;
}

void
nbd_server_remove_export(NbdServer *server, Export *export)
{
    g_mutex_lock(&server->lock);
    g_ptr_array_remove(server->exports, export);
    g_mutex_unlock(&server->lock);
}

Export *
nbd_server_find_export(NbdServer *server, const char *name, size_t len)
{
    Export *export = NULL;
    bool found;
    guint i;

    if (strlen(name) != len) {
        return NULL; /* a NUL inside */
    }
    g_mutex_lock(&server->lock);
    i = nbd_server_search(server, name, &found);
    if (found) {
        export = export_ref(g_ptr_array_index(server->exports, i));
    }
    g_mutex_unlock(&server->lock);
    return export;
}

GPtrArray *
nbd_server_get_exports(NbdServer *server)
{
    GPtrArray *copy;

    g_mutex_lock(&server->lock);
    copy = g_ptr_array_new_full(server->exports->len,
                                (GDestroyNotify)export_unref);
    for (guint i = 0; i < server->exports->len; i++) {
        g_ptr_array_add(copy,
                        export_ref(g_ptr_array_index(server->exports, i)));
    }
    g_mutex_unlock(&server->lock);
    return copy;
}

/* ---- for connections ---- */

NbdHome *
nbd_server_home(NbdServer *server, Loop *loop)
{
    for (unsigned i = 0; i < server->n_homes; i++) {
        if (server->homes[i].loop == loop) {
            return &server->homes[i];
        }
    }
    ash_unreachable();
}

NbdBudget *
nbd_server_budget(NbdServer *server)
{
    return &server->budget;
}

size_t
nbd_server_connection_memory(const NbdServer *server)
{
    return server->connection_memory;
}

bool
nbd_server_is_closing(const NbdServer *server)
{
    return __atomic_load_n(&server->closing, __ATOMIC_ACQUIRE);
}

static void
nbd_server_conn_done_cb(LoopMsg *msg)
{
    NbdConn *conn = ash_container_of(msg, NbdConn, msg);
    NbdServer *server = conn->server;
    NbdClient client = conn->client;

    conn->chan->ops->free(conn->chan);
    g_free(conn);
    server->n_connections--;
    if (client.closed) {
        client.closed(client.arg);
    }
    if (server->n_connections == 0) {
        co_queue_wake_all(&server->empty);
    }
}

void
nbd_server_conn_done(NbdConn *conn)
{
    conn->msg.fn = nbd_server_conn_done_cb;
    loop_post(conn->server->main, &conn->msg);
}

/* ---- clients ---- */

static void
nbd_server_start_cb(LoopMsg *msg)
{
    NbdConn *conn = ash_container_of(msg, NbdConn, msg);

    coro_spawn(nbd_conn_co_entry, conn);
}

void
nbd_server_accept(NbdServer *server, const NbdClient *client)
{
    NbdHome *home = &server->homes[server->next_home++ % server->n_homes];
    NbdConn *conn = nbd_conn_new(server, home, client);

    server->n_connections++;
    conn->msg.fn = nbd_server_start_cb;
    loop_post(home->loop, &conn->msg);
}

void coroutine_fn
nbd_server_co_shutdown(NbdServer *server)
{
    __atomic_store_n(&server->closing, true, __ATOMIC_RELEASE);
    /* In person, not by message: when this returns no home is asked any
     * more, and the server may be freed. */
    for (unsigned i = 0; i < server->n_homes; i++) {
        co_hop(server->homes[i].loop);
        ash_list_foreach(link, &server->homes[i].conns) {
            nbd_conn_start_closing(ash_container_of(link, NbdConn, link));
        }
    }
    co_hop(server->main);
    while (server->n_connections > 0) {
        co_queue_co_wait(&server->empty);
    }
}

unsigned
nbd_server_n_connections(const NbdServer *server)
{
    return server->n_connections;
}

uint64_t
nbd_server_memory_used(const NbdServer *server)
{
    return nbd_budget_used((NbdBudget *)(uintptr_t)&server->budget);
}
