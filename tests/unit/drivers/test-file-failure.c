/*
 * tests/unit/drivers/test-file-failure.c - a file that lost data stays failed:
 * for each request, for the next process, until the operator says otherwise.
 *
 * The requirement is docs/durability.md, C7.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file-failure.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "drivers/file.h"
#include "tests/unit/drivers/test-host.h"

#define SIZE 65536U

/* A file in a folder that is the state directory too, and a hooked engine. */
typedef struct Failing {
    TestFile f;
    TestNode t;
    TestHook hook;
} Failing;

static void coroutine_fn
failing_co_open_again(Failing *x, const char *more)
{
    g_autofree char *options = g_strconcat(" aio=threads", more, NULL);

    test_host_co_open(&x->t, "file", x->f.path, options);
}

static void coroutine_fn
failing_co_open(Failing *x, const char *more)
{
    *x = (Failing){ .hook = { 0 } };
    test_file_new(&x->f, SIZE);
    test_file_fill(&x->f, 0, SIZE, 7);
    test_state_dir = x->f.dir;
    test_hook_install(&x->hook);
    failing_co_open_again(x, more);
}

static void
failing_done(Failing *x)
{
    test_hook_remove();
    test_state_dir = NULL;
    test_file_free(&x->f);
}

static int coroutine_fn
failing_co_write(Failing *x, BlkReqFlags flags)
{
    static const uint8_t buf[4096] = { 1 };

    return fake_co_write(x->t.blk, 0, buf, sizeof(buf), flags);
}

/* Reads go on, all else fails, and the host is not asked again. */
static void coroutine_fn
check_co_failed(Failing *x, Blk *blk)
{
    unsigned n_flush = x->hook.n_flush;
    unsigned n_write = x->hook.n_write;
    uint8_t buf[100];
    BlkExtent e;

    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(blk_co_flush(blk), ==, -EIO);
        g_assert_cmpint(fake_co_write(blk, 4, buf, 1, 0), ==, -EIO);
        g_assert_cmpint(fake_co_write(blk, 4, buf, 1, BLK_REQ_FUA), ==, -EIO);
        g_assert_cmpint(blk_co_zero(blk, blk_range(0, 4096), 0), ==, -EIO);
        g_assert_cmpint(blk_co_zero(blk, blk_range(1, 1), BLK_REQ_MAY_UNMAP),
                        ==, -EIO);
        g_assert_cmpint(blk_co_trim(blk, blk_range(0, 4096), 0), ==, -EIO);
        g_assert_cmpint(fake_co_read(blk, SIZE - 100, buf, 100), ==, 0);
        g_assert_cmpuint(buf[99], ==, 7);
        g_assert_cmpint(blk_co_status(blk, blk_range(0, 100), &e), ==, 0);
    }
    g_assert_cmpuint(x->hook.n_flush, ==, n_flush);
    g_assert_cmpuint(x->hook.n_write, ==, n_write);
}

static void coroutine_fn
check_co_well(Failing *x)
{
    g_assert_cmpint(failing_co_write(x, 0), ==, 0);
    g_assert_cmpint(failing_co_write(x, BLK_REQ_FUA), ==, 0);
    g_assert_cmpint(blk_co_flush(x->t.blk), ==, 0);
}

/* ---- what fails a node ---- */

/* The host loses data once and flushes well ever after. */
static void coroutine_fn
test_co_flush(void *arg)
{
    static const int errors[] = { -EIO, -ENOSPC, -EDQUOT, -EPERM, -ENOMEM };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        Failing x;
        Blk *second;

        failing_co_open(&x, "");
        check_co_well(&x);
        second = fake_blk_co_new(x.t.node);
        g_assert_cmpint(failing_co_write(&x, 0), ==, 0);
        x.hook.flush = errors[i];
        x.hook.n_flush = 0;
        g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
        g_assert_cmpuint(x.hook.n_flush, ==, 1);
        check_co_failed(&x, x.t.blk);
        check_co_failed(&x, second);
        fake_blk_co_free(second);
        test_co_close(&x.t);
        g_assert_cmpuint(x.hook.n_flush, ==, 1);
        failing_done(&x);
    }
}

