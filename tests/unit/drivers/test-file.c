/*
 * tests/unit/drivers/test-file.c - file is a regular file of the host, byte for
 * byte, with every engine.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/drivers/test-host.h"

/* ---- data ---- */

static const uint64_t sizes[] = {
    0,
    1,
    511,
    512,
    4097,
    (uint64_t)64 << 10,
    ((uint64_t)64 << 10) + 1,
    ((uint64_t)192 << 10) + 777, /* beyond the tail that is not direct */
};

/* Each size with each engine: exact to the byte, also at an end that direct
 * I/O can't write. */
static void coroutine_fn
test_co_engines(void *arg)
{
    uint32_t seed = (uint32_t)g_test_rand_int();
    GRand *rand = g_rand_new_with_seed(seed);
    unsigned n = 0;

    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
            TestFile f;
            TestNode t;

            test_file_new(&f, sizes[i]);
            test_host_co_open(&t, "file", f.path, test_host_variants[v]);
            g_assert_cmpuint(blk_size(t.blk), ==, sizes[i]);
            test_host_co_random(&t, &f, rand, 150);
            test_file_free(&f);
            n += 150;
        }
    }
    g_test_message("%u requests, seed %u", n, seed);
    g_rand_free(rand);
}

/* Nothing may be written past the end, and nothing grows. */
static void coroutine_fn
test_co_past_end(void *arg)
{
    uint8_t buf[2000] = { 1 };

    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        TestFile f;
        TestNode t;

        test_file_new(&f, 1001);
        test_host_co_open(&t, "file", f.path, test_host_variants[v]);
        g_assert_cmpint(fake_co_write(t.blk, 1000, buf, 2, 0), ==, -ENOSPC);
        g_assert_cmpint(fake_co_write(t.blk, 1001, buf, 1, BLK_REQ_FUA), ==,
                        -ENOSPC);
        g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 1000, 2, 0), ==,
                        -ENOSPC);
        g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 1000, 2, 0), ==,
                        -EINVAL);
        g_assert_cmpint(fake_co_read(t.blk, 1000, buf, 2), ==, -EINVAL);
        g_assert_cmpint(fake_co_write(t.blk, 1, buf, 1000, 0), ==, 0);
        g_assert_cmpint(
            test_co_request(&t, BLK_OP_ZERO, 3, 998, BLK_REQ_MAY_UNMAP), ==, 0);
        g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 0, 1001, 0), ==, 0);
        test_co_close(&t);
        g_assert_cmpuint(test_file_size(&f), ==, 1001);
        test_file_free(&f);
    }
}

/* Cached data are there at once, and as a piece of the file; with direct I/O
 * they never are. */
static void coroutine_fn
test_co_at_once(void *arg)
{
    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        bool direct = strstr(test_host_variants[v], "direct") != NULL;
        BlkFileRange range = { .fd = -1 };
        uint8_t buf[512];
        TestFile f;
        TestNode t;
        IoVec iov;

        test_file_new(&f, 8192);
        test_file_fill(&f, 0, 8192, 3);
        test_host_co_open(&t, "file", f.path, test_host_variants[v]);
        iov_init_one(&iov, buf, sizeof(buf));
        memset(buf, 0, sizeof(buf));
        g_assert_cmpint(blk_try_read(t.blk, blk_range(512, 512), &iov), ==,
                        direct ? -EAGAIN : 0);
        g_assert_cmpuint(buf[511], ==, direct ? 0 : 3);
        g_assert_cmpint(blk_map_file(t.blk, blk_range(512, 512), &range), ==,
                        direct ? -ENOTSUP : 0);
        if (!direct) {
            g_assert_cmpint(pread(range.fd, buf, 1, (int64_t)range.offset), ==,
                            1);
            g_assert_cmpuint(range.offset, ==, 512);
        }
        g_assert_cmpint(blk_try_read(t.blk, blk_range(8000, 512), &iov), ==,
                        -EAGAIN);
        test_co_close(&t);
        test_file_free(&f);
    }
}

/* Somebody made the file shorter: what is gone is an error, the rest stays. */
static void coroutine_fn
test_co_shrunk(void *arg)
{
    uint8_t buf[2048];

    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        TestFile f;
        TestNode t;

        test_file_new(&f, 16384);
        test_host_co_open(&t, "file", f.path, test_host_variants[v]);
        g_assert_cmpint(ftruncate(f.fd, 8192), ==, 0);
        g_assert_cmpint(fake_co_read(t.blk, 6144, buf, 2048), ==, 0);
        g_assert_cmpint(fake_co_read(t.blk, 8192, buf, 2048), ==, -EIO);
        g_assert_cmpint(fake_co_read(t.blk, 7000, buf, 2048), ==, -EIO);
        g_assert_cmpuint(blk_size(t.blk), ==, 16384);
        test_co_close(&t);
        test_file_free(&f);
    }
}

