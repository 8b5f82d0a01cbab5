/*
 * server/options.c - see server/options.h.
 *
 * Method: getopt_long() finds the options, the table says what to do with
 * each.  Everything that can be known without touching the world is checked
 * here, so that a command line is either usage (exit 2) or sound.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/options.h"

#include <getopt.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/parse.h"
#include "server/options-priv.h"

#define SERVER_OPTIONS_MAX 64
/* What getopt_long() returns for table row 0; above every letter. */
#define SERVER_GETOPT_BASE 256

/* ---- life ---- */

static void
server_keyvals_free_cb(void *data)
{
    conf_keyvals_free(data);
}

static void
server_conf_free_cb(void *data)
{
    conf_server_free(data);
}

static void
server_export_free_cb(void *data)
{
    conf_export_free(data);
}

static void
server_options_init(ServerOptions *opts)
{
    *opts = (ServerOptions){
        .action = SERVER_ACTION_RUN,
        .nodes = g_ptr_array_new_with_free_func(server_keyvals_free_cb),
        .servers = g_ptr_array_new_with_free_func(server_conf_free_cb),
        .exports = g_ptr_array_new_with_free_func(server_export_free_cb),
        .memory_bytes = (uint64_t)256 << 20,
        .connection_memory_bytes = (uint64_t)32 << 20,
        .drain_seconds = SERVER_DRAIN_SECONDS_DEFAULT,
        .log_level = ASH_LOG_WARNING,
        .brief = { .cache = -1,
                   .aio = -1,
                   .discard = -1,
                   .detect_zeroes = -1,
                   .shared = CONF_CONNECTIONS_DEFAULT },
    };
}

void
server_options_done(ServerOptions *opts)
{
    for (const ServerOption *row = server_option_table; row->name; row++) {
        char **place = (char **)(void *)((char *)opts + row->offset);

        if (row->type == SERVER_OPT_STRING) {
            g_clear_pointer(place, g_free);
        }
    }
    g_clear_pointer(&opts->brief.file, g_free);
    g_clear_pointer(&opts->nodes, g_ptr_array_unref);
    g_clear_pointer(&opts->servers, g_ptr_array_unref);
    g_clear_pointer(&opts->exports, g_ptr_array_unref);
}

/* ---- the long form ---- */

static ConfKeyvals *
server_option_keyvals(const char *arg, const char *implied_key, GError **error)
{
    return conf_keyvals_parse(arg, strlen(arg), implied_key, error);
}

bool
server_option_blockdev(ServerOptions *opts, const char *arg, GError **error)
{
    ConfKeyvals *kv = server_option_keyvals(arg, NULL, error);

    if (!kv) {
        return false;
    }
    g_ptr_array_add(opts->nodes, kv);
    if (!conf_keyvals_find(kv, "node-name")) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "key 'node-name' is missing");
        return false;
    }
    return true;
}

bool
server_option_nbd_server(ServerOptions *opts, const char *arg, GError **error)
{
    g_autoptr(ConfKeyvals) kv = server_option_keyvals(arg, NULL, error);
    ConfServer *server = kv ? conf_server_parse(kv, error) : NULL;

    if (!server) {
        return false;
    }
    g_ptr_array_add(opts->servers, server);
    return true;
}

bool
server_option_export(ServerOptions *opts, const char *arg, GError **error)
{
    g_autoptr(ConfKeyvals) kv = server_option_keyvals(arg, "type", error);
    ConfExport *export = kv ? conf_export_parse(kv, error) : NULL;

    if (!export) {
        return false;
    }
    g_ptr_array_add(opts->exports, export);
    return true;
}

/* ---- one option ---- */

static bool
server_option_uint(const ServerOption *row, const char *arg, void *place,
                   GError **error)
{
    uint64_t n;

    if (!ash_parse_uint(arg, row->max, &n, NULL) || n < row->min) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' is not a whole number from %" G_GUINT64_FORMAT
                    " to %" G_GUINT64_FORMAT,
                    arg, row->min, row->max);
        return false;
    }
    *(uint32_t *)place = (uint32_t)n;
    return true;
}

static bool
server_option_size(const ServerOption *row, const char *arg, void *place,
                   GError **error)
{
    uint64_t n;

    if (!ash_parse_size(arg, &n, error)) {
        return false;
    }
    if (n < row->min || n > row->max) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' is less than %" G_GUINT64_FORMAT " bytes", arg,
                    row->min);
        return false;
    }
    *(uint64_t *)place = n;
    return true;
}

