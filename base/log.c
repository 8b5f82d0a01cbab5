/*
 * base/log.c - see base/log.h.
 *
 * Method: the line is built on the stack and leaves with one write.  The
 * target is asked with poll() first, so a full pipe costs the line and not
 * the caller's time.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/log.h"

#include <glib.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024

static AshLogLevel log_level = ASH_LOG_NOTICE;
static int log_fd = STDERR_FILENO;
static uint64_t log_lost;

static const char *const log_names[] = {
    "error", "warning", "notice", "info", "debug",
};

void
ash_log_set_level(AshLogLevel level)
{
    __atomic_store_n(&log_level, level, __ATOMIC_RELAXED);
}

bool
ash_log_enabled(AshLogLevel level)
{
    return level <= __atomic_load_n(&log_level, __ATOMIC_RELAXED);
}

void
ash_log_set_fd(int fd)
{
    __atomic_store_n(&log_fd, fd, __ATOMIC_RELAXED);
}

uint64_t
ash_log_lost(void)
{
    return __atomic_load_n(&log_lost, __ATOMIC_RELAXED);
}

static void ASH_PRINTF(2, 0)
    ash_log_va(AshLogLevel level, const char *fmt, va_list args)
{
    char line[LOG_LINE_MAX];
    int fd = __atomic_load_n(&log_fd, __ATOMIC_RELAXED);
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int head = snprintf(line, sizeof(line), "ashlard: %s: ", log_names[level]);
    size_t used = (size_t)head;
    int body = vsnprintf(line + used, sizeof(line) - used, fmt, args);

    if (body < 0) {
        return;
    }
    used += (size_t)body;
    if (used > sizeof(line) - 1) {
        used = sizeof(line) - 1;
    }
    line[used++] = '\n';
    if (fd < 0) {
        return;
    }
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) ||
        write(fd, line, used) < 0) {
        __atomic_fetch_add(&log_lost, 1, __ATOMIC_RELAXED);
    }
}

void
ash_log(AshLogLevel level, const char *fmt, ...)
{
    va_list args;

    if (!ash_log_enabled(level)) {
        return;
    }
    va_start(args, fmt);
    ash_log_va(level, fmt, args);
    va_end(args);
}

static bool
ash_log_limit_take(AshLogLimit *limit)
{
    uint64_t now = (uint64_t)g_get_monotonic_time() * 1000;
    uint64_t gained = (now - limit->last_ns) / 1000000000U;

    if (limit->last_ns == 0) {
        limit->tokens = ASH_LOG_LIMIT_BURST;
        limit->last_ns = now;
    } else if (gained > 0) {
        uint64_t tokens = limit->tokens + gained;

        limit->tokens = tokens < ASH_LOG_LIMIT_BURST ? (unsigned)tokens
                                                     : ASH_LOG_LIMIT_BURST;
        limit->last_ns = now;
    }
    if (limit->tokens == 0) {
        limit->suppressed++;
        return false;
    }
    limit->tokens--;
    return true;
}

void
ash_log_limited(AshLogLimit *limit, AshLogLevel level, const char *fmt, ...)
{
    va_list args;

    if (!ash_log_enabled(level) || !ash_log_limit_take(limit)) {
        return;
    }
    if (limit->suppressed > 0) {
        ash_log(level, "%u similar lines suppressed", limit->suppressed);
        limit->suppressed = 0;
    }
    va_start(args, fmt);
    ash_log_va(level, fmt, args);
    va_end(args);
}

void
ash_escape(char *buf, size_t size, const char *text, size_t len)
{
    size_t used = 0;
    size_t cut = 0; /* the last end of a piece that leaves room for "..." */

    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        char piece[8];
        size_t take = 1;
        size_t n;

        if (c == '\\' || c == '"') {
            n = (size_t)snprintf(piece, sizeof(piece), "\\%c", c);
        } else if (c >= 0x20 && c < 0x7f) {
            piece[0] = (char)c;
            n = 1;
        } else if (c >= 0xc2 &&
                   g_utf8_get_char_validated(text + i, (gssize)(len - i)) <
                       0x110000 &&
                   g_unichar_isprint(g_utf8_get_char_validated(
                       text + i, (gssize)(len - i)))) {
            take = (size_t)g_utf8_skip[c];
            memcpy(piece, text + i, take);
            n = take;
        } else {
            n = (size_t)snprintf(piece, sizeof(piece), "\\x%02x", c);
        }
        if (used + n >= size) {
            memcpy(buf + cut, "...", 3);
            used = cut + 3;
            break;
        }
        memcpy(buf + used, piece, n);
        used += n;
        i += take;
        if (used + 3 < size) {
            cut = used;
        }
    }
    buf[used] = '\0';
}
