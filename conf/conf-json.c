/*
 * conf/conf-json.c - see conf/conf-json-priv.h and conf/conf-keyval.h.
 *
 * Method: the library parses, but it is more generous than RFC 8259 (comments,
 * single quotes, "- 1", numbers that wrap, a second value after the first),
 * drops the first of two equal members, cuts strings at \u0000, and recurses
 * once a level.  So a scan of our own goes first and lets only tokens of the
 * standard, of our depth, pass; the grammar between tokens is the library's to
 * check.  Repeated members are seen through its signals.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "conf/conf-json-priv.h"

#include <inttypes.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"

/* ---- the scan ---- */

typedef struct ConfScan {
    const char *text;
    const char *pos;
    const char *end;
    unsigned depth;
} ConfScan;

static bool ASH_PRINTF(3, 4)
    conf_scan_fail(const ConfScan *scan, GError **error, const char *fmt, ...)
{
    g_autofree char *what = NULL;
    unsigned line = 1;
    const char *start = scan->text;
    va_list args;

    for (const char *p = scan->text; p < scan->pos; p++) {
        if (*p == '\n') {
            line++;
            start = p + 1;
        }
    }
    va_start(args, fmt);
    what = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                "JSON, line %u, column %td: %s", line, scan->pos - start + 1,
                what);
    return false;
}

/* Behind the backslash at scan->pos. */
static bool
conf_scan_escape(ConfScan *scan, GError **error)
{
    const char *p = scan->pos + 1;
    unsigned value = 0;

    if (p == scan->end || !strchr("\"\\/bfnrtu", *p)) {
        return conf_scan_fail(scan, error, "unknown escape in a string");
    }
    if (*p != 'u') {
        scan->pos += 2;
        return true;
    }
    for (int i = 0; i < 4; i++) {
        p++;
        if (p == scan->end || !g_ascii_isxdigit(*p)) {
            return conf_scan_fail(scan, error,
                                  "\\u without four hexadecimal digits");
        }
        value = value * 16 + (unsigned)g_ascii_xdigit_value(*p);
    }
    if (value == 0) {
        return conf_scan_fail(scan, error, "NUL character in a string");
    }
    scan->pos = p + 1;
    return true;
}

static bool
conf_scan_string(ConfScan *scan, GError **error)
{
    ConfScan start = *scan;

    scan->pos++;
    while (scan->pos < scan->end) {
        if (*scan->pos == '"') {
            scan->pos++;
            return true;
        }
        if ((unsigned char)*scan->pos < 0x20) {
            return conf_scan_fail(scan, error, "control character in a string");
        }
        if (*scan->pos != '\\') {
            scan->pos++;
        } else if (!conf_scan_escape(scan, error)) {
            return false;
        }
    }
    return conf_scan_fail(&start, error, "a string without end");
}

/* -?(0|[1-9][0-9]*), in int64_t; no fraction, no exponent. */
static bool
conf_scan_number(ConfScan *scan, GError **error)
{
    ConfScan start = *scan;
    bool negative = *scan->pos == '-';
    uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t value = 0;
    const char *digits = scan->pos + (negative ? 1 : 0);
    const char *p = digits;

    for (; p < scan->end && g_ascii_isdigit(*p); p++) {
        uint64_t digit = (uint64_t)g_ascii_digit_value(*p);

        if (value > (most - digit) / 10) {
            return conf_scan_fail(&start, error,
                                  "a number that does not fit 64 bits");
        }
        value = value * 10 + digit;
    }
    if (p == digits || (p - digits > 1 && *digits == '0')) {
        return conf_scan_fail(&start, error, "not a number");
    }
    if (p < scan->end && (*p == '.' || *p == 'e' || *p == 'E')) {
        return conf_scan_fail(&start, error, "not a whole number");
    }
    scan->pos = p;
    return true;
}

static bool
conf_scan_word(ConfScan *scan, GError **error)
{
    static const char *const words[] = { "true", "false", "null" };
    const char *p = scan->pos;
    size_t len;

    while (p < scan->end && (g_ascii_isalnum(*p) || *p == '_')) {
        p++;
    }
    len = (size_t)(p - scan->pos);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (len == strlen(words[i]) && memcmp(scan->pos, words[i], len) == 0) {
            scan->pos = p;
            return true;
        }
    }
    if (*scan->pos == '\'') {
        return conf_scan_fail(scan, error, "strings stand in double quotes");
    }
    return conf_scan_fail(scan, error, "expected a value");
}

static bool
conf_scan_token(ConfScan *scan, GError **error)
{
    switch (*scan->pos) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':':
        scan->pos++;
        return true;
    case '{':
    case '[':
        if (scan->depth == CONF_DEPTH_MAX) {
            return conf_scan_fail(scan, error, "more than %u levels deep",
                                  CONF_DEPTH_MAX);
        }
        scan->depth++;
        scan->pos++;
        return true;
    case '}':
    case ']':
        scan->depth--;
        scan->pos++;
        return true;
    case '"':
        return conf_scan_string(scan, error);
    default:
        if (*scan->pos == '-' || g_ascii_isdigit(*scan->pos)) {
            return conf_scan_number(scan, error);
        }
        return conf_scan_word(scan, error);
    }
}

