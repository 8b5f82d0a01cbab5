/*
 * conf/conf-server.c - see conf/conf.h.
 *
 * Method: one table for all address types, then the rules between keys.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "conf/conf.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/assert.h"
#include "base/parse.h"
#include "conf/conf-id-priv.h"
#include "conf/conf-table.h"

static const char *const conf_addr_names[] = { "inet", "unix", "fd", NULL };

#define AT(field) offsetof(ConfServer, field)

static const ConfField conf_server_table[] = {
    { .key = "id", .type = CONF_FIELD_STRING, .offset = AT(id) },
    { .key = "addr.type",
      .type = CONF_FIELD_ENUM,
      .offset = AT(addr.type),
      .names = conf_addr_names,
      .required = true },
    { .key = "addr.host", .type = CONF_FIELD_STRING, .offset = AT(addr.host) },
    { .key = "addr.port", .type = CONF_FIELD_STRING, .offset = AT(addr.port) },
    { .key = "addr.ipv4",
      .type = CONF_FIELD_TRISTATE,
      .offset = AT(addr.ipv4) },
    { .key = "addr.ipv6",
      .type = CONF_FIELD_TRISTATE,
      .offset = AT(addr.ipv6) },
    { .key = "addr.path", .type = CONF_FIELD_STRING, .offset = AT(addr.path) },
    { .key = "addr.abstract",
      .type = CONF_FIELD_BOOL,
      .offset = AT(addr.abstract) },
    { .key = "addr.tight", .type = CONF_FIELD_BOOL, .offset = AT(addr.tight) },
    { .key = "addr.str", .type = CONF_FIELD_STRING, .offset = AT(addr.fd) },
    { .key = "max-connections",
      .type = CONF_FIELD_UINT32,
      .offset = AT(max_connections),
      .max = UINT32_MAX },
    { .key = "handshake-max-seconds",
      .type = CONF_FIELD_UINT32,
      .offset = AT(handshake_max_seconds),
      .max = UINT32_MAX },
    { .key = "addr.to",
      .type = CONF_FIELD_REFUSED,
      .refusal = "a server listens on one port, not on the first free one of "
                 "a range" },
    { .key = "addr.numeric",
      .type = CONF_FIELD_REFUSED,
      .refusal = "host and port may always be names or numbers" },
    { .key = "addr.keep-alive",
      .type = CONF_FIELD_REFUSED,
      .refusal = "keep-alive is always on for TCP clients" },
    { .key = "addr.mptcp",
      .type = CONF_FIELD_REFUSED,
      .refusal = "multipath TCP is not available" },
    { .key = "addr.cid",
      .type = CONF_FIELD_REFUSED,
      .refusal = "vsock is not available" },
    { .key = "addr.data",
      .type = CONF_FIELD_REFUSED,
      .refusal = "here the address is flat: 'addr.path', not "
                 "'addr.data.path'" },
    { .key = "tls-creds",
      .type = CONF_FIELD_REFUSED,
      .refusal = "TLS is not available" },
    { .key = "tls-authz",
      .type = CONF_FIELD_REFUSED,
      .refusal = "TLS is not available" },
    { .key = NULL },
};

/* Which address type a key belongs to. */
static const struct ConfAddrKey {
    const char *key;
    ConfAddrType type;
    bool required;
} conf_addr_keys[] = {
    { "addr.host", CONF_ADDR_INET, true },
    { "addr.port", CONF_ADDR_INET, true },
    { "addr.ipv4", CONF_ADDR_INET, false },
    { "addr.ipv6", CONF_ADDR_INET, false },
    { "addr.path", CONF_ADDR_UNIX, true },
    { "addr.abstract", CONF_ADDR_UNIX, false },
    { "addr.tight", CONF_ADDR_UNIX, false },
    { "addr.str", CONF_ADDR_FD, true },
};

ConfServer *
conf_server_new(void)
{
    ConfServer *server = g_new0(ConfServer, 1);

    server->max_connections = CONF_CONNECTIONS_DEFAULT;
    server->handshake_max_seconds = CONF_HANDSHAKE_SECONDS_DEFAULT;
    server->addr.tight = true;
    return server;
}

