/*
 * tests/unit/sim/test-sim-disk.c - the simulated disk as an AioEngine.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-disk.h"
#include "tests/lib/sim-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/sim-event.h"
#include "tests/unit/sim/tests.h"

typedef struct Fix {
    SimWorld *world;
    SimDisk *disk;
    AioEngine *engine;  /* process 1 */
    AioEngine *engine2; /* process 2 */
    AioFile *f;
    int64_t result;
    unsigned n_done;
} Fix;

static const SimDiskConfig quiet = {
    .model = SIM_BUFFERED,
    .delay_min_ns = SIM_US,
    .delay_max_ns = 100 * SIM_US,
};

static void
fix_init(Fix *fix, uint64_t seed, const SimDiskConfig *config)
{
    memset(fix, 0, sizeof(*fix));
    fix->world = sim_world_new(seed, 2);
    fix->disk = sim_disk_new(fix->world, config);
    fix->engine =
        sim_disk_engine_new(fix->disk, sim_world_loop(fix->world, 0), 1);
    fix->engine2 =
        sim_disk_engine_new(fix->disk, sim_world_loop(fix->world, 0), 2);
    sim_disk_create(fix->disk, "img", 16 * SIM_PAGE);
}

static void
fix_done(Fix *fix)
{
    fix->engine->ops->free(fix->engine);
    fix->engine2->ops->free(fix->engine2);
    sim_disk_free(fix->disk);
    sim_world_free(fix->world);
}

static void
fix_run(Fix *fix, CoroFn *fn)
{
    g_assert_cmpint(sim_world_call(fix->world, sim_world_loop(fix->world, 0),
                                   "test", fn, fix, 100 * SIM_S),
                    ==, SIM_RUN_DONE);
}

static AioFile *coroutine_fn
co_open_img(AioEngine *engine, int flags)
{
    AioFile *f = NULL;

    g_assert_cmpint(engine->ops->co_open(engine, "img", flags, 0, &f), ==, 0);
    return f;
}

static void coroutine_fn
co_close_file(AioFile *f)
{
    f->engine->ops->co_close(f);
}

static int64_t coroutine_fn
co_write_byte(AioFile *f, uint64_t offset, size_t bytes, uint8_t value,
              unsigned flags)
{
    g_autofree uint8_t *buf = g_malloc(bytes);
    IoVec iov;

    memset(buf, value, bytes);
    iov_init_one(&iov, buf, bytes);
    return f->engine->ops->co_writev(f, offset, &iov, flags);
}

static uint8_t
peek(Fix *fix, uint64_t offset)
{
    uint8_t byte;

    sim_disk_peek(fix->disk, "img", offset, &byte, 1);
    return byte;
}

/* ---- plain I/O ---- */

