/*
 * tests/unit/server/test-options.c - the command line and its manual page.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "server/options.h"
#include "tests/unit/server/test-server.h"

#define WORDS_MAX 32

/* Split at blanks; "~" stands for a blank inside a word, "''" for nothing. */
static bool
parse(ServerOptions *opts, const char *line, GError **error)
{
    g_autofree char *text = g_strconcat("ashlard ", line, NULL);
    g_auto(GStrv) words = g_strsplit(g_strchomp(text), " ", WORDS_MAX);

    for (char **word = words; *word; word++) {
        g_strdelimit(*word, "~", ' ');
        if (strcmp(*word, "''") == 0) {
            (*word)[0] = '\0';
        }
    }
    return server_options_parse(opts, (int)g_strv_length(words), words, error);
}

static void
parse_good(ServerOptions *opts, const char *line)
{
    g_autoptr(GError) error = NULL;

    parse(opts, line, &error);
    g_assert_no_error(error);
}

static void
check_bad(const char *line, int code, const char *expected)
{
    ServerOptions opts;
    g_autoptr(GError) error = NULL;

    g_assert_false(parse(&opts, line, &error));
    g_assert_error(error, ASH_ERROR, code);
    g_assert_cmpstr(error->message, ==, expected);
    server_options_done(&opts);
}

static void
check_config(const char *line, const char *expected)
{
    check_bad(line, ASH_ERROR_CONFIG, expected);
}

/* Node @i as "key=value,..." */
static void
check_node(const ServerOptions *opts, unsigned i, const char *expected)
{
    const ConfKeyvals *kv = g_ptr_array_index(opts->nodes, i);
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t e = 0; e < conf_keyvals_n(kv); e++) {
        const ConfEntry *entry = conf_keyvals_at(kv, e);

        g_string_append_printf(text, "%s%s=%s", e > 0 ? "," : "", entry->key,
                               entry->value);
    }
    g_assert_cmpstr(text->str, ==, expected);
}

/* ---- the short form ---- */

static void
test_short_default(void)
{
    ServerOptions opts;
    const ConfServer *server;
    const ConfExport *export;

    parse_good(&opts, "-f raw disk.img");
    g_assert_cmpint(opts.action, ==, SERVER_ACTION_RUN);
    g_assert_true(opts.print_uri);
    g_assert_cmpuint(opts.nodes->len, ==, 2);
    check_node(&opts, 0,
               "driver=file,node-name=file,filename=disk.img,read-only=off,"
               "cache.direct=off,cache.no-flush=off,discard=unmap");
    check_node(&opts, 1,
               "driver=raw,node-name=disk,file=file,read-only=off,"
               "discard=unmap,detect-zeroes=off");

    g_assert_cmpuint(opts.servers->len, ==, 1);
    server = g_ptr_array_index(opts.servers, 0);
    g_assert_cmpint(server->addr.type, ==, CONF_ADDR_INET);
    g_assert_cmpstr(server->addr.host, ==, "127.0.0.1");
    g_assert_cmpstr(server->addr.port, ==, "10809");
    g_assert_cmpuint(server->max_connections, ==, 100);
    g_assert_cmpuint(server->handshake_max_seconds, ==, 10);

    g_assert_cmpuint(opts.exports->len, ==, 1);
    export = g_ptr_array_index(opts.exports, 0);
    g_assert_cmpstr(export->name, ==, "");
    g_assert_cmpstr(export->node_name, ==, "disk");
    g_assert_null(export->description);
    g_assert_true(export->writable);
    g_assert_false(export->writethrough);
    server_options_done(&opts);
}

