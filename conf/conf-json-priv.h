/*
 * conf/conf-json-priv.h - a JSON object into a ConfKeyvals.
 *
 * Layer:   conf; conf-keyval.c is the only caller.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf-keyval.h"

/* @text holds no NUL and at most CONF_TEXT_MAX bytes. */
bool conf_json_read(ConfKeyvals *kv, const char *text, size_t len,
                    GError **error);
