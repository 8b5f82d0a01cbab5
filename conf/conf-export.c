/*
 * conf/conf-export.c - see conf/conf.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "conf/conf.h"

#include <string.h>

#include "base/log.h"
#include "conf/conf-id-priv.h"
#include "conf/conf-table.h"

#define AT(field) offsetof(ConfExport, field)

static const char *const conf_export_types[] = { "nbd", NULL };

static const ConfField conf_export_table[] = {
    { .key = "type",
      .type = CONF_FIELD_ENUM,
      .offset = AT(type),
      .names = conf_export_types,
      .required = true },
    { .key = "id",
      .type = CONF_FIELD_STRING,
      .offset = AT(id),
      .required = true },
    { .key = "node-name",
      .type = CONF_FIELD_STRING,
      .offset = AT(node_name),
      .required = true },
    { .key = "name", .type = CONF_FIELD_STRING, .offset = AT(name) },
    { .key = "description",
      .type = CONF_FIELD_STRING,
      .offset = AT(description) },
    { .key = "writable", .type = CONF_FIELD_BOOL, .offset = AT(writable) },
    { .key = "writethrough",
      .type = CONF_FIELD_BOOL,
      .offset = AT(writethrough) },
    { .key = "allocation-depth",
      .type = CONF_FIELD_BOOL,
      .offset = AT(allocation_depth) },
    { .key = "bitmaps",
      .type = CONF_FIELD_REFUSED,
      .refusal = "dirty bitmaps are not available" },
    { .key = "bitmap",
      .type = CONF_FIELD_REFUSED,
      .refusal = "dirty bitmaps are not available" },
    { .key = "iothread",
      .type = CONF_FIELD_REFUSED,
      .refusal = "exports are spread over the workers (--workers), not bound "
                 "to named threads" },
    { .key = "fixed-iothread",
      .type = CONF_FIELD_REFUSED,
      .refusal = "exports are spread over the workers (--workers), not bound "
                 "to named threads" },
    { .key = "allow-inactive",
      .type = CONF_FIELD_REFUSED,
      .refusal = "nodes are never inactive" },
    { .key = NULL },
};

void
conf_export_free(ConfExport *export)
{
    if (export) {
        g_free(export->id);
        g_free(export->node_name);
        g_free(export->name);
        g_free(export->description);
        g_free(export);
    }
}

bool
conf_check_id(const char *key, const char *id, GError **error)
{
    char shown[96];

    if (g_ascii_isalpha(id[0]) &&
        strspn(id, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "-._") ==
            strlen(id)) {
        return true;
    }
    ash_escape(shown, sizeof(shown), id, strlen(id));
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                "key '%s': '%s' is not a letter followed by letters, digits, "
                "'-', '.' and '_'",
                key, shown);
    return false;
}

bool
conf_check_nbd_string(const char *what, const char *text, GError **error)
{
    size_t len = strlen(text);

    if (len > CONF_NBD_STRING_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "%s has %zu bytes, more than the %zu of the protocol", what,
                    len, CONF_NBD_STRING_MAX);
        return false;
    }
    if (!g_utf8_validate(text, (gssize)len, NULL)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "%s is not UTF-8",
                    what);
        return false;
    }
    return true;
}

/* Types with other keys than ours: said before the keys are looked at. */
static bool
conf_export_check_type(const ConfKeyvals *kv, GError **error)
{
    static const char *const others[] = { "vhost-user-blk", "fuse",
                                          "vduse-blk" };
    const ConfEntry *type = conf_keyvals_find(kv, "type");

    for (size_t i = 0; type && i < G_N_ELEMENTS(others); i++) {
        if (strcmp(type->value, others[i]) == 0) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                        "key 'type': %s exports are not available, only nbd",
                        others[i]);
            return false;
        }
    }
    return true;
}

static bool
conf_export_check(ConfExport *export, GError **error)
{
    if (!conf_check_id("id", export->id, error)) {
        return false;
    }
    if (!export->name) {
        export->name = g_strdup(export->node_name);
    }
    return conf_check_nbd_string("key 'name'", export->name, error) &&
           (!export->description ||
            conf_check_nbd_string("key 'description'", export->description,
                                  error));
}

ConfExport *
conf_export_parse(const ConfKeyvals *kv, GError **error)
{
    g_autoptr(ConfExport) export = g_new0(ConfExport, 1);

    if (!conf_export_check_type(kv, error) ||
        !conf_fill(conf_export_table, kv, export, error) ||
        !conf_export_check(export, error)) {
        return NULL;
    }
    return g_steal_pointer(&export);
}