static void
test_short_all(void)
{
    ServerOptions opts;
    const ConfServer *server;
    const ConfExport *export;

    parse_good(&opts, "--format=raw --socket /run/a,b.sock -p 1 -b [::1] -r "
                      "-x a/b -D some~text -o 1M -e 0 --cache none --aio "
                      "native --discard ignore --detect-zeroes on a,b=c");
    check_node(&opts, 0,
               "driver=file,node-name=file,filename=a,b=c,read-only=on,"
               "cache.direct=on,cache.no-flush=off,discard=ignore,aio=native");
    check_node(&opts, 1,
               "driver=raw,node-name=disk,file=file,read-only=on,"
               "discard=ignore,detect-zeroes=on,offset=1048576");
    g_assert_cmpuint(opts.servers->len, ==, 2);
    server = g_ptr_array_index(opts.servers, 0);
    g_assert_cmpint(server->addr.type, ==, CONF_ADDR_UNIX);
    g_assert_cmpstr(server->addr.path, ==, "/run/a,b.sock");
    g_assert_cmpuint(server->max_connections, ==, 0);
    server = g_ptr_array_index(opts.servers, 1);
    g_assert_cmpstr(server->addr.host, ==, "::1");
    g_assert_cmpstr(server->addr.port, ==, "1");
    export = g_ptr_array_index(opts.exports, 0);
    g_assert_cmpstr(export->name, ==, "a/b");
    g_assert_cmpstr(export->description, ==, "some text");
    g_assert_false(export->writable);
    server_options_done(&opts);
}

/* --socket alone means no TCP. */
static void
test_short_socket(void)
{
    ServerOptions opts;
    const ConfServer *server;

    parse_good(&opts, "-f raw disk.img -k /run/a");
    g_assert_cmpuint(opts.servers->len, ==, 1);
    server = g_ptr_array_index(opts.servers, 0);
    g_assert_cmpint(server->addr.type, ==, CONF_ADDR_UNIX);
    server_options_done(&opts);
}

static void
test_short_cache_modes(void)
{
    static const struct {
        const char *mode;
        const char *keys;
        bool writethrough;
    } rows[] = {
        { "writeback", "cache.direct=off,cache.no-flush=off", false },
        { "writethrough", "cache.direct=off,cache.no-flush=off", true },
        { "none", "cache.direct=on,cache.no-flush=off", false },
        { "directsync", "cache.direct=on,cache.no-flush=off", true },
        { "unsafe", "cache.direct=off,cache.no-flush=on", false },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ServerOptions opts;
        const ConfExport *export;
        g_autofree char *line =
            g_strdup_printf("-f raw x --cache=%s", rows[i].mode);
        g_autofree char *node = g_strdup_printf(
            "driver=file,node-name=file,filename=x,read-only=off,%s,"
            "discard=unmap",
            rows[i].keys);

        parse_good(&opts, line);
        check_node(&opts, 0, node);
        export = g_ptr_array_index(opts.exports, 0);
        g_assert_true(export->writethrough == rows[i].writethrough);
        server_options_done(&opts);
    }
}

static void
test_short_errors(void)
{
    g_autofree char *name = g_strnfill(108, 's');
    g_autofree char *line = g_strdup_printf("-f raw x -k %s", name);

    check_config("disk.img",
                 "the format of 'disk.img' is missing: for a plain disk, add "
                 "'-f raw'.  It is never guessed: whoever may write to a raw "
                 "disk could make it look like a format that names other "
                 "files");
    check_bad("-f qcow2 x", ASH_ERROR_UNSUPPORTED,
              "--format: 'qcow2' is not available, only raw");
    check_config("-f raw a b", "one FILE at a time: 'a' and 'b' were given; "
                               "use --blockdev and --export for more");
    check_config("-f raw ''", "the name of FILE is empty");
    check_config("-f raw", "--format: goes with a FILE, and none was given");
    check_config("-r", "--read-only: goes with a FILE, and none was given");
    check_config("-f raw x --blockdev driver=file,node-name=n",
                 "a FILE ('x') does not go with --blockdev, --nbd-server and "
                 "--export");
    check_config("-f raw x -p 0",
                 "--port: '0' is not a whole number from 1 to 65535");
    check_config("-f raw x -p 65536",
                 "--port: '65536' is not a whole number from 1 to 65535");
    check_config("-f raw x -o -1",
                 "--offset: '-1' is not a size: use a whole number of bytes, "
                 "or a suffix k, M, G, T, P, E for powers of 1024");
    check_config("-f raw x -x \xff", "--export-name is not UTF-8");
    check_config("-f raw x -D \xff", "--description is not UTF-8");
    check_config("-f raw x --cache fast",
                 "--cache: 'fast' is not one of writeback, writethrough, "
                 "none, directsync, unsafe");
    check_config(line, "--socket: key 'addr.path' has 108 bytes, a socket's "
                       "name has 1 to 107");
}

