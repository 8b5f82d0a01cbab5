/*
 * tests/unit/base/test-log.c - log lines, limits, escapes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/base/tests.h"

/* ---- lines ---- */

static int log_pipe[2];

static void
log_begin(void)
{
    g_assert_cmpint(pipe2(log_pipe, O_NONBLOCK | O_CLOEXEC), ==, 0);
    ash_log_set_fd(log_pipe[1]);
}

static void
log_end(void)
{
    ash_log_set_fd(STDERR_FILENO);
    ash_log_set_level(ASH_LOG_NOTICE);
    close(log_pipe[0]);
    close(log_pipe[1]);
}

/* All that has been written since the last time. */
static char *
log_read(void)
{
    static char buf[65536];
    ssize_t n = read(log_pipe[0], buf, sizeof(buf));

    return g_strndup(buf, n > 0 ? (size_t)n : 0);
}

static void
log_check(const char *expected)
{
    g_autofree char *text = log_read();

    g_assert_cmpstr(text, ==, expected);
}

static void
test_levels(void)
{
    static const char *const names[] = { "error", "warning", "notice", "info",
                                         "debug" };

    log_begin();
    for (int set = ASH_LOG_ERROR; set <= ASH_LOG_DEBUG; set++) {
        ash_log_set_level((AshLogLevel)set);
        for (int level = ASH_LOG_ERROR; level <= ASH_LOG_DEBUG; level++) {
            g_autofree char *line = g_strdup_printf(
                "ashlard: %s: export=disk n=%d\n", names[level], level);

            g_assert_cmpint(ash_log_enabled((AshLogLevel)level), ==,
                            level <= set);
            ash_log((AshLogLevel)level, "export=%s n=%d", "disk", level);
            log_check(level <= set ? line : "");
        }
    }
    ash_log_set_fd(-1);
    ash_log(ASH_LOG_ERROR, "nowhere");
    log_check("");
    log_end();
}

/* A line of any length is one line, cut if need be. */
static void
test_length(void)
{
    log_begin();
    for (size_t len = 900; len < 1200; len++) {
        g_autofree char *text = g_strnfill(len, 'x');
        g_autofree char *line = NULL;
        size_t n;

        ash_log(ASH_LOG_ERROR, "%s", text);
        line = log_read();
        n = strlen(line);
        g_assert_cmpuint(n, ==, MIN(len + strlen("ashlard: error: \n"), 1024));
        g_assert_true(strchr(line, '\n') == line + n - 1);
    }
    log_end();
}

/* A target that would block costs lines, never time. */
static void
test_lost(void)
{
    uint64_t lost = ash_log_lost();
    unsigned n = 0;

    log_begin();
    while (ash_log_lost() == lost) {
        ash_log(ASH_LOG_ERROR, "line %u", n++);
        g_assert_cmpuint(n, <, 1000000);
    }
    ash_log(ASH_LOG_ERROR, "lost too");
    g_assert_cmpuint(ash_log_lost(), ==, lost + 2);
    g_free(log_read());
    ash_log(ASH_LOG_ERROR, "heard");
    g_assert_cmpuint(ash_log_lost(), ==, lost + 2);
    log_end();
}

static unsigned
log_count_lines(void)
{
    g_autofree char *text = log_read();
    unsigned n = 0;

    for (const char *p = text; (p = strchr(p, '\n')); p++) {
        n++;
    }
    return n;
}

static void
test_limit(void)
{
    AshLogLimit limit = { 0 };
    g_autofree char *text = NULL;

    log_begin();
    for (unsigned i = 0; i < 100; i++) {
        ash_log_limited(&limit, ASH_LOG_WARNING, "line %u", i);
        ash_log_limited(&limit, ASH_LOG_DEBUG, "costs nothing");
    }
    g_assert_cmpuint(log_count_lines(), ==, ASH_LOG_LIMIT_BURST);
    g_assert_cmpuint(limit.suppressed, ==, 100 - ASH_LOG_LIMIT_BURST);

    /* One second later: one line, and what was left out. */
    limit.last_ns -= 1000000000;
    ash_log_limited(&limit, ASH_LOG_WARNING, "again");
    ash_log_limited(&limit, ASH_LOG_WARNING, "too soon");
    text = log_read();
    g_assert_cmpstr(text, ==,
                    "ashlard: warning: 90 similar lines suppressed\n"
                    "ashlard: warning: again\n");

    /* A long silence does not save up more than the burst. */
    limit.last_ns -= 1000000000000;
    for (unsigned i = 0; i < 100; i++) {
        ash_log_limited(&limit, ASH_LOG_WARNING, "line %u", i);
    }
    g_assert_cmpuint(log_count_lines(), ==, ASH_LOG_LIMIT_BURST + 1);
    log_end();
}

/* ---- escapes ---- */

