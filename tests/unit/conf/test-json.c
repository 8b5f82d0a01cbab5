/*
 * tests/unit/conf/test-json.c - the same as a JSON object.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/conf/test-conf.h"

static void
check(const char *text, const char *expected)
{
    g_autofree char *dump = test_dump(text, "type");

    g_assert_cmpstr(dump, ==, expected);
}

static void
check_error(const char *text, const char *expected)
{
    g_autofree char *message = test_parse_error(text, "type", ASH_ERROR_CONFIG);

    g_assert_cmpstr(message, ==, expected);
}

/* Values keep the type that they have in JSON. */
static void
test_kinds(void)
{
    check("{}", "");
    check(" \r\n\t{ } \n", "");
    check("{\"a\":\"x\",\"b\":1,\"c\":true,\"d\":false,\"e\":null}",
          "a=s:x b=n:1 c=b:on d=b:off e=0:");
    check("{\"a\":\"\",\"b\":\"a,b=c\"}", "a=s: b=s:a,b=c");
    check("{\"a\":0,\"b\":-0,\"c\":-5}", "a=n:0 b=n:0 c=n:-5");
    check("{\"a\":9223372036854775807,\"b\":-9223372036854775808}",
          "a=n:9223372036854775807 b=n:-9223372036854775808");
}

/* Nested values get dotted keys; order is that of the text. */
static void
test_nesting(void)
{
    check("{\"b\":{\"y\":1,\"x\":{\"z\":2}},\"a\":3}",
          "b.y=n:1 b.x.z=n:2 a=n:3");
    check("{\"l\":[\"p\",{\"q\":1},[2,3]]}",
          "l.0=s:p l.1.q=n:1 l.2.0=n:2 l.2.1=n:3");
    check("{\"driver\":\"raw\",\"file\":{\"driver\":\"file\","
          "\"filename\":\"a\"},\"cache.direct\":true}",
          "driver=s:raw file.driver=s:file file.filename=s:a "
          "cache.direct=b:on");
    check("{\"a\":{},\"b\":[],\"c\":1}", "c=n:1");
}

static void
test_strings(void)
{
    check("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a=s:\"\\/\b\f\n\r\t");
    check("{\"a\":\"\\u00e4\\ud834\\udd1e\"}", "a=s:\xc3\xa4\xf0\x9d\x84\x9e");
    check("{\"a\":\"{[}]:,\"}", "a=s:{[}]:,");
    check_error("{\"a\":\"x\\u0000y\"}",
                "JSON, line 1, column 8: NUL character in a string");
    check_error("{\"a\":\"\\x41\"}",
                "JSON, line 1, column 7: unknown escape in a string");
    check_error("{\"a\":\"\\u12g4\"}",
                "JSON, line 1, column 7: \\u without four hexadecimal digits");
    check_error("{\"a\":\n\"b\nc\"}",
                "JSON, line 2, column 3: control character in a string");
    check_error("{\"a\":\"b}", "JSON, line 1, column 6: a string without end");
    check_error("{\"a\":\"\xff\"}", "JSON, line 1, column 7: not UTF-8");
    check_error("{\"a\":\"\xc0\x80\"}", "JSON, line 1, column 7: not UTF-8");
    check_error("{'a':1}",
                "JSON, line 1, column 2: strings stand in double quotes");
}

static void
test_numbers(void)
{
    static const char *const too_large[] = {
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "99999999999999999999999999",
    };
    static const char *const fractions[] = { "1.0", "1e3", "-1E0", "0.5" };
    static const char *const bad[] = { "01", "-", "-01", "- 1", "--1" };

    for (size_t i = 0; i < G_N_ELEMENTS(too_large); i++) {
        g_autofree char *text = g_strdup_printf("{\"a\":%s}", too_large[i]);

        check_error(text, "JSON, line 1, column 6: a number that does not "
                          "fit 64 bits");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fractions); i++) {
        g_autofree char *text = g_strdup_printf("{\"a\":%s}", fractions[i]);

        check_error(text, "JSON, line 1, column 6: not a whole number");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup_printf("{\"a\":%s}", bad[i]);

        check_error(text, "JSON, line 1, column 6: not a number");
    }
}

/* What RFC 8259 does not have is refused, wherever it stands. */
static void
test_grammar(void)
{
    static const char *const bad[] = {
        "{",
        "{]",
        "{}}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[}",
        "{\"a\":[1}",
        "{a:1}",
        "{1:2}",
        "{\"a\":+1}",
        "{\"a\":True}",
        "{\"a\":nul}",
        "{\"a\":nullx}",
        "{\"a\":.5}",
        "{\"a\":/* c */1}",
        "{\"a\":1} // c",
        "{\"a\":1}{\"b\":2}",
        "{\"a\":1},",
        "{\"a\":1}x",
        "{\"a\":1}\v",
        "{\"a\":\"b\" \"c\"}",
        "{\"a\"::1}",
        "{:1}",
        "{\"a\":1,,\"b\":2}",
        "{\"a\":[,1]}",
        "{\"a\":Infinity}",
        "{\"a\":NaN}",
        "{\"a\":0x10}",
        "{\"a\":1_0}",
        "{#\n}",
        "{\"a\":\"\\ud834\"}",
        "{\"a\":\"\\ud834\\u0041\"}",
        "{[1]}",
        "{{}}",
        "{\"a\":`b`}",
        "{\"a\":1;\"b\":2}",
        "{} {}",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *message =
            test_parse_error(bad[i], NULL, ASH_ERROR_CONFIG);

        g_assert_true(g_str_has_prefix(message, "JSON"));
    }
    check_error("{\"a\":1}\n x", "JSON, line 2, column 2: text after the end");
    check_error("{\n\"a\":tru}", "JSON, line 2, column 5: expected a value");
    check_error("{\"a\":{", "JSON, line 1, column 7: ends inside an object "
                            "or array");
    g_test_message("%zu texts refused", G_N_ELEMENTS(bad));
}

