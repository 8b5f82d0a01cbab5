/*
 * tests/unit/export/suites.h - each test file adds its cases.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

void test_buf_add(void);
void test_codec_add(void);
void test_out_add(void);
