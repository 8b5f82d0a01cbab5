/*
 * server/server.c - see server/server.h.
 *
 * States of a run, all of the one main coroutine:
 *
 *   starting -> serving     all is up            [server_co_serve]
 *   starting -> ending      an error             [server_co_main]
 *   serving  -> ending      SIGTERM, SIGINT      [server_signal_cb]
 *   ending   -> gone        all is closed        [server_co_main]
 *   any      -> gone, at once: a second signal, or the first one plus
 *                           --drain-timeout      [server_give_up]
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/server.h"

#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "drivers/aio/engine.h"
#include "server/daemonize.h"
#include "server/server-priv.h"
#include "server/state-dir.h"

#define SERVER_EXIT_FAILURE 1

void
server_set_doing(Server *server, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_free(server->doing);
    server->doing = g_strdup_vprintf(fmt, args);
    va_end(args);
    ash_log(ASH_LOG_DEBUG, "%s", server->doing);
}

/* ---- the end, forced ---- */

/* What is in flight, by export: for a message, not exact. */
static char *
server_describe_pending(const Server *server)
{
    GString *text = g_string_new(server->doing);

    if (server->nbd) {
        g_string_append_printf(text, "; %u connections open",
                               nbd_server_n_connections(server->nbd));
    }
    for (unsigned i = 0; i < server->exports->len; i++) {
        Export *export = g_ptr_array_index(server->exports, i);
        uint64_t n = __atomic_load_n(&blk_stats(export_blk(export))->in_flight,
                                     __ATOMIC_RELAXED);

        if (n > 0) {
            g_string_append_printf(text,
                                   "; export '%s' has %" G_GUINT64_FORMAT
                                   " requests in flight",
                                   export_id(export), n);
        }
    }
    return g_string_free(text, FALSE);
}

static ASH_NORETURN void
server_give_up(Server *server, const char *why)
{
    g_autofree char *pending = server_describe_pending(server);

    ash_log(ASH_LOG_ERROR, "%s, leaving with work undone: %s", why, pending);
    for (unsigned i = 0; i < server->listeners->len; i++) {
        server_listener_abandon(g_ptr_array_index(server->listeners, i));
    }
    if (server->pid_file) {
        server_pid_file_remove(server->pid_file);
    }
    server_leave(SERVER_EXIT_FAILURE);
}

static void
server_drain_timeout_cb(LoopTimer *timer)
{
    Server *server = ash_container_of(timer, Server, drain_timer);
    g_autofree char *why =
        g_strdup_printf("not done %u s after the signal (--drain-timeout)",
                        server->opts->drain_seconds);

    server_give_up(server, why);
}

static void
server_signal_cb(int number, void *arg)
{
    Server *server = arg;

    if (number == SIGHUP) {
        ash_log(ASH_LOG_NOTICE, "SIGHUP: there is nothing to reload, "
                                "ignoring");
        return;
    }
    if (server->n_stop_signals > 0) {
        server_give_up(server, "a second signal");
    }
    server->n_stop_signals++;
    ash_log(ASH_LOG_NOTICE, "SIG%s: stopping", sigabbrev_np(number));
    if (server->opts->drain_seconds > 0) {
        loop_timer_start(&server->drain_timer,
                         server->opts->drain_seconds * (uint64_t)1000000000);
    }
    co_queue_wake_all(&server->stop_queue);
}

/* ---- serving ---- */

static void
server_print_uris(const Server *server)
{
    for (unsigned l = 0; l < server->listeners->len; l++) {
        const GPtrArray *sockets =
            server_listener_sockets(g_ptr_array_index(server->listeners, l));

        for (unsigned s = 0; s < sockets->len; s++) {
            for (unsigned e = 0; e < server->exports->len; e++) {
                g_autofree char *uri = server_socket_uri(
                    g_ptr_array_index(sockets, s),
                    export_name(g_ptr_array_index(server->exports, e)));

                if (uri) {
                    printf("%s\n", uri);
                }
            }
        }
    }
    if (fflush(stdout) != 0) {
        ash_log(ASH_LOG_WARNING, "can't print the URIs, ignoring");
    }
}

/* Tell everybody who waits for us. */
static bool
server_become_ready(Server *server, GError **error)
{
    if ((server->pid_file &&
         !server_pid_file_publish(server->pid_file, error)) ||
        !server_start_listeners(server, error)) {
        return false;
    }
    if (server->opts->print_uri) {
        server_print_uris(server);
    }
    ash_log(ASH_LOG_NOTICE, "serving %u exports on %u servers",
            server->exports->len, server->listeners->len);
    if (server->ready_fd >= 0) {
        server_daemon_ready(server->ready_fd);
        server->ready_fd = -1;
    }
    return true;
}

