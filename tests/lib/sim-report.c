/*
 * tests/lib/sim-report.c - see tests/lib/sim-report.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-report.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>

void
sim_report_violation(SimReport *report, SimWorld *world, const char *promise,
                     const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    report->n_violations++;
    sim_trace(world, "violation", report->n_violations, 0, 0);
    if (!report->quiet) {
        fprintf(stderr, "violation at %.6f s: %s: %s\n",
                (double)sim_world_now_ns(world) / 1e9, promise, text);
    }
    if (!report->first) {
        report->first = g_strdup_printf("%s: %s", promise, text);
    }
}

void
sim_report_done(SimReport *report)
{
    g_free(report->first);
    report->first = NULL;
}
