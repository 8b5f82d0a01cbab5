/*
 * tests/unit/drivers/test-file-race.c - what the driver "file" says of a place
 * that changes between its two questions.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <unistd.h>

#include "drivers/file-status.h"
#include "tests/unit/drivers/test-drivers.h"

/* Data at every offset, until one asks for the hole behind: it is there. */
static int coroutine_fn
race_co_seek(AioFile *file, uint64_t offset, int whence, uint64_t *ret)
{
    ash_maybe(file && whence == SEEK_DATA);
    *ret = offset;
    return 0;
}

static const AioEngineOps race_ops = { .name = "race",
                                       .co_seek = race_co_seek };

/* A sector is not answered for in parts: a read would take it in parts, with
 * other writes in between (durability.md C5). */
static void coroutine_fn
test_co_punched_meanwhile(void *arg)
{
    AioEngine engine = { .ops = &race_ops };
    AioFile file = { .engine = &engine };

    ash_maybe(arg);
    for (uint64_t offset = 0; offset < 1100; offset += 100) {
        FileStatus status = { 0 };
        uint64_t bytes = 0;
        bool data = false;

        g_assert_cmpint(file_status_co_find(&status, &file,
                                            blk_range(offset, 4096), 1, &data,
                                            &bytes),
                        ==, 0);
        g_assert_true(data);
        g_assert_cmpuint(bytes, >, 0);
        g_assert_cmpuint((offset + bytes) % 512, ==, 0);
    }
}

void
test_file_race_add(void)
{
    test_add_co("/drivers/file/status-keeps-sectors-whole",
                test_co_punched_meanwhile);
}
