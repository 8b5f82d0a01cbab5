/*
 * tests/sim/sim-daemon.c - see tests/sim/sim-daemon.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/sim/sim-daemon.h"

#include "base/assert.h"
#include "blockcore/graph.h"
#include "drivers/aio/engine.h"
#include "drivers/drivers.h"
#include "export/export.h"
#include "export/nbd-server.h"

struct SimDaemon {
    SimDaemonConfig config;
    BlkGraph *graph;
    NbdServer *nbd;
    GPtrArray *exports; /* of Export */
    unsigned next_worker;
};

/* ---- loops ---- */

static void
sim_daemon_equip(SimDaemon *d, Loop *loop)
{
    AioEngine *engine =
        sim_disk_engine_new(d->config.disk, loop, d->config.pid);

    loop_set_engines(loop, aio_engine_set_new_single(engine));
}

static void
sim_daemon_strip(Loop *loop)
{
    AioEngineSet *engines = loop_engines(loop);

    loop_set_engines(loop, NULL);
    aio_engine_set_free(engines);
}

/* ---- nodes and exports ---- */

static void
sim_daemon_set(BlkOptions *opts, const char *prefix, const char *name,
               const char *value)
{
    g_autofree char *key = g_strconcat(prefix, name, NULL);

    blk_options_set(opts, key, BLK_VALUE_KEYVAL, value);
}

static void
sim_daemon_set_size(BlkOptions *opts, const char *name, uint64_t bytes)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, bytes);

    sim_daemon_set(opts, "", name, text);
}

static BlkOptions *
sim_daemon_options(const SimExportSpec *spec)
{
    BlkOptions *opts = blk_options_new();

    bool window = spec->start > 0 || spec->rest > 0;
    const char *prefix = window ? "file." : "";

    sim_daemon_set(opts, prefix, "driver", "file");
    sim_daemon_set(opts, prefix, "filename", spec->file);
    /* What is left of a killed predecessor may hang for long. */
    sim_daemon_set(opts, prefix, "lock-wait-ms", "600000");
    if (window) {
        sim_daemon_set(opts, prefix, "discard", "unmap");
        sim_daemon_set(opts, "", "driver", "raw");
        sim_daemon_set_size(opts, "offset", spec->start);
        sim_daemon_set_size(opts, "size", spec->size);
    }
    sim_daemon_set(opts, "", "node-name", spec->file);
    sim_daemon_set(opts, "", "discard", "unmap");
    blk_options_set(opts, "cache.direct", BLK_VALUE_BOOL,
                    spec->direct ? "on" : "off");
    blk_options_set(opts, "read-only", BLK_VALUE_BOOL,
                    spec->read_only ? "on" : "off");
    return opts;
}

static bool coroutine_fn
sim_daemon_co_export(SimDaemon *d, const SimExportSpec *spec, GError **error)
{
    ExportConfig config = {
        .id = spec->name,
        .name = spec->name,
        .description = "simulated",
        .writable = !spec->read_only,
        .writethrough = spec->writethrough,
        .multi_conn = true,
    };
    Loop *home = d->config.workers[d->next_worker++ % d->config.n_workers];
    Export *export = NULL;
    BlkNode *node;
    bool ok;

    if (!blk_graph_co_add(d->graph, sim_daemon_options(spec), &node, error) ||
        !blk_graph_claim_name(d->graph, spec->name, error) ||
        !blk_node_co_set_home(node, home, error)) {
        return false;
    }
    co_hop(home);
    ok = export_co_new(&config, node, &export, error);
    co_hop(d->config.main);
    if (!ok) {
        return false;
    }
    g_ptr_array_add(d->exports, export);
    return nbd_server_add_export(d->nbd, export, error);
}

bool coroutine_fn
sim_daemon_co_start(SimDaemon *d, GError **error)
{
    NbdServerConfig config = {
        .main = d->config.main,
        .workers = d->config.workers,
        .n_workers = d->config.n_workers,
        .memory_bytes = NBD_MEMORY_DEFAULT,
        .connection_memory_bytes = NBD_CONNECTION_MEMORY_DEFAULT,
    };

    d->graph = blk_graph_new(drivers, d->config.state_dir);
    d->nbd = nbd_server_new(&config);
    for (unsigned i = 0; i < d->config.n_exports; i++) {
        if (!sim_daemon_co_export(d, &d->config.exports[i], error)) {
            return false;
        }
    }
    return true;
}

int coroutine_fn
sim_daemon_co_stop(SimDaemon *d)
{
    int ret;

    nbd_server_co_shutdown(d->nbd);
    while (d->exports->len > 0) {
        Export *export = g_ptr_array_index(d->exports, 0);

        nbd_server_remove_export(d->nbd, export);
        co_hop(export_home(export));
        export_co_close(export);
        co_hop(d->config.main);
        g_ptr_array_remove_index(d->exports, 0);
        export_unref(export);
    }
    /* What the connections took they have given back. */
    ash_assert(nbd_server_memory_used(d->nbd) == 0);
    g_clear_pointer(&d->nbd, nbd_server_free);
    ret = blk_graph_co_close_all(d->graph);
    g_clear_pointer(&d->graph, blk_graph_free);
    return ret;
}

/* ---- connections ---- */

typedef struct SimAccept {
    LoopMsg msg;
    SimDaemon *daemon;
    NbdClient client;
} SimAccept;

static void
sim_daemon_accept_cb(LoopMsg *msg)
{
    SimAccept *accept = ash_container_of(msg, SimAccept, msg);

    if (accept->daemon->nbd) {
        nbd_server_accept(accept->daemon->nbd, &accept->client);
    } else {
        accept->client.channel->ops->free(accept->client.channel);
        accept->client.closed(accept->client.arg);
    }
    g_free(accept);
}

void
sim_daemon_accept(SimDaemon *d, Channel *take_channel,
                  void (*closed)(void *arg), void *arg)
{
    SimAccept *accept = g_new0(SimAccept, 1);

    accept->msg.fn = sim_daemon_accept_cb;
    accept->daemon = d;
    accept->client = (NbdClient){
        .channel = take_channel,
        .handshake_ns = NBD_HANDSHAKE_SECONDS_DEFAULT * SIM_S,
        .closed = closed,
        .arg = arg,
    };
    loop_post(d->config.main, &accept->msg);
}

/* ---- life ---- */

SimDaemon *
sim_daemon_new(const SimDaemonConfig *config)
{
    SimDaemon *d = g_new0(SimDaemon, 1);

    d->config = *config;
    d->exports = g_ptr_array_new();
    sim_daemon_equip(d, config->main);
    for (unsigned i = 0; i < config->n_workers; i++) {
        sim_daemon_equip(d, config->workers[i]);
    }
    return d;
}

void
sim_daemon_free(SimDaemon *d)
{
    ash_assert(!d->nbd && !d->graph && d->exports->len == 0);
    sim_daemon_strip(d->config.main);
    for (unsigned i = 0; i < d->config.n_workers; i++) {
        sim_daemon_strip(d->config.workers[i]);
    }
    g_ptr_array_unref(d->exports);
    g_free(d);
}
