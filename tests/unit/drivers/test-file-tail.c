/*
 * tests/unit/drivers/test-file-tail.c - direct writes near the end of a file
 * whose size is no multiple of the alignment.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "drivers/aio/engine.h"
#include "tests/unit/drivers/test-drivers.h"

#define TAIL_SIZE 140001U

/* In the folder that tests run in: others may not do direct I/O. */
static char *
tail_make_file(void)
{
    char *path = g_strdup("test-file-tail-XXXXXX");
    int fd = g_mkstemp(path);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, TAIL_SIZE), ==, 0);
    close(fd);
    return path;
}

static void
tail_check_file(const char *path, const uint8_t *want)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *have = NULL;
    gsize size = 0;

    g_assert_true(g_file_get_contents(path, &have, &size, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(size, ==, TAIL_SIZE);
    g_assert_true(memcmp(have, want, TAIL_SIZE) == 0);
}

/* Each start and end of a few blocks around the tail's start and the end. */
static void coroutine_fn
tail_co_write_all(TestNode *t, uint8_t *model)
{
    static const uint64_t cuts[] = {
        126976, 131072, 131073, 131584, 135168, 139264, 140000, TAIL_SIZE,
    };
    uint8_t byte = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++) {
        for (unsigned j = i + 1; j < G_N_ELEMENTS(cuts); j++) {
            size_t bytes = cuts[j] - cuts[i];

            memset(model + cuts[i], ++byte, bytes);
            g_assert_cmpint(fake_co_write(t->blk, cuts[i], model + cuts[i],
                                          bytes, i & 1 ? BLK_REQ_FUA : 0),
                            ==, 0);
        }
    }
}

static void coroutine_fn
test_co_tail(void *arg)
{
    AioEngineSet *engines = aio_engine_set_new(loop_current());
    g_autofree char *path = tail_make_file();
    g_autofree char *options = g_strconcat(
        "driver=file cache.direct=on aio=threads filename=", path, NULL);
    g_autofree uint8_t *model = g_malloc0(TAIL_SIZE);
    g_autofree uint8_t *read = g_malloc0(TAIL_SIZE);
    TestNode t;

    ash_maybe(arg);
    loop_set_engines(loop_current(), engines);
    test_co_open(&t, NULL, options);
    tail_co_write_all(&t, model);
    g_assert_cmpint(fake_co_read(t.blk, 0, read, TAIL_SIZE), ==, 0);
    g_assert_true(memcmp(read, model, TAIL_SIZE) == 0);
    test_co_close(&t);
    tail_check_file(path, model);
    g_unlink(path);
    loop_set_engines(loop_current(), NULL);
    aio_engine_set_free(engines);
}

void
test_file_tail_add(void)
{
    test_add_co("/drivers/file/direct-writes-to-odd-end-are-exact",
                test_co_tail);
}
