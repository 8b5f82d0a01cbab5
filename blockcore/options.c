/*
 * blockcore/options.c - see blockcore/options.h.
 *
 * Method: a sorted map from key to value.  A set of options that was taken out
 * by prefix remembers that prefix, so that messages show the key as the user
 * wrote it ("file.filename", not "filename").
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/options.h"

#include <string.h>

#include "base/assert.h"
#include "base/parse.h"
#include "blockcore/options-priv.h"

typedef struct OptionValue {
    BlkValueKind kind;
    char *text;
} OptionValue;

struct BlkOptions {
    GTree *map;   /* char * to OptionValue */
    char *prefix; /* "", or what take_prefix took away: "file." */
};

static void
options_value_free(void *data)
{
    OptionValue *value = data;

    g_free(value->text);
    g_free(value);
}

static int
options_compare(const void *a, const void *b, void *unused)
{
    (void)unused;
    return strcmp(a, b);
}

static BlkOptions *
options_new_prefixed(char *take_prefix)
{
    BlkOptions *opts = g_new0(BlkOptions, 1);

    opts->map =
        g_tree_new_full(options_compare, NULL, g_free, options_value_free);
    opts->prefix = take_prefix;
    return opts;
}

BlkOptions *
blk_options_new(void)
{
    return options_new_prefixed(g_strdup(""));
}

BlkOptions *
blk_options_copy(const BlkOptions *opts)
{
    BlkOptions *copy = options_new_prefixed(g_strdup(opts->prefix));

    for (GTreeNode *n = g_tree_node_first(opts->map); n;
         n = g_tree_node_next(n)) {
        const OptionValue *value = g_tree_node_value(n);

        blk_options_set(copy, g_tree_node_key(n), value->kind, value->text);
    }
    return copy;
}

void
blk_options_free(BlkOptions *opts)
{
    if (opts) {
        g_tree_unref(opts->map);
        g_free(opts->prefix);
        g_free(opts);
    }
}

void
blk_options_set(BlkOptions *opts, const char *key, BlkValueKind kind,
                const char *value)
{
    OptionValue *v = g_new0(OptionValue, 1);

    ash_assert(value || kind == BLK_VALUE_NULL);
    v->kind = kind;
    v->text = g_strdup(value ? value : "null");
    g_tree_insert(opts->map, g_strdup(key), v);
}

bool
blk_options_has(const BlkOptions *opts, const char *key)
{
    return g_tree_lookup(opts->map, key) != NULL;
}

const char *
blk_options_peek(const BlkOptions *opts, const char *key)
{
    const OptionValue *value = g_tree_lookup(opts->map, key);

    return value ? value->text : NULL;
}

BlkValueKind
blk_options_kind(const BlkOptions *opts, const char *key)
{
    const OptionValue *value = g_tree_lookup(opts->map, key);

    ash_assert(value);
    return value->kind;
}

void
blk_options_remove(BlkOptions *opts, const char *key)
{
    g_tree_remove(opts->map, key);
}

char *
blk_options_full_key(const BlkOptions *opts, const char *key)
{
    return g_strconcat(opts->prefix, key, NULL);
}

BlkOptions *
blk_options_take_prefix(BlkOptions *opts, const char *prefix)
{
    g_autofree char *dotted = g_strconcat(prefix, ".", NULL);
    size_t len = strlen(dotted);
    BlkOptions *sub =
        options_new_prefixed(g_strconcat(opts->prefix, dotted, NULL));

    for (;;) {
        GTreeNode *n = g_tree_lower_bound(opts->map, dotted);
        const OptionValue *value;
        const char *key;

        if (!n || !g_str_has_prefix(g_tree_node_key(n), dotted)) {
            return sub;
        }
        key = g_tree_node_key(n);
        value = g_tree_node_value(n);
        blk_options_set(sub, key + len, value->kind, value->text);
        g_tree_remove(opts->map, key);
    }
}

