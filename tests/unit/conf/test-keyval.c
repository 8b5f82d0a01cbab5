/*
 * tests/unit/conf/test-keyval.c - key=value,key=value.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/conf/test-conf.h"

static void
check(const char *text, const char *implied_key, const char *expected)
{
    g_autofree char *dump = test_dump(text, implied_key);

    g_assert_cmpstr(dump, ==, expected);
}

static void
check_error(const char *text, const char *implied_key, const char *expected)
{
    g_autofree char *message =
        test_parse_error(text, implied_key, ASH_ERROR_CONFIG);

    g_assert_cmpstr(message, ==, expected);
}

/* Pieces are split at single commas and keep their order. */
static void
test_pieces(void)
{
    check("", NULL, "");
    check("a=1", NULL, "a=k:1");
    check("b=1,a=2,c=3", NULL, "b=k:1 a=k:2 c=k:3");
    check("driver=file,node-name=f,cache.direct=on", NULL,
          "driver=k:file node-name=k:f cache.direct=k:on");
    check("a=", NULL, "a=k:");
    check("a=,b=", NULL, "a=k: b=k:");
    check("a=1,", NULL, "a=k:1");
    check("list.0=x,list.1=y", NULL, "list.0=k:x list.1=k:y");
}

/* Two commas are one in the value; '=' and quotes are plain there. */
static void
test_quoting(void)
{
    check("f=a,,b", NULL, "f=k:a,b");
    check("f=,,", NULL, "f=k:,");
    check("f=,,,,", NULL, "f=k:,,");
    check("f=a,,,g=b", NULL, "f=k:a, g=k:b");
    check("f=,,,g=b", NULL, "f=k:, g=k:b");
    check("f=a=b", NULL, "f=k:a=b");
    check("f='a',g=\"b\"", NULL, "f=k:'a' g=k:\"b\"");
    check("f=a\\,b=c", NULL, "f=k:a\\ b=k:c");
    check("f= a b ", NULL, "f=k: a b ");
    check("f=\xff\xfe", NULL, "f=k:\xff\xfe");
}

/* Only the first piece, and only one without '=', has the implied key. */
static void
test_implied_key(void)
{
    check("nbd,id=e", "type", "type=k:nbd id=k:e");
    check("nbd", "type", "type=k:nbd");
    check("type=nbd,id=e", "type", "type=k:nbd id=k:e");
    check("id=e,type=nbd", "type", "id=k:e type=k:nbd");
    check("a,,b", "type", "type=k:a,b");
    check_error("id=e,nbd", "type",
                "expected KEY=VALUE, found 'nbd' (a comma inside a value is "
                "written ',,')");
    check_error("nbd,type=nbd", "type", "key 'type' is given twice");
    check_error(",id=e", "type",
                "expected KEY=VALUE, found '' (a comma inside a value is "
                "written ',,')");
}

static void
test_bad_pieces(void)
{
    const char *tail = "' (a comma inside a value is written ',,')";
    static const struct {
        const char *text;
        const char *found;
    } cases[] = {
        { "nbd", "nbd" },
        { ",", "" },
        { "a=1,,,,b", NULL },
        { "a=1,b,c=2", "b" },
        { ",a=1", "" },
        { "a=1, ,b=2", " " },
        { "\x01\xff", "\\x01\\xff" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *expected = NULL;

        if (!cases[i].found) {
            check(cases[i].text, NULL, "a=k:1,,b");
            continue;
        }
        expected = g_strdup_printf("expected KEY=VALUE, found '%s%s",
                                   cases[i].found, tail);
        check_error(cases[i].text, NULL, expected);
    }
}

/* Letters, digits, '-' and '_', joined by single dots. */
static void
test_keys(void)
{
    static const char *const bad[] = {
        "",    ".",  "a.",       ".a", "a..b", "a b",
        "a/b", "a%", "\xc3\xa4", "a,", "[0]",  "a:b",
    };
    static const char *const good[] = {
        "a", "0", "-", "_", "A.b-c_d.0", "list.0.1",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(ConfKeyvals) kv = conf_keyvals_new();
        g_autoptr(GError) error = NULL;

        g_assert_false(conf_keyvals_add(kv, bad[i], CONF_KEYVAL, "", &error));
        g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, "is not made of letters"));
        g_assert_cmpuint(conf_keyvals_n(kv), ==, 0);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(ConfKeyvals) kv = conf_keyvals_new();
        g_autoptr(GError) error = NULL;

        g_assert_true(conf_keyvals_add(kv, good[i], CONF_KEYVAL, "", &error));
        g_assert_no_error(error);
    }
    check_error("=x", NULL,
                "key '' is not made of letters, digits, '-', '_' and single "
                "dots between them");
}

