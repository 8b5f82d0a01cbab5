/*
 * tests/unit/conf/test-export.c - the keys of --export.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/conf/test-conf.h"

static ConfExport *
parse(const char *text, GError **error)
{
    g_autoptr(ConfKeyvals) kv =
        conf_keyvals_parse(text, strlen(text), "type", error);

    return kv ? conf_export_parse(kv, error) : NULL;
}

static void
check_error(const char *text, int code, const char *expected)
{
    g_autoptr(GError) error = NULL;
    ConfExport *export = parse(text, &error);

    g_assert_null(export);
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, expected);
}

static void
test_good(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ConfExport) small = parse("nbd,id=e,node-name=n", &error);
    g_autoptr(ConfExport) full =
        parse("{\"type\":\"nbd\",\"id\":\"e0\",\"node-name\":\"n\","
              "\"name\":\"\",\"description\":\"d\",\"writable\":true,"
              "\"writethrough\":true,\"allocation-depth\":true}",
              &error);

    g_assert_no_error(error);
    g_assert_cmpstr(small->id, ==, "e");
    g_assert_cmpstr(small->node_name, ==, "n");
    g_assert_cmpstr(small->name, ==, "n");
    g_assert_null(small->description);
    g_assert_false(small->writable);
    g_assert_false(small->writethrough);
    g_assert_false(small->allocation_depth);
    g_assert_cmpstr(full->name, ==, "");
    g_assert_cmpstr(full->description, ==, "d");
    g_assert_true(full->writable);
    g_assert_true(full->writethrough);
    g_assert_true(full->allocation_depth);
}

static void
test_missing(void)
{
    check_error("", ASH_ERROR_CONFIG, "key 'type' is missing");
    check_error("nbd,node-name=n", ASH_ERROR_CONFIG, "key 'id' is missing");
    check_error("nbd,id=e", ASH_ERROR_CONFIG, "key 'node-name' is missing");
}

static void
test_values(void)
{
    check_error("iscsi,id=e", ASH_ERROR_CONFIG,
                "key 'type': 'iscsi' is not one of nbd");
    check_error("nbd,id=#e,node-name=n", ASH_ERROR_CONFIG,
                "key 'id': '#e' is not a letter followed by letters, digits, "
                "'-', '.' and '_'");
    check_error("nbd,id=e,node-name=n,writable=maybe", ASH_ERROR_CONFIG,
                "key 'writable': 'maybe' is not on or off");
    check_error("nbd,id=e,node-name=n,name=\xff", ASH_ERROR_CONFIG,
                "key 'name' is not UTF-8");
    check_error("nbd,id=e,node-name=n,description=\xc3", ASH_ERROR_CONFIG,
                "key 'description' is not UTF-8");
}

/* Names and descriptions have at most 4096 bytes. */
static void
test_limits(void)
{
    static const char *const keys[] = { "name", "description" };

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *longest = g_strnfill(4096, 'x');
        g_autofree char *good =
            g_strdup_printf("nbd,id=e,node-name=n,%s=%s", keys[i], longest);
        g_autofree char *bad = g_strconcat(good, "x", NULL);
        g_autofree char *expected = g_strdup_printf(
            "key '%s' has 4097 bytes, more than the 4096 of the protocol",
            keys[i]);
        g_autoptr(ConfExport) export = parse(good, NULL);

        g_assert_nonnull(export);
        check_error(bad, ASH_ERROR_CONFIG, expected);
    }
}

static void
test_unknown(void)
{
    check_error("nbd,id=e,node-name=n,writeable=on", ASH_ERROR_CONFIG,
                "unknown key 'writeable', did you mean 'writable'?");
    check_error("nbd,id=e,nodename=n", ASH_ERROR_CONFIG,
                "unknown key 'nodename', did you mean 'node-name'?");
    check_error("nbd,device=x", ASH_ERROR_CONFIG,
                "unknown key 'device', known are: type, id, node-name, name, "
                "description, writable, writethrough, allocation-depth");
}

static void
test_refused(void)
{
    static const char *const types[] = { "vhost-user-blk", "fuse",
                                         "vduse-blk" };
    const char *threads = "exports are spread over the workers (--workers), "
                          "not bound to named threads";
    g_autofree char *iothread = g_strdup_printf("key 'iothread': %s", threads);
    g_autofree char *fixed =
        g_strdup_printf("key 'fixed-iothread': %s", threads);

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        g_autofree char *text = g_strdup_printf("%s,id=e,queues=1", types[i]);
        g_autofree char *expected = g_strdup_printf(
            "key 'type': %s exports are not available, only nbd", types[i]);

        check_error(text, ASH_ERROR_UNSUPPORTED, expected);
    }
    check_error("nbd,id=e,node-name=n,bitmaps.0=b", ASH_ERROR_UNSUPPORTED,
                "key 'bitmaps.0': dirty bitmaps are not available");
    check_error("{\"type\":\"nbd\",\"bitmaps\":[{\"node\":\"n\"}]}",
                ASH_ERROR_UNSUPPORTED,
                "key 'bitmaps.0.node': dirty bitmaps are not available");
    check_error("nbd,id=e,node-name=n,iothread=i", ASH_ERROR_UNSUPPORTED,
                iothread);
    check_error("nbd,id=e,node-name=n,fixed-iothread=on", ASH_ERROR_UNSUPPORTED,
                fixed);
    check_error("nbd,id=e,node-name=n,allow-inactive=on", ASH_ERROR_UNSUPPORTED,
                "key 'allow-inactive': nodes are never inactive");
}

void
test_export_add(void)
{
    g_test_add_func("/conf/export/good", test_good);
    g_test_add_func("/conf/export/missing", test_missing);
    g_test_add_func("/conf/export/values", test_values);
    g_test_add_func("/conf/export/limits", test_limits);
    g_test_add_func("/conf/export/unknown", test_unknown);
    g_test_add_func("/conf/export/refused", test_refused);
}
