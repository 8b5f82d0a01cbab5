/*
 * tests/model/model-main.c - ashlar-model: random requests on several
 * connections to a real daemon, compared with a model.
 *
 * Each backend in turn gets a daemon and rounds of requests.  After a round
 * everything is read and has to be what it may be; after the last one, the
 * image has to be what was read.
 *
 * What a connection sends follows from the seed; when it is answered does not.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib/gstdio.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/model/model.h"

#define MODEL_REQUESTS_MAX 200U /* of a connection, in a round */
#define MODEL_VERIFY_MAX 200U
#define MODEL_COMPLAINTS_MAX 10U
#define MODEL_REOPEN_PERMILLE 300U

typedef struct ModelOptions {
    gint64 seed;
    gint seconds;
    gint connections;
    char *backend;
    char *program;
} ModelOptions;

void
model_complain(ModelRun *run, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    run->stats->n_violations++;
    if (run->n_complaints++ < MODEL_COMPLAINTS_MAX) {
        printf("violation: backend %s, round %u: %s\n", run->backend->name,
               run->round, text);
    }
}

/* ---- rounds ---- */

typedef struct ModelConns {
    ModelConn *conns[MODEL_CONNS_MAX];
    unsigned n;
} ModelConns;

/* Read everything until no error is in the way; NULL: that can't be done. */
static uint8_t *
model_read_all(ModelRun *run, ModelConn *conn)
{
    g_autofree uint8_t *contents = g_malloc0(run->size);

    for (unsigned i = 0; i < MODEL_VERIFY_MAX; i++) {
        model_conn_begin_verify(conn, contents);
        if (!model_conns_run(run, &conn, 1)) {
            return NULL;
        }
        if (model_conn_has_verified(conn)) {
            return g_steal_pointer(&contents);
        }
    }
    model_complain(run, "not readable in %u attempts", MODEL_VERIFY_MAX);
    return NULL;
}

static bool
model_open_conns(ModelRun *run, ModelConns *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (!c->conns[i]) {
            c->conns[i] = model_conn_new(run, i);
        }
        if (!c->conns[i]) {
            return false;
        }
    }
    return true;
}

static void
model_close_conns(ModelConns *c, SimRng *rng, unsigned permille)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (c->conns[i] && sim_rng_chance(rng, permille)) {
            model_conn_end(c->conns[i]);
            model_conn_free(c->conns[i]);
            c->conns[i] = NULL;
        }
    }
}

/* One round; false: something is wrong. */
static bool
model_run_round(ModelRun *run, ModelConns *c, SimRng *rng)
{
    g_autofree uint8_t *contents = NULL;
    unsigned n = (unsigned)sim_rng_between(rng, 1, MODEL_REQUESTS_MAX);
    uint64_t reader = sim_rng_below(rng, c->n);

    if (!model_open_conns(run, c)) {
        return false;
    }
    for (unsigned i = 0; i < c->n; i++) {
        model_conn_begin(c->conns[i], (uint64_t)1 << 32 | run->round, n);
    }
    if (!model_conns_run(run, c->conns, c->n)) {
        return false;
    }
    contents = model_read_all(run, c->conns[reader]);
    if (!contents) {
        return false;
    }
    model_shadow_settle(run->shadow, contents);
    model_close_conns(c, rng, MODEL_REOPEN_PERMILLE);
    run->stats->n_rounds++;
    return run->n_complaints == 0;
}

/* ---- a backend ---- */

static void
model_draw_geometry(ModelRun *run, SimRng *rng)
{
    run->size = sim_rng_between(rng, 1, 1024) * ASH_KIB;
    if (sim_rng_chance(rng, 800)) {
        run->size += sim_rng_between(rng, 1, 4095);
    }
    if (run->backend->window) {
        run->start = sim_rng_between(rng, 1, 20000);
        run->rest = sim_rng_between(rng, 0, 20000);
    }
}

static void
model_add_checked(ModelRun *run)
{
    ModelChecked checked = model_shadow_checked(run->shadow);

    run->stats->checked.bytes += checked.bytes;
    run->stats->checked.ambiguous += checked.ambiguous;
}

static void
model_run_daemon(ModelRun *run, const ModelOptions *opts, const char *dir,
                 gint64 until_us)
{
    ModelConns c = { .n = (unsigned)opts->connections };
    ModelDaemon *daemon;
    SimRng rng;

    sim_rng_init(&rng, run->seed, 1);
    model_draw_geometry(run, &rng);
    daemon = model_daemon_start(run, opts->program, dir, &rng);
    if (daemon) {
        do {
            run->round++;
        } while (model_run_round(run, &c, &rng) &&
                 g_get_monotonic_time() < until_us);
        model_close_conns(&c, &rng, 1000);
        model_daemon_stop(run, daemon);
        model_daemon_free(daemon);
    }
    model_add_checked(run);
    model_shadow_free(run->shadow);
    g_free(run->socket);
}