/* ---- the long form ---- */

static void
test_long(void)
{
    ServerOptions opts;
    const ConfServer *server;
    const ConfExport *export;

    parse_good(&opts, "--blockdev driver=file,node-name=f,filename=x "
                      "--blockdev {\"driver\":\"raw\",\"node-name\":\"d\","
                      "\"file\":\"f\"} "
                      "--nbd-server addr.type=unix,addr.path=/run/a "
                      "--nbd-server id=lan,addr.type=unix,addr.path=/run/b "
                      "--nbd-server addr.type=unix,addr.path=/run/c "
                      "--export type=nbd,id=e0,node-name=d,name=disk "
                      "--export nbd,id=e1,node-name=d");
    g_assert_false(opts.print_uri);
    check_node(&opts, 0, "driver=file,node-name=f,filename=x");
    check_node(&opts, 1, "driver=raw,node-name=d,file=f");
    g_assert_cmpuint(opts.servers->len, ==, 3);
    server = g_ptr_array_index(opts.servers, 0);
    g_assert_cmpstr(server->id, ==, "server0");
    server = g_ptr_array_index(opts.servers, 1);
    g_assert_cmpstr(server->id, ==, "lan");
    server = g_ptr_array_index(opts.servers, 2);
    g_assert_cmpstr(server->id, ==, "server2");
    export = g_ptr_array_index(opts.exports, 1);
    g_assert_cmpstr(export->name, ==, "d");
    server_options_done(&opts);
}

#define UNIX_SERVER " --nbd-server addr.type=unix,addr.path=a"
#define EXPORT_D " --export nbd,id=e,node-name=d"

static void
test_long_errors(void)
{
    check_config("", "nothing to serve: give '-f raw FILE', or --blockdev, "
                     "--nbd-server and --export");
    check_config("--blockdev driver=file,node-name=f" UNIX_SERVER,
                 "nothing to serve: --export is missing");
    check_config("--blockdev driver=file,node-name=d" EXPORT_D,
                 "no way to reach the exports: --nbd-server is missing");
    check_config("--blockdev driver=file",
                 "--blockdev 'driver=file': key 'node-name' is missing");
    check_config("--blockdev driver=file,x",
                 "--blockdev 'driver=file,x': expected KEY=VALUE, found 'x' "
                 "(a comma inside a value is written ',,')");
    check_config("--export nbd,id=e,node-name=d,writeable=on",
                 "--export 'nbd,id=e,node-name=d,writeable=on': unknown key "
                 "'writeable', did you mean 'writable'?");
    check_config("--nbd-server id=a,addr.type=unix,addr.path=p --nbd-server "
                 "id=a,addr.type=unix,addr.path=q" EXPORT_D,
                 "--nbd-server: two servers have the id 'a'");
    check_config("--nbd-server addr.type=unix,addr.path=p --nbd-server "
                 "id=server0,addr.type=unix,addr.path=q" EXPORT_D,
                 "--nbd-server: two servers have the id 'server0'");
    check_config(&(UNIX_SERVER EXPORT_D EXPORT_D ",name=x")[1],
                 "--export: two exports have the id 'e'");
    check_config(
        &(UNIX_SERVER EXPORT_D " --export nbd,id=f,node-name=f,name=d")[1],
        "--export: two exports have the name 'd'");
    check_bad("--object iothread,id=i", ASH_ERROR_UNSUPPORTED,
              "--object: refused: objects are not available");
    check_bad("--monitor chardev=c", ASH_ERROR_UNSUPPORTED,
              "--monitor: refused: a control socket is not available");
    check_bad("--chardev socket,id=c", ASH_ERROR_UNSUPPORTED,
              "--chardev: refused: character devices are not available");
}

