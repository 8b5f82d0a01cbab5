/*
 * server/options-short.c - "ashlard -f raw disk.img" as nodes, servers and an
 * export; see server/options.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/options.h"

#include <string.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "server/options-priv.h"

#define SERVER_SHORT_FILE_NODE "file"
#define SERVER_SHORT_DISK_NODE "disk"
#define SERVER_SHORT_EXPORT "export"
#define SERVER_SHORT_BIND "127.0.0.1"

/* By the places in server_cache_names. */
static const struct ServerCacheMode {
    const char *direct;
    const char *no_flush;
    bool writethrough;
} server_cache_modes[] = {
    { "off", "off", false }, /* writeback */
    { "off", "off", true },  /* writethrough */
    { "on", "off", false },  /* none */
    { "on", "off", true },   /* directsync */
    { "off", "on", false },  /* unsafe */
};

/* Keys and values are ours: nothing to refuse. */
static void
server_short_set(ConfKeyvals *kv, const char *key, const char *value)
{
    bool ok = conf_keyvals_add(kv, key, CONF_KEYVAL, value, NULL);

    ash_assert(ok);
}

/* The name of an enum's value, @fallback when it was not given. */
static const char *
server_short_enum(const char *const *names, int value, const char *fallback)
{
    return value < 0 ? fallback : names[value];
}

static void
server_short_add_file(ServerOptions *opts, const struct ServerCacheMode *cache)
{
    const ServerShort *brief = &opts->brief;
    ConfKeyvals *kv = conf_keyvals_new();
    struct stat st;
    bool is_device = stat(brief->file, &st) == 0 && S_ISBLK(st.st_mode);

    server_short_set(kv, "driver", is_device ? "host_device" : "file");
    server_short_set(kv, "node-name", SERVER_SHORT_FILE_NODE);
    server_short_set(kv, "filename", brief->file);
    server_short_set(kv, "read-only", brief->read_only ? "on" : "off");
    server_short_set(kv, "cache.direct", cache->direct);
    server_short_set(kv, "cache.no-flush", cache->no_flush);
    server_short_set(
        kv, "discard",
        server_short_enum(server_discard_names, brief->discard, "unmap"));
    if (brief->aio >= 0) {
        server_short_set(kv, "aio", server_aio_names[brief->aio]);
    }
    g_ptr_array_add(opts->nodes, kv);
}

static void
server_short_add_disk(ServerOptions *opts)
{
    const ServerShort *brief = &opts->brief;
    ConfKeyvals *kv = conf_keyvals_new();
    g_autofree char *offset =
        g_strdup_printf("%" G_GUINT64_FORMAT, brief->offset);

    server_short_set(kv, "driver", brief->format);
    server_short_set(kv, "node-name", SERVER_SHORT_DISK_NODE);
    server_short_set(kv, "file", SERVER_SHORT_FILE_NODE);
    server_short_set(kv, "read-only", brief->read_only ? "on" : "off");
    server_short_set(
        kv, "discard",
        server_short_enum(server_discard_names, brief->discard, "unmap"));
    server_short_set(kv, "detect-zeroes",
                     server_short_enum(server_detect_zeroes_names,
                                       brief->detect_zeroes, "off"));
    if (brief->offset > 0) {
        server_short_set(kv, "offset", offset);
    }
    g_ptr_array_add(opts->nodes, kv);
}

static bool
server_short_add_server(ServerOptions *opts, const char *id,
                        const ConfKeyvals *kv, GError **error)
{
    ConfServer *server = conf_server_parse(kv, error);

    if (!server) {
        return false;
    }
    server->id = g_strdup(id);
    server->max_connections = opts->brief.shared;
    g_ptr_array_add(opts->servers, server);
    return true;
}

static bool
server_short_add_tcp(ServerOptions *opts, GError **error)
{
    const ServerShort *brief = &opts->brief;
    g_autoptr(ConfKeyvals) kv = conf_keyvals_new();
    const char *bind = brief->bind ? brief->bind : SERVER_SHORT_BIND;
    size_t len = strlen(bind);
    /* "[::1]" as in a URI */
    bool brackets = len > 2 && bind[0] == '[' && bind[len - 1] == ']';
    g_autofree char *host =
        brackets ? g_strndup(bind + 1, len - 2) : g_strdup(bind);
    g_autofree char *port = brief->port > 0 ? g_strdup_printf("%u", brief->port)
                                            : g_strdup(CONF_PORT_DEFAULT);

    server_short_set(kv, "addr.type", "inet");
    server_short_set(kv, "addr.host", host);
    server_short_set(kv, "addr.port", port);
    return server_short_add_server(opts, "tcp", kv, error);
}

static bool
server_short_add_unix(ServerOptions *opts, GError **error)
{
    g_autoptr(ConfKeyvals) kv = conf_keyvals_new();

    server_short_set(kv, "addr.type", "unix");
    server_short_set(kv, "addr.path", opts->brief.socket);
    if (!server_short_add_server(opts, "unix", kv, error)) {
        g_prefix_error(error, "--socket: ");
        return false;
    }
    return true;
}

static bool
server_short_add_export(ServerOptions *opts, bool writethrough, GError **error)
{
    const ServerShort *brief = &opts->brief;
    ConfExport *export = g_new0(ConfExport, 1);

    export->id = g_strdup(SERVER_SHORT_EXPORT);
    export->node_name = g_strdup(SERVER_SHORT_DISK_NODE);
    export->name = g_strdup(brief->export_name ? brief->export_name : "");
    export->description = g_strdup(brief->description);
    export->writable = !brief->read_only;
    export->writethrough = writethrough;
    g_ptr_array_add(opts->exports, export);
    return conf_check_nbd_string("--export-name", export->name, error) &&
           (!export->description ||
            conf_check_nbd_string("--description", export->description, error));
}

static bool
server_short_check(const ServerShort *brief, GError **error)
{
    if (!brief->format) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "the format of '%s' is missing: for a plain disk, add "
                    "'-f raw'.  It is never guessed: whoever may write to a "
                    "raw disk could make it look like a format that names "
                    "other files",
                    brief->file);
        return false;
    }
    if (strcmp(brief->format, "raw") != 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "--format: '%s' is not available, only raw", brief->format);
        return false;
    }
    if (brief->file[0] == '\0') {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "the name of FILE is empty");
        return false;
    }
    return true;
}

bool
server_short_apply(ServerOptions *opts, GError **error)
{
    ServerShort *brief = &opts->brief;
    const struct ServerCacheMode *cache =
        &server_cache_modes[MAX(brief->cache, 0)];

    if (!server_short_check(brief, error)) {
        return false;
    }
    server_short_add_file(opts, cache);
    server_short_add_disk(opts);
    if (brief->socket && !server_short_add_unix(opts, error)) {
        return false;
    }
    if ((!brief->socket || brief->port > 0 || brief->bind) &&
        !server_short_add_tcp(opts, error)) {
        return false;
    }
    opts->print_uri = true;
    return server_short_add_export(opts, cache->writethrough, error);
}