static bool coroutine_fn
server_co_serve(Server *server, GError **error)
{
    if (!server_co_apply(server, error)) {
        return false;
    }
    if (server->n_stop_signals == 0 && !server_become_ready(server, error)) {
        return false;
    }
    server_set_doing(server, "serving");
    while (server->n_stop_signals == 0) {
        co_queue_co_wait(&server->stop_queue);
    }
    return true;
}

/* ---- loops ---- */

static unsigned
server_count_cpus(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return CLAMP((unsigned)n, 1, SERVER_WORKERS_AUTO_MAX);
}

static Loop *
server_loop_new(const char *name, GError **error)
{
    Loop *loop = loop_new(name, error);

    if (loop) {
        loop_set_engines(loop, aio_engine_set_new(loop));
    }
    return loop;
}

/* The loop's thread has ended, or never ran. */
static void
server_loop_free(Loop *loop)
{
    AioEngineSet *engines = loop_engines(loop);

    loop_set_engines(loop, NULL);
    aio_engine_set_free(engines);
    loop_free(loop);
}

static bool
server_start_workers(Server *server, GError **error)
{
    unsigned n =
        server->opts->workers > 0 ? server->opts->workers : server_count_cpus();

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = g_strdup_printf("worker%u", i);
        Loop *loop = server_loop_new(name, error);

        if (!loop) {
            return false;
        }
        if (!loop_thread_start(loop, error)) {
            server_loop_free(loop);
            return false;
        }
        g_ptr_array_add(server->workers, loop);
    }
    return true;
}

static void
server_stop_workers(Server *server)
{
    for (unsigned i = 0; i < server->workers->len; i++) {
        Loop *loop = g_ptr_array_index(server->workers, i);

        loop_stop(loop);
        loop_thread_join(loop);
        server_loop_free(loop);
    }
    g_ptr_array_set_size(server->workers, 0);
}

/* ---- a run ---- */

static void coroutine_fn
server_co_main(void *arg)
{
    Server *server = arg;
    GError *late = NULL;

    server->signals = server_signals_start(server->main, server_signal_cb,
                                           server, &server->error);
    if (!server->signals) {
        return;
    }
    server_co_serve(server, &server->error);
    if (!server_co_unapply(server, &late)) {
        if (server->error) {
            g_error_free(late); /* the first one is what went wrong */
        } else {
            server->error = late;
        }
    }
    server_set_doing(server, "ending threads");
    server_signals_co_stop(g_steal_pointer(&server->signals));
    loop_timer_stop(&server->drain_timer);
}

/* What needs no loop: the state directory, the pid file. */
static bool
server_prepare(Server *server, GError **error)
{
    const ServerOptions *opts = server->opts;
    g_autoptr(GError) reason = NULL;

    if (!server_state_dir_open(opts->state_dir, &server->state_dir, &reason)) {
        if (opts->state_dir) {
            g_propagate_prefixed_error(error, g_steal_pointer(&reason),
                                       "--state-dir: ");
            return false;
        }
        ash_log(ASH_LOG_WARNING,
                "%s, continuing without: files that lose data are known only "
                "until the end of the process",
                reason->message);
    }
    if (opts->pid_file) {
        server->pid_file = server_pid_file_claim(opts->pid_file, error);
        return server->pid_file != NULL;
    }
    return true;
}

static bool
server_run_loops(Server *server, GError **error)
{
    bool ok;

    server->main = server_loop_new("main", error);
    if (!server->main) {
        return false;
    }
    loop_set_spin_ns(server->main, 0);
    loop_timer_init(&server->drain_timer, server->main,
                    server_drain_timeout_cb);
    co_queue_init(&server->stop_queue);
    ok = server_start_workers(server, error);
    if (ok) {
        loop_run_coroutine(server->main, server_co_main, server);
    }
    server_stop_workers(server);
    for (unsigned i = 0; i < server->listeners->len; i++) {
        server_listener_free(g_ptr_array_index(server->listeners, i));
    }
    server_loop_free(server->main);
    coro_pool_drain();
    return ok;
}

bool
server_run(const ServerOptions *opts, int take_ready, GError **error)
{
    Server server = {
        .opts = opts,
        .ready_fd = take_ready,
        .workers = g_ptr_array_new(),
        .listeners = g_ptr_array_new(),
        .exports = g_ptr_array_new(),
    };

    server_signals_block();
    server_raise_fd_limit();
    if (server_prepare(&server, &server.error)) {
        server_run_loops(&server, &server.error);
    }
    server_pid_file_free(server.pid_file);
    g_ptr_array_unref(server.workers);
    g_ptr_array_unref(server.listeners);
    g_ptr_array_unref(server.exports);
    g_free(server.state_dir);
    g_free(server.doing);
    if (server.error) {
        g_propagate_error(error, server.error);
        return false;
    }
    ash_log(ASH_LOG_NOTICE, "stopped");
    return true;
}
