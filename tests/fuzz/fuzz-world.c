/*
 * tests/fuzz/fuzz-world.c - see tests/fuzz/fuzz-world.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/fuzz/fuzz-world.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockcore/driver.h"
#include "blockcore/graph.h"
#include "export/nbd-server.h"
#include "tests/lib/sim-net.h"

#define FUZZ_LIMIT_NS (600 * SIM_S)
#define FUZZ_N_EXPORTS 3

/* ---- a disk in memory ---- */

static int coroutine_fn
fuzz_disk_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
                  BlkReqFlags flags)
{
    uint8_t *mem = *(uint8_t **)blk_node_state(node);

    (void)flags;
    if (range.offset % 3 == 1) {
        co_sleep_ns(1000); /* some answers come late */
    }
    iov_from_buf(iov, 0, mem + range.offset, range.bytes);
    return 0;
}

static int coroutine_fn
fuzz_disk_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
                   BlkReqFlags flags)
{
    uint8_t *mem = *(uint8_t **)blk_node_state(node);

    (void)flags;
    iov_to_buf(iov, 0, mem + range.offset, range.bytes);
    return 0;
}

static bool coroutine_fn
fuzz_disk_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    (void)opts;
    (void)error;
    *(uint8_t **)blk_node_state(node) = g_malloc0(FUZZ_DISK_BYTES);
    return true;
}

static void coroutine_fn
fuzz_disk_co_close(BlkNode *node)
{
    g_free(*(uint8_t **)blk_node_state(node));
}

static int coroutine_fn
fuzz_disk_co_size(BlkNode *node, uint64_t *ret)
{
    (void)node;
    *ret = FUZZ_DISK_BYTES;
    return 0;
}

static void
fuzz_disk_get_limits(BlkNode *node, BlkLimits *ret)
{
    (void)node;
    (void)ret;
}

static const BlkOptionSpec fuzz_disk_options[] = { { .name = NULL } };

static const BlkDriver fuzz_disk = {
    .name = "fuzz",
    .kind = BLK_PROTOCOL,
    .state_bytes = sizeof(uint8_t *),
    .options = fuzz_disk_options,
    .co_open = fuzz_disk_co_open,
    .co_close = fuzz_disk_co_close,
    .co_size = fuzz_disk_co_size,
    .get_limits = fuzz_disk_get_limits,
    .co_read = fuzz_disk_co_read,
    .co_write = fuzz_disk_co_write,
};

static const BlkDriver *const fuzz_drivers[] = { &fuzz_disk, NULL };

/* ---- the world ---- */

struct FuzzTalk {
    SimWorld *world;
    Loop *main;
    Loop *worker;
    SimNet *net;
    SimPeer *peer;
    BlkGraph *graph;
    NbdServer *server;
    Export *exports[FUZZ_N_EXPORTS];
    const uint8_t *data;
    size_t bytes;
    void coroutine_fn (*co_check)(FuzzTalk *talk, void *arg);
    void *arg;
    unsigned n_done;
};

void
fuzz_fail(const char *what, uint64_t got, uint64_t want)
{
    fprintf(stderr, "fuzz: %s: got %" PRIu64 ", want %" PRIu64 "\n", what, got,
            want);
    abort();
}

bool coroutine_fn
fuzz_co_take(FuzzTalk *talk, void *buf, size_t bytes)
{
    return sim_peer_co_recv(talk->peer, buf, bytes, UINT64_MAX) == 0;
}

static void coroutine_fn
fuzz_co_add_export(FuzzTalk *talk, unsigned i, const char *name)
{
    g_autofree char *id = g_strdup_printf("e%u", i);
    g_autofree char *node_name = g_strdup_printf("n%u", i);
    ExportConfig config = { .id = id,
                            .name = name,
                            .description = i == 1 ? "read me" : NULL,
                            .writable = i != 1,
                            .allocation_depth = i == 0,
                            .multi_conn = true };
    BlkOptions *opts = blk_options_new();
    g_autoptr(GError) error = NULL;
    BlkNode *node;

    blk_options_set(opts, "driver", BLK_VALUE_KEYVAL, "fuzz");
    blk_options_set(opts, "node-name", BLK_VALUE_KEYVAL, node_name);
    if (!blk_graph_co_add(talk->graph, opts, &node, &error) ||
        !blk_node_co_set_home(node, talk->worker, &error)) {
        fuzz_fail(error->message, 0, 0);
    }
    co_hop(talk->worker);
    if (!export_co_new(&config, node, &talk->exports[i], &error)) {
        fuzz_fail(error->message, 0, 0);
    }
    co_hop(talk->main);
    if (!nbd_server_add_export(talk->server, talk->exports[i], &error)) {
        fuzz_fail(error->message, 0, 0);
    }
}

