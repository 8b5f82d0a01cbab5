/*
 * tests/unit/conf/test-server.c - the keys of --nbd-server.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/unit/conf/test-conf.h"

static ConfServer *
parse(const char *text, GError **error)
{
    g_autoptr(ConfKeyvals) kv =
        conf_keyvals_parse(text, strlen(text), NULL, error);

    return kv ? conf_server_parse(kv, error) : NULL;
}

static void
check_error(const char *text, int code, const char *expected)
{
    g_autoptr(GError) error = NULL;
    ConfServer *server = parse(text, &error);

    g_assert_null(server);
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, expected);
}

static void
check_config(const char *text, const char *expected)
{
    check_error(text, ASH_ERROR_CONFIG, expected);
}

static void
test_inet(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ConfServer) plain =
        parse("addr.type=inet,addr.host=::1,addr.port=10809", &error);
    g_autoptr(ConfServer) full =
        parse("{\"id\":\"lan\",\"addr\":{\"type\":\"inet\",\"host\":\"\","
              "\"port\":\"nbd\",\"ipv4\":true,\"ipv6\":false},"
              "\"max-connections\":0,\"handshake-max-seconds\":3}",
              &error);

    g_assert_no_error(error);
    g_assert_null(plain->id);
    g_assert_cmpint(plain->addr.type, ==, CONF_ADDR_INET);
    g_assert_cmpstr(plain->addr.host, ==, "::1");
    g_assert_cmpstr(plain->addr.port, ==, "10809");
    g_assert_cmpint(plain->addr.ipv4, ==, CONF_UNSET);
    g_assert_cmpint(plain->addr.ipv6, ==, CONF_UNSET);
    g_assert_cmpuint(plain->max_connections, ==, 100);
    g_assert_cmpuint(plain->handshake_max_seconds, ==, 10);

    g_assert_cmpstr(full->id, ==, "lan");
    g_assert_cmpstr(full->addr.host, ==, "");
    g_assert_cmpstr(full->addr.port, ==, "nbd");
    g_assert_cmpint(full->addr.ipv4, ==, CONF_ON);
    g_assert_cmpint(full->addr.ipv6, ==, CONF_OFF);
    g_assert_cmpuint(full->max_connections, ==, 0);
    g_assert_cmpuint(full->handshake_max_seconds, ==, 3);
}

static void
test_unix(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ConfServer) file =
        parse("addr.type=unix,addr.path=/run/a,,b.sock", &error);
    g_autoptr(ConfServer) name = parse(
        "addr.type=unix,addr.path=x,addr.abstract=on,addr.tight=off", &error);
    g_autofree char *longest = g_strnfill(107, 'p');
    g_autofree char *text =
        g_strconcat("addr.type=unix,addr.path=", longest, NULL);
    g_autofree char *longer = g_strconcat(text, "p", NULL);
    g_autoptr(ConfServer) limit = parse(text, &error);

    g_assert_no_error(error);
    g_assert_cmpint(file->addr.type, ==, CONF_ADDR_UNIX);
    g_assert_cmpstr(file->addr.path, ==, "/run/a,b.sock");
    g_assert_false(file->addr.abstract);
    g_assert_true(name->addr.abstract);
    g_assert_false(name->addr.tight);
    g_assert_true(file->addr.tight);
    g_assert_cmpstr(limit->addr.path, ==, longest);
    check_config(longer, "key 'addr.path' has 108 bytes, a socket's name has "
                         "1 to 107");
    check_config("addr.type=unix,addr.path=",
                 "key 'addr.path' has 0 bytes, a socket's name has 1 to 107");
    check_config("addr.type=unix,addr.path=a,addr.tight=on",
                 "key 'addr.tight' needs addr.abstract=on");
}

static void
test_fd(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(ConfServer) server = parse("addr.type=fd,addr.str=3", &error);

    g_assert_no_error(error);
    g_assert_cmpint(server->addr.type, ==, CONF_ADDR_FD);
    g_assert_cmpstr(server->addr.fd, ==, "3");
    check_config("addr.type=fd,addr.str=-1",
                 "key 'addr.str': '-1' is not the number of an inherited "
                 "descriptor");
    check_config("addr.type=fd,addr.str=name",
                 "key 'addr.str': 'name' is not the number of an inherited "
                 "descriptor");
    check_config("addr.type=fd,addr.str=2147483648",
                 "key 'addr.str': '2147483648' is not the number of an "
                 "inherited descriptor");
}

static void
test_ports(void)
{
    static const char *const bad[] = {
        "0", "65536", "-1", "+1", "1 ", "0x10", "99999999999999999999"
    };
    static const char *const good[] = { "1", "65535", "010809", "nbd" };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text =
            g_strdup_printf("addr.type=inet,addr.host=h,addr.port=%s", bad[i]);
        g_autofree char *expected = g_strdup_printf(
            "key 'addr.port': '%s' is not a port, 1 to 65535", bad[i]);

        check_config(text, expected);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autofree char *text =
            g_strdup_printf("addr.type=inet,addr.host=h,addr.port=%s", good[i]);
        g_autoptr(ConfServer) server = parse(text, NULL);

        g_assert_nonnull(server);
    }
    check_config("addr.type=inet,addr.host=h,addr.port=",
                 "key 'addr.port' is empty");
}

static void
test_missing(void)
{
    check_config("", "key 'addr.type' is missing");
    check_config("id=a", "key 'addr.type' is missing");
    check_config("addr.type=inet",
                 "key 'addr.host' is missing, addr.type=inet needs it");
    check_config("addr.type=inet,addr.host=h",
                 "key 'addr.port' is missing, addr.type=inet needs it");
    check_config("addr.type=unix",
                 "key 'addr.path' is missing, addr.type=unix needs it");
    check_config("addr.type=fd",
                 "key 'addr.str' is missing, addr.type=fd needs it");
}

/* Each key of an address goes with one type only. */
static void
test_foreign_keys(void)
{
    static const struct {
        const char *type;
        const char *rest;
    } types[] = {
        { "inet", "addr.host=h,addr.port=1" },
        { "unix", "addr.path=p" },
        { "fd", "addr.str=3" },
    };
    static const struct {
        const char *key;
        const char *value;
        const char *type;
    } keys[] = {
        { "addr.host", "h", "inet" },   { "addr.port", "1", "inet" },
        { "addr.ipv4", "on", "inet" },  { "addr.ipv6", "on", "inet" },
        { "addr.path", "p", "unix" },   { "addr.abstract", "on", "unix" },
        { "addr.tight", "on", "unix" }, { "addr.str", "3", "fd" },
    };
    unsigned n = 0;

    for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
        for (size_t k = 0; k < G_N_ELEMENTS(keys); k++) {
            g_autofree char *text =
                g_strdup_printf("addr.type=%s,%s,%s=%s", types[t].type,
                                types[t].rest, keys[k].key, keys[k].value);
            g_autofree char *expected =
                g_strdup_printf("key '%s' does not go with addr.type=%s",
                                keys[k].key, types[t].type);

            if (strcmp(keys[k].type, types[t].type) != 0) {
                check_config(text, expected);
                n++;
            }
        }
    }
    g_test_message("%u combinations refused", n);
}

