/*
 * export/nbd-names.h - commands, options and errors as text, for messages.
 *
 * Layer:   export.      Pure.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>

/* "READ"; "unknown" for numbers that the protocol does not have. */
const char *nbd_command_name(unsigned command);
/* "GO" */
const char *nbd_option_name(uint32_t option);
