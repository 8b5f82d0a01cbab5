/*
 * tests/unit/base/test-error.c - the GError domain, and assertions.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/error.h"

#include <errno.h>

#include "base/assert.h"
#include "tests/unit/base/tests.h"

static void
test_errno_one(int err, int code, const char *text)
{
    GError *error = NULL;

    ash_set_error_errno(&error, err, "%s %d", "file", 7);
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, text);
    g_clear_error(&error);
    ash_set_error_errno(NULL, err, "nobody listens");
}

static void
test_errno(void)
{
    test_errno_one(ENOENT, ASH_ERROR_NOT_FOUND,
                   "file 7: No such file or directory");
    test_errno_one(EBUSY, ASH_ERROR_BUSY, "file 7: Device or resource busy");
    test_errno_one(EIO, ASH_ERROR_IO, "file 7: Input/output error");
    test_errno_one(EACCES, ASH_ERROR_IO, "file 7: Permission denied");
}

static void
test_assert(void)
{
    if (g_test_subprocess()) {
        int two = 2;

        ash_assert(two == 2);
        ash_assert(two == 3);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr(
        "*test-error.c:*: test_assert: assertion 'two == 3' failed*");
}

void
test_error_add(void)
{
    g_test_add_func("/base/error/errno", test_errno);
    g_test_add_func("/base/assert", test_assert);
}
