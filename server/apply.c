/*
 * server/apply.c - from options to nodes, servers and exports, and back; see
 * server/server-priv.h.
 *
 * Order: addresses are bound first, for they are what most often fails and
 * what others must not take meanwhile; then nodes, in the order of the command
 * line; then exports.  A component of nodes is opened on the main loop and
 * moves to the next worker when its first export is made.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/log.h"
#include "blockcore/options.h"
#include "drivers/drivers.h"
#include "server/server-priv.h"

/* ---- servers ---- */

static bool
server_open_listeners(Server *server, GError **error)
{
    const GPtrArray *confs = server->opts->servers;

    for (unsigned i = 0; i < confs->len; i++) {
        ServerListener *listener =
            server_listener_open(g_ptr_array_index(confs, i), error);

        if (!listener) {
            if (!server->opts->brief.file) {
                g_prefix_error(error, "--nbd-server: ");
            }
            return false;
        }
        g_ptr_array_add(server->listeners, listener);
    }
    return true;
}

static void
server_connection_closed_cb(void *arg)
{
    server_listener_connection_closed(arg);
}

static void
server_accepted_cb(ServerListener *listener, const ServerAccepted *accepted,
                   void *arg)
{
    Server *server = arg;
    NbdClient client = {
        .channel =
            chan_new_socket(accepted->fd, accepted->peer, accepted->is_local),
        .handshake_ns = server_listener_conf(listener)->handshake_max_seconds *
                        (uint64_t)1000000000,
        .closed = server_connection_closed_cb,
        .arg = listener,
    };

    nbd_server_accept(server->nbd, &client);
}

bool
server_start_listeners(Server *server, GError **error)
{
    for (unsigned i = 0; i < server->listeners->len; i++) {
        if (!server_listener_start(g_ptr_array_index(server->listeners, i),
                                   server->main, server_accepted_cb, server,
                                   error)) {
            return false;
        }
    }
    return true;
}

/* ---- nodes ---- */

static void
server_node_tells(const char *node_name, const char *text)
{
    ash_log(ASH_LOG_ERROR, "node=%s %s", node_name, text);
}

static BlkOptions *
server_node_options(const ConfKeyvals *kv)
{
    static const BlkValueKind kinds[] = {
        [CONF_KEYVAL] = BLK_VALUE_KEYVAL, [CONF_STRING] = BLK_VALUE_STRING,
        [CONF_NUMBER] = BLK_VALUE_NUMBER, [CONF_BOOL] = BLK_VALUE_BOOL,
        [CONF_NULL] = BLK_VALUE_NULL,
    };
    BlkOptions *opts = blk_options_new();

    for (size_t i = 0; i < conf_keyvals_n(kv); i++) {
        const ConfEntry *entry = conf_keyvals_at(kv, i);

        blk_options_set(opts, entry->key, kinds[entry->kind], entry->value);
    }
    return opts;
}

static bool coroutine_fn
server_co_open_node(Server *server, const ConfKeyvals *kv, GError **error)
{
    const char *name = conf_keyvals_find(kv, "node-name")->value;
    BlkNode *node;

    server_set_doing(server, "opening node '%s'", name);
    if (!blk_graph_co_add(server->graph, server_node_options(kv), &node,
                          error)) {
        if (!server->opts->brief.file) {
            g_prefix_error(error, "--blockdev: ");
        }
        return false;
    }
    if (blk_node_note(node)) {
        ash_log(ASH_LOG_NOTICE, "node=%s %s", name, blk_node_note(node));
    }
    return true;
}

static bool coroutine_fn
server_co_open_nodes(Server *server, GError **error)
{
    const GPtrArray *nodes = server->opts->nodes;

    for (unsigned i = 0; i < nodes->len; i++) {
        if (!server_co_open_node(server, g_ptr_array_index(nodes, i), error)) {
            return false;
        }
    }
    return true;
}

/* ---- exports ---- */

/* Give the component of @node a worker, unless it has one. */
static bool coroutine_fn
server_co_place_node(Server *server, BlkNode *node, GError **error)
{
    Loop *worker;

    if (blk_node_home(node) != server->main) {
        return true;
    }
    worker = g_ptr_array_index(server->workers,
                               server->next_worker % server->workers->len);
    server->next_worker++;
    return blk_node_co_set_home(node, worker, error);
}

