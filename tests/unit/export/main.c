/*
 * tests/unit/export/main.c - the unit tests of export/.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "tests/unit/export/suites.h"

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_buf_add();
    test_codec_add();
    test_out_add();
    return g_test_run();
}
