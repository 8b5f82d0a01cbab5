/*
 * base/parse.c - see base/parse.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/parse.h"

#include <inttypes.h>
#include <string.h>

#include "base/bits.h"

/* Digits of @base at *@pos; false on none or overflow. */
static bool
parse_digits(const char **pos, unsigned base, uint64_t *ret)
{
    const char *p = *pos;
    uint64_t n = 0;

    for (;; p++) {
        int digit =
            base == 16 ? g_ascii_xdigit_value(*p) : g_ascii_digit_value(*p);

        if (digit < 0) {
            break;
        }
        if (!ash_mul_checked(n, base, &n) ||
            !ash_add_checked(n, (uint64_t)digit, &n)) {
            return false;
        }
    }
    if (p == *pos) {
        return false;
    }
    *pos = p;
    *ret = n;
    return true;
}

static bool
parse_is_hex(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

static bool
parse_number(const char **pos, uint64_t *ret)
{
    if (parse_is_hex(*pos)) {
        *pos += 2;
        return parse_digits(pos, 16, ret);
    }
    return parse_digits(pos, 10, ret);
}

bool
ash_parse_uint(const char *text, uint64_t max, uint64_t *ret, GError **error)
{
    const char *pos = text;
    uint64_t n;

    if (!parse_number(&pos, &n) || *pos != '\0' || n > max) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' is not a whole number from 0 to %" PRIu64, text, max);
        return false;
    }
    *ret = n;
    return true;
}

static int
parse_suffix_bits(char c)
{
    switch (c) {
    case 'k':
    case 'K':
        return 10;
    case 'M':
    case 'm':
        return 20;
    case 'G':
    case 'g':
        return 30;
    case 'T':
    case 't':
        return 40;
    case 'P':
    case 'p':
        return 50;
    case 'E':
    case 'e':
        return 60;
    case 'b':
    case 'B':
        return 0;
    default:
        return -1;
    }
}

/* The bytes that "0.@digits" of 2^@bits make; false unless exact. */
static bool
parse_fraction(const char **pos, int bits, uint64_t *ret)
{
    const char *p = *pos;
    uint64_t num = 0;
    uint64_t den = 1;

    for (; g_ascii_isdigit(*p); p++) {
        if (den > 1000000000000ULL) {
            return false;
        }
        num = num * 10 + (uint64_t)g_ascii_digit_value(*p);
        den *= 10;
    }
    if (p == *pos) {
        return false;
    }
    *pos = p;
    while (num > 0 && num % 2 == 0 && den % 2 == 0) {
        num /= 2;
        den /= 2;
    }
    for (uint64_t five = 5; num > 0 && num % five == 0 && den % five == 0;) {
        num /= five;
        den /= five;
    }
    if (num == 0) {
        *ret = 0;
        return true;
    }
    if (!ash_is_pow2(den) || ash_log2(den) > (unsigned)bits) {
        return false;
    }
    *ret = num << ((unsigned)bits - ash_log2(den));
    return true;
}

static bool
parse_size_value(const char *text, uint64_t *ret)
{
    const char *pos = text;
    const char *point = NULL;
    uint64_t fraction = 0;
    uint64_t n;
    int bits = 0;

    if (!parse_number(&pos, &n)) {
        return false;
    }
    if (parse_is_hex(text) && *pos != '\0') {
        return false; /* 0x1E has no suffix, so 0x1k must not have one */
    }
    if (*pos == '.') {
        point = ++pos;
        while (g_ascii_isdigit(*pos)) {
            pos++;
        }
    }
    if (*pos != '\0') {
        bits = parse_suffix_bits(*pos++);
    }
    if (bits < 0 || *pos != '\0') {
        return false;
    }
    if (point && !parse_fraction(&point, bits, &fraction)) {
        return false;
    }
    return ash_mul_checked(n, (uint64_t)1 << bits, &n) &&
           ash_add_checked(n, fraction, ret) && *ret <= INT64_MAX;
}

bool
ash_parse_size(const char *text, uint64_t *ret, GError **error)
{
    uint64_t n;

    if (!parse_size_value(text, &n)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' is not a size: use a whole number of bytes, or a "
                    "suffix k, M, G, T, P, E for powers of 1024",
                    text);
        return false;
    }
    *ret = n;
    return true;
}

bool
ash_parse_bool(const char *text, bool *ret, GError **error)
{
    static const char *const names[] = { "off",  "on", "no", "yes", "false",
                                         "true", "n",  "y",  NULL };

    for (int i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = i % 2 == 1;
            return true;
        }
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "'%s' is not on or off",
                text);
    return false;
}

bool
ash_parse_enum(const char *text, const char *const *names, int *ret,
               GError **error)
{
    g_autofree char *all = NULL;

    for (int i = 0; names[i]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    all = g_strjoinv(", ", (char **)(uintptr_t)names);
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "'%s' is not one of %s",
                text, all);
    return false;
}

/* Edits that turn @a into @b, at most @max + 1. */
static unsigned
parse_distance(const char *a, const char *b, unsigned max)
{
    size_t n = strlen(b);
    unsigned row[64];

    if (n >= ASH_N_ELEMENTS(row)) {
        return max + 1;
    }
    for (size_t j = 0; j <= n; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned cost = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            cost = MIN(cost, row[j] + 1);
            row[j] = MIN(cost, row[j - 1] + 1);
        }
    }
    return MIN(row[n], max + 1);
}

const char *
ash_parse_nearest(const char *text, const char *const *names)
{
    const char *best = NULL;
    unsigned best_distance = 3;

    for (; *names; names++) {
        unsigned d = parse_distance(text, *names, 3);

        if (d < best_distance) {
            best = *names;
            best_distance = d;
        }
    }
    return best;
}