bool
blk_options_is_empty(const BlkOptions *opts)
{
    return g_tree_nnodes(opts->map) == 0;
}

const char *
blk_options_first_key(const BlkOptions *opts)
{
    GTreeNode *n = g_tree_node_first(opts->map);

    return n ? g_tree_node_key(n) : NULL;
}

/* ---- taking one option ---- */

/* How the value of a type is called in a message. */
static const char *
options_type_noun(BlkOptionType type)
{
    switch (type) {
    case BLK_OPT_STRING:
    case BLK_OPT_ENUM:
        return "a string";
    case BLK_OPT_BOOL:
        return "a boolean";
    case BLK_OPT_SIZE:
    case BLK_OPT_UINT:
        return "a number";
    case BLK_OPT_NODE:
        return "the name of a node, or the options of one";
    }
    ash_unreachable();
}

/* May a value that was written as @kind be of @type? */
static bool
options_kind_fits(BlkOptionType type, BlkValueKind kind)
{
    switch (kind) {
    case BLK_VALUE_KEYVAL:
        return true;
    case BLK_VALUE_STRING:
        return type == BLK_OPT_STRING || type == BLK_OPT_ENUM ||
               type == BLK_OPT_NODE;
    case BLK_VALUE_NUMBER:
        return type == BLK_OPT_SIZE || type == BLK_OPT_UINT;
    case BLK_VALUE_BOOL:
        return type == BLK_OPT_BOOL;
    case BLK_VALUE_NULL:
        return false;
    }
    ash_unreachable();
}

/*
 * Take the text of an option out of @opts; its default if it is absent, NULL
 * if it has none.  False: missing, or of the wrong kind.
 */
static bool
options_take_text(BlkOptions *opts, const BlkOptionSpec *spec, char **ret,
                  BlkValueKind *ret_kind, GError **error)
{
    const OptionValue *value = g_tree_lookup(opts->map, spec->name);

    if (!value) {
        if (spec->required) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "option '%s%s' is required", opts->prefix, spec->name);
            return false;
        }
        *ret = g_strdup(spec->fallback);
        *ret_kind = BLK_VALUE_KEYVAL;
        return true;
    }
    if (!options_kind_fits(spec->type, value->kind)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "option '%s%s': '%s' is not %s", opts->prefix, spec->name,
                    value->text, options_type_noun(spec->type));
        return false;
    }
    *ret = g_strdup(value->text);
    *ret_kind = value->kind;
    g_tree_remove(opts->map, spec->name);
    return true;
}

/* Put the key before what a parser said. */
static bool
options_blame(const BlkOptions *opts, const BlkOptionSpec *spec, GError **error)
{
    g_prefix_error(error, "option '%s%s': ", opts->prefix, spec->name);
    return false;
}

bool
blk_options_take_string(BlkOptions *opts, const BlkOptionSpec *spec, char **ret,
                        GError **error)
{
    BlkValueKind kind;

    ash_assert(spec->type == BLK_OPT_STRING || spec->type == BLK_OPT_NODE);
    return options_take_text(opts, spec, ret, &kind, error);
}

bool
blk_options_take_bool(BlkOptions *opts, const BlkOptionSpec *spec, bool *ret,
                      GError **error)
{
    g_autofree char *text = NULL;
    BlkValueKind kind;
    bool value = false;

    ash_assert(spec->type == BLK_OPT_BOOL);
    if (!options_take_text(opts, spec, &text, &kind, error)) {
        return false;
    }
    if (text && !ash_parse_bool(text, &value, error)) {
        return options_blame(opts, spec, error);
    }
    *ret = value;
    return true;
}

