/*
 * drivers/drivers.h - all drivers.
 *
 * Layer:   drivers.      Thread: any; everything here is constant.
 * Tests:   tests/unit/drivers/test-table.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "blockcore/options.h"
#include "blockcore/types.h"

/* By name, NULL-terminated. */
extern const BlkDriver *const drivers[];

/* Exactly this name, case included; NULL: there is none. */
const BlkDriver *drivers_find(const char *name);

/* The options of @driver, NULL: those that every node has; ends with a NULL
 * name. */
const BlkOptionSpec *drivers_options(const BlkDriver *driver);

/**
 * drivers_describe() - what --help and manuals say of a driver; owned.
 * @driver: NULL: the options that every node has
 *
 * Shape:   "NAME: HELP" and a line for each option: "  size=SIZE  help
 *          (default: 1G)", aligned.
 */
char *drivers_describe(const BlkDriver *driver);
