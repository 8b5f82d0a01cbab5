/*
 * conf/conf-table.c - see conf/conf-table.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "conf/conf-table.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/parse.h"
#include "conf/conf.h"

static const ConfField *
conf_field_find(const ConfField *table, const char *key)
{
    for (; table->key; table++) {
        size_t len = strlen(table->key);

        if (strncmp(key, table->key, len) != 0) {
            continue;
        }
        if (key[len] == '\0' ||
            (key[len] == '.' && table->type == CONF_FIELD_REFUSED)) {
            return table;
        }
    }
    return NULL;
}

static void
conf_set_unknown_error(const ConfField *table, const char *key, GError **error)
{
    const char *names[64];
    size_t n = 0;
    const char *near;

    for (; table->key; table++) {
        if (table->type != CONF_FIELD_REFUSED) {
            ash_assert(n + 1 < G_N_ELEMENTS(names));
            names[n++] = table->key;
        }
    }
    names[n] = NULL;
    near = ash_parse_nearest(key, names);
    if (near) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "unknown key '%s', did you mean '%s'?", key, near);
    } else {
        g_autofree char *all = g_strjoinv(", ", (char **)(uintptr_t)names);

        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "unknown key '%s', known are: %s", key, all);
    }
}

/* Was the value written as something that the field takes? */
static bool
conf_kind_check(const ConfField *field, const ConfEntry *entry, GError **error)
{
    const char *expected = "a string";
    ConfKind kind = CONF_STRING;

    if (field->type == CONF_FIELD_BOOL || field->type == CONF_FIELD_TRISTATE) {
        expected = "true or false";
        kind = CONF_BOOL;
    } else if (field->type == CONF_FIELD_UINT32) {
        expected = "a number";
        kind = CONF_NUMBER;
    }
    if (entry->kind == CONF_KEYVAL || entry->kind == kind) {
        return true;
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "expected %s", expected);
    return false;
}

static bool
conf_field_store(const ConfField *field, const char *text, void *place,
                 GError **error)
{
    uint64_t number;
    bool flag;

    switch (field->type) {
    case CONF_FIELD_STRING:
        g_free(*(char **)place);
        *(char **)place = g_strdup(text);
        return true;
    case CONF_FIELD_BOOL:
        return ash_parse_bool(text, place, error);
    case CONF_FIELD_TRISTATE:
        if (!ash_parse_bool(text, &flag, error)) {
            return false;
        }
        *(int *)place = flag ? CONF_ON : CONF_OFF;
        return true;
    case CONF_FIELD_UINT32:
        if (!ash_parse_uint(text, field->max, &number, error)) {
            return false;
        }
        *(uint32_t *)place = (uint32_t)number;
        return true;
    case CONF_FIELD_ENUM:
        return ash_parse_enum(text, field->names, place, error);
    case CONF_FIELD_REFUSED:
        break;
    }
    ash_unreachable();
}

static bool
conf_fill_entry(const ConfField *table, const ConfEntry *entry, void *dest,
                GError **error)
{
    const ConfField *field = conf_field_find(table, entry->key);

    if (!field) {
        conf_set_unknown_error(table, entry->key, error);
        return false;
    }
    if (field->type == CONF_FIELD_REFUSED) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED, "key '%s': %s",
                    entry->key, field->refusal);
        return false;
    }
    if (!conf_kind_check(field, entry, error) ||
        !conf_field_store(field, entry->value, (char *)dest + field->offset,
                          error)) {
        g_prefix_error(error, "key '%s': ", entry->key);
        return false;
    }
    return true;
}

bool
conf_fill(const ConfField *table, const ConfKeyvals *kv, void *dest,
          GError **error)
{
    for (size_t i = 0; i < conf_keyvals_n(kv); i++) {
        if (!conf_fill_entry(table, conf_keyvals_at(kv, i), dest, error)) {
            return false;
        }
    }
    for (; table->key; table++) {
        if (table->required && !conf_keyvals_find(kv, table->key)) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "key '%s' is missing", table->key);
            return false;
        }
    }
    return true;
}
