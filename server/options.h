/*
 * server/options.h - the command line.
 *
 * One table (options-table.c) says what there is; it drives parsing, --help,
 * and the test that compares it with the manual page.
 *
 * There are two forms.  The long one is that of qemu-storage-daemon:
 * --blockdev, --nbd-server, --export.  The short one, "-f FORMAT FILE" and its
 * options, is turned into the same lists, so nothing after this module knows
 * which was used.
 *
 * Layer:   server.      Pure, but for a stat() of FILE.
 * Tests:   tests/unit/server/test-options.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "conf/conf.h"

typedef enum {
    SERVER_ACTION_RUN,
    SERVER_ACTION_HELP,
    SERVER_ACTION_VERSION,
    SERVER_ACTION_LIST_DRIVERS,
    SERVER_ACTION_FORGET_FAILURE,
} ServerAction;

/* What FILE and its options say; the short form. */
typedef struct ServerShort {
    char *file;
    char *format;
    char *socket;
    uint32_t port; /* 0: not given */
    char *bind;    /* NULL: not given */
    char *export_name;
    char *description;
    bool read_only;
    uint64_t offset;
    int cache; /* -1: not given; all enums */
    int aio;
    int discard;
    int detect_zeroes;
    uint32_t shared;
    const char *given; /* the first option of these that was given */
} ServerShort;

typedef struct ServerOptions {
    ServerAction action;
    GPtrArray *nodes;   /* of ConfKeyvals: --blockdev, in order */
    GPtrArray *servers; /* of ConfServer, each with an id */
    GPtrArray *exports; /* of ConfExport */
    bool daemonize;
    bool print_uri;
    char *pid_file;
    char *state_dir; /* NULL: not given */
    char *forget_file;
    uint32_t workers; /* 0: one per CPU */
    uint64_t memory_bytes;
    uint64_t connection_memory_bytes;
    uint32_t drain_seconds; /* 0: no limit */
    int log_level;          /* AshLogLevel */
    ServerShort brief;
} ServerOptions;

#define SERVER_WORKERS_MAX 64U
#define SERVER_WORKERS_AUTO_MAX 16U
#define SERVER_MEMORY_MIN ((uint64_t)64 << 20)
#define SERVER_CONNECTION_MEMORY_MIN ((uint64_t)1 << 20)
#define SERVER_DRAIN_SECONDS_DEFAULT 60U

/**
 * server_options_parse() - read the command line.
 * @argc, @argv: of main(); argv[0] is not looked at; not changed
 * @opts:       filled; server_options_done() in any case
 *
 * Shape:   with action RUN there is something to serve and a server for it,
 *          and ids and names are unique.
 * Errors:  CONFIG, UNSUPPORTED, LIMIT: usage; the text names the option.
 */
bool server_options_parse(ServerOptions *opts, int argc, char *const *argv,
                          GError **error);
void server_options_done(ServerOptions *opts);

/* ---- the table ---- */

typedef enum {
    SERVER_SECTION_SHORT,
    SERVER_SECTION_LONG,
    SERVER_SECTION_PROCESS,
    SERVER_SECTION_LIMITS,
    SERVER_SECTION_OTHER,
    SERVER_N_SECTIONS,
} ServerSection;

typedef enum {
    SERVER_OPT_FLAG,   /* bool */
    SERVER_OPT_STRING, /* char * */
    SERVER_OPT_UINT,   /* uint32_t, min..max */
    SERVER_OPT_SIZE,   /* uint64_t, min..max */
    SERVER_OPT_ENUM,   /* int */
    SERVER_OPT_ACTION, /* sets action to min */
    SERVER_OPT_CALL,   /* by a function */
    SERVER_OPT_REFUSED,
} ServerOptionType;

typedef struct ServerOption {
    const char *name; /* without "--" */
    char letter;      /* 0: none */
    const char *arg;  /* what --help calls the argument, NULL: takes none */
    ServerSection section;
    const char *help; /* NULL: an alias of the row before */
    ServerOptionType type;
    size_t offset; /* in ServerOptions */
    uint64_t min;
    uint64_t max;
    const char *const *names; /* ENUM: NULL-terminated */
    bool (*call)(ServerOptions *opts, const char *arg, GError **error);
} ServerOption;

/* Ends with a NULL name. */
extern const ServerOption server_option_table[];
extern const char *const server_section_titles[SERVER_N_SECTIONS];

/* Examples, then the table. */
void server_options_print_help(FILE *out);
