/*
 * base/error.c - see base/error.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>

/* The first argument is text. */
/* clang-format off */
G_DEFINE_QUARK(ash-error-quark, ash_error)
/* clang-format on */

void
ash_set_error_errno(GError **error, int err, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    int code = ASH_ERROR_IO;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);

    if (err == ENOENT) {
        code = ASH_ERROR_NOT_FOUND;
    } else if (err == EBUSY) {
        code = ASH_ERROR_BUSY;
    }
    g_set_error(error, ASH_ERROR, code, "%s: %s", text, g_strerror(err));
}
