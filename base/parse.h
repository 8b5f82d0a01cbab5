/*
 * base/parse.h - strict text to value: sizes, durations, booleans, enums.
 *
 * Nothing but the value may stand in the text: no blanks, no rest, no sign
 * where none is expected, no overflow.
 *
 * Layer:   base.      Tests: tests/unit/base/test-parse.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Decimal or 0x hexadecimal, at most @max.  Error: CONFIG, says the range. */
bool ash_parse_uint(const char *text, uint64_t max, uint64_t *ret,
                    GError **error);

/* As above and at most INT64_MAX; a decimal number may have a suffix: b, or k,
 * m, g, t, p, e for powers of 1024, in either case.  "1.5G" is accepted as QEMU
 * does; the result is exact or an error. */
bool ash_parse_size(const char *text, uint64_t *ret, GError **error);

/* "on", "yes", "true", "y" / "off", "no", "false", "n". */
bool ash_parse_bool(const char *text, bool *ret, GError **error);

/* The index of @text in @names (NULL-terminated); the error lists them. */
bool ash_parse_enum(const char *text, const char *const *names, int *ret,
                    GError **error);

/* Of @names (NULL-terminated), the one most like @text, or NULL when none is
 * near.  For "did you mean" hints. */
const char *ash_parse_nearest(const char *text, const char *const *names);