/* Undo ash_escape(); the result is as long as *@ret_len. */
static char *
test_unescape(const char *text, size_t *ret_len)
{
    GString *s = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p != '\\') {
            g_string_append_c(s, *p);
        } else if (p[1] == 'x') {
            int high = g_ascii_xdigit_value(p[2]);
            int low = g_ascii_xdigit_value(p[3]);

            g_assert_cmpint(high, >=, 0);
            g_assert_cmpint(low, >=, 0);
            g_string_append_c(s, (char)(high * 16 + low));
            p += 3;
        } else {
            g_assert_true(p[1] == '\\' || p[1] == '"');
            g_string_append_c(s, p[1]);
            p++;
        }
    }
    *ret_len = s->len;
    return g_string_free(s, FALSE);
}

/* It says what it should, and nothing in it can harm a terminal or a log. */
static void
test_escape_one(const char *text, size_t len)
{
    char buf[256];
    g_autofree char *back = NULL;
    size_t back_len;

    ash_escape(buf, sizeof(buf), text, len);
    g_assert_true(g_utf8_validate(buf, -1, NULL));
    for (const char *p = buf; *p; p = g_utf8_next_char(p)) {
        g_assert_true(g_unichar_isprint(g_utf8_get_char(p)));
        g_assert_true(*p != '"' || (p > buf && p[-1] == '\\'));
    }
    back = test_unescape(buf, &back_len);
    test_assert_bytes(back, back_len, text, len);
}

/* Every text of one and of two bytes, random ones, every code point. */
static void
test_escape(void)
{
    GRand *rand = test_rand_new();
    char text[32];
    unsigned n = 0;

    for (unsigned a = 0; a < 256; a++) {
        text[0] = (char)a;
        test_escape_one(text, 1);
        for (unsigned b = 0; b < 256; b++, n++) {
            text[1] = (char)b;
            test_escape_one(text, 2);
        }
    }
    for (gunichar c = 0; c <= 0x10ffff; c++, n++) {
        int len = g_unichar_to_utf8(c, text);

        test_escape_one(text, (size_t)len);
        test_escape_one(text, (size_t)len - 1);
    }
    for (unsigned i = 0; i < 100000; i++, n++) {
        size_t len = (size_t)g_rand_int_range(rand, 0, 30);

        for (size_t j = 0; j < len; j++) {
            text[j] = (char)g_rand_int_range(rand, 0, 256);
        }
        test_escape_one(text, len);
    }
    g_test_message("%u texts", n);
    g_rand_free(rand);
}

static void
test_escape_is(const char *text, const char *expected)
{
    char buf[64];

    ash_escape(buf, sizeof(buf), text, strlen(text));
    g_assert_cmpstr(buf, ==, expected);
}

static void
test_escape_examples(void)
{
    test_escape_is("", "");
    test_escape_is("disk 0", "disk 0");
    test_escape_is("a\"b\\c", "a\\\"b\\\\c");
    test_escape_is("a\nb\033[2J", "a\\x0ab\\x1b[2J");
    test_escape_is("gr\303\274\303\237e", "gr\303\274\303\237e");
    test_escape_is("gr\374\337e", "gr\\xfc\\xdfe");
    /* Right-to-left override: valid UTF-8, but nobody should print it. */
    test_escape_is("a\342\200\256b", "a\\xe2\\x80\\xaeb");
}

/* In room for @size bytes, @text (already harmless) stays whole if it fits,
 * and else ends in "...", as late as can be. */
static void
test_escape_size(const char *text, size_t size)
{
    char buf[64];
    size_t len = strlen(text);

    memset(buf, 0x7e, sizeof(buf));
    ash_escape(buf, size, text, len);
    for (size_t i = size; i < sizeof(buf); i++) {
        g_assert_cmpint(buf[i], ==, 0x7e);
    }
    if (len < size) {
        g_assert_cmpstr(buf, ==, text);
    } else {
        g_assert_cmpuint(strlen(buf), ==, size - 1);
        g_assert_true(strncmp(buf, text, size - 4) == 0);
        g_assert_true(g_str_has_suffix(buf, "..."));
    }
}

static void
test_escape_cut(void)
{
    char buf[16];

    for (size_t size = 8; size < 40; size++) {
        for (size_t len = 0; len < 60; len++) {
            g_autofree char *text = g_strnfill(len, 'a');

            test_escape_size(text, size);
        }
    }
    /* Nothing is cut in its middle. */
    ash_escape(buf, 8, "abc\001\002", 5);
    g_assert_cmpstr(buf, ==, "abc...");
    ash_escape(buf, 8, "abc\001", 4);
    g_assert_cmpstr(buf, ==, "abc\\x01");
    ash_escape(buf, 8, "abc\303\274\303\274", 7);
    g_assert_cmpstr(buf, ==, "abc\303\274\303\274");
    ash_escape(buf, 8, "abc\303\274\303\274d", 8);
    g_assert_cmpstr(buf, ==, "abc...");
}

void
test_log_add(void)
{
    g_test_add_func("/base/log/levels", test_levels);
    g_test_add_func("/base/log/length", test_length);
    g_test_add_func("/base/log/lost", test_lost);
    g_test_add_func("/base/log/limit", test_limit);
    g_test_add_func("/base/escape/all", test_escape);
    g_test_add_func("/base/escape/examples", test_escape_examples);
    g_test_add_func("/base/escape/cut", test_escape_cut);
}