static void coroutine_fn
co_plain(void *arg)
{
    Fix *fix = arg;
    AioFile *f = co_open_img(fix->engine, O_RDWR);
    const AioEngineOps *ops = f->engine->ops;
    AioFile *none;
    AioStat st;
    uint64_t at;
    g_autofree uint8_t *buf = g_malloc(8192);
    IoVec iov;

    iov_init_one(&iov, buf, 8192);
    g_assert_cmpint(ops->co_open(fix->engine, "gone", O_RDWR, 0, &none), ==,
                    -ENOENT);
    g_assert_cmpint(ops->co_stat(f, &st), ==, 0);
    g_assert_cmpuint(st.size, ==, 16 * SIM_PAGE);
    g_assert_cmpuint(st.allocated, ==, 0);
    g_assert_cmpint(co_write_byte(f, 4000, 200, 9, 0), ==, 200);
    g_assert_cmpint(ops->co_readv(f, 0, &iov), ==, 8192);
    g_assert_cmpuint(buf[3999], ==, 0);
    g_assert_cmpuint(buf[4000], ==, 9);
    g_assert_cmpuint(buf[4199], ==, 9);
    g_assert_cmpint(ops->co_seek(f, 0, SEEK_DATA, &at), ==, 0);
    g_assert_cmpuint(at, ==, 0);
    g_assert_cmpint(ops->co_seek(f, 0, SEEK_HOLE, &at), ==, 0);
    g_assert_cmpuint(at, ==, 8192);
    g_assert_cmpint(ops->co_seek(f, 8192, SEEK_DATA, &at), ==, -ENXIO);
    g_assert_cmpint(ops->co_space(f, AIO_SPACE_PUNCH, 0, 4096), ==, 0);
    g_assert_cmpint(ops->co_space(f, AIO_SPACE_ZERO, 4096, 50), ==, 0);
    g_assert_cmpint(ops->co_space(f, AIO_SPACE_BLKDISCARD, 0, 512), ==,
                    -EOPNOTSUPP);
    g_assert_cmpuint(peek(fix, 4100), ==, 0);
    g_assert_cmpuint(peek(fix, 4199), ==, 9);
    g_assert_cmpint(ops->co_truncate(f, 4100), ==, 0);
    g_assert_cmpint(ops->co_truncate(f, 8192), ==, 0);
    g_assert_cmpuint(peek(fix, 4199), ==, 0);
    g_assert_cmpint(ops->co_readv(f, 8000, &iov), ==, 192);
    g_assert_cmpint(ops->co_readv(f, 8192, &iov), ==, 0);
    co_close_file(f);
    f = co_open_img(fix->engine, O_RDONLY);
    g_assert_cmpint(co_write_byte(f, 0, 1, 1, 0), ==, -EBADF);
    g_assert_cmpint(ops->co_truncate(f, 0), ==, -EINVAL);
    co_close_file(f);
    fix->n_done++;
}

static void
test_plain_io(void)
{
    for (unsigned seed = 0; seed < 10; seed++) {
        Fix fix;

        fix_init(&fix, seed, &quiet);
        fix_run(&fix, co_plain);
        g_assert_cmpuint(fix.n_done, ==, 1);
        fix_done(&fix);
    }
}

/* ---- short, retried, refused ---- */

static void coroutine_fn
co_rough(void *arg)
{
    Fix *fix = arg;
    AioFile *f = co_open_img(fix->engine, O_RDWR);
    g_autofree uint8_t *buf = g_malloc(16384);
    unsigned n_short = 0, n_eintr = 0, n_eagain = 0, n_refused = 0;
    IoVec iov;

    iov_init_one(&iov, buf, 16384);
    for (unsigned i = 0; i < 200; i++) {
        int64_t n = co_write_byte(f, 100, 16384, 1, 0);

        n_short += n > 0 && n < 16384;
        n_eintr += n == -EINTR;
        n_eagain += n == -EAGAIN;
        /* Writes are cut at sectors of the file. */
        g_assert_true(n < 0 || n == 16384 || (n + 100) % 512 == 0);
        n = f->engine->ops->co_readv(f, 0, &iov);
        n_short += n > 0 && n < 16384;
        n_refused += f->engine->ops->try_readv(f, 0, &iov) == -EAGAIN;
        n_refused += f->engine->ops->try_writev(f, 0, &iov) == -EAGAIN;
    }
    g_assert_cmpuint(n_short, >, 10);
    g_assert_cmpuint(n_eintr, >, 3);
    g_assert_cmpuint(n_eagain, >, 3);
    g_assert_cmpuint(n_refused, >, 100);
    g_assert_cmpuint(n_refused, <, 300);
    co_close_file(f);
    fix->n_done++;
}

static void
test_rough_transfers(void)
{
    SimDiskConfig config = quiet;
    Fix fix;

    config.short_permille = 200;
    config.retry_permille = 100;
    config.refuse_permille = 500;
    fix_init(&fix, 1, &config);
    fix_run(&fix, co_rough);
    g_assert_cmpuint(fix.n_done, ==, 1);
    fix_done(&fix);
}

/* ---- locks between processes ---- */

