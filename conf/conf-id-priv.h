/*
 * conf/conf-id-priv.h - what an id may look like.
 *
 * Layer:   conf.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* A letter, then letters, digits, '-', '.' and '_'.  Error: CONFIG, names
 * @key. */
bool conf_check_id(const char *key, const char *id, GError **error);
