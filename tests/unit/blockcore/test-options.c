/*
 * tests/unit/blockcore/test-options.c - options are typed, taken once, and
 * named in full when something is wrong with them.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>
#include <string.h>

#include "blockcore/options-priv.h"
#include "tests/unit/blockcore/test-blockcore.h"

static const char *const modes[] = { "off", "on", "unmap", NULL };

static const BlkOptionSpec table[] = {
    { .name = "filename", .type = BLK_OPT_STRING, .required = true },
    { .name = "cache.direct", .type = BLK_OPT_BOOL, .fallback = "off" },
    { .name = "locking", .type = BLK_OPT_BOOL, .fallback = "on" },
    { .name = "offset", .type = BLK_OPT_SIZE, .fallback = "4k" },
    { .name = "seed", .type = BLK_OPT_UINT },
    { .name = "mode", .type = BLK_OPT_ENUM, .values = modes, .fallback = "on" },
    { .name = "plain", .type = BLK_OPT_ENUM, .values = modes },
    { .name = "file", .type = BLK_OPT_NODE },
    { .name = "rule.N.errno", .type = BLK_OPT_UINT },
    { .name = NULL },
};

static const BlkOptionSpec *const tables[] = { table, NULL };

static const BlkOptionSpec *
spec(const char *name)
{
    return blk_option_find(table, name);
}

/* A set of one option. */
static BlkOptions *
one(const char *key, BlkValueKind kind, const char *value)
{
    BlkOptions *opts = blk_options_new();

    blk_options_set(opts, key, kind, value);
    return opts;
}

/* What is set is there, a later value replaces an earlier one, and a copy is
 * independent. */
static void
test_set(void)
{
    g_autoptr(BlkOptions) opts = blk_options_new();
    g_autoptr(BlkOptions) copy = NULL;

    g_assert_true(blk_options_is_empty(opts));
    g_assert_null(blk_options_first_key(opts));
    g_assert_false(blk_options_has(opts, "b"));
    g_assert_null(blk_options_peek(opts, "b"));
    blk_options_set(opts, "b", BLK_VALUE_KEYVAL, "1");
    blk_options_set(opts, "a", BLK_VALUE_STRING, "2");
    blk_options_set(opts, "b", BLK_VALUE_NUMBER, "3");
    g_assert_cmpstr(blk_options_peek(opts, "b"), ==, "3");
    g_assert_cmpint(blk_options_kind(opts, "b"), ==, BLK_VALUE_NUMBER);
    g_assert_cmpstr(blk_options_first_key(opts), ==, "a");
    copy = blk_options_copy(opts);
    blk_options_remove(opts, "a");
    blk_options_remove(opts, "a");
    g_assert_cmpstr(blk_options_first_key(opts), ==, "b");
    g_assert_cmpstr(blk_options_first_key(copy), ==, "a");
    g_assert_cmpint(blk_options_kind(copy, "a"), ==, BLK_VALUE_STRING);
}

/* A prefix takes what is below it and nothing that merely begins alike. */
static void
test_prefix(void)
{
    g_autoptr(BlkOptions) opts = blk_options_new();
    g_autoptr(BlkOptions) file = NULL;
    g_autoptr(BlkOptions) inner = NULL;
    g_autofree char *full = NULL;

    blk_options_set(opts, "file", BLK_VALUE_KEYVAL, "0");
    blk_options_set(opts, "file.a", BLK_VALUE_KEYVAL, "1");
    blk_options_set(opts, "file.b.c", BLK_VALUE_BOOL, "on");
    blk_options_set(opts, "file-x", BLK_VALUE_KEYVAL, "3");
    blk_options_set(opts, "filename", BLK_VALUE_KEYVAL, "4");
    blk_options_set(opts, "fil", BLK_VALUE_KEYVAL, "5");
    file = blk_options_take_prefix(opts, "file");
    g_assert_cmpstr(blk_options_peek(file, "a"), ==, "1");
    g_assert_cmpstr(blk_options_peek(file, "b.c"), ==, "on");
    g_assert_false(blk_options_has(opts, "file.a"));
    g_assert_true(blk_options_has(opts, "file"));
    g_assert_true(blk_options_has(opts, "file-x"));
    g_assert_true(blk_options_has(opts, "filename"));
    g_assert_true(blk_options_has(opts, "fil"));
    inner = blk_options_take_prefix(file, "b");
    g_assert_cmpint(blk_options_kind(inner, "c"), ==, BLK_VALUE_BOOL);
    full = blk_options_full_key(inner, "c");
    g_assert_cmpstr(full, ==, "file.b.c");
    blk_options_free(inner);
    inner = blk_options_take_prefix(file, "b");
    g_assert_true(blk_options_is_empty(inner));
}