static void coroutine_fn
co_lock(void *arg)
{
    Fix *fix = arg;
    AioFile *a = co_open_img(fix->engine, O_RDWR);
    AioFile *b = co_open_img(fix->engine2, O_RDWR);
    int (*lock)(AioFile *, uint64_t, uint64_t, short, bool) =
        a->engine->ops->lock;

    g_assert_cmpint(lock(a, 100, 10, F_RDLCK, false), ==, 0);
    g_assert_cmpint(lock(b, 105, 1, F_RDLCK, false), ==, 0);
    g_assert_cmpint(lock(b, 109, 1, F_WRLCK, true), ==, -EAGAIN);
    g_assert_cmpint(lock(b, 110, 1, F_WRLCK, false), ==, 0);
    g_assert_cmpint(lock(a, 105, 1, F_WRLCK, false), ==, -EAGAIN);
    g_assert_cmpint(lock(b, 0, 0, F_UNLCK, false), ==, 0);
    g_assert_cmpint(lock(a, 105, 1, F_WRLCK, false), ==, 0);
    g_assert_cmpint(lock(b, 104, 1, F_RDLCK, true), ==, 0);
    g_assert_cmpint(lock(b, 105, 1, F_RDLCK, true), ==, -EAGAIN);
    g_assert_cmpint(lock(b, 106, 1, F_RDLCK, true), ==, 0);
    co_close_file(a);
    g_assert_cmpint(lock(b, 0, 0, F_WRLCK, false), ==, 0);
    co_close_file(b);
    fix->n_done++;
}

static void
test_locks(void)
{
    Fix fix;

    fix_init(&fix, 3, &quiet);
    fix_run(&fix, co_lock);
    g_assert_cmpuint(fix.n_done, ==, 1);
    fix_done(&fix);
}

/* ---- failed flushes ---- */

static void coroutine_fn
co_fsyncgate(void *arg)
{
    Fix *fix = arg;
    AioFile *a = co_open_img(fix->engine, O_RDWR);
    AioFile *b = co_open_img(fix->engine, O_RDWR);
    const AioEngineOps *ops = a->engine->ops;
    SimRule rule = {
        .kind = SIM_FAULT_ERROR, .ops = SIM_OP_FLUSH, .err = EIO, .once = true
    };

    g_assert_cmpint(co_write_byte(a, 0, 4096, 5, 0), ==, 4096);
    sim_disk_add_rule(fix->disk, &rule);
    g_assert_cmpint(ops->co_flush(a), ==, -EIO);
    /* The kernel has forgotten; the data never gets there. */
    g_assert_cmpint(ops->co_flush(a), ==, 0);
    fix->result = ops->co_flush(b);
    g_assert_cmpint(ops->co_flush(b), ==, 0);
    co_close_file(a);
    co_close_file(b);
    fix->n_done++;
}

static void
test_failed_flush_loses_pages(void)
{
    unsigned n_kept = 0;

    for (unsigned i = 0; i < 80; i++) {
        SimDiskConfig config = quiet;
        Fix fix;

        config.old_back = i & 1;
        config.report_once = i & 2;
        fix_init(&fix, i, &config);
        fix_run(&fix, co_fsyncgate);
        g_assert_cmpuint(fix.n_done, ==, 1);
        g_assert_cmpint(fix.result, ==, config.report_once ? 0 : -EIO);
        g_assert_cmpuint(peek(&fix, 0), ==, config.old_back ? 0 : 5);
        sim_disk_power_cut(fix.disk);
        n_kept += peek(&fix, 0) == 5;
        g_assert_cmpuint(sim_disk_stats(fix.disk)->n_pages_lost, ==, 1);
        fix_done(&fix);
    }
    g_assert_cmpuint(n_kept, >, 0);
    g_assert_cmpuint(n_kept, <, 40);
}

