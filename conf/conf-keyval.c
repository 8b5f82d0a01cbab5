/*
 * conf/conf-keyval.c - see conf/conf-keyval.h.
 *
 * Method: a list in the order of the text, and beside it a set with every key
 * and every prefix of a key.  A key that is in the set of keys was given
 * before; one that is in the set of prefixes has parts already; one with a
 * prefix in the set of keys is a part of something that has a value.  So each
 * check costs the depth of the key, and a megabyte of keys stays cheap.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "conf/conf-keyval.h"

#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "conf/conf-json-priv.h"

struct ConfKeyvals {
    GPtrArray *entries;   /* of ConfEntry */
    GHashTable *keys;     /* key -> ConfEntry; borrows from entries */
    GHashTable *prefixes; /* "a" and "a.b" of "a.b.c"; owned */
};

static void
conf_entry_free(void *data)
{
    ConfEntry *entry = data;

    g_free(entry->key);
    g_free(entry->value);
    g_free(entry);
}

ConfKeyvals *
conf_keyvals_new(void)
{
    ConfKeyvals *kv = g_new0(ConfKeyvals, 1);

    kv->entries = g_ptr_array_new_with_free_func(conf_entry_free);
    kv->keys = g_hash_table_new(g_str_hash, g_str_equal);
    kv->prefixes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return kv;
}

void
conf_keyvals_free(ConfKeyvals *kv)
{
    if (kv) {
        g_hash_table_destroy(kv->keys);
        g_hash_table_destroy(kv->prefixes);
        g_ptr_array_free(kv->entries, TRUE);
        g_free(kv);
    }
}

size_t
conf_keyvals_n(const ConfKeyvals *kv)
{
    return kv->entries->len;
}

const ConfEntry *
conf_keyvals_at(const ConfKeyvals *kv, size_t i)
{
    ash_assert(i < kv->entries->len);
    return g_ptr_array_index(kv->entries, i);
}

const ConfEntry *
conf_keyvals_find(const ConfKeyvals *kv, const char *key)
{
    return g_hash_table_lookup(kv->keys, key);
}

static void ASH_PRINTF(3, 4)
    conf_set_key_error(GError **error, const char *key, const char *fmt, ...)
{
    char shown[96];
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    ash_escape(shown, sizeof(shown), key, strlen(key));
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "key '%s' %s", shown, text);
}

static bool
conf_key_check(const char *key, GError **error)
{
    char before = '.';

    for (const char *p = key; *p != '\0'; p++) {
        bool is_plain = g_ascii_isalnum(*p) || *p == '-' || *p == '_';

        if (!is_plain && (*p != '.' || before == '.')) {
            before = '.';
            break;
        }
        before = *p;
    }
    if (before == '.') {
        conf_set_key_error(error, key,
                           "is not made of letters, digits, '-', '_' and "
                           "single dots between them");
        return false;
    }
    if (strlen(key) > CONF_KEY_MAX) {
        conf_set_key_error(error, key, "has %zu bytes, more than %zu",
                           strlen(key), CONF_KEY_MAX);
        return false;
    }
    return true;
}

/* Does any prefix of @key have a value?  Notes the prefixes on the way. */
static bool
conf_keyvals_add_prefixes(ConfKeyvals *kv, const char *key, GError **error)
{
    for (const char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.')) {
        g_autofree char *prefix = g_strndup(key, (size_t)(dot - key));

        if (g_hash_table_contains(kv->keys, prefix)) {
            conf_set_key_error(
                error, key, "can't be given beside a value for '%s'", prefix);
            return false;
        }
        g_hash_table_add(kv->prefixes, g_steal_pointer(&prefix));
    }
    return true;
}

bool
conf_keyvals_add(ConfKeyvals *kv, const char *key, ConfKind kind,
                 const char *value, GError **error)
{
    ConfEntry *entry;

    if (!conf_key_check(key, error)) {
        return false;
    }
    if (g_hash_table_contains(kv->keys, key)) {
        conf_set_key_error(error, key, "is given twice");
        return false;
    }
    if (g_hash_table_contains(kv->prefixes, key)) {
        conf_set_key_error(error, key,
                           "can't have a value beside parts ('%s.*')", key);
        return false;
    }
    if (!conf_keyvals_add_prefixes(kv, key, error)) {
        return false;
    }
    entry = g_new0(ConfEntry, 1);
    entry->key = g_strdup(key);
    entry->kind = kind;
    entry->value = g_strdup(value);
    g_ptr_array_add(kv->entries, entry);
    g_hash_table_insert(kv->keys, entry->key, entry);
    return true;
}

/*
 * One piece of "key=value,key=value" from *@pos on: up to the next single
 * comma, with double ones undone.  *@pos moves behind that comma; *@ret_more
 * says whether there was one.
 */
static char *
conf_take_piece(const char **pos, const char *end, bool *ret_more)
{
    GString *piece = g_string_new(NULL);
    const char *p = *pos;

    *ret_more = false;
    for (; p < end; p++) {
        if (*p == ',') {
            if (p + 1 == end || p[1] != ',') {
                *ret_more = true;
                p++;
                break;
            }
            p++;
        }
        g_string_append_c(piece, *p);
    }
    *pos = p;
    return g_string_free(piece, FALSE);
}

static bool
conf_add_piece(ConfKeyvals *kv, const char *piece, const char *implied_key,
               GError **error)
{
    const char *equals = strchr(piece, '=');
    char shown[96];

    if (equals) {
        g_autofree char *key = g_strndup(piece, (size_t)(equals - piece));

        return conf_keyvals_add(kv, key, CONF_KEYVAL, equals + 1, error);
    }
    if (implied_key && piece[0] != '\0') {
        return conf_keyvals_add(kv, implied_key, CONF_KEYVAL, piece, error);
    }
    ash_escape(shown, sizeof(shown), piece, strlen(piece));
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                "expected KEY=VALUE, found '%s' (a comma inside a value is "
                "written ',,')",
                shown);
    return false;
}

static bool
conf_keyvals_read(ConfKeyvals *kv, const char *text, size_t len,
                  const char *implied_key, GError **error)
{
    const char *pos = text;
    bool more = len > 0;

    while (more) {
        g_autofree char *piece = conf_take_piece(&pos, text + len, &more);

        if (more && pos == text + len) {
            more = false; /* one comma at the very end is no piece */
        }
        if (!conf_add_piece(kv, piece, implied_key, error)) {
            return false;
        }
        implied_key = NULL;
    }
    return true;
}

static bool
conf_is_json(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!strchr(" \t\r\n", text[i])) {
            return text[i] == '{';
        }
    }
    return false;
}

ConfKeyvals *
conf_keyvals_parse(const char *text, size_t len, const char *implied_key,
                   GError **error)
{
    g_autoptr(ConfKeyvals) kv = conf_keyvals_new();
    const char *nul = memchr(text, '\0', len);
    bool ok;

    if (len > CONF_TEXT_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_LIMIT,
                    "%zu bytes of text, more than %zu", len, CONF_TEXT_MAX);
        return NULL;
    }
    if (nul) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "NUL character at byte %zu", (size_t)(nul - text));
        return NULL;
    }
    ok = conf_is_json(text, len)
             ? conf_json_read(kv, text, len, error)
             : conf_keyvals_read(kv, text, len, implied_key, error);
    return ok ? g_steal_pointer(&kv) : NULL;
}