/* The folder, with what the daemon has left in it. */
static void
model_remove(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_unlink(file);
    }
    g_rmdir(path);
}

static void
model_run_backend(const ModelOptions *opts, unsigned i, ModelStats *stats,
                  double seconds)
{
    ModelRun run = { .backend = &model_backends[i], .stats = stats };
    g_autofree char *dir = g_strdup("model-XXXXXX");
    uint64_t before = stats->n_rounds;
    gint64 until = g_get_monotonic_time() + (gint64)(seconds * 1e6);

    run.seed = sim_mix64((uint64_t)opts->seed) ^ sim_mix64(i + 1);
    if (!g_mkdtemp(dir)) {
        model_complain(&run, "can't make a folder");
        return;
    }
    model_run_daemon(&run, opts, dir, until);
    model_remove(dir);
    printf("%s %u - %s, %" PRIu64 " bytes: %" PRIu64 " rounds\n",
           run.n_complaints ? "not ok" : "ok", i + 1, run.backend->name,
           run.size, stats->n_rounds - before);
}

/* ---- the whole ---- */

static void
model_print(const ModelStats *s)
{
    static const char *const names[MODEL_COMMANDS] = {
        "read",  "write",  "disc",   "flush",   "trim",
        "cache", "zeroes", "status", "unknown",
    };

    printf("# requests:");
    for (unsigned i = 0; i < MODEL_COMMANDS; i++) {
        printf(" %s %" PRIu64, names[i], s->n_requests[i]);
    }
    printf("\n# replies: ok %" PRIu64 ", refused as due %" PRIu64
           ", injected errors %" PRIu64 ", not fast %" PRIu64 "\n",
           s->n_ok, s->n_refused, s->n_injected, s->n_slow);
    printf("# connections: simple %" PRIu64 ", structured %" PRIu64
           ", extended %" PRIu64 "; rounds %" PRIu64 "\n",
           s->n_conns[MODEL_SIMPLE], s->n_conns[MODEL_STRUCTURED],
           s->n_conns[MODEL_EXTENDED], s->n_rounds);
    printf("# compared: %" PRIu64 " bytes (%" PRIu64 " with a choice), %" PRIu64
           " extents, %" PRIu64 " of them zero, %" PRIu64
           " bytes outside of exports\n",
           s->checked.bytes, s->checked.ambiguous, s->n_extents,
           s->n_extents_zero, s->n_outside);
    printf("# violations %" PRIu64 "\n", s->n_violations);
}

static bool
model_parse(ModelOptions *opts, int *argc, char ***argv)
{
    const GOptionEntry entries[] = {
        { "seed", 0, 0, G_OPTION_ARG_INT64, &opts->seed, "drawn without it",
          "N" },
        { "seconds", 0, 0, G_OPTION_ARG_INT, &opts->seconds,
          "for all backends together", "N" },
        { "connections", 0, 0, G_OPTION_ARG_INT, &opts->connections,
          "to each daemon", "N" },
        { "backend", 0, 0, G_OPTION_ARG_STRING, &opts->backend, "only this",
          "NAME" },
        { "program", 0, 0, G_OPTION_ARG_FILENAME, &opts->program,
          "the daemon; beside this program without it", "PATH" },
        { NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }
    if (opts->seed < 0) {
        opts->seed = g_random_int();
    }
    return opts->connections >= 1 && opts->connections <= (gint)MODEL_CONNS_MAX;
}

static bool
model_is_chosen(const ModelOptions *opts, unsigned i)
{
    return !opts->backend || g_str_equal(opts->backend, model_backends[i].name);
}

int
main(int argc, char **argv)
{
    ModelOptions opts = { .seed = -1, .seconds = 35, .connections = 4 };
    g_autofree char *folder = NULL;
    ModelStats stats = { 0 };
    unsigned n = 0;

    if (!model_parse(&opts, &argc, &argv)) {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    folder = g_path_get_dirname(argv[0]);
    if (!opts.program) {
        opts.program = g_build_filename(folder, "ashlard", NULL);
    }
    for (unsigned i = 0; i < model_n_backends; i++) {
        n += model_is_chosen(&opts, i);
    }
    if (n == 0) {
        fprintf(stderr, "no backend '%s'\n", opts.backend);
        return 2;
    }
    printf("# ashlar-model --seed %" G_GINT64_FORMAT " --connections %d\n",
           opts.seed, opts.connections);
    for (unsigned i = 0; i < model_n_backends; i++) {
        if (model_is_chosen(&opts, i)) {
            model_run_backend(&opts, i, &stats, (double)opts.seconds / n);
        }
    }
    model_print(&stats);
    g_free(opts.backend);
    g_free(opts.program);
    return stats.n_violations > 0 ? 1 : 0;
}
