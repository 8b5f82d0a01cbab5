/*
 * tests/unit/base/test-parse.c - text to values: every short text, against a
 * slow and plain reading of the rules.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/parse.h"

#include <string.h>

#include "base/bits.h"
#include "tests/unit/base/tests.h"

/* ---- the rules, once more ---- */

/* Digits at @text, at most @max of them; how many, and their value. */
static unsigned
model_digits(const char *text, unsigned base, unsigned __int128 *ret)
{
    const char *digits = "0123456789abcdef";
    unsigned n = 0;

    *ret = 0;
    for (; text[n]; n++) {
        const char *d = strchr(digits, g_ascii_tolower(text[n]));

        if (!d || d - digits >= (ptrdiff_t)base) {
            break;
        }
        *ret = *ret * base + (unsigned)(d - digits);
    }
    return n;
}

static unsigned
model_number(const char *text, unsigned __int128 *ret)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        unsigned n = model_digits(text + 2, 16, ret);

        return n > 0 ? n + 2 : 0;
    }
    return model_digits(text, 10, ret);
}

static bool
model_uint(const char *text, uint64_t max, uint64_t *ret)
{
    unsigned __int128 n;
    unsigned len = model_number(text, &n);

    *ret = (uint64_t)n;
    return len > 0 && len == strlen(text) && n <= max;
}

static bool
model_size(const char *text, uint64_t *ret)
{
    static const char suffixes[] = "bkmgtpe";
    unsigned __int128 n;
    unsigned __int128 fraction = 0;
    unsigned __int128 scale = 1;
    uint64_t unit = 1;
    unsigned len = model_number(text, &n);

    if (len == 0) {
        return false;
    }
    if (text[0] == '0' && g_ascii_tolower(text[1]) == 'x') {
        *ret = (uint64_t)n;
        return len == strlen(text) && n <= INT64_MAX;
    }
    text += len;
    if (*text == '.') {
        len = model_digits(++text, 10, &fraction);
        if (len == 0) {
            return false;
        }
        text += len;
        while (len-- > 0) {
            scale *= 10;
        }
    }
    if (*text) {
        const char *s = strchr(suffixes, g_ascii_tolower(*text));

        if (!s || text[1]) {
            return false;
        }
        unit = (uint64_t)1 << (10 * (s - suffixes));
    }
    if (fraction * unit % scale != 0) {
        return false;
    }
    n = n * unit + fraction * unit / scale;
    *ret = (uint64_t)n;
    return n <= INT64_MAX;
}

/* ---- all short texts ---- */

static unsigned n_good;

static void
test_uint_one(const char *text, uint64_t max)
{
    GError *error = NULL;
    uint64_t expected = 0;
    uint64_t got = 77;
    bool good = model_uint(text, max, &expected);

    g_assert_cmpint(ash_parse_uint(text, max, &got, &error), ==, good);
    if (good) {
        g_assert_no_error(error);
        g_assert_cmpuint(got, ==, expected);
        n_good++;
    } else {
        g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, "is not a whole number"));
        g_assert_cmpuint(got, ==, 77);
        g_clear_error(&error);
    }
}

static void
test_size_one(const char *text)
{
    GError *error = NULL;
    uint64_t expected = 0;
    uint64_t got = 77;
    bool good = model_size(text, &expected);

    if (ash_parse_size(text, &got, &error) != good) {
        g_error("'%s': expected %s", text, good ? "a size" : "an error");
    }
    if (good) {
        g_assert_no_error(error);
        g_assert_cmpuint(got, ==, expected);
        n_good++;
    } else {
        g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, "is not a size"));
        g_assert_cmpuint(got, ==, 77);
        g_clear_error(&error);
    }
}

/* Call @one for each text of at most @max letters of @alphabet. */
static unsigned
test_texts(const char *alphabet, unsigned max, void (*one)(const char *text))
{
    unsigned n_letters = (unsigned)strlen(alphabet);
    unsigned n_total = 0;

    for (unsigned len = 0; len <= max; len++) {
        unsigned n = 1;

        for (unsigned i = 0; i < len; i++) {
            n *= n_letters;
        }
        for (unsigned i = 0; i < n; i++) {
            char text[16] = "";
            unsigned rest = i;

            for (unsigned j = 0; j < len; j++) {
                text[j] = alphabet[rest % n_letters];
                rest /= n_letters;
            }
            one(text);
        }
        n_total += n;
    }
    return n_total;
}

static void
test_uint_small(const char *text)
{
    test_uint_one(text, 9000);
}