/* The text begins with blanks and '{'. */
static bool
conf_scan(const char *text, size_t len, GError **error)
{
    ConfScan scan = { .text = text, .pos = text, .end = text + len };
    const char *bad;

    if (!g_utf8_validate(text, (gssize)len, &bad)) {
        scan.pos = bad;
        return conf_scan_fail(&scan, error, "not UTF-8");
    }
    scan.pos = memchr(text, '{', len);
    do {
        if (scan.pos == scan.end) {
            return conf_scan_fail(&scan, error,
                                  "ends inside an object or array");
        }
        if (!conf_scan_token(&scan, error)) {
            return false;
        }
    } while (scan.depth > 0);
    for (; scan.pos < scan.end; scan.pos++) {
        if (!strchr(" \t\r\n", *scan.pos)) {
            return conf_scan_fail(&scan, error, "text after the end");
        }
    }
    return true;
}

/* ---- from the library's tree to dotted keys ---- */

static bool conf_flatten(ConfKeyvals *kv, GString *key, JsonNode *node,
                         GError **error);

/* Flatten @node as part @name of *@key. */
static bool
conf_flatten_part(ConfKeyvals *kv, GString *key, const char *name,
                  JsonNode *node, GError **error)
{
    size_t len = key->len;
    bool ok;

    if (name[0] == '\0') {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "a key is empty");
        return false;
    }
    if (len + strlen(name) > CONF_KEY_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "a key of more than %zu bytes", CONF_KEY_MAX);
        return false;
    }
    if (len > 0) {
        g_string_append_c(key, '.');
    }
    g_string_append(key, name);
    ok = conf_flatten(kv, key, node, error);
    g_string_truncate(key, len);
    return ok;
}

static bool
conf_flatten_object(ConfKeyvals *kv, GString *key, JsonObject *object,
                    GError **error)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, &value)) {
        if (!conf_flatten_part(kv, key, name, value, error)) {
            return false;
        }
    }
    return true;
}

static bool
conf_flatten_array(ConfKeyvals *kv, GString *key, JsonArray *array,
                   GError **error)
{
    for (unsigned i = 0; i < json_array_get_length(array); i++) {
        char name[16];

        g_snprintf(name, sizeof(name), "%u", i);
        if (!conf_flatten_part(kv, key, name, json_array_get_element(array, i),
                               error)) {
            return false;
        }
    }
    return true;
}

static bool
conf_flatten_scalar(ConfKeyvals *kv, const char *key, JsonNode *node,
                    GError **error)
{
    g_autofree char *number = NULL;

    if (JSON_NODE_HOLDS_NULL(node)) {
        return conf_keyvals_add(kv, key, CONF_NULL, "", error);
    }
    switch (json_node_get_value_type(node)) {
    case G_TYPE_BOOLEAN:
        return conf_keyvals_add(kv, key, CONF_BOOL,
                                json_node_get_boolean(node) ? "on" : "off",
                                error);
    case G_TYPE_INT64:
        number = g_strdup_printf("%" PRId64, (int64_t)json_node_get_int(node));
        return conf_keyvals_add(kv, key, CONF_NUMBER, number, error);
    default:
        ash_assert(json_node_get_value_type(node) == G_TYPE_STRING);
        return conf_keyvals_add(kv, key, CONF_STRING,
                                json_node_get_string(node), error);
    }
}

/* As deep as the scan let pass. */
static bool
conf_flatten(ConfKeyvals *kv, GString *key, JsonNode *node, GError **error)
{
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        return conf_flatten_object(kv, key, json_node_get_object(node), error);
    }
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        return conf_flatten_array(kv, key, json_node_get_array(node), error);
    }
    return conf_flatten_scalar(kv, key->str, node, error);
}

/* ---- both together ---- */

typedef struct ConfMembers {
    GHashTable *n_by_object; /* JsonObject -> members seen */
    char *repeated;          /* the first one given twice, escaped */
} ConfMembers;

/* A member was stored: an object that did not grow had it before. */
static void
conf_member_cb(JsonParser *parser, JsonObject *object, const char *name,
               void *data)
{
    ConfMembers *members = data;
    unsigned n =
        GPOINTER_TO_UINT(g_hash_table_lookup(members->n_by_object, object));
    unsigned size = json_object_get_size(object);

    (void)parser;
    if (size == n && !members->repeated) {
        char shown[96];

        ash_escape(shown, sizeof(shown), name, strlen(name));
        members->repeated = g_strdup(shown);
    }
    g_hash_table_insert(members->n_by_object, object, GUINT_TO_POINTER(size));
}

/* An object is complete: its address may come again. */
static void
conf_object_end_cb(JsonParser *parser, JsonObject *object, void *data)
{
    ConfMembers *members = data;

    (void)parser;
    g_hash_table_remove(members->n_by_object, object);
}

static bool
conf_json_load(JsonParser *parser, const char *text, size_t len, GError **error)
{
    ConfMembers members = {
        .n_by_object = g_hash_table_new(NULL, NULL),
    };
    g_autoptr(GError) reason = NULL;
    bool ok;

    g_signal_connect(parser, "object-member", G_CALLBACK(conf_member_cb),
                     &members);
    g_signal_connect(parser, "object-end", G_CALLBACK(conf_object_end_cb),
                     &members);
    ok = json_parser_load_from_data(parser, text, (gssize)len, &reason);
    if (!ok) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "JSON: %s",
                    reason->message);
    } else if (members.repeated) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "key '%s' is given twice", members.repeated);
        ok = false;
    }
    g_free(members.repeated);
    g_hash_table_destroy(members.n_by_object);
    return ok;
}

bool
conf_json_read(ConfKeyvals *kv, const char *text, size_t len, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GString) key = g_string_new(NULL);

    return conf_scan(text, len, error) &&
           conf_json_load(parser, text, len, error) &&
           conf_flatten_object(
               kv, key, json_node_get_object(json_parser_get_root(parser)),
               error);
}