static bool
server_option_take(ServerOptions *opts, const ServerOption *row,
                   const char *arg, GError **error)
{
    void *place = (char *)opts + row->offset;

    switch (row->type) {
    case SERVER_OPT_FLAG:
        *(bool *)place = true;
        return true;
    case SERVER_OPT_STRING:
        g_free(*(char **)place);
        *(char **)place = g_strdup(arg);
        return true;
    case SERVER_OPT_UINT:
        return server_option_uint(row, arg, place, error);
    case SERVER_OPT_SIZE:
        return server_option_size(row, arg, place, error);
    case SERVER_OPT_ENUM:
        return ash_parse_enum(arg, row->names, place, error);
    case SERVER_OPT_ACTION:
        opts->action = (ServerAction)row->min;
        return true;
    case SERVER_OPT_CALL:
        return row->call(opts, arg, error);
    case SERVER_OPT_REFUSED:
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED, "%s", row->help);
        return false;
    }
    ash_unreachable();
}

/* "--export 'nbd,id=e'", or just the name if the argument says nothing. */
static char *
server_option_describe(const ServerOption *row, const char *arg)
{
    char shown[80];

    if (!arg || row->type != SERVER_OPT_CALL) {
        return g_strdup_printf("--%s", row->name);
    }
    ash_escape(shown, sizeof(shown), arg, strlen(arg));
    return g_strdup_printf("--%s '%s'", row->name, shown);
}

static bool
server_option_apply(ServerOptions *opts, const ServerOption *row,
                    const char *arg, GError **error)
{
    if (row->section == SERVER_SECTION_SHORT && !opts->brief.given) {
        opts->brief.given = row->name;
    }
    if (!server_option_take(opts, row, arg, error)) {
        g_autofree char *what = server_option_describe(row, arg);

        g_prefix_error(error, "%s: ", what);
        return false;
    }
    return true;
}

/* ---- getopt ---- */

/* The table as getopt_long() wants it. */
typedef struct ServerGetopt {
    struct option longs[SERVER_OPTIONS_MAX + 1];
    char letters[2 * SERVER_OPTIONS_MAX + 2];
    const char *names[SERVER_OPTIONS_MAX + 1];
} ServerGetopt;

static void
server_getopt_init(ServerGetopt *get)
{
    char *letter = get->letters;
    size_t n = 0;

    *letter++ = ':'; /* tell a missing argument from an unknown option */
    for (const ServerOption *row = server_option_table; row->name; row++) {
        ash_assert(n < SERVER_OPTIONS_MAX);
        get->longs[n] = (struct option){
            .name = row->name,
            .has_arg = row->arg ? required_argument : no_argument,
            .val = SERVER_GETOPT_BASE + (int)n,
        };
        get->names[n++] = row->name;
        if (row->letter) {
            *letter++ = row->letter;
            if (row->arg) {
                *letter++ = ':';
            }
        }
    }
    *letter = '\0';
    get->longs[n] = (struct option){ 0 };
    get->names[n] = NULL;
}

static const ServerOption *
server_option_find(int code)
{
    for (const ServerOption *row = server_option_table; row->name; row++) {
        int index = (int)(row - server_option_table);

        if (code == SERVER_GETOPT_BASE + index ||
            (row->letter && code == row->letter)) {
            return row;
        }
    }
    ash_unreachable();
}

/* getopt_long() said '?' or ':' about @word. */
static void
server_getopt_error(const ServerGetopt *get, int code, const char *word,
                    GError **error)
{
    size_t len = strcspn(word, "=");
    g_autofree char *plain = g_strndup(word, len);
    const char *near;
    char shown[80];

    ash_escape(shown, sizeof(shown), plain, len);
    if (code == ':') {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "%s: an argument is missing", shown);
        return;
    }
    if (optopt >= SERVER_GETOPT_BASE) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "%s: takes no argument",
                    shown);
        return;
    }
    if (optopt != 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "unknown option '-%c'",
                    optopt);
        return;
    }
    near = ash_parse_nearest(plain + 2, get->names);
    if (near) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "unknown option '%s', did you mean '--%s'?", shown, near);
    } else {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "unknown option '%s'",
                    shown);
    }
}

/* getopt_long() also takes the beginning of a name.  What is short for one
 * option today would be short for two tomorrow. */