/* ---- words ---- */

static void
test_words(void)
{
    check_config("--bogus", "unknown option '--bogus'");
    check_config("--sockt=x", "unknown option '--sockt', did you mean "
                              "'--socket'?");
    check_config("-Z", "unknown option '-Z'");
    check_config("-rZ", "unknown option '-Z'");
    check_config("--daemonize=yes", "--daemonize: takes no argument");
    check_config("--socket", "--socket: an argument is missing");
    check_config("-f raw x -p", "-p: an argument is missing");
    /* A beginning is not the whole. */
    check_config("--sock /a -f raw x",
                 "unknown option '--sock', did you mean '--socket'?");
    check_config("--sock=/a -f raw x",
                 "unknown option '--sock', did you mean '--socket'?");
    check_config("--daemon", "unknown option '--daemon', did you mean "
                             "'--daemonize'?");
}

static void
test_process_options(void)
{
    ServerOptions opts;

    parse_good(&opts, "-f raw x");
    g_assert_false(opts.daemonize);
    g_assert_null(opts.pid_file);
    g_assert_null(opts.state_dir);
    g_assert_cmpuint(opts.workers, ==, 0);
    g_assert_cmpuint(opts.memory_bytes, ==, 256 << 20);
    g_assert_cmpuint(opts.connection_memory_bytes, ==, 32 << 20);
    g_assert_cmpuint(opts.drain_seconds, ==, 60);
    g_assert_cmpint(opts.log_level, ==, ASH_LOG_WARNING);
    server_options_done(&opts);

    parse_good(&opts, "-f raw x --daemonize --pidfile a --pid-file b "
                      "--state-dir c --workers 3 --memory-limit 1G "
                      "--connection-memory 1M --drain-timeout 0 --log-level "
                      "debug");
    g_assert_true(opts.daemonize);
    g_assert_cmpstr(opts.pid_file, ==, "b");
    g_assert_cmpstr(opts.state_dir, ==, "c");
    g_assert_cmpuint(opts.workers, ==, 3);
    g_assert_cmpuint(opts.memory_bytes, ==, 1 << 30);
    g_assert_cmpuint(opts.connection_memory_bytes, ==, 1 << 20);
    g_assert_cmpuint(opts.drain_seconds, ==, 0);
    g_assert_cmpint(opts.log_level, ==, ASH_LOG_DEBUG);
    server_options_done(&opts);

    check_config("--workers 0",
                 "--workers: '0' is not a whole number from 1 to 64");
    check_config("--workers 65",
                 "--workers: '65' is not a whole number from 1 to 64");
    check_config("--memory-limit 63M",
                 "--memory-limit: '63M' is less than 67108864 bytes");
    check_config("--memory-limit 1e999",
                 "--memory-limit: '1e999' is not a size: use a whole number "
                 "of bytes, or a suffix k, M, G, T, P, E for powers of 1024");
    check_config("--memory-limit 16E",
                 "--memory-limit: '16E' is not a size: use a whole number "
                 "of bytes, or a suffix k, M, G, T, P, E for powers of 1024");
    check_config("-f raw x --memory-limit 64M --connection-memory 65M",
                 "--connection-memory is more than --memory-limit");
    check_config("--connection-memory 1",
                 "--connection-memory: '1' is less than 1048576 bytes");
    check_config("--drain-timeout 86401",
                 "--drain-timeout: '86401' is not a whole number from 0 to "
                 "86400");
    check_config("--log-level loud",
                 "--log-level: 'loud' is not one of error, warning, notice, "
                 "info, debug");
}

