/*
 * base/assert.c - see base/assert.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void
ash_assert_fail(const char *text, const char *file, int line, const char *func)
{
    fprintf(stderr, "%s:%d: %s: assertion '%s' failed\n", file, line, func,
            text);
    abort();
}
