/*
 * blockcore/options-priv.h - what the graph asks of options and drivers don't.
 *
 * Layer:   blockcore.      Control path.
 * Tests:   tests/unit/blockcore/test-options.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "blockcore/options.h"

/* How the value of a key that is there was written. */
BlkValueKind blk_options_kind(const BlkOptions *opts, const char *key);
/* Take a key out; nothing if it is absent. */
void blk_options_remove(BlkOptions *opts, const char *key);

/**
 * blk_options_check_known() - refuse keys that no table has.
 * @driver: for the message
 * @tables: ends with NULL; an "N" between dots in a name stands for a number,
 *          and an option of type NODE for everything below it
 *
 * Errors:  CONFIG, with the whole key and, if one is near, the option that
 *          was probably meant.
 */
bool blk_options_check_known(const BlkOptions *opts, const char *driver,
                             const BlkOptionSpec *const *tables,
                             GError **error);
/* Refuse what nobody took.  Error: CONFIG, with the whole key. */
bool blk_options_check_empty(const BlkOptions *opts, const char *driver,
                             GError **error);