static void coroutine_fn
fuzz_co_set_up(void *arg)
{
    FuzzTalk *talk = arg;
    g_autofree char *long_name = g_strnfill(EXPORT_NAME_MAX, 'x');
    NbdClient client = { .handshake_ns = 10 * SIM_S };

    fuzz_co_add_export(talk, 0, "");
    fuzz_co_add_export(talk, 1, "ro");
    fuzz_co_add_export(talk, 2, long_name);
    talk->peer =
        sim_net_connect(talk->net, talk->main, "client", &client.channel);
    nbd_server_accept(talk->server, &client);
}

static void coroutine_fn
fuzz_co_tear_down(void *arg)
{
    FuzzTalk *talk = arg;

    nbd_server_co_shutdown(talk->server);
    FUZZ_CHECK(nbd_server_memory_used(talk->server) == 0,
               nbd_server_memory_used(talk->server), 0);
    for (unsigned i = 0; i < FUZZ_N_EXPORTS; i++) {
        nbd_server_remove_export(talk->server, talk->exports[i]);
        co_hop(talk->worker);
        export_co_close(talk->exports[i]);
        co_hop(talk->main);
        export_unref(talk->exports[i]);
    }
    if (blk_graph_co_close_all(talk->graph) != 0) {
        fuzz_fail("close", 1, 0);
    }
}

static void coroutine_fn
fuzz_co_send(void *arg)
{
    FuzzTalk *talk = arg;

    if (sim_peer_co_send(talk->peer, talk->data, talk->bytes, UINT64_MAX) ==
        0) {
        sim_peer_shutdown_write(talk->peer);
    }
    talk->n_done++;
}

static void coroutine_fn
fuzz_co_check(void *arg)
{
    FuzzTalk *talk = arg;
    uint8_t drop[256];

    talk->co_check(talk, talk->arg);
    while (fuzz_co_take(talk, drop, 1)) {
        /* the check may have stopped early */
    }
    talk->n_done++;
}

static bool
fuzz_is_done(void *arg)
{
    return ((FuzzTalk *)arg)->n_done == 2;
}

static void
fuzz_must(FuzzTalk *talk, SimRunResult result, const char *what)
{
    if (result != SIM_RUN_DONE) {
        g_autofree char *who = sim_world_describe(talk->world);

        fprintf(stderr, "%s\n", who);
        fuzz_fail(what, result, SIM_RUN_DONE);
    }
}

void
fuzz_run(const uint8_t *data, size_t bytes, uint32_t piece,
         void coroutine_fn (*co_check)(FuzzTalk *talk, void *arg), void *arg)
{
    SimNetConfig net = { .latency_max_ns = 1000,
                         .window_min = 64 << 10,
                         .window_max = 64 << 10,
                         .segment_max = piece };
    FuzzTalk talk = {
        .data = data, .bytes = bytes, .co_check = co_check, .arg = arg
    };
    NbdServerConfig config = { .n_workers = 1,
                               .memory_bytes = NBD_MEMORY_DEFAULT,
                               .connection_memory_bytes =
                                   NBD_CONNECTION_MEMORY_DEFAULT };

    talk.world = sim_world_new(1, 2);
    talk.main = sim_world_loop(talk.world, 0);
    talk.worker = sim_world_loop(talk.world, 1);
    talk.net = sim_net_new(talk.world, &net);
    talk.graph = blk_graph_new(fuzz_drivers, NULL);
    config.main = talk.main;
    config.workers = &talk.worker;
    talk.server = nbd_server_new(&config);
    fuzz_must(&talk,
              sim_world_call(talk.world, talk.main, "set up", fuzz_co_set_up,
                             &talk, FUZZ_LIMIT_NS),
              "set up");
    sim_world_spawn(talk.world, talk.main, "send", fuzz_co_send, &talk);
    sim_world_spawn(talk.world, talk.main, "check", fuzz_co_check, &talk);
    fuzz_must(&talk,
              sim_world_run(talk.world, fuzz_is_done, &talk, FUZZ_LIMIT_NS),
              "talk");
    sim_peer_end(talk.peer, SIM_END_FIN);
    fuzz_must(&talk,
              sim_world_call(talk.world, talk.main, "tear down",
                             fuzz_co_tear_down, &talk, FUZZ_LIMIT_NS),
              "tear down");
    sim_peer_free(talk.peer);
    fuzz_must(&talk, sim_world_run(talk.world, NULL, NULL, FUZZ_LIMIT_NS),
              "end");
    nbd_server_free(talk.server);
    blk_graph_free(talk.graph);
    sim_net_free(talk.net);
    sim_world_free(talk.world);
}