/* What prints needs nothing else, and comes before rules between options. */
static void
test_actions(void)
{
    static const struct {
        const char *line;
        ServerAction action;
    } rows[] = {
        { "--help", SERVER_ACTION_HELP },
        { "-h", SERVER_ACTION_HELP },
        { "--version", SERVER_ACTION_VERSION },
        { "-V disk.img", SERVER_ACTION_VERSION },
        { "--list-drivers", SERVER_ACTION_LIST_DRIVERS },
        { "--forget-failure /dev/x", SERVER_ACTION_FORGET_FAILURE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ServerOptions opts;

        parse_good(&opts, rows[i].line);
        g_assert_cmpint(opts.action, ==, rows[i].action);
        server_options_done(&opts);
    }
}

/* ---- the table and what is made of it ---- */

static void
test_table(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    char letters[256] = { 0 };

    for (const ServerOption *row = server_option_table; row->name; row++) {
        g_assert_true(g_hash_table_add(names, (void *)(uintptr_t)row->name));
        g_assert_cmpint(letters[(unsigned char)row->letter], ==, 0);
        letters[(unsigned char)row->letter] = row->letter;
        g_assert_cmpint(row->section, <, SERVER_N_SECTIONS);
        g_assert_true(row->type != SERVER_OPT_ENUM || row->names);
        g_assert_true(row->type != SERVER_OPT_CALL || row->call);
        g_assert_true((row->arg == NULL) == (row->type == SERVER_OPT_FLAG ||
                                             row->type == SERVER_OPT_ACTION));
    }
}

/* Examples come first, every option is there, no line is too long. */
static void
test_help(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    g_auto(GStrv) lines = NULL;

    server_options_print_help(out);
    fclose(out);
    for (const ServerOption *row = server_option_table; row->name; row++) {
        g_autofree char *option = g_strdup_printf("--%s", row->name);

        g_assert_nonnull(strstr(text, option));
    }
    g_assert_true(strstr(text, "Examples:") < strstr(text, "--format"));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_assert_cmpuint(strlen(*line), <=, 79);
        g_assert_false(g_str_has_suffix(*line, " "));
    }
    g_free(text);
}

/* "Fl f , Fl -format Ar FORMAT" of an .It line that begins with Fl. */
static char *
manual_item(const ServerOption *row)
{
    GString *text = g_string_new(".It ");

    if (row->letter) {
        g_string_append_printf(text, "Fl %c , ", row->letter);
    }
    g_string_append_printf(text, "Fl -%s", row->name);
    if (row->arg) {
        g_string_append_printf(text, " Ar %s", row->arg);
    }
    return g_string_free(text, FALSE);
}

/* Every row has an item with its letter and argument, and the reverse. */
static void
test_manual(void)
{
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned n = 0;

    g_file_get_contents(TEST_MANUAL, &text, NULL, &error);
    g_assert_no_error(error);
    lines = g_strsplit(text, "\n", -1);
    for (const ServerOption *row = server_option_table; row->name; row++) {
        g_autofree char *item = manual_item(row);

        if (!g_strv_contains((const char *const *)lines, item)) {
            g_test_message("the manual page lacks '%s'", item);
            g_test_fail();
        }
        n++;
    }
    for (char **line = lines; *line; line++) {
        n -= g_str_has_prefix(*line, ".It Fl ") ? 1U : 0U;
    }
    g_assert_cmpuint(n, ==, 0);
}

void
test_options_add(void)
{
    g_test_add_func("/server/options/short/default", test_short_default);
    g_test_add_func("/server/options/short/all", test_short_all);
    g_test_add_func("/server/options/short/socket", test_short_socket);
    g_test_add_func("/server/options/short/cache", test_short_cache_modes);
    g_test_add_func("/server/options/short/errors", test_short_errors);
    g_test_add_func("/server/options/long", test_long);
    g_test_add_func("/server/options/long/errors", test_long_errors);
    g_test_add_func("/server/options/words", test_words);
    g_test_add_func("/server/options/process", test_process_options);
    g_test_add_func("/server/options/actions", test_actions);
    g_test_add_func("/server/options/table", test_table);
    g_test_add_func("/server/options/help", test_help);
    g_test_add_func("/server/options/manual", test_manual);
}