static void
test_uint(void)
{
    unsigned n;

    n_good = 0;
    n = test_texts("019xXaF -+.", 5, test_uint_small);
    g_test_message("%u texts, %u numbers", n, n_good);
    g_assert_cmpuint(n_good, >, 100);

    test_uint_one("18446744073709551615", UINT64_MAX);
    test_uint_one("18446744073709551616", UINT64_MAX);
    test_uint_one("184467440737095516150", UINT64_MAX);
    test_uint_one("0xffffffffffffffff", UINT64_MAX);
    test_uint_one("0x10000000000000000", UINT64_MAX);
    test_uint_one("0", 0);
    test_uint_one("1", 0);
    for (unsigned c = 1; c < 256; c++) {
        char text[] = { '1', (char)c, '\0' };

        test_uint_one(text, 1000);
        text[0] = (char)c;
        text[1] = '1';
        test_uint_one(text, 1000);
    }
}

static void
test_size(void)
{
    static const char *const numbers[] = {
        "8E",
        "7.5E",
        "7.99E",
        "9223372036854775807",
        "9223372036854775808",
        "8191P",
        "8192P",
        "0.0009765625k",
        "0.00048828125k",
        "1.5G",
        "18446744073709551616",
        "36893488147419103232",
        "0.1k",
        "0.125k",
        "1.0000000k",
        "16777216T",
        "3.14159265358979",
        "1e",
        "1E",
        "0x1E",
    };
    unsigned n;

    n_good = 0;
    n = test_texts("0125x.kKEb- ", 5, test_size_one);
    g_test_message("%u texts, %u sizes", n, n_good);
    g_assert_cmpuint(n_good, >, 1000);
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        test_size_one(numbers[i]);
    }
    for (unsigned c = 1; c < 256; c++) {
        char text[] = { '4', (char)c, '\0' };

        test_size_one(text);
    }
}

/* ---- words ---- */

static void
test_bool(void)
{
    static const char *const yes[] = { "on", "yes", "true", "y" };
    static const char *const no[] = { "off", "no", "false", "n" };
    static const char *const bad[] = { "",    "On",  "ON", "1",  "0",
                                       "on ", " on", "t",  "of", "yess" };
    GError *error = NULL;
    bool b;

    for (unsigned i = 0; i < G_N_ELEMENTS(yes); i++) {
        b = false;
        g_assert_true(ash_parse_bool(yes[i], &b, &error));
        g_assert_true(b);
        g_assert_true(ash_parse_bool(no[i], &b, &error));
        g_assert_false(b);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        b = i % 2;
        g_assert_false(ash_parse_bool(bad[i], &b, &error));
        g_assert_cmpint(b, ==, i % 2);
        g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
        g_assert_nonnull(strstr(error->message, "is not on or off"));
        g_clear_error(&error);
    }
}

static const char *const colours[] = { "red", "green", "blue", NULL };

static void
test_enum(void)
{
    GError *error = NULL;
    int n = -5;

    for (int i = 0; colours[i]; i++) {
        g_assert_true(ash_parse_enum(colours[i], colours, &n, &error));
        g_assert_cmpint(n, ==, i);
    }
    g_assert_false(ash_parse_enum("gree", colours, &n, &error));
    g_assert_cmpint(n, ==, 2);
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
    g_assert_cmpstr(error->message, ==,
                    "'gree' is not one of red, green, blue");
    g_clear_error(&error);
    g_assert_false(ash_parse_enum("", colours, &n, NULL));
}

static void
test_nearest(void)
{
    static const char long_name[] = "a-name-that-is-much-longer-than-any-"
                                    "option-of-ours-could-ever-be-or-so";
    static const char *const lengths[] = { long_name, NULL };
    static const char *const none[] = { NULL };

    g_assert_cmpstr(ash_parse_nearest("red", colours), ==, "red");
    g_assert_cmpstr(ash_parse_nearest("rde", colours), ==, "red");
    g_assert_cmpstr(ash_parse_nearest("gren", colours), ==, "green");
    g_assert_cmpstr(ash_parse_nearest("greeen", colours), ==, "green");
    g_assert_cmpstr(ash_parse_nearest("blau", colours), ==, "blue");
    g_assert_null(ash_parse_nearest("violet", colours));
    g_assert_null(ash_parse_nearest("", colours));
    g_assert_null(ash_parse_nearest("red", none));
    g_assert_null(ash_parse_nearest(long_name, colours));
    g_assert_null(ash_parse_nearest(long_name, lengths));
}

void
test_parse_add(void)
{
    g_test_add_func("/base/parse/uint", test_uint);
    g_test_add_func("/base/parse/size", test_size);
    g_test_add_func("/base/parse/bool", test_bool);
    g_test_add_func("/base/parse/enum", test_enum);
    g_test_add_func("/base/parse/nearest", test_nearest);
}
