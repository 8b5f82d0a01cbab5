/*
 * drivers/drivers.c - the only place that lists the drivers.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/drivers.h"

#include <string.h>

#include "blockcore/driver.h"

extern const BlkDriver blk_driver_fault;
extern const BlkDriver blk_driver_file;
extern const BlkDriver blk_driver_host_device;
extern const BlkDriver blk_driver_null_co;
extern const BlkDriver blk_driver_raw;

const BlkDriver *const drivers[] = {
    &blk_driver_fault,   &blk_driver_file, &blk_driver_host_device,
    &blk_driver_null_co, &blk_driver_raw,  NULL,
};

const BlkDriver *
drivers_find(const char *name)
{
    for (size_t i = 0; drivers[i]; i++) {
        if (strcmp(drivers[i]->name, name) == 0) {
            return drivers[i];
        }
    }
    return NULL;
}

const BlkOptionSpec *
drivers_options(const BlkDriver *driver)
{
    return driver ? driver->options : blk_node_option_specs;
}

/* ---- help ---- */

/* "on|off": what may stand for the value; owned. */
static char *
drivers_value(const BlkOptionSpec *spec)
{
    switch (spec->type) {
    case BLK_OPT_STRING:
        return g_strdup("TEXT");
    case BLK_OPT_BOOL:
        return g_strdup("on|off");
    case BLK_OPT_SIZE:
        return g_strdup("SIZE");
    case BLK_OPT_UINT:
        return g_strdup("NUMBER");
    case BLK_OPT_ENUM:
        return g_strjoinv("|", (char **)(uintptr_t)spec->values);
    case BLK_OPT_NODE:
        return g_strdup("NODE");
    }
    return NULL;
}

#define DRIVERS_HELP_COLUMN 32

static void
drivers_describe_option(GString *text, const BlkOptionSpec *spec)
{
    g_autofree char *value = drivers_value(spec);
    g_autofree char *head = g_strdup_printf("  %s=%s", spec->name, value);

    g_string_append(text, head);
    if (strlen(head) > DRIVERS_HELP_COLUMN - 2) {
        g_string_append_printf(text, "\n%*s", DRIVERS_HELP_COLUMN, "");
    } else {
        g_string_append_printf(text, "%*s",
                               DRIVERS_HELP_COLUMN - (int)strlen(head), "");
    }
    g_string_append(text, spec->help);
    if (spec->required) {
        g_string_append(text, " (required)");
    } else if (spec->fallback) {
        g_string_append_printf(text, " (default: %s)", spec->fallback);
    }
    g_string_append_c(text, '\n');
}

char *
drivers_describe(const BlkDriver *driver)
{
    GString *text = g_string_new(NULL);

    if (driver) {
        g_string_append_printf(text, "%s: %s\n", driver->name, driver->help);
    } else {
        g_string_append(text, "every node:\n");
    }
    for (const BlkOptionSpec *s = drivers_options(driver); s && s->name; s++) {
        drivers_describe_option(text, s);
    }
    return g_string_free(text, FALSE);
}
