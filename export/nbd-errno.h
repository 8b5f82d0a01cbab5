/*
 * export/nbd-errno.h - the one table from errno to the errors of NBD.
 *
 * Layer:   export.      Pure.      Source: proto.md, "Error values".
 * Tests:   tests/unit/export/test-codec.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>

/* @err: a positive errno. */
uint32_t nbd_errno(int err);
/* A sentence for the client, without any name of ours. */
const char *nbd_error_text(uint32_t nbd_error);
