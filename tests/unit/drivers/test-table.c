/*
 * tests/unit/drivers/test-table.c - the table of all drivers, and what it says
 * of their options.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "blockcore/driver.h"
#include "drivers/drivers.h"
#include "tests/unit/drivers/test-drivers.h"

static void
check_option(const BlkOptionSpec *spec, const char *const *seen)
{
    g_assert_false(g_strv_contains(seen, spec->name));
    g_assert_nonnull(spec->help);
    g_assert_cmpuint(strlen(spec->help), >, 3);
    g_assert_false(g_str_has_suffix(spec->help, "."));
    g_assert_cmpint(spec->type == BLK_OPT_ENUM, ==, spec->values != NULL);
    g_assert_false(spec->required && spec->fallback);
    if (spec->fallback) {
        BlkOptions *opts = blk_options_new();
        uint64_t number;
        bool flag;
        int index;

        switch (spec->type) {
        case BLK_OPT_BOOL:
            g_assert_true(blk_options_take_bool(opts, spec, &flag, NULL));
            break;
        case BLK_OPT_SIZE:
        case BLK_OPT_UINT:
            g_assert_true(blk_options_take_uint(opts, spec, &number, NULL));
            break;
        case BLK_OPT_ENUM:
            g_assert_true(blk_options_take_enum(opts, spec, &index, NULL));
            break;
        case BLK_OPT_STRING:
        case BLK_OPT_NODE:
            break;
        }
        blk_options_free(opts);
    }
}

static void
check_options(const BlkOptionSpec *table)
{
    g_autoptr(GPtrArray) seen = g_ptr_array_new();

    g_ptr_array_add(seen, NULL);
    for (const BlkOptionSpec *s = table; s->name; s++) {
        check_option(s, (const char *const *)seen->pdata);
        g_ptr_array_insert(seen, 0, (char *)(uintptr_t)s->name);
    }
}

/* Drivers are sorted, have what is required, and options of their own names,
 * whose defaults are of their types. */
static void
test_drivers(void)
{
    unsigned n = 0;

    check_options(blk_node_option_specs);
    for (; drivers[n]; n++) {
        const BlkDriver *d = drivers[n];

        g_assert_true(drivers_find(d->name) == d);
        g_assert_nonnull(d->help);
        g_assert_nonnull(d->co_open);
        g_assert_nonnull(d->co_read);
        g_assert_true(d->co_size || d->kind == BLK_FILTER);
        if (n > 0) {
            g_assert_cmpstr(drivers[n - 1]->name, <, d->name);
        }
        check_options(drivers_options(d));
        for (const BlkOptionSpec *s = drivers_options(d); s->name; s++) {
            g_assert_null(blk_option_find(blk_node_option_specs, s->name));
        }
    }
    g_test_message("%u drivers", n);
    g_assert_null(drivers_find("RAW"));
    g_assert_null(drivers_find(""));
}

/* Help has every option, with value and default. */
static void
test_describe(void)
{
    g_autofree char *raw = drivers_describe(drivers_find("raw"));
    g_autofree char *common = drivers_describe(NULL);

    g_assert_cmpstr(
        raw, ==,
        "raw: a file as a disk, byte for byte: all of it or a window\n"
        "  file=NODE                     where the bytes are (required)\n"
        "  offset=SIZE                   where in the file the disk begins, "
        "in bytes (default: 0)\n"
        "  size=SIZE                     size of the disk in bytes; without "
        "it, the rest of the file\n");
    g_assert_nonnull(strstr(common, "every node:\n"));
    g_assert_nonnull(strstr(common, "  cache.direct=on|off           "
                                    "bypass the host's page cache; inherited "
                                    "(default: off)\n"));
    g_assert_nonnull(strstr(common, "  discard=ignore|off|unmap|on   whether "
                                    "trimmed space is given back (default: "
                                    "unmap)\n"));
    for (size_t i = 0; drivers[i]; i++) {
        g_autofree char *text = drivers_describe(drivers[i]);

        for (const BlkOptionSpec *s = drivers_options(drivers[i]); s->name;
             s++) {
            g_autofree char *head = g_strdup_printf("\n  %s=", s->name);

            g_assert_nonnull(strstr(text, head));
        }
    }
}

void
test_table_add(void)
{
    g_test_add_func("/drivers/table/drivers", test_drivers);
    g_test_add_func("/drivers/table/describe", test_describe);
}
