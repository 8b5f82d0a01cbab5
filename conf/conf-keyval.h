/*
 * conf/conf-keyval.h - "driver=file,cache.direct=on" or a JSON object, as a
 * flat list of keys and values.
 *
 * Two ways to write the same thing:
 *
 *   key=value,key=value   a value goes on to the next comma; ",," stands for
 *                         one comma.  The first may leave out "KEY=" if the
 *                         caller has an implied key and it holds no '='.
 *   { "key": value }      JSON as RFC 8259 has it, if the text begins with '{'
 *                         or blanks and '{'
 *
 * Nested objects and arrays become dotted keys ("a.b", "list.0"); empty ones
 * leave nothing.  A key is one or more parts joined by '.', each of letters,
 * digits, '-' and '_'.  Errors: a key that is given twice, a key with both a
 * value and parts ("file" and "file.driver"), a NUL anywhere.
 *
 * Layer:   conf.      Pure.
 * Bounds:  CONF_TEXT_MAX bytes, CONF_DEPTH_MAX levels, keys of CONF_KEY_MAX.
 * Method:  conf-keyval.c, conf-json.c.
 * Tests:   tests/unit/conf/test-keyval.c, tests/unit/conf/test-json.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define CONF_TEXT_MAX ((size_t)1 << 20)
#define CONF_DEPTH_MAX 64U
#define CONF_KEY_MAX ((size_t)255)

/* How a value was written; JSON values have types, keyval text has none. */
typedef enum {
    CONF_KEYVAL, /* key=value: any type, as text */
    CONF_STRING,
    CONF_NUMBER, /* a whole number that fits int64_t, in decimal */
    CONF_BOOL,   /* text is "on" or "off" */
    CONF_NULL,   /* text is empty */
} ConfKind;

typedef struct ConfEntry {
    char *key;
    ConfKind kind;
    char *value; /* never NULL */
} ConfEntry;

/* In the order of the text. */
typedef struct ConfKeyvals ConfKeyvals;

/**
 * conf_keyvals_parse() - read either form.
 * @text, @len:   not NUL-terminated
 * @implied_key:  key of a first piece without '=', NULL: an error
 *
 * Owns:    the caller, NULL on error.
 * Errors:  CONFIG, with the key or the line and column; LIMIT.
 */
ConfKeyvals *conf_keyvals_parse(const char *text, size_t len,
                                const char *implied_key, GError **error);
void conf_keyvals_free(ConfKeyvals *kv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ConfKeyvals, conf_keyvals_free)

size_t conf_keyvals_n(const ConfKeyvals *kv);
/* Borrowed; @i < n. */
const ConfEntry *conf_keyvals_at(const ConfKeyvals *kv, size_t i);
/* NULL when there is none. */
const ConfEntry *conf_keyvals_find(const ConfKeyvals *kv, const char *key);

/* ---- for programs that write the list themselves, and for conf-json.c ---- */

ConfKeyvals *conf_keyvals_new(void);
/* Errors: CONFIG: a bad or repeated key, or one that conflicts. */
bool conf_keyvals_add(ConfKeyvals *kv, const char *key, ConfKind kind,
                      const char *value, GError **error);