/* ---- read-only ---- */

static void coroutine_fn
test_co_read_only(void *arg)
{
    uint8_t byte = 1;

    ash_maybe(arg);
    for (unsigned v = 0; test_host_variants[v]; v++) {
        g_autofree char *more =
            g_strconcat(" read-only=on", test_host_variants[v], NULL);
        TestFile f;
        TestNode t;

        test_file_new(&f, 1001);
        test_file_fill(&f, 0, 1001, 5);
        test_host_co_open(&t, "file", f.path, more);
        g_assert_false(blk_is_writable(t.blk));
        g_assert_false(blk_can_trim(t.blk));
        g_assert_cmpint(fake_co_write(t.blk, 0, &byte, 1, 0), ==, -EROFS);
        g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 0, 1, 0), ==, -EROFS);
        g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 0, 1, 0), ==, -EROFS);
        g_assert_cmpint(blk_co_flush(t.blk), ==, 0);
        g_assert_cmpint(fake_co_read(t.blk, 1000, &byte, 1), ==, 0);
        g_assert_cmpuint(byte, ==, 5);
        test_co_close(&t);
        test_file_free(&f);
    }
}

/* auto-read-only: where the host forbids to write, and only there. */
static void coroutine_fn
test_co_auto_read_only(void *arg)
{
    static const struct {
        int err;
        bool read_only;
        const char *message;
    } cases[] = {
        { 0, false, NULL },
        { -EACCES, true, "Permission denied" },
        { -EPERM, true, "Operation not permitted" },
        { -EROFS, true, "Read-only file system" },
        { -ENOSPC, false, "No space left on device" },
        { -ETXTBSY, false, "Text file busy" },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        TestHook hook = { .open_rdwr = cases[i].err };
        const char *yes = " aio=threads auto-read-only=on";
        g_autofree char *message = NULL;
        TestFile f;
        TestNode t;

        test_file_new(&f, 1001);
        message =
            g_strdup_printf("cannot open '%s': %s", f.path, cases[i].message);
        test_hook_install(&hook);
        if (cases[i].err != 0) {
            test_host_co_open_fails("file", f.path, " aio=threads",
                                    ASH_ERROR_IO, message);
        }
        if (cases[i].err != 0 && !cases[i].read_only) {
            test_host_co_open_fails("file", f.path, yes, ASH_ERROR_IO, message);
        } else {
            test_host_co_open(&t, "file", f.path, yes);
            g_assert_cmpint(blk_is_writable(t.blk), ==, !cases[i].read_only);
            g_assert_cmpuint(blk_size(t.blk), ==, 1001);
            test_co_close(&t);
        }
        test_hook_remove();
        test_file_free(&f);
    }
}

/* ---- errors ---- */

static void coroutine_fn
test_co_bad_options(void *arg)
{
    static const struct {
        const char *more;
        const char *message;
    } cases[] = {
        { " aio=libaio", "option 'aio': 'libaio' is not one of auto, threads, "
                         "native, io_uring" },
        { " aio=native", "option 'aio': 'native' needs cache.direct=on" },
        { " locking=yes",
          "option 'locking': 'yes' is not one of on, off, auto" },
        { " lock-wait-ms=600001", "option 'lock-wait-ms': at most 600000" },
        { " lock-wait-ms=1s", "option 'lock-wait-ms': '1s' is not a whole "
                              "number from 0 to 18446744073709551615" },
    };
    TestFile f;

    ash_maybe(arg);
    test_file_new(&f, 512);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        test_host_co_open_fails("file", f.path, cases[i].more, ASH_ERROR_CONFIG,
                                cases[i].message);
    }
    test_file_free(&f);
    test_co_open_fails(NULL, "driver=file", ASH_ERROR_CONFIG,
                       "node 'n': file: option 'filename' is required");
}