static void
test_values(void)
{
    check_config("addr.type=tcp", "key 'addr.type': 'tcp' is not one of inet, "
                                  "unix, fd");
    check_config("addr.type=unix,addr.path=p,addr.abstract=maybe",
                 "key 'addr.abstract': 'maybe' is not on or off");
    check_config("addr.type=unix,addr.path=p,max-connections=-1",
                 "key 'max-connections': '-1' is not a whole number from 0 to "
                 "4294967295");
    check_config("addr.type=unix,addr.path=p,max-connections=4294967296",
                 "key 'max-connections': '4294967296' is not a whole number "
                 "from 0 to 4294967295");
    check_config("addr.type=inet,addr.host=h,addr.port=1,addr.ipv4=off,"
                 "addr.ipv6=off",
                 "addr.ipv4=off and addr.ipv6=off leave nothing");
    check_config("id=1a,addr.type=unix,addr.path=p",
                 "key 'id': '1a' is not a letter followed by letters, digits, "
                 "'-', '.' and '_'");
    check_config("id=,addr.type=unix,addr.path=p",
                 "key 'id': '' is not a letter followed by letters, digits, "
                 "'-', '.' and '_'");
    check_config("{\"addr\":{\"type\":\"inet\",\"host\":\"h\",\"port\":1}}",
                 "key 'addr.port': expected a string");
    check_config("{\"addr\":{\"type\":\"unix\",\"path\":\"p\","
                 "\"abstract\":\"on\"}}",
                 "key 'addr.abstract': expected true or false");
    check_config("{\"addr\":{\"type\":\"unix\",\"path\":\"p\"},"
                 "\"max-connections\":\"1\"}",
                 "key 'max-connections': expected a number");
    check_config("{\"addr\":{\"type\":\"unix\",\"path\":null}}",
                 "key 'addr.path': expected a string");
}

static void
test_unknown(void)
{
    check_config("addr.type=unix,addr.pth=p",
                 "unknown key 'addr.pth', did you mean 'addr.path'?");
    check_config("max-connection=1",
                 "unknown key 'max-connection', did you mean "
                 "'max-connections'?");
    check_config("banana=1",
                 "unknown key 'banana', known are: id, addr.type, addr.host, "
                 "addr.port, addr.ipv4, addr.ipv6, addr.path, addr.abstract, "
                 "addr.tight, addr.str, max-connections, "
                 "handshake-max-seconds");
    check_config("addr.host.x=1", "unknown key 'addr.host.x', did you mean "
                                  "'addr.host'?");
}

/* What QEMU has and ashlar has not is named as such. */
static void
test_refused(void)
{
    check_error("addr.type=vsock,addr.cid=1,addr.port=2", ASH_ERROR_UNSUPPORTED,
                "key 'addr.type': vsock is not available");
    check_error("addr.type=unix,addr.path=p,tls-creds=t", ASH_ERROR_UNSUPPORTED,
                "key 'tls-creds': TLS is not available");
    check_error("addr.type=inet,addr.to=1", ASH_ERROR_UNSUPPORTED,
                "key 'addr.to': a server listens on one port, not on the "
                "first free one of a range");
    check_error("addr.type=unix,addr.data.path=p", ASH_ERROR_UNSUPPORTED,
                "key 'addr.data.path': here the address is flat: "
                "'addr.path', not 'addr.data.path'");
}

void
test_server_add(void)
{
    g_test_add_func("/conf/server/inet", test_inet);
    g_test_add_func("/conf/server/unix", test_unix);
    g_test_add_func("/conf/server/fd", test_fd);
    g_test_add_func("/conf/server/ports", test_ports);
    g_test_add_func("/conf/server/missing", test_missing);
    g_test_add_func("/conf/server/foreign-keys", test_foreign_keys);
    g_test_add_func("/conf/server/values", test_values);
    g_test_add_func("/conf/server/unknown", test_unknown);
    g_test_add_func("/conf/server/refused", test_refused);
}
