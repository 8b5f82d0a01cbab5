/*
 * tests/unit/server/test-pid-file.c - one instance a pid file.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/pid-file.h"
#include "tests/unit/server/test-server.h"

static char *
pid_text(void)
{
    return g_strdup_printf("%d\n", (int)getpid());
}

static void
check_contents(const char *path, const char *expected)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, expected);
}

/* It is not there before, complete after, and gone at the end. */
static void
test_life(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "pid", NULL);
    g_autofree char *expected = pid_text();
    g_autoptr(GError) error = NULL;
    ServerPidFile *pid_file = server_pid_file_claim(path, &error);
    struct stat st;

    g_assert_no_error(error);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    server_pid_file_publish(pid_file, &error);
    g_assert_no_error(error);
    check_contents(path, expected);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0600, ==, 0600);
    server_pid_file_free(pid_file);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpint(rmdir(dir), ==, 0); /* nothing else is left */
    g_free(dir);
}

/* What a crash left behind is replaced. */
static void
test_left_behind(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "pid", NULL);
    g_autofree char *expected = pid_text();
    g_autoptr(GError) error = NULL;
    ServerPidFile *pid_file;

    g_assert_true(g_file_set_contents(path, "999999\n", -1, NULL));
    pid_file = server_pid_file_claim(path, &error);
    g_assert_no_error(error);
    check_contents(path, "999999\n");
    server_pid_file_publish(pid_file, &error);
    g_assert_no_error(error);
    check_contents(path, expected);
    server_pid_file_free(pid_file);
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
}

/* A running instance is named; it keeps its file. */
static void
test_taken(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "pid", NULL);
    g_autofree char *text =
        g_strdup_printf("process %d is running with it", (int)getpid());
    ServerPidFile *first = server_pid_file_claim(path, NULL);
    ServerPidFile *second = server_pid_file_claim(path, NULL);
    GError *error = NULL;

    g_assert_true(server_pid_file_publish(first, NULL));
    g_assert_null(server_pid_file_claim(path, &error));
    test_check_error(error, ASH_ERROR_CONFLICT, text);
    /* Who claimed before that is told when he publishes. */
    error = NULL;
    g_assert_false(server_pid_file_publish(second, &error));
    test_check_error(error, ASH_ERROR_CONFLICT, text);
    server_pid_file_free(second);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    server_pid_file_free(first);
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
}

/* The same when the file that was left behind is not the one that he found:
 * removed by hand, and another instance was faster. */
static void
test_taken_meanwhile(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "pid", NULL);
    ServerPidFile *first;
    ServerPidFile *second;
    GError *error = NULL;

    g_assert_true(g_file_set_contents(path, "1\n", -1, NULL));
    second = server_pid_file_claim(path, NULL);
    g_assert_cmpint(unlink(path), ==, 0);
    first = server_pid_file_claim(path, NULL);
    g_assert_true(server_pid_file_publish(first, NULL));
    g_assert_false(server_pid_file_publish(second, &error));
    test_check_error(error, ASH_ERROR_CONFLICT, "is running with it");
    server_pid_file_free(second);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    server_pid_file_free(first);
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
}

/* A file that somebody put there meanwhile is not ours to remove. */
static void
test_not_ours(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "pid", NULL);
    ServerPidFile *pid_file = server_pid_file_claim(path, NULL);

    g_assert_true(server_pid_file_publish(pid_file, NULL));
    g_assert_cmpint(unlink(path), ==, 0);
    g_assert_true(g_file_set_contents(path, "other\n", -1, NULL));
    server_pid_file_free(pid_file);
    check_contents(path, "other\n");
    test_dir_free(dir);
}

static void
test_errors(void)
{
    char *dir = test_dir_new();
    g_autofree char *link = g_build_filename(dir, "link", NULL);
    g_autofree char *below = g_build_filename(dir, "no", "pid", NULL);
    ServerPidFile *pid_file;
    GError *error = NULL;

    g_assert_null(server_pid_file_claim(dir, &error));
    test_check_error(error, ASH_ERROR_CONFLICT,
                     "it exists and is not a regular file");
    error = NULL;
    g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
    g_assert_null(server_pid_file_claim(link, &error));
    test_check_error(error, ASH_ERROR_IO, link);
    error = NULL;
    pid_file = server_pid_file_claim(below, &error);
    g_assert_no_error(error);
    g_assert_false(server_pid_file_publish(pid_file, &error));
    test_check_error(error, ASH_ERROR_NOT_FOUND, below);
    server_pid_file_free(pid_file);
    test_dir_free(dir);
}

/* ---- a race ---- */

#define RACERS 8
#define ROUNDS 40

typedef struct Race {
    const char *path;
    int start_fd; /* closed by the parent: go */
    int hold_fd;  /* closed by the parent: end */
} Race;

/* Exit 0: served until told to end; 1: refused. */
static ASH_NORETURN void
race_run(const Race *race)
{
    ServerPidFile *pid_file;
    char byte;

    if (read(race->start_fd, &byte, 1) != 0) {
        _exit(9);
    }
    pid_file = server_pid_file_claim(race->path, NULL);
    if (!pid_file || !server_pid_file_publish(pid_file, NULL)) {
        _exit(1);
    }
    if (read(race->hold_fd, &byte, 1) != 0) {
        _exit(9);
    }
    server_pid_file_free(pid_file);
    _exit(0);
}

static unsigned
race_once(const char *path)
{
    int start[2];
    int hold[2];
    pid_t children[RACERS];
    unsigned n_won = 0;
    unsigned n_lost = 0;

    g_assert_cmpint(pipe(start), ==, 0);
    g_assert_cmpint(pipe(hold), ==, 0);
    for (unsigned i = 0; i < RACERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            Race race = { path, start[0], hold[0] };

            close(start[1]);
            close(hold[1]);
            race_run(&race);
        }
    }
    close(start[1]);
    close(start[0]);
    while (n_lost < RACERS - 1) { /* all but one leave by themselves */
        int status;

        g_assert_cmpint(waitpid(-1, &status, 0), >, 0);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 1);
        n_lost++;
    }
    close(hold[0]);
    close(hold[1]);
    for (unsigned i = 0; i < RACERS; i++) {
        int status;

        if (waitpid(children[i], &status, 0) == children[i]) {
            g_assert_true(WIFEXITED(status));
            n_won += WEXITSTATUS(status) == 0;
        }
    }
    return n_won;
}

/* Of many that start at one moment exactly one runs, also when a file was
 * left behind; afterwards nothing is left. */
static void
test_race(void)
{
    char *dir = test_dir_new();
    g_autofree char *path = g_build_filename(dir, "pid", NULL);

    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 2 == 1) {
            g_assert_true(g_file_set_contents(path, "1\n", -1, NULL));
        }
        g_assert_cmpuint(race_once(path), ==, 1);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    }
    g_assert_cmpint(rmdir(dir), ==, 0);
    g_free(dir);
    g_test_message("%d rounds of %d starters, one owner each", ROUNDS, RACERS);
}

void
test_pid_file_add(void)
{
    g_test_add_func("/server/pid-file/life", test_life);
    g_test_add_func("/server/pid-file/left-behind", test_left_behind);
    g_test_add_func("/server/pid-file/taken", test_taken);
    g_test_add_func("/server/pid-file/taken-meanwhile", test_taken_meanwhile);
    g_test_add_func("/server/pid-file/not-ours", test_not_ours);
    g_test_add_func("/server/pid-file/errors", test_errors);
    g_test_add_func("/server/pid-file/race", test_race);
}