/* What is no regular file, or not there, or can't be opened. */
static void coroutine_fn
test_co_bad_files(void *arg)
{
    g_autofree char *absent = NULL;
    g_autofree char *fifo = NULL;
    g_autofree char *message = NULL;
    TestFile f;

    ash_maybe(arg);
    test_file_new(&f, 512);
    absent = g_build_filename(f.dir, "absent", NULL);
    fifo = g_build_filename(f.dir, "fifo", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);

    message =
        g_strdup_printf("cannot open '%s': No such file or directory", absent);
    test_host_co_open_fails("file", absent, "", ASH_ERROR_NOT_FOUND, message);
    g_free(message);
    message = g_strdup_printf("'%s' is not a regular file", f.dir);
    test_host_co_open_fails("file", f.dir, "", ASH_ERROR_CONFIG, message);
    g_free(message);
    message = g_strdup_printf("'%s' is not a regular file", fifo);
    test_host_co_open_fails("file", fifo, "", ASH_ERROR_CONFIG, message);
    test_host_co_open_fails("file", "/dev/null", "", ASH_ERROR_CONFIG,
                            "'/dev/null' is not a regular file");
    test_host_co_open_fails("file", "", "", ASH_ERROR_NOT_FOUND,
                            "cannot open '': No such file or directory");
    test_host_co_open_fails("file", "/proc/version",
                            " read-only=on cache.direct=on",
                            ASH_ERROR_UNSUPPORTED,
                            "cache.direct=on: there is no direct I/O on "
                            "'/proc/version'");
    g_free(message);
    message = g_strdup_printf("cannot open '%s/x': Not a directory", f.path);
    g_free(absent);
    absent = g_strconcat(f.path, "/x", NULL);
    test_host_co_open_fails("file", absent, "", ASH_ERROR_IO, message);
    test_file_free(&f);
}

/* A file's name is a name, whatever it looks like: no prefix of a protocol, no
 * URI. */
static void coroutine_fn
test_co_names(void *arg)
{
    static const char *const names[] = {
        "nbd:localhost:10809", "file:x", "nbd+unix:", "json:{}", "a:b", ":x",
    };
    g_autofree char *cwd = g_get_current_dir();
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, 1001);
    g_assert_cmpint(chdir(f.dir), ==, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *message = g_strdup_printf(
            "cannot open '%s': No such file or directory", names[i]);
        g_autofree char *base = g_path_get_basename(f.path);

        test_host_co_open_fails("file", names[i], "", ASH_ERROR_NOT_FOUND,
                                message);
        g_assert_cmpint(link(base, names[i]), ==, 0);
        test_host_co_open(&t, "file", names[i], "");
        g_assert_cmpuint(blk_size(t.blk), ==, 1001);
        test_co_close(&t);
        g_assert_cmpint(unlink(names[i]), ==, 0);
    }
    g_assert_cmpint(chdir(cwd), ==, 0);
    test_file_free(&f);
}

/* No file descriptor is left: an error, and later it works again. */
static void coroutine_fn
test_co_no_fds(void *arg)
{
    g_autofree char *message = NULL;
    struct rlimit old, none;
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, 1001);
    message = g_strdup_printf("cannot open '%s': Too many open files", f.path);
    /* The engine is there. */
    test_host_co_open(&t, "file", f.path, "");
    test_co_close(&t);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    none = old;
    none.rlim_cur = 0;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    test_host_co_open_fails("file", f.path, "", ASH_ERROR_IO, message);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    test_host_co_open(&t, "file", f.path, "");
    g_assert_cmpuint(blk_size(t.blk), ==, 1001);
    test_co_close(&t);
    test_file_free(&f);
}

/* Which engine it is, where the user left the choice. */
static void coroutine_fn
test_co_note(void *arg)
{
    TestFile f;
    TestNode t;

    ash_maybe(arg);
    test_file_new(&f, 1001);
    test_host_co_open(&t, "file", f.path, " aio=threads");
    g_assert_null(blk_node_note(t.node));
    test_co_close(&t);
    test_host_co_open(&t, "file", f.path, "");
    g_assert_cmpstr(blk_node_note(t.node), ==,
                    "aio=auto: io_uring, which works here");
    test_co_close(&t);
    test_file_free(&f);
}

void
test_file_add(void)
{
    test_add_co("/drivers/file/engines", test_co_engines);
    test_add_co("/drivers/file/past-end", test_co_past_end);
    test_add_co("/drivers/file/at-once", test_co_at_once);
    test_add_co("/drivers/file/shrunk", test_co_shrunk);
    test_add_co("/drivers/file/read-only", test_co_read_only);
    test_add_co("/drivers/file/auto-read-only", test_co_auto_read_only);
    test_add_co("/drivers/file/bad-options", test_co_bad_options);
    test_add_co("/drivers/file/bad-files", test_co_bad_files);
    test_add_co("/drivers/file/names", test_co_names);
    test_add_co("/drivers/file/no-fds", test_co_no_fds);
    test_add_co("/drivers/file/note", test_co_note);
}
