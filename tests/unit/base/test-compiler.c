/*
 * tests/unit/base/test-compiler.c - what cmake/Warnings.cmake must keep the
 * compilers from doing.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <stdbool.h>
#include <string.h>

#include "base/annotate.h"
#include "tests/unit/base/tests.h"

typedef struct Marks {
    bool wide[8];
    int unused[8];
    int marks[8];
} Marks;

static ASH_NOINLINE void
marks_set(Marks *m, unsigned n)
{
    bool some = false;
    bool wide = false;

    for (unsigned i = 0; i < n; i++) {
        if (m->marks[i] == 3) {
            continue;
        }
        if (wide || (some && m->wide[i])) {
            break;
        }
        m->marks[i] = 1;
        wide = m->wide[i];
        some = !wide;
    }
}

/* GCC 12.2 with optimisation and without -fno-delete-null-pointer-checks takes
 * marks_set() for a function without effects and leaves the call out. */
static void
test_stores(void)
{
    volatile unsigned n = 8; /* a constant would change marks_set() */
    Marks m;

    memset(&m, 0, sizeof(m));
    marks_set(&m, n);
    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmpint(m.marks[i], ==, 1);
    }
}

void
test_compiler_add(void)
{
    g_test_add_func("/base/compiler/stores", test_stores);
}
