/*
 * tests/unit/drivers/test-file-race.c - the driver "file" on a host that does
 * the wrong thing between two of its calls.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "coro/co-lock.h"
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
 * other writes in between (docs/durability.md, C5). */
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

/* ---- a durable write that fails, looked at again ---- */

/* A host whose syncs tell of lost data once, to a durable write. */
typedef struct RaceEngine {
    AioEngine engine;
    AioFile file;
    CoQueue held;
    bool hold; /* writes wait */
    bool lost; /* and nobody was told */
} RaceEngine;

static RaceEngine *
race_of(AioFile *file)
{
    return (RaceEngine *)(void *)file->engine;
}

static int coroutine_fn
race_co_open(AioEngine *engine, const char *path, int open_flags, unsigned mode,
             AioFile **ret)
{
    RaceEngine *race = (RaceEngine *)(void *)engine;

    ash_maybe(path && mode == 0);
    race->file = (AioFile){
        .engine = engine, .fd = -1, .open_flags = open_flags, .slot = -1
    };
    *ret = &race->file;
    return 0;
}

static void coroutine_fn
race_co_close(AioFile *file)
{
    ash_maybe(file->fd == -1);
}

static int coroutine_fn
race_co_stat(AioFile *file, AioStat *ret)
{
    ash_maybe(file->fd == -1);
    *ret = (AioStat){ .size = 65536, .is_regular = true };
    return 0;
}

static int64_t coroutine_fn
race_co_writev(AioFile *file, uint64_t offset, const IoVec *iov, unsigned flags)
{
    RaceEngine *race = race_of(file);

    ash_maybe(offset == 0);
    if (flags & AIO_WRITE_FUA && race->lost) {
        race->lost = false;
        return -ENOSPC;
    }
    while (race->hold) {
        co_queue_co_wait(&race->held);
    }
    return (int64_t)iov->bytes;
}

static int coroutine_fn
race_co_flush(AioFile *file)
{
    RaceEngine *race = race_of(file);
    bool lost = race->lost;

    race->lost = false;
    return lost ? -EIO : 0;
}

static void
race_free(AioEngine *engine)
{
    ash_maybe(engine != NULL); /* on the stack */
}

static const AioEngineOps race_file_ops = {
    .name = "race",
    .free = race_free,
    .co_open = race_co_open,
    .co_close = race_co_close,
    .co_stat = race_co_stat,
    .co_writev = race_co_writev,
    .co_flush = race_co_flush,
};

/* The first learns of the loss and makes sure; neither the second write nor the
 * flush, which the host calls good, succeeds meanwhile. */
static void coroutine_fn
test_co_sync_while_judging(void *arg)
{
    uint8_t buf[512] = { 0 };
    RaceEngine race = { .engine = { .ops = &race_file_ops,
                                    .loop = loop_current() } };
    AioEngineSet *engines = aio_engine_set_new_single(&race.engine);
    FakeReq first = { .op = BLK_OP_WRITE, .flags = BLK_REQ_FUA, .buf = buf };
    FakeReq second, flush = { .op = BLK_OP_FLUSH };
    TestNode t;

    ash_maybe(arg);
    co_queue_init(&race.held);
    loop_set_engines(loop_current(), engines);
    test_co_open(&t, NULL, "driver=file filename=x locking=off");
    first.blk = flush.blk = t.blk;
    first.range = blk_range(0, 512);
    second = first;
    second.range = blk_range(512, 512);
    race.hold = true;
    race.lost = true;
    fake_req_start(&first);
    fake_req_start(&second);
    fake_req_start(&flush);
    fake_co_settle();
    g_assert_false(first.done);
    g_assert_false(flush.done);
    race.hold = false;
    co_queue_wake_all(&race.held);
    g_assert_cmpint(fake_req_co_wait(&first), ==, -EIO);
    g_assert_cmpint(fake_req_co_wait(&second), ==, -EIO);
    g_assert_cmpint(fake_req_co_wait(&flush), ==, -EIO);
    g_assert_cmpint(blk_node_failed(t.node), ==, -ENOSPC);
    test_co_close(&t);
    loop_set_engines(loop_current(), NULL);
    aio_engine_set_free(engines);
}

void
test_file_race_add(void)
{
    test_add_co("/drivers/file/no-sync-succeeds-while-an-error-is-judged",
                test_co_sync_while_judging);
    test_add_co("/drivers/file/status-keeps-sectors-whole",
                test_co_punched_meanwhile);
}
