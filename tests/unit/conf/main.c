/*
 * tests/unit/conf/main.c - the unit tests of conf.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/conf/test-conf.h"

char *
test_dump(const char *text, const char *implied_key)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ConfKeyvals) kv =
        conf_keyvals_parse(text, strlen(text), implied_key, &error);
    GString *out = g_string_new(NULL);

    g_assert_no_error(error);
    for (size_t i = 0; i < conf_keyvals_n(kv); i++) {
        const ConfEntry *entry = conf_keyvals_at(kv, i);

        g_assert_true(conf_keyvals_find(kv, entry->key) == entry);
        g_string_append_printf(out, "%s%s=%c:%s", i > 0 ? " " : "", entry->key,
                               "ksnb0"[entry->kind], entry -> value);
    }
    return g_string_free(out, FALSE);
}

char *
test_parse_error(const char *text, const char *implied_key, int code)
{
    g_autoptr(GError) error = NULL;
    ConfKeyvals *kv =
        conf_keyvals_parse(text, strlen(text), implied_key, &error);

    g_assert_null(kv);
    g_assert_error(error, ASH_ERROR, code);
    return g_strdup(error->message);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_keyval_add();
    test_json_add();
    test_server_add();
    test_export_add();
    return g_test_run();
}