/* A key stands once, and never has both a value and parts. */
static void
test_conflicts(void)
{
    check_error("a=1,a=1", NULL, "key 'a' is given twice");
    check_error("a.b=1,a.b=2", NULL, "key 'a.b' is given twice");
    check_error("file=f,file.driver=x", NULL,
                "key 'file.driver' can't be given beside a value for 'file'");
    check_error("a=1,a.b.c=x", NULL,
                "key 'a.b.c' can't be given beside a value for 'a'");
    check_error("file.driver=x,file=f", NULL,
                "key 'file' can't have a value beside parts ('file.*')");
    check_error("a.b.c=x,a=1", NULL,
                "key 'a' can't have a value beside parts ('a.*')");
    check_error("a.b.c=x,a.b=1", NULL,
                "key 'a.b' can't have a value beside parts ('a.b.*')");
    check("file=f,files.x=1,fil=2", NULL, "file=k:f files.x=k:1 fil=k:2");
}

/* A million bytes is the limit, a key has 255 at most, NUL never. */
static void
test_limits(void)
{
    g_autofree char *text = g_malloc(CONF_TEXT_MAX + 1);
    g_autofree char *key = g_strnfill(CONF_KEY_MAX + 1, 'k');
    g_autofree char *long_key = g_strconcat(key, "=1", NULL);
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;
    ConfKeyvals *kv;

    memset(text, 'x', CONF_TEXT_MAX + 1);
    memcpy(text, "a=", 2);
    kv = conf_keyvals_parse(text, CONF_TEXT_MAX, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(strlen(conf_keyvals_at(kv, 0)->value), ==,
                     CONF_TEXT_MAX - 2);
    conf_keyvals_free(kv);

    g_assert_null(conf_keyvals_parse(text, CONF_TEXT_MAX + 1, NULL, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_LIMIT);
    g_assert_cmpstr(error->message, ==,
                    "1048577 bytes of text, more than 1048576");
    g_clear_error(&error);

    message = test_parse_error(long_key, NULL, ASH_ERROR_CONFIG);
    g_assert_nonnull(strstr(message, "has 256 bytes, more than 255"));
    kv = conf_keyvals_parse(long_key + 1, strlen(long_key) - 1, NULL, NULL);
    g_assert_nonnull(kv);
    conf_keyvals_free(kv);

    g_assert_null(conf_keyvals_parse("a=1\0b", 5, NULL, &error));
    g_assert_cmpstr(error->message, ==, "NUL character at byte 3");
}

/* Many keys take no more than linear time. */
static void
test_many_keys(void)
{
    GString *text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(ConfKeyvals) kv = NULL;
    size_t n = 0;

    while (text->len < CONF_TEXT_MAX - 16) {
        g_string_append_printf(text, "k.%zu=,", n++);
    }
    kv = conf_keyvals_parse(text->str, text->len, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(conf_keyvals_n(kv), ==, n);
    g_test_message("%zu keys", n);
    g_string_free(text, TRUE);
}

/* Every text of up to six of these letters either parses or is an error, and
 * what parses comes back equal when it is written out again. */
static void
test_exhaustive(void)
{
    static const char letters[] = "a.=,1";
    unsigned n_good = 0;
    unsigned n_bad = 0;

    for (unsigned len = 0; len <= 7; len++) {
        unsigned total = 1;

        for (unsigned i = 0; i < len; i++) {
            total *= 5;
        }
        for (unsigned code = 0; code < total; code++) {
            char text[8];
            unsigned rest = code;
            ConfKeyvals *kv;

            for (unsigned i = 0; i < len; i++) {
                text[i] = letters[rest % 5];
                rest /= 5;
            }
            kv = conf_keyvals_parse(text, len, NULL, NULL);
            if (kv) {
                GString *again = g_string_new(NULL);

                for (size_t i = 0; i < conf_keyvals_n(kv); i++) {
                    const ConfEntry *entry = conf_keyvals_at(kv, i);
                    char **parts = g_strsplit(entry->value, ",", -1);
                    char *value = g_strjoinv(",,", parts);

                    g_string_append_printf(again, "%s=%s,", entry->key, value);
                    g_free(value);
                    g_strfreev(parts);
                }
                /* Equal but for one comma at the end. */
                g_assert_true(strncmp(again->str, text, len) == 0);
                g_assert_cmpuint(again->len, <=, len + 1);
                g_string_free(again, TRUE);
                n_good++;
            } else {
                n_bad++;
            }
            conf_keyvals_free(kv);
        }
    }
    g_test_message("%u texts parsed, %u refused", n_good, n_bad);
    g_assert_cmpuint(n_good, >, 1000);
}

void
test_keyval_add(void)
{
    g_test_add_func("/conf/keyval/pieces", test_pieces);
    g_test_add_func("/conf/keyval/quoting", test_quoting);
    g_test_add_func("/conf/keyval/implied-key", test_implied_key);
    g_test_add_func("/conf/keyval/bad-pieces", test_bad_pieces);
    g_test_add_func("/conf/keyval/keys", test_keys);
    g_test_add_func("/conf/keyval/conflicts", test_conflicts);
    g_test_add_func("/conf/keyval/limits", test_limits);
    g_test_add_func("/conf/keyval/many-keys", test_many_keys);
    g_test_add_func("/conf/keyval/exhaustive", test_exhaustive);
}
