/*
 * tests/unit/server/test-server.h - what the tests of server share.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

void test_daemonize_add(void);
void test_listen_add(void);
void test_options_add(void);
void test_pid_file_add(void);
void test_signals_add(void);
void test_socket_add(void);
void test_state_dir_add(void);

/* A new directory; removed with what is in it by test_dir_free(). */
char *test_dir_new(void);
void test_dir_free(char *take_dir);

/* A stream socket connected to a unix path / a TCP port on 127.0.0.1 or ::1;
 * -1 and errno. */
int test_connect_unix(const char *path);
int test_connect_tcp(const char *host, unsigned port);

/* A port that nobody uses just now. */
unsigned test_free_port(void);

/* Run @fn in a child process: its exit status, or minus the signal. */
int test_in_child(void (*fn)(void *arg), void *arg);

/* The text of an error of that code; freed with it. */
void test_check_error(GError *error, int code, const char *part);