/* A durable write: what its error says of the data before it depends. */
static void coroutine_fn
test_co_fua(void *arg)
{
    static const struct {
        int fua;   /* the durable write */
        int write; /* the same without sync */
        int ret;
        bool failed;
    } cases[] = {
        { -EIO, 0, -EIO, true },
        { -EIO, -EIO, -EIO, true },
        { -ENOSPC, 0, -EIO, true },
        { -ENOSPC, -ENOSPC, -ENOSPC, false },
        { -EDQUOT, -EDQUOT, -ENOSPC, false },
        { -EDQUOT, -EIO, -EIO, true },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        Failing x;

        failing_co_open(&x, "");
        check_co_well(&x);
        x.hook.fua = cases[i].fua;
        x.hook.write = cases[i].write;
        g_assert_cmpint(failing_co_write(&x, BLK_REQ_FUA), ==, cases[i].ret);
        x.hook.write = 0;
        if (cases[i].failed) {
            check_co_failed(&x, x.t.blk);
        } else {
            check_co_well(&x);
        }
        test_co_close(&x.t);
        failing_done(&x);
    }
}

/* A write that is not durable fails alone. */
static void coroutine_fn
test_co_write(void *arg)
{
    Failing x;

    ash_maybe(arg);
    failing_co_open(&x, "");
    x.hook.write = -EIO;
    g_assert_cmpint(failing_co_write(&x, 0), ==, -EIO);
    x.hook.write = 0;
    check_co_well(&x);
    test_co_close(&x.t);
    failing_done(&x);
}

/* Who does not want flushes is not told of failed ones. */
static void coroutine_fn
test_co_no_flush(void *arg)
{
    Failing x;

    ash_maybe(arg);
    failing_co_open(&x, " cache.no-flush=on");
    x.hook.flush = -EIO;
    x.hook.fua = -EIO;
    check_co_well(&x);
    g_assert_cmpuint(x.hook.n_flush, ==, 0);
    test_co_close(&x.t);
    failing_done(&x);
}

/* A parent sees it as its own. */
static void coroutine_fn
test_co_below_raw(void *arg)
{
    g_autofree char *text = NULL;
    uint8_t byte = 1;
    Failing x;

    ash_maybe(arg);
    failing_co_open(&x, "");
    test_co_close(&x.t);
    text = g_strdup_printf("driver=raw file.driver=fault file.file.driver=file "
                           "file.file.aio=threads file.file.filename=%s",
                           x.f.path);
    test_co_open(&x.t, NULL, text);
    x.hook.flush = -EIO;
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
        g_assert_cmpint(fake_co_write(x.t.blk, 0, &byte, 1, 0), ==, -EIO);
    }
    test_co_close(&x.t);
    failing_done(&x);
}

/* ---- the record ---- */

/* The next process knows, unless it is another file by now or the operator
 * said the word. */
