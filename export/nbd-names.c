/*
 * export/nbd-names.c - see export/nbd-names.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "export/nbd-names.h"

#include "base/bits.h"

static const char *const nbd_commands[] = {
    "READ", "WRITE", "DISC",         "FLUSH",
    "TRIM", "CACHE", "WRITE_ZEROES", "BLOCK_STATUS",
};

static const char *const nbd_options[] = {
    "unknown",
    "EXPORT_NAME",
    "ABORT",
    "LIST",
    "PEEK_EXPORT",
    "STARTTLS",
    "INFO",
    "GO",
    "STRUCTURED_REPLY",
    "LIST_META_CONTEXT",
    "SET_META_CONTEXT",
    "EXTENDED_HEADERS",
};

const char *
nbd_command_name(unsigned command)
{
    return command < ASH_N_ELEMENTS(nbd_commands) ? nbd_commands[command]
                                                  : "unknown";
}

const char *
nbd_option_name(uint32_t option)
{
    return option < ASH_N_ELEMENTS(nbd_options) ? nbd_options[option]
                                                : "unknown";
}
