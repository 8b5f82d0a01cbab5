/*
 * tests/unit/conf/test-conf.h - what the tests of conf share.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <string.h>

#include "conf/conf.h"

void test_export_add(void);
void test_json_add(void);
void test_keyval_add(void);
void test_server_add(void);

/* "key=kind:value key=kind:value ..." of a good text; kinds are the letters
 * k s n b 0. */
char *test_dump(const char *text, const char *implied_key);
/* The error of a bad one; the test fails if it is good. */
char *test_parse_error(const char *text, const char *implied_key, int code);
