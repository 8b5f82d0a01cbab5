/*
 * tests/unit/server/test-state-dir.c - where state is kept.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/state-dir.h"
#include "tests/unit/server/test-server.h"

/* It is made with its parents, and is for us alone. */
static void
test_made(void)
{
    char *dir = test_dir_new();
    g_autofree char *deep = g_build_filename(dir, "a", "b", NULL);
    g_autofree char *found = NULL;
    g_autofree char *again = NULL;
    g_autoptr(GError) error = NULL;
    struct stat st;

    server_state_dir_open(deep, &found, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, deep);
    g_assert_cmpint(stat(deep, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0700);
    server_state_dir_open(deep, &again, &error);
    g_assert_no_error(error);
    test_dir_free(dir);
}

/* systemd may name several; the first counts. */
static void
test_environment(void)
{
    char *dir = test_dir_new();
    g_autofree char *list = g_strdup_printf("%s:/nowhere", dir);
    g_autofree char *found = NULL;
    g_autoptr(GError) error = NULL;

    g_setenv("STATE_DIRECTORY", list, TRUE);
    server_state_dir_open(NULL, &found, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, dir);
    g_unsetenv("STATE_DIRECTORY");
    test_dir_free(dir);
}

/* A relative one is below the present directory. */
static void
test_relative(void)
{
    char *dir = test_dir_new();
    g_autofree char *before = g_get_current_dir();
    g_autofree char *found = NULL;
    g_autofree char *expected = g_build_filename(dir, "s", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(chdir(dir), ==, 0);
    server_state_dir_open("s", &found, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, expected);
    g_assert_cmpint(chdir(before), ==, 0);
    test_dir_free(dir);
}

static void
as_other_user(void *arg)
{
    const char *home = arg;
    g_autofree char *found = NULL;
    g_autofree char *expected =
        g_build_filename(home, ".local", "state", "ashlar", NULL);
    GError *error = NULL;

    g_unsetenv("STATE_DIRECTORY");
    g_unsetenv("XDG_STATE_HOME");
    g_setenv("HOME", home, TRUE);
    if (geteuid() == 0) {
        g_assert_cmpint(setuid(65534), ==, 0);
    }
    server_state_dir_open(NULL, &found, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(found, ==, expected);
    g_clear_pointer(&found, g_free);

    /* What can't be written is an error that has the path. */
    server_state_dir_open("/etc", &found, &error);
    test_check_error(error, ASH_ERROR_IO,
                     "state directory '/etc': Permission denied");
    error = NULL;
    server_state_dir_open("/etc/ashlar/x", &found, &error);
    test_check_error(error, ASH_ERROR_IO, "state directory '/etc/ashlar/x'");
}

static void
test_other_user(void)
{
    char *home = test_dir_new();

    g_assert_cmpint(chmod(home, 0777), ==, 0);
    g_assert_cmpint(test_in_child(as_other_user, home), ==, 0);
    test_dir_free(home);
}

static void
test_errors(void)
{
    char *dir = test_dir_new();
    g_autofree char *file = g_build_filename(dir, "f", NULL);
    g_autofree char *below = g_build_filename(file, "d", NULL);
    char *found = NULL;
    GError *error = NULL;

    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    g_assert_false(server_state_dir_open(file, &found, &error));
    test_check_error(error, ASH_ERROR_IO, file);
    error = NULL;
    g_assert_false(server_state_dir_open(below, &found, &error));
    test_check_error(error, ASH_ERROR_IO, "Not a directory");
    g_assert_null(found);
    test_dir_free(dir);
}

void
test_state_dir_add(void)
{
    g_test_add_func("/server/state-dir/made", test_made);
    g_test_add_func("/server/state-dir/environment", test_environment);
    g_test_add_func("/server/state-dir/relative", test_relative);
    g_test_add_func("/server/state-dir/other-user", test_other_user);
    g_test_add_func("/server/state-dir/errors", test_errors);
}
