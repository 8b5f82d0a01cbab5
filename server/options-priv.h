/*
 * server/options-priv.h - the parts of server/options.c.
 *
 * Layer:   server.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "server/options.h"

bool server_option_blockdev(ServerOptions *opts, const char *arg,
                            GError **error);
bool server_option_nbd_server(ServerOptions *opts, const char *arg,
                              GError **error);
bool server_option_export(ServerOptions *opts, const char *arg, GError **error);

/* By the places in these, NULL-terminated. */
extern const char *const server_cache_names[];
extern const char *const server_aio_names[];
extern const char *const server_discard_names[];
extern const char *const server_detect_zeroes_names[];
extern const char *const server_log_level_names[];

/* The short form into nodes, a server or two, and an export. */
bool server_short_apply(ServerOptions *opts, GError **error);
