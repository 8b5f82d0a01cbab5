/*
 * server/drivers-help.c - see server/drivers-help.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/drivers-help.h"

#include "drivers/drivers.h"

void
server_print_drivers(FILE *out)
{
    g_autofree char *common = drivers_describe(NULL);

    fputs(common, out);
    for (const BlkDriver *const *driver = drivers; *driver; driver++) {
        g_autofree char *text = drivers_describe(*driver);

        fprintf(out, "\n%s", text);
    }
}