/* On the node's home, and back. */
static bool coroutine_fn
server_co_new_export(Server *server, const ConfExport *conf, BlkNode *node,
                     GError **error)
{
    ExportConfig config = {
        .id = conf->id,
        .name = conf->name,
        .description = conf->description,
        .writable = conf->writable,
        .writethrough = conf->writethrough,
        .allocation_depth = conf->allocation_depth,
        .multi_conn = true,
    };
    Export *export = NULL;
    bool ok;

    co_hop(blk_node_home(node));
    ok = export_co_new(&config, node, &export, error);
    co_hop(server->main);
    if (!ok) {
        return false;
    }
    g_ptr_array_add(server->exports, export);
    return nbd_server_add_export(server->nbd, export, error);
}

static bool coroutine_fn
server_co_add_export(Server *server, const ConfExport *conf, GError **error)
{
    BlkNode *node = blk_graph_find(server->graph, conf->node_name, error);

    server_set_doing(server, "making export '%s'", conf->id);
    if (!node || !blk_graph_claim_name(server->graph, conf->id, error) ||
        !server_co_place_node(server, node, error)) {
        g_prefix_error(error, "export '%s': ", conf->id);
        return false;
    }
    return server_co_new_export(server, conf, node, error);
}

static bool coroutine_fn
server_co_add_exports(Server *server, GError **error)
{
    const GPtrArray *confs = server->opts->exports;

    for (unsigned i = 0; i < confs->len; i++) {
        const ConfExport *conf = g_ptr_array_index(confs, i);

        if (!server_co_add_export(server, conf, error)) {
            if (!server->opts->brief.file) {
                g_prefix_error(error, "--export: ");
            }
            return false;
        }
    }
    return true;
}

/* ---- all ---- */

bool coroutine_fn
server_co_apply(Server *server, GError **error)
{
    NbdServerConfig config = {
        .main = server->main,
        .workers = (Loop *const *)server->workers->pdata,
        .n_workers = server->workers->len,
        .memory_bytes = server->opts->memory_bytes,
        .connection_memory_bytes = server->opts->connection_memory_bytes,
    };

    server->graph = blk_graph_new(drivers, server->state_dir);
    blk_graph_set_tell(server->graph, server_node_tells);
    server->nbd = nbd_server_new(&config);
    /* Last: whoever can connect finds images locked and exports there. */
    return server_co_open_nodes(server, error) &&
           server_co_add_exports(server, error) &&
           server_open_listeners(server, error);
}

static void coroutine_fn
server_co_close_export(Server *server, Export *export)
{
    server_set_doing(server, "closing export '%s'", export_id(export));
    nbd_server_remove_export(server->nbd, export);
    co_hop(export_home(export));
    export_co_close(export);
    co_hop(server->main);
}

static void coroutine_fn
server_co_stop_listeners(Server *server)
{
    for (unsigned i = 0; i < server->listeners->len; i++) {
        server_listener_co_stop(g_ptr_array_index(server->listeners, i));
    }
}

bool coroutine_fn
server_co_unapply(Server *server, GError **error)
{
    int ret;

    server_set_doing(server, "closing listeners");
    server_co_stop_listeners(server);
    if (!server->graph) {
        return true;
    }
    server_set_doing(server, "finishing requests");
    nbd_server_co_shutdown(server->nbd);
    while (server->exports->len > 0) {
        Export *export = g_ptr_array_index(server->exports, 0);

        server_co_close_export(server, export);
        g_ptr_array_remove_index(server->exports, 0);
        export_unref(export);
    }
    g_clear_pointer(&server->nbd, nbd_server_free);
    server_set_doing(server, "flushing and closing nodes");
    ret = blk_graph_co_close_all(server->graph);
    g_clear_pointer(&server->graph, blk_graph_free);
    if (ret < 0) {
        ash_set_error_errno(error, -ret, "the last flush failed");
        return false;
    }
    return true;
}