void
conf_server_free(ConfServer *server)
{
    if (server) {
        g_free(server->id);
        g_free(server->addr.host);
        g_free(server->addr.port);
        g_free(server->addr.path);
        g_free(server->addr.fd);
        g_free(server);
    }
}

static bool
conf_addr_check_keys(const ConfKeyvals *kv, const ConfAddr *addr,
                     GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(conf_addr_keys); i++) {
        const struct ConfAddrKey *row = &conf_addr_keys[i];
        bool given = conf_keyvals_find(kv, row->key) != NULL;
        bool fits = row->type == (ConfAddrType)addr->type;

        if (given && !fits) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "key '%s' does not go with addr.type=%s", row->key,
                        conf_addr_names[addr->type]);
            return false;
        }
        if (!given && fits && row->required) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "key '%s' is missing, addr.type=%s needs it", row->key,
                        conf_addr_names[addr->type]);
            return false;
        }
    }
    return true;
}

static bool
conf_inet_check(const ConfAddr *addr, GError **error)
{
    uint64_t port;

    if (addr->ipv4 == CONF_OFF && addr->ipv6 == CONF_OFF) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "addr.ipv4=off and addr.ipv6=off leave nothing");
        return false;
    }
    if (addr->port[0] == '\0') {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "key 'addr.port' is empty");
        return false;
    }
    if (!strchr("+-" G_CSET_DIGITS, addr->port[0])) {
        return true; /* the name of a service */
    }
    if (strspn(addr->port, G_CSET_DIGITS) != strlen(addr->port) ||
        !ash_parse_uint(addr->port, UINT16_MAX, &port, NULL) || port == 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "key 'addr.port': '%s' is not a port, 1 to 65535",
                    addr->port);
        return false;
    }
    return true;
}

static bool
conf_unix_check(const ConfKeyvals *kv, const ConfAddr *addr, GError **error)
{
    struct sockaddr_un un;
    /* A NUL ends a path and begins an abstract name. */
    size_t max = sizeof(un.sun_path) - 1;
    size_t len = strlen(addr->path);

    if (len == 0 || len > max) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "key 'addr.path' has %zu bytes, a socket's name has 1 to "
                    "%zu",
                    len, max);
        return false;
    }
    if (conf_keyvals_find(kv, "addr.tight") && !addr->abstract) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "key 'addr.tight' needs addr.abstract=on");
        return false;
    }
    return true;
}

static bool
conf_fd_check(const ConfAddr *addr, GError **error)
{
    uint64_t fd;

    if (ash_parse_uint(addr->fd, INT32_MAX, &fd, NULL)) {
        return true;
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                "key 'addr.str': '%s' is not the number of an inherited "
                "descriptor",
                addr->fd);
    return false;
}

static bool
conf_server_check(const ConfKeyvals *kv, const ConfServer *server,
                  GError **error)
{
    if (server->id && !conf_check_id("id", server->id, error)) {
        return false;
    }
    if (!conf_addr_check_keys(kv, &server->addr, error)) {
        return false;
    }
    switch ((ConfAddrType)server->addr.type) {
    case CONF_ADDR_INET:
        return conf_inet_check(&server->addr, error);
    case CONF_ADDR_UNIX:
        return conf_unix_check(kv, &server->addr, error);
    case CONF_ADDR_FD:
        return conf_fd_check(&server->addr, error);
    }
    ash_unreachable();
}

/* vsock has no row of its own: its name would be a valid value then. */
static bool
conf_server_check_type(const ConfKeyvals *kv, GError **error)
{
    const ConfEntry *type = conf_keyvals_find(kv, "addr.type");

    if (type && strcmp(type->value, "vsock") == 0) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "key 'addr.type': vsock is not available");
        return false;
    }
    return true;
}

ConfServer *
conf_server_parse(const ConfKeyvals *kv, GError **error)
{
    g_autoptr(ConfServer) server = conf_server_new();

    if (!conf_server_check_type(kv, error) ||
        !conf_fill(conf_server_table, kv, server, error) ||
        !conf_server_check(kv, server, error)) {
        return NULL;
    }
    return g_steal_pointer(&server);
}