/* An absent option has its default, or nothing. */
static void
test_defaults(void)
{
    g_autoptr(BlkOptions) opts = blk_options_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *text = (char *)(uintptr_t)1;
    bool flag;
    uint64_t number;
    int index;

    g_assert_true(
        blk_options_take_bool(opts, spec("cache.direct"), &flag, &error));
    g_assert_false(flag);
    g_assert_true(blk_options_take_bool(opts, spec("locking"), &flag, &error));
    g_assert_true(flag);
    g_assert_true(blk_options_take_uint(opts, spec("offset"), &number, &error));
    g_assert_cmpuint(number, ==, 4096);
    g_assert_true(blk_options_take_uint(opts, spec("seed"), &number, &error));
    g_assert_cmpuint(number, ==, 0);
    g_assert_true(blk_options_take_enum(opts, spec("mode"), &index, &error));
    g_assert_cmpint(index, ==, 1);
    g_assert_true(blk_options_take_enum(opts, spec("plain"), &index, &error));
    g_assert_cmpint(index, ==, -1);
    g_assert_true(blk_options_take_string(opts, spec("file"), &text, &error));
    g_assert_null(text);
    g_assert_false(
        blk_options_take_string(opts, spec("filename"), &text, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==, "option 'filename' is required");
}

/* Take option @name of any type from one value; its printed value, or the
 * error. */
static char *
take(const char *name, BlkValueKind kind, const char *value)
{
    g_autoptr(BlkOptions) opts = one(name, kind, value);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    char *result = NULL;
    uint64_t number;
    bool flag;
    int index;

    switch (spec(name)->type) {
    case BLK_OPT_STRING:
    case BLK_OPT_NODE:
        if (blk_options_take_string(opts, spec(name), &text, &error)) {
            result = g_strdup(text);
        }
        break;
    case BLK_OPT_BOOL:
        if (blk_options_take_bool(opts, spec(name), &flag, &error)) {
            result = g_strdup(flag ? "true" : "false");
        }
        break;
    case BLK_OPT_SIZE:
    case BLK_OPT_UINT:
        if (blk_options_take_uint(opts, spec(name), &number, &error)) {
            result = g_strdup_printf("%" G_GUINT64_FORMAT, number);
        }
        break;
    case BLK_OPT_ENUM:
        if (blk_options_take_enum(opts, spec(name), &index, &error)) {
            result = g_strdup_printf("%d", index);
        }
        break;
    }
    if (result) {
        g_assert_no_error(error);
        g_assert_true(blk_options_is_empty(opts));
        return result;
    }
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
    return g_strdup(error->message);
}

static void
check(const char *name, BlkValueKind kind, const char *value,
      const char *expected)
{
    g_autofree char *result = take(name, kind, value);

    g_assert_cmpstr(result, ==, expected);
}

/* Text from the command line may be of any type; JSON's types are exact. */
static void
test_types(void)
{
    check("filename", BLK_VALUE_KEYVAL, "5", "5");
    check("filename", BLK_VALUE_STRING, "nbd:localhost:10809",
          "nbd:localhost:10809");
    check("filename", BLK_VALUE_STRING, "", "");
    check("filename", BLK_VALUE_NUMBER, "5",
          "option 'filename': '5' is not a string");
    check("filename", BLK_VALUE_BOOL, "on",
          "option 'filename': 'on' is not a string");
    check("filename", BLK_VALUE_NULL, NULL,
          "option 'filename': 'null' is not a string");
    check("locking", BLK_VALUE_KEYVAL, "off", "false");
    check("locking", BLK_VALUE_BOOL, "off", "false");
    check("locking", BLK_VALUE_KEYVAL, "ON",
          "option 'locking': 'ON' is not on or off");
    check("locking", BLK_VALUE_STRING, "on",
          "option 'locking': 'on' is not a boolean");
    check("offset", BLK_VALUE_KEYVAL, "1k", "1024");
    check("offset", BLK_VALUE_NUMBER, "1000", "1000");
    check("offset", BLK_VALUE_NUMBER, "1.0",
          "option 'offset': '1.0' is not a whole number from 0 to "
          "9223372036854775807");
    check("offset", BLK_VALUE_STRING, "1k",
          "option 'offset': '1k' is not a number");
    check("offset", BLK_VALUE_KEYVAL, "-1",
          "option 'offset': '-1' is not a size: use a whole number of bytes, "
          "or a suffix k, M, G, T, P, E for powers of 1024");
    check("seed", BLK_VALUE_KEYVAL, "18446744073709551615",
          "18446744073709551615");
    check("seed", BLK_VALUE_KEYVAL, "1k",
          "option 'seed': '1k' is not a whole number from 0 to "
          "18446744073709551615");
    check("mode", BLK_VALUE_STRING, "unmap", "2");
    check("mode", BLK_VALUE_KEYVAL, "Unmap",
          "option 'mode': 'Unmap' is not one of off, on, unmap");
    check("mode", BLK_VALUE_BOOL, "on", "option 'mode': 'on' is not a string");
    check("file", BLK_VALUE_NUMBER, "1",
          "option 'file': '1' is not the name of a node, or the options of "
          "one");
}

static void
check_known(const char *key, const char *expected)
{
    g_autoptr(BlkOptions) opts = one(key, BLK_VALUE_KEYVAL, "1");
    g_autoptr(GError) error = NULL;
    bool ok = blk_options_check_known(opts, "file", tables, &error);

    g_assert_true(ok == (expected == NULL));
    if (!ok) {
        g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
        g_assert_cmpstr(error->message, ==, expected);
    }
}

/* Unknown keys are named, with the option that was probably meant. */
static void
test_known(void)
{
    check_known("cache.direct", NULL);
    check_known("file", NULL);
    check_known("file.driver", NULL);
    check_known("file.no.matter.what", NULL);
    check_known("rule.0.errno", NULL);
    check_known("rule.17.errno", NULL);
    check_known("rule.N.errno", "driver 'file' has no option 'rule.N.errno'");
    check_known("rule.0.errn", "driver 'file' has no option 'rule.0.errn', "
                               "did you mean 'rule.N.errno'?");
    check_known("rule.0", "driver 'file' has no option 'rule.0'");
    check_known("rule.0.errno.x",
                "driver 'file' has no option 'rule.0.errno.x'");
    check_known("cache.dirct", "driver 'file' has no option 'cache.dirct', "
                               "did you mean 'cache.direct'?");
    check_known("cache", "driver 'file' has no option 'cache'");
    check_known("cache.direct.x", "driver 'file' has no option "
                                  "'cache.direct.x', did you mean "
                                  "'cache.direct'?");
    check_known("fil", "driver 'file' has no option 'fil', did you mean "
                       "'file'?");
    check_known("Locking", "driver 'file' has no option 'Locking', did you "
                           "mean 'locking'?");
    check_known("", "driver 'file' has no option ''");
}

/* Below a prefix, keys and hints are whole. */
static void
test_known_below(void)
{
    g_autoptr(BlkOptions) opts = one("a.b.lockin", BLK_VALUE_BOOL, "on");
    g_autoptr(BlkOptions) a = blk_options_take_prefix(opts, "a");
    g_autoptr(BlkOptions) b = blk_options_take_prefix(a, "b");
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;

    g_assert_false(blk_options_check_known(b, "x", tables, &error));
    g_assert_cmpstr(error->message, ==,
                    "driver 'x' has no option 'a.b.lockin', did you mean "
                    "'a.b.locking'?");
    g_clear_error(&error);
    g_assert_false(blk_options_check_empty(b, "x", &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==,
                    "driver 'x' cannot use the option 'a.b.lockin' here");
    g_clear_error(&error);
    g_assert_true(blk_options_check_empty(a, "x", &error));
    g_assert_false(blk_options_take_string(b, spec("filename"), &text, &error));
    g_assert_cmpstr(error->message, ==, "option 'a.b.filename' is required");
}

void
test_options_add(void)
{
    g_test_add_func("/blockcore/options/set", test_set);
    g_test_add_func("/blockcore/options/prefix", test_prefix);
    g_test_add_func("/blockcore/options/defaults", test_defaults);
    g_test_add_func("/blockcore/options/types", test_types);
    g_test_add_func("/blockcore/options/known", test_known);
    g_test_add_func("/blockcore/options/known-below-a-prefix",
                    test_known_below);
}