static void coroutine_fn
test_co_restart(void *arg)
{
    g_autofree char *text = NULL;
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;
    Failing x;

    ash_maybe(arg);
    failing_co_open(&x, "");
    message = g_strdup_printf("no failure of '%s' is recorded", x.f.path);
    g_assert_false(file_failure_forget(x.f.dir, x.f.path, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_NOT_FOUND);
    g_assert_cmpstr(error->message, ==, message);
    x.hook.flush = -ENOSPC;
    g_assert_cmpint(failing_co_write(&x, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
    test_co_close(&x.t);
    for (unsigned i = 0; i < 2; i++) {
        failing_co_open_again(&x, i == 0 ? "" : " cache.direct=on");
        check_co_failed(&x, x.t.blk);
        test_co_close(&x.t);
    }
    /* The name has nothing to do with it. */
    text = g_strconcat(x.f.path, ".renamed", NULL);
    g_assert_cmpint(g_rename(x.f.path, text), ==, 0);
    g_free(x.f.path);
    x.f.path = g_steal_pointer(&text);
    failing_co_open_again(&x, "");
    check_co_failed(&x, x.t.blk);
    test_co_close(&x.t);

    g_assert_true(file_failure_forget(x.f.dir, x.f.path, NULL));
    failing_co_open_again(&x, "");
    check_co_well(&x);
    test_co_close(&x.t);
    failing_done(&x);
}

/* The operator's word while the node is open. */
static void coroutine_fn
test_co_clear(void *arg)
{
    Failing x;

    ash_maybe(arg);
    failing_co_open(&x, "");
    x.hook.flush = -EIO;
    g_assert_cmpint(failing_co_write(&x, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
    g_assert_true(file_failure_forget(x.f.dir, x.f.path, NULL));
    blk_node_clear_failure(x.t.node);
    check_co_well(&x);
    /* Another loss counts again, and is recorded. */
    x.hook.flush = -EIO;
    g_assert_cmpint(failing_co_write(&x, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
    check_co_failed(&x, x.t.blk);
    test_co_close(&x.t);
    failing_co_open_again(&x, "");
    check_co_failed(&x, x.t.blk);
    test_co_close(&x.t);
    failing_done(&x);
}

/* Another file of that name is not failed. */
static void coroutine_fn
test_co_replaced(void *arg)
{
    g_autofree char *other = NULL;
    Failing x;

    ash_maybe(arg);
    failing_co_open(&x, "");
    x.hook.flush = -EIO;
    g_assert_cmpint(failing_co_write(&x, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
    test_co_close(&x.t);
    other = g_strconcat(x.f.path, ".other", NULL);
    g_assert_true(g_file_set_contents(other, "1234567812345678", -1, NULL));
    g_assert_cmpint(truncate(other, SIZE), ==, 0);
    g_assert_cmpint(g_rename(other, x.f.path), ==, 0);
    failing_co_open_again(&x, "");
    check_co_well(&x);
    test_co_close(&x.t);
    failing_done(&x);
}

/* A record that is no record, or can't be read, counts as one. */
static void coroutine_fn
test_co_bad_record(void *arg)
{
    static const char *const texts[] = {
        "", "errno=", "errno=0\n", "hello\n", "errno=5000\n", "errno=-5\n"
    };
    const char *name;
    Failing x;
    GDir *dir;

    ash_maybe(arg);
    failing_co_open(&x, "");
    x.hook.flush = -EIO;
    g_assert_cmpint(failing_co_write(&x, 0), ==, 0);
    g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
    test_co_close(&x.t);
    dir = g_dir_open(x.f.dir, 0, NULL);
    do {
        name = g_dir_read_name(dir);
        g_assert_nonnull(name);
    } while (!g_str_has_prefix(name, "failed-"));
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *path = g_build_filename(x.f.dir, name, NULL);

        g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
        failing_co_open_again(&x, "");
        check_co_failed(&x, x.t.blk);
        test_co_close(&x.t);
    }
    g_dir_close(dir);
    failing_done(&x);
}

/* No state directory, or one that can't be written: failed all the same, as
 * long as the node lives. */
static void coroutine_fn
test_co_no_state_dir(void *arg)
{
    ash_maybe(arg);
    for (unsigned i = 0; i < 2; i++) {
        Failing x;

        failing_co_open(&x, "");
        test_co_close(&x.t);
        test_state_dir = i == 0 ? NULL : "./absent";
        failing_co_open_again(&x, "");
        x.hook.flush = -EIO;
        g_assert_cmpint(failing_co_write(&x, 0), ==, 0);
        g_assert_cmpint(blk_co_flush(x.t.blk), ==, -EIO);
        check_co_failed(&x, x.t.blk);
        test_co_close(&x.t);
        failing_co_open_again(&x, "");
        check_co_well(&x);
        test_co_close(&x.t);
        failing_done(&x);
    }
}

void
test_file_failure_add(void)
{
    test_add_co("/drivers/file-failure/flush", test_co_flush);
    test_add_co("/drivers/file-failure/fua", test_co_fua);
    test_add_co("/drivers/file-failure/write", test_co_write);
    test_add_co("/drivers/file-failure/no-flush", test_co_no_flush);
    test_add_co("/drivers/file-failure/below-raw", test_co_below_raw);
    test_add_co("/drivers/file-failure/restart", test_co_restart);
    test_add_co("/drivers/file-failure/clear", test_co_clear);
    test_add_co("/drivers/file-failure/replaced", test_co_replaced);
    test_add_co("/drivers/file-failure/bad-record", test_co_bad_record);
    test_add_co("/drivers/file-failure/no-state-dir", test_co_no_state_dir);
}