static void
test_conflicts(void)
{
    check_error("{\"a\":1,\"a\":2}", "key 'a' is given twice");
    check_error("{\"o\":{\"a\":1,\"b\":2,\"a\":3}}", "key 'a' is given twice");
    check_error("{\"l\":[{\"a\":1},{\"b\":2,\"b\":{}}]}",
                "key 'b' is given twice");
    check_error("{\"\\u0061\":1,\"a\":2}", "key 'a' is given twice");
    check_error("{\"a.b\":1,\"a\":{\"b\":2}}", "key 'a.b' is given twice");
    check_error("{\"a\":1,\"a.b\":2}",
                "key 'a.b' can't be given beside a value for 'a'");
    check_error("{\"\":1}", "a key is empty");
    check_error("{\"\":{\"a\":1}}", "a key is empty");
    check_error("{\"a\\nb\":1}", "key 'a\\x0ab' is not made of letters, "
                                 "digits, '-', '_' and single dots between "
                                 "them");
    /* The same names in different objects are different keys. */
    check("{\"x\":{\"a\":1},\"y\":{\"a\":1},\"a\":1}", "x.a=n:1 y.a=n:1 a=n:1");
}

static char *
nested(unsigned depth)
{
    GString *text = g_string_new("{\"a\":");

    for (unsigned i = 1; i < depth; i++) {
        g_string_append_c(text, '[');
    }
    g_string_append_c(text, '1');
    for (unsigned i = 1; i < depth; i++) {
        g_string_append_c(text, ']');
    }
    g_string_append_c(text, '}');
    return g_string_free(text, FALSE);
}

static void
test_limits(void)
{
    g_autofree char *deepest = nested(CONF_DEPTH_MAX);
    g_autofree char *too_deep = nested(CONF_DEPTH_MAX + 1);
    g_autofree char *bomb = g_strnfill(CONF_TEXT_MAX, '[');
    g_autofree char *message = NULL;
    g_autofree char *name = g_strnfill(CONF_KEY_MAX, 'k');
    g_autofree char *long_key = g_strdup_printf("{\"%s\":1}", name);
    g_autofree char *longer = g_strdup_printf("{\"%s\":[1]}", name);
    g_autofree char *huge = g_strnfill(CONF_TEXT_MAX + 1, ' ');
    g_autoptr(GError) error = NULL;
    ConfKeyvals *kv =
        conf_keyvals_parse(deepest, strlen(deepest), NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(conf_keyvals_n(kv), ==, 1);
    conf_keyvals_free(kv);
    check_error(too_deep, "JSON, line 1, column 69: more than 64 levels deep");
    memcpy(bomb, "{\"a\":", 5);
    message = test_parse_error(bomb, NULL, ASH_ERROR_CONFIG);
    g_assert_nonnull(strstr(message, "more than 64 levels deep"));

    g_free(g_steal_pointer(&message));
    message = test_dump(long_key, NULL);
    g_free(g_steal_pointer(&message));
    message = test_parse_error(longer, NULL, ASH_ERROR_CONFIG);
    g_assert_nonnull(strstr(message, "more than 255"));

    g_free(g_steal_pointer(&message));
    memcpy(huge, "{}", 2);
    message = test_parse_error(huge, NULL, ASH_ERROR_LIMIT);
}

/* Any byte of a good text changed to any other: an answer each time. */
static void
test_mutations(void)
{
    static const char good[] =
        "{\"driver\":\"file\",\"n\":[1,-2,true],\"o\":{\"k\":null,"
        "\"s\":\"\\u00e4\\n\"}}";
    char text[sizeof(good)];
    unsigned n_good = 0;
    unsigned n_bad = 0;

    for (size_t at = 0; at < sizeof(good) - 1; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            g_autoptr(GError) error = NULL;
            ConfKeyvals *kv;

            memcpy(text, good, sizeof(good));
            text[at] = (char)byte;
            kv = conf_keyvals_parse(text, sizeof(good) - 1, NULL, &error);
            g_assert_true((kv != NULL) == (error == NULL));
            n_good += kv != NULL;
            n_bad += kv == NULL;
            conf_keyvals_free(kv);
        }
        if (at > 0) { /* cut off: never good */
            g_assert_null(conf_keyvals_parse(good, at, NULL, NULL));
        }
    }
    g_test_message("%u changed texts parsed, %u refused", n_good, n_bad);
}

void
test_json_add(void)
{
    g_test_add_func("/conf/json/kinds", test_kinds);
    g_test_add_func("/conf/json/nesting", test_nesting);
    g_test_add_func("/conf/json/strings", test_strings);
    g_test_add_func("/conf/json/numbers", test_numbers);
    g_test_add_func("/conf/json/grammar", test_grammar);
    g_test_add_func("/conf/json/conflicts", test_conflicts);
    g_test_add_func("/conf/json/limits", test_limits);
    g_test_add_func("/conf/json/mutations", test_mutations);
}
