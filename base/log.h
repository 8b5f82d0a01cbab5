/*
 * base/log.h - log lines with levels and fields.
 *
 * A line is a message and fields ("export=disk cmd=READ offset=4096").  It
 * goes to standard error, one write(2) a line; a log target that blocks loses
 * lines (they are counted) and never blocks the caller.  Strings from clients
 * pass through ash_escape() first.
 *
 * base, coro, conf, blockcore and drivers never log above debug: they return
 * errors.  server and export log each failure once.
 *
 * Layer:   base.      Any thread.      Tests: tests/unit/base/test-log.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/annotate.h"

typedef enum {
    ASH_LOG_ERROR,   /* an operation failed, the operator may act */
    ASH_LOG_WARNING, /* going on; the text ends ", ignoring" or the like */
    ASH_LOG_NOTICE,  /* start, ready, stop */
    ASH_LOG_INFO,    /* clients come and go */
    ASH_LOG_DEBUG,
} AshLogLevel;

/* What a client may trigger: at most @burst lines, then one a second. */
typedef struct AshLogLimit {
    uint64_t last_ns;
    unsigned tokens;
    unsigned suppressed;
} AshLogLimit;

#define ASH_LOG_LIMIT_BURST 10U

/* Lines above @level (less urgent) are dropped; NOTICE at start. */
void ash_log_set_level(AshLogLevel level);
bool ash_log_enabled(AshLogLevel level);

/* Where lines go: a file descriptor (borrowed), 2 at start, -1 for nowhere. */
void ash_log_set_fd(int fd);

/* Lines lost because the target would have blocked or failed. */
uint64_t ash_log_lost(void);

void ash_log(AshLogLevel level, const char *fmt, ...) ASH_PRINTF(2, 3);

/* The same, unless @limit (of one connection, say) is used up. */
void ash_log_limited(AshLogLimit *limit, AshLogLevel level, const char *fmt,
                     ...) ASH_PRINTF(3, 4);

/**
 * ash_escape() - make a hostile string fit for a log line or an error text.
 * @buf:   result, NUL-terminated, at most @size bytes with the NUL
 * @text:  @len bytes of anything
 *
 * Shape:   printable ASCII and valid UTF-8 stay, except '\' and '"', which
 *          get a backslash; every other byte becomes \xHH.  A text that does
 *          not fit ends in "...".
 * Bounds:  size >= 8.
 */
void ash_escape(char *buf, size_t size, const char *text, size_t len);
