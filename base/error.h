/*
 * base/error.h - the GError domain of the control path.
 *
 * Text: lower case, no final period, names the object outside-in ("export 'e':
 * node 'n': ..."); each layer adds its noun with g_prefix_error().
 *
 * Layer:   base.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <glib.h>

#include "base/annotate.h"

typedef enum {
    ASH_ERROR_CONFIG,      /* what the user wrote cannot be */
    ASH_ERROR_IMAGE,       /* an image is damaged or not of its format */
    ASH_ERROR_UNSUPPORTED, /* valid, but not something we do */
    ASH_ERROR_CONFLICT,    /* locks, permissions, names taken */
    ASH_ERROR_NOT_FOUND,   /* no such node, export, file */
    ASH_ERROR_BUSY,        /* in use just now */
    ASH_ERROR_TLS,         /* credentials and handshakes */
    ASH_ERROR_PROTOCOL,    /* a peer broke the protocol */
    ASH_ERROR_IO,          /* the host said no: text carries strerror */
    ASH_ERROR_LIMIT,       /* too many, too long, too large */
} AshError;

#define ASH_ERROR (ash_error_quark())
GQuark ash_error_quark(void);

/**
 * ash_set_error_errno() - set an error that ends in ": " and strerror(@err).
 * @error:  where to, may be NULL
 * @err:    a positive errno; ENOENT gives NOT_FOUND, EBUSY gives BUSY, every
 *          other value gives IO
 * @fmt:    what failed, printf style
 */
void ash_set_error_errno(GError **error, int err, const char *fmt, ...)
    ASH_PRINTF(3, 4);
