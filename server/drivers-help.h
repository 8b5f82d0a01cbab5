/*
 * server/drivers-help.h - the drivers and their options, as text.
 *
 * Layer:   server.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdio.h>

/* What every node takes, then every driver with its own, from their tables. */
void server_print_drivers(FILE *out);
