/*
 * conf/conf.h - what the user asked for, as plain structs.
 *
 * Data only; zeroed structs are valid to free.  conf-server.c and conf-export.c
 * fill them from keys, the command line's short form fills them directly.
 *
 * Layer:   conf.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "conf/conf-keyval.h"

#define CONF_PORT_DEFAULT "10809"
#define CONF_CONNECTIONS_DEFAULT 100U
#define CONF_HANDSHAKE_SECONDS_DEFAULT 10U
/* Source: the NBD protocol, "Values": strings are at most 4096 bytes. */
#define CONF_NBD_STRING_MAX ((size_t)4096)

typedef enum {
    CONF_ADDR_INET,
    CONF_ADDR_UNIX,
    CONF_ADDR_FD,
} ConfAddrType;

/* A yes or no that may be left open. */
typedef enum {
    CONF_UNSET,
    CONF_OFF,
    CONF_ON,
} ConfTristate;

typedef struct ConfAddr {
    int type; /* ConfAddrType */
    /* inet */
    char *host; /* name or number, "": every address of this machine */
    char *port; /* number or service name */
    int ipv4;   /* ConfTristate, both */
    int ipv6;
    /* unix */
    char *path;
    bool abstract; /* a name without a file */
    bool tight;    /* abstract: the name is as long as the path, no padding */
    /* fd */
    char *fd; /* a number */
} ConfAddr;

/* One --nbd-server. */
typedef struct ConfServer {
    char *id; /* NULL: none was given */
    ConfAddr addr;
    uint32_t max_connections;       /* 0: no limit */
    uint32_t handshake_max_seconds; /* 0: no limit */
} ConfServer;

/* One --export. */
typedef struct ConfExport {
    int type; /* 0: nbd, the only one */
    char *id;
    char *node_name;
    char *name;        /* for clients */
    char *description; /* NULL: none */
    bool writable;
    bool writethrough;
    bool allocation_depth;
} ConfExport;

/**
 * conf_server_parse() - the keys of --nbd-server.
 *
 * Owns:    the caller, NULL on error.
 * Errors:  CONFIG, naming the key; UNSUPPORTED for what QEMU has and we don't.
 * Source:  qemu-storage-daemon(1), --nbd-server; NbdServerOptions,
 *          SocketAddress in the QMP reference.
 */
ConfServer *conf_server_parse(const ConfKeyvals *kv, GError **error);
/* With the defaults of --nbd-server and no address. */
ConfServer *conf_server_new(void);
void conf_server_free(ConfServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfServer, conf_server_free)

/**
 * conf_export_parse() - the keys of --export.
 *
 * Owns:    the caller, NULL on error.
 * Errors:  CONFIG, naming the key; UNSUPPORTED for what QEMU has and we don't.
 * Source:  qemu-storage-daemon(1), --export; BlockExportOptions in the QMP
 *          reference.
 */
ConfExport *conf_export_parse(const ConfKeyvals *kv, GError **error);
void conf_export_free(ConfExport *export);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfExport, conf_export_free)

/* A text for NBD clients: UTF-8, at most CONF_NBD_STRING_MAX bytes. */
bool conf_check_nbd_string(const char *what, const char *text, GError **error);