bool
blk_options_take_uint(BlkOptions *opts, const BlkOptionSpec *spec,
                      uint64_t *ret, GError **error)
{
    g_autofree char *text = NULL;
    BlkValueKind kind;
    uint64_t value = 0;
    bool ok = true;

    ash_assert(spec->type == BLK_OPT_UINT || spec->type == BLK_OPT_SIZE);
    if (!options_take_text(opts, spec, &text, &kind, error)) {
        return false;
    }
    if (text && spec->type == BLK_OPT_UINT) {
        ok = ash_parse_uint(text, UINT64_MAX, &value, error);
    } else if (text && kind == BLK_VALUE_NUMBER) {
        ok = ash_parse_uint(text, INT64_MAX, &value, error);
    } else if (text) {
        ok = ash_parse_size(text, &value, error);
    }
    if (!ok) {
        return options_blame(opts, spec, error);
    }
    *ret = value;
    return true;
}

bool
blk_options_take_enum(BlkOptions *opts, const BlkOptionSpec *spec, int *ret,
                      GError **error)
{
    g_autofree char *text = NULL;
    BlkValueKind kind;
    int value = -1;

    ash_assert(spec->type == BLK_OPT_ENUM);
    if (!options_take_text(opts, spec, &text, &kind, error)) {
        return false;
    }
    if (text && !ash_parse_enum(text, spec->values, &value, error)) {
        return options_blame(opts, spec, error);
    }
    *ret = value;
    return true;
}

const BlkOptionSpec *
blk_option_find(const BlkOptionSpec *table, const char *name)
{
    for (; table && table->name; table++) {
        if (strcmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

/* ---- what nobody takes ---- */

/* Does @key belong to @spec?  "N" between dots stands for a number, and the
 * whole subtree of a NODE does. */
static bool
options_key_belongs(const BlkOptionSpec *spec, const char *key)
{
    const char *want = spec->name;

    for (;;) {
        size_t n_want = strcspn(want, ".");
        size_t n_have = strcspn(key, ".");
        bool is_index = n_want == 1 && *want == 'N';

        if (is_index ? strspn(key, "0123456789") != n_have || n_have == 0
                     : n_want != n_have || memcmp(want, key, n_want) != 0) {
            return false;
        }
        want += n_want;
        key += n_have;
        if (*want == '\0') {
            return *key == '\0' || spec->type == BLK_OPT_NODE;
        }
        if (*key == '\0') {
            return false;
        }
        want++;
        key++;
    }
}

/* The error for @key: unknown, perhaps near to one that @tables have. */
static void
options_set_unknown(const BlkOptions *opts, const char *driver,
                    const BlkOptionSpec *const *tables, const char *key,
                    GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const char *near;

    for (; *tables; tables++) {
        for (const BlkOptionSpec *s = *tables; s->name; s++) {
            g_ptr_array_add(names, (char *)(uintptr_t)s->name);
        }
    }
    g_ptr_array_add(names, NULL);
    near = ash_parse_nearest(key, (const char *const *)names->pdata);
    if (near && strcmp(near, key) == 0) {
        near = NULL; /* the "N" itself */
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                "driver '%s' has no option '%s%s'%s%s%s%s", driver,
                opts->prefix, key, near ? ", did you mean '" : "",
                near ? opts->prefix : "", near ? near : "", near ? "'?" : "");
}

bool
blk_options_check_known(const BlkOptions *opts, const char *driver,
                        const BlkOptionSpec *const *tables, GError **error)
{
    for (GTreeNode *n = g_tree_node_first(opts->map); n;
         n = g_tree_node_next(n)) {
        const char *key = g_tree_node_key(n);
        bool known = false;

        for (size_t i = 0; tables[i] && !known; i++) {
            for (const BlkOptionSpec *s = tables[i]; s->name; s++) {
                known = known || options_key_belongs(s, key);
            }
        }
        if (!known) {
            options_set_unknown(opts, driver, tables, key, error);
            return false;
        }
    }
    return true;
}

bool
blk_options_check_empty(const BlkOptions *opts, const char *driver,
                        GError **error)
{
    const char *key = blk_options_first_key(opts);

    if (key) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "driver '%s' cannot use the option '%s%s' here", driver,
                    opts->prefix, key);
        return false;
    }
    return true;
}