static void coroutine_fn
co_writeback(void *arg)
{
    Fix *fix = arg;
    AioFile *a = co_open_img(fix->engine, O_RDWR);
    const AioEngineOps *ops = a->engine->ops;
    SimRule rule = { .kind = SIM_FAULT_ERROR,
                     .ops = SIM_OP_WRITEBACK,
                     .err = ENOSPC,
                     .nth = 2,
                     .once = true };
    AioFile *late;

    sim_disk_add_rule(fix->disk, &rule);
    g_assert_cmpint(co_write_byte(a, 0, 10, 1, 0), ==, 10);
    g_assert_cmpint(ops->co_flush(a), ==, 0);
    g_assert_cmpint(co_write_byte(a, 0, 10, 2, 0), ==, 10);
    /* Who opens after an error that nobody saw is told, too. */
    late = co_open_img(fix->engine2, O_RDWR);
    g_assert_cmpint(ops->co_flush(a), ==, -ENOSPC);
    g_assert_cmpint(ops->co_flush(late), ==, -ENOSPC);
    g_assert_cmpint(ops->co_flush(late), ==, 0);
    co_close_file(a);
    co_close_file(late);
    fix->n_done++;
}

static void
test_failed_writeback_is_reported_by_the_next_flush(void)
{
    Fix fix;

    fix_init(&fix, 7, &quiet);
    fix_run(&fix, co_writeback);
    g_assert_cmpuint(fix.n_done, ==, 1);
    fix_done(&fix);
}

/* ---- durability through the engine ---- */

static void coroutine_fn
co_durable(void *arg)
{
    Fix *fix = arg;
    AioFile *f = co_open_img(fix->engine, O_RDWR);

    g_assert_cmpint(co_write_byte(f, 0, 4096, 1, 0), ==, 4096);
    g_assert_cmpint(f->engine->ops->co_flush(f), ==, 0);
    g_assert_cmpint(co_write_byte(f, 4096, 4096, 2, AIO_WRITE_FUA), ==, 4096);
    g_assert_cmpint(co_write_byte(f, 8192, 4096, 3, 0), ==, 4096);
    sim_disk_power_cut(fix->disk);
    /* The process is a ghost now. */
    g_assert_cmpint(co_write_byte(f, 12288, 4096, 4, 0), ==, -EIO);
    g_assert_cmpint(f->engine->ops->co_flush(f), ==, -EIO);
    co_close_file(f);
    fix->n_done++;
}

static void
test_power_cut_keeps_what_was_flushed(void)
{
    unsigned n_lost = 0;

    for (unsigned seed = 0; seed < 60; seed++) {
        SimDiskConfig config = quiet;
        Fix fix;

        config.model = seed & 1 ? SIM_DIRECT : SIM_BUFFERED;
        fix_init(&fix, seed, &config);
        fix_run(&fix, co_durable);
        g_assert_cmpuint(fix.n_done, ==, 1);
        g_assert_cmpuint(peek(&fix, 100), ==, 1);
        g_assert_cmpuint(peek(&fix, 5000), ==, 2);
        n_lost += peek(&fix, 9000) == 0;
        g_assert_cmpuint(peek(&fix, 13000), ==, 0);
        fix_done(&fix);
    }
    g_assert_cmpuint(n_lost, >, 10);
    g_assert_cmpuint(n_lost, <, 50);
}

/* ---- planted bugs do what they say ---- */

static void coroutine_fn
co_planted(void *arg)
{
    Fix *fix = arg;
    AioFile *f = co_open_img(fix->engine, O_RDWR);
    SimRule rule = { .kind = SIM_FAULT_DROP, .ops = SIM_OP_FLUSH };
    uint8_t buf[512];
    IoVec iov;

    iov_init_one(&iov, buf, sizeof(buf));
    g_assert_cmpint(co_write_byte(f, 0, 512, 1, 0), ==, 512);
    sim_disk_add_rule(fix->disk, &rule);
    g_assert_cmpint(f->engine->ops->co_flush(f), ==, 0);
    rule = (SimRule){
        .kind = SIM_FAULT_DROP, .ops = SIM_OP_WRITE, .offset = 512, .bytes = 512
    };
    sim_disk_add_rule(fix->disk, &rule);
    g_assert_cmpint(co_write_byte(f, 512, 512, 1, 0), ==, 512);
    g_assert_cmpuint(peek(fix, 512), ==, 0);
    rule = (SimRule){ .kind = SIM_FAULT_MISDIRECT,
                      .ops = SIM_OP_WRITE,
                      .offset = 1024,
                      .bytes = 512 };
    sim_disk_add_rule(fix->disk, &rule);
    g_assert_cmpint(co_write_byte(f, 1024, 512, 1, 0), ==, 512);
    g_assert_cmpuint(peek(fix, 1024), ==, 0);
    g_assert_cmpuint(peek(fix, 1536), ==, 1);
    rule = (SimRule){ .kind = SIM_FAULT_BITFLIP, .ops = SIM_OP_READ };
    sim_disk_add_rule(fix->disk, &rule);
    g_assert_cmpint(f->engine->ops->co_readv(f, 2048, &iov), ==, 512);
    g_assert_false(ash_buf_is_zero(buf, sizeof(buf)));
    co_close_file(f);
    sim_disk_power_cut(fix->disk);
    fix->n_done++;
}

