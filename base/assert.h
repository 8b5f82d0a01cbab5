/*
 * base/assert.h - assertions about our own code, on in every build.
 *
 * An assertion states what this project promises.  What comes from a client,
 * an image, a peer, the configuration or the kernel is validated and answered
 * with an error instead.
 *
 * Layer:   base.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"

#ifdef NDEBUG
#error "ashlar is never built with NDEBUG: assertions ship"
#endif

/* Prints "file:line: function: assertion 'text' failed" and aborts. */
ASH_COLD ASH_NORETURN void ash_assert_fail(const char *text, const char *file,
                                           int line, const char *func);

#define ash_assert(c)                                          \
    do {                                                       \
        if (ash_unlikely(!(c))) {                              \
            ash_assert_fail(#c, __FILE__, __LINE__, __func__); \
        }                                                      \
    } while (0)

/* May cost O(n): dev and sanitizer presets only. */
#ifdef ASH_SLOW_ASSERTS
#define ash_assert_slow(c) ash_assert(c)
#else
#define ash_assert_slow(c) ((void)sizeof(c))
#endif

/* Says that both values happen. */
#define ash_maybe(c) ((void)(c))

#define ash_unreachable() \
    ash_assert_fail("unreachable", __FILE__, __LINE__, __func__)