static bool
server_getopt_check_whole(const ServerOption *row, char *const *argv,
                          GError **error)
{
    /* The word before the next one is the option, or its argument. */
    bool apart = row->arg && optarg == argv[optind - 1];
    const char *word = argv[optind - (apart ? 2 : 1)] + 2;
    size_t len = strcspn(word, "=");

    if (len == strlen(row->name)) {
        return true;
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                "unknown option '--%.*s', did you mean '--%s'?", (int)len, word,
                row->name);
    return false;
}

static bool
server_options_read(ServerOptions *opts, int argc, char **argv, GError **error)
{
    ServerGetopt get;
    int code;

    server_getopt_init(&get);
    optind = 0; /* start over: tests parse more than once */
    opterr = 0;
    while ((code = getopt_long(argc, argv, get.letters, get.longs, NULL)) !=
           -1) {
        const ServerOption *row;

        if (code == '?' || code == ':') {
            server_getopt_error(&get, code, argv[optind - 1], error);
            return false;
        }
        row = server_option_find(code);
        if ((code >= SERVER_GETOPT_BASE &&
             !server_getopt_check_whole(row, argv, error)) ||
            !server_option_apply(opts, row, optarg, error)) {
            return false;
        }
    }
    if (argc - optind > 1) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "one FILE at a time: '%s' and '%s' were given; use "
                    "--blockdev and --export for more",
                    argv[optind], argv[optind + 1]);
        return false;
    }
    if (optind < argc) {
        opts->brief.file = g_strdup(argv[optind]);
    }
    return true;
}

/* ---- rules between options ---- */

/* Servers without an id get "server0", "server1", ... */
static bool
server_check_ids(ServerOptions *opts, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (unsigned i = 0; i < opts->servers->len; i++) {
        ConfServer *server = g_ptr_array_index(opts->servers, i);

        if (!server->id) {
            server->id = g_strdup_printf("server%u", i);
        }
        if (!g_hash_table_add(seen, server->id)) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "--nbd-server: two servers have the id '%s'",
                        server->id);
            return false;
        }
    }
    return true;
}

static bool
server_check_exports(const ServerOptions *opts, GError **error)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (unsigned i = 0; i < opts->exports->len; i++) {
        ConfExport *export = g_ptr_array_index(opts->exports, i);

        if (!g_hash_table_add(ids, export->id)) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "--export: two exports have the id '%s'", export->id);
            return false;
        }
        if (!g_hash_table_add(names, export->name)) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "--export: two exports have the name '%s'",
                        export->name);
            return false;
        }
    }
    return true;
}

static bool
server_check_work(const ServerOptions *opts, GError **error)
{
    const char *lack = NULL;

    if (opts->exports->len == 0) {
        lack = opts->nodes->len + opts->servers->len == 0
                   ? "nothing to serve: give '-f raw FILE', or --blockdev, "
                     "--nbd-server and --export"
                   : "nothing to serve: --export is missing";
    } else if (opts->servers->len == 0) {
        lack = "no way to reach the exports: --nbd-server is missing";
    }
    if (lack) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "%s", lack);
        return false;
    }
    if (opts->connection_memory_bytes > opts->memory_bytes) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "--connection-memory is more than --memory-limit");
        return false;
    }
    return true;
}

static bool
server_check_short(const ServerOptions *opts, GError **error)
{
    if (opts->brief.file &&
        opts->nodes->len + opts->servers->len + opts->exports->len > 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "a FILE ('%s') does not go with --blockdev, --nbd-server "
                    "and --export",
                    opts->brief.file);
        return false;
    }
    if (!opts->brief.file && opts->brief.given) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "--%s: goes with a FILE, and none was given",
                    opts->brief.given);
        return false;
    }
    return true;
}

bool
server_options_parse(ServerOptions *opts, int argc, char *const *argv,
                     GError **error)
{
    /* getopt_long() moves the words about. */
    g_autofree char **words = g_new0(char *, (size_t)argc + 1);

    memcpy(words, argv, (size_t)argc * sizeof(*words));
    server_options_init(opts);
    if (!server_options_read(opts, argc, words, error)) {
        return false;
    }
    if (opts->action != SERVER_ACTION_RUN) {
        return true;
    }
    if (opts->forget_file) {
        opts->action = SERVER_ACTION_FORGET_FAILURE;
        return true;
    }
    if (!server_check_short(opts, error) ||
        (opts->brief.file && !server_short_apply(opts, error))) {
        return false;
    }
    return server_check_work(opts, error) && server_check_ids(opts, error) &&
           server_check_exports(opts, error);
}