static void
test_planted_bugs(void)
{
    unsigned n_lost = 0;

    for (unsigned seed = 0; seed < 40; seed++) {
        Fix fix;

        fix_init(&fix, seed, &quiet);
        fix_run(&fix, co_planted);
        g_assert_cmpuint(fix.n_done, ==, 1);
        n_lost += peek(&fix, 0) == 0;
        fix_done(&fix);
    }
    g_assert_cmpuint(n_lost, >, 5);
}

/* ---- kill ---- */

static void coroutine_fn
co_victim(void *arg)
{
    Fix *fix = arg;

    fix->result = co_write_byte(fix->f, 0, 4096, 1, 0);
    fix->n_done++;
}

static void coroutine_fn
co_kill(void *arg)
{
    Fix *fix = arg;
    AioFile *b;
    bool locked;

    fix->f = co_open_img(fix->engine, O_RDWR);
    b = co_open_img(fix->engine2, O_RDWR);
    g_assert_cmpint(b->engine->ops->lock(fix->f, 0, 1, F_WRLCK, false), ==, 0);
    g_assert_cmpint(co_write_byte(fix->f, 8192, 512, 7, 0), ==, 512);
    sim_world_spawn(fix->world, sim_world_loop(fix->world, 0), "victim",
                    co_victim, fix);
    co_pause();
    sim_disk_kill(fix->disk, 1);
    locked = b->engine->ops->lock(b, 0, 1, F_WRLCK, false) == -EAGAIN;
    if (!locked) {
        uint8_t before = peek(fix, 0);

        /* Nothing of the dead process comes after we have the lock. */
        co_sleep_ns(10 * SIM_MS);
        g_assert_cmpuint(peek(fix, 0), ==, before);
    }
    while (b->engine->ops->lock(b, 0, 1, F_WRLCK, false) == -EAGAIN) {
        co_sleep_ns(SIM_US);
    }
    while (fix->n_done == 0) {
        co_sleep_ns(SIM_US);
    }
    g_assert_cmpint(fix->result, ==, -EIO);
    g_assert_cmpuint(peek(fix, 8192), ==, 7);
    co_close_file(fix->f);
    co_close_file(b);
    fix->n_done += locked ? 10 : 1;
}

static void
test_killed_process_holds_locks_while_it_writes(void)
{
    unsigned n_locked = 0, n_written = 0;

    for (unsigned seed = 0; seed < 60; seed++) {
        Fix fix;

        fix_init(&fix, seed, &quiet);
        fix_run(&fix, co_kill);
        n_locked += fix.n_done == 11;
        n_written += peek(&fix, 0) == 1;
        fix_done(&fix);
    }
    g_assert_cmpuint(n_locked, >, 5);
    g_assert_cmpuint(n_locked, <, 55);
    g_assert_cmpuint(n_written, >, 5);
    g_assert_cmpuint(n_written, <, 55);
}

/* ---- quota, hang, direct ---- */

