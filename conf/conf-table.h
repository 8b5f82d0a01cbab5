/*
 * conf/conf-table.h - fill a struct from keys, by a table.
 *
 * A table has one row a key; a key without a row is an error that names the
 * nearest one.  Rows for what others have and we lack say so in a sentence.
 *
 * Layer:   conf.      Pure.      Tests: through conf-server.c, conf-export.c.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conf/conf-keyval.h"

typedef enum {
    CONF_FIELD_STRING,   /* char * */
    CONF_FIELD_BOOL,     /* bool */
    CONF_FIELD_TRISTATE, /* int: ConfTristate */
    CONF_FIELD_UINT32,   /* uint32_t, 0..max */
    CONF_FIELD_ENUM,     /* int: index in names */
    CONF_FIELD_REFUSED,  /* no place: the text says why not */
} ConfFieldType;

typedef struct ConfField {
    const char *key; /* REFUSED: also all keys below it */
    ConfFieldType type;
    size_t offset;
    bool required;
    uint32_t max;             /* UINT32 */
    const char *const *names; /* ENUM: NULL-terminated */
    const char *refusal;      /* REFUSED: what is not there */
} ConfField;

/**
 * conf_fill() - the keys of @kv into the struct at @dest.
 * @table:  ends with a NULL key
 * @dest:   holds the defaults; strings in it are freed when replaced
 *
 * Errors:  CONFIG: unknown or missing key, bad value; UNSUPPORTED.
 */
bool conf_fill(const ConfField *table, const ConfKeyvals *kv, void *dest,
               GError **error);