static void coroutine_fn
co_quota(void *arg)
{
    Fix *fix = arg;
    AioFile *f = co_open_img(fix->engine, O_RDWR | O_DIRECT);
    g_autofree uint8_t *raw = g_malloc(16384);
    uint8_t *buf = (uint8_t *)(((uintptr_t)raw + 511) & ~(uintptr_t)511);
    IoVec iov;

    iov_init_one(&iov, buf, 8192);
    memset(buf, 1, 8192);
    g_assert_cmpint(f->engine->ops->co_writev(f, 0, &iov, 0), ==, 8192);
    g_assert_cmpint(f->engine->ops->co_writev(f, 8192, &iov, 0), ==, 4096);
    g_assert_cmpint(f->engine->ops->co_writev(f, 12288, &iov, 0), ==, -ENOSPC);
    g_assert_cmpint(f->engine->ops->co_space(f, AIO_SPACE_ALLOCATE, 12288, 512),
                    ==, -ENOSPC);
    g_assert_cmpint(f->engine->ops->co_space(f, AIO_SPACE_PUNCH, 0, 4096), ==,
                    0);
    g_assert_cmpint(f->engine->ops->co_writev(f, 8192, &iov, 0), ==, 8192);
    g_assert_cmpint(f->engine->ops->co_writev(f, 1, &iov, 0), ==, -EINVAL);
    iov_init_one(&iov, buf + 1, 512);
    g_assert_cmpint(f->engine->ops->co_writev(f, 0, &iov, 0), ==, -EINVAL);
    g_assert_cmpint(f->engine->ops->try_readv(f, 0, &iov), ==, -EAGAIN);
    co_close_file(f);
    fix->n_done++;
}

static void
test_quota_and_alignment(void)
{
    SimDiskConfig config = quiet;
    Fix fix;

    config.quota_pages = 3;
    fix_init(&fix, 1, &config);
    fix_run(&fix, co_quota);
    g_assert_cmpuint(fix.n_done, ==, 1);
    fix_done(&fix);
}

static void coroutine_fn
co_hang(void *arg)
{
    Fix *fix = arg;
    SimRule rule = { .kind = SIM_FAULT_HANG,
                     .ops = SIM_OP_WRITE,
                     .once = true };

    fix->f = co_open_img(fix->engine, O_RDWR);
    sim_disk_add_rule(fix->disk, &rule);
    fix->result = co_write_byte(fix->f, 0, 1, 1, 0);
    co_close_file(fix->f);
    fix->n_done++;
}

static void
test_hang_until_released(void)
{
    Fix fix;
    g_autofree char *text = NULL;

    fix_init(&fix, 1, &quiet);
    g_assert_cmpint(sim_world_call(fix.world, sim_world_loop(fix.world, 0),
                                   "test", co_hang, &fix, SIM_S),
                    ==, SIM_RUN_DEADLOCK);
    text = sim_world_describe(fix.world);
    g_assert_nonnull(strstr(text, "waiting: img hangs"));
    sim_disk_release(fix.disk);
    g_assert_cmpint(sim_world_run(fix.world, NULL, NULL, SIM_S), ==,
                    SIM_RUN_DONE);
    g_assert_cmpuint(fix.n_done, ==, 1);
    g_assert_cmpint(fix.result, ==, 1);
    fix_done(&fix);
}

void
test_sim_disk_add(void)
{
    g_test_add_func("/sim/disk/plain-io", test_plain_io);
    g_test_add_func("/sim/disk/rough-transfers", test_rough_transfers);
    g_test_add_func("/sim/disk/locks", test_locks);
    g_test_add_func("/sim/disk/failed-flush-loses-pages",
                    test_failed_flush_loses_pages);
    g_test_add_func("/sim/disk/failed-writeback-is-reported-by-next-flush",
                    test_failed_writeback_is_reported_by_the_next_flush);
    g_test_add_func("/sim/disk/power-cut-keeps-what-was-flushed",
                    test_power_cut_keeps_what_was_flushed);
    g_test_add_func("/sim/disk/planted-bugs", test_planted_bugs);
    g_test_add_func("/sim/disk/killed-process-holds-locks-while-it-writes",
                    test_killed_process_holds_locks_while_it_writes);
    g_test_add_func("/sim/disk/quota-and-alignment", test_quota_and_alignment);
    g_test_add_func("/sim/disk/hang-until-released", test_hang_until_released);
}
