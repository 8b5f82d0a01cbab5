/*
 * tests/unit/blockcore/test-fallback.c - zero writes, zero detection, trim and
 * prefetch, with drivers that can do much, little or nothing of it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/io-fallback.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "tests/lib/fake-driver.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define MIB ((uint64_t)1 << 20)

static const BlkReqFlags all_zero_flags =
    (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK;

static int coroutine_fn
co_zero(FakeSetup *s, uint64_t offset, uint64_t bytes, BlkReqFlags flags)
{
    return blk_co_zero(s->blk, blk_range(offset, bytes), flags);
}

/* ---- every range of a small disk, every way ---- */

#define SMALL 48U

typedef struct Way {
    uint32_t align;
    uint32_t zero_align;
    uint64_t max_zero;
    bool has_zero;
    BlkReqFlags zero_flags;
    unsigned n_good; /* co_zero works so often, then says -ENOTSUP */
    BlkReqFlags flags;
    uint64_t size;
} Way;

/* What a request with NO_FALLBACK may do: nothing, or all of it. */
static bool
way_can_be_fast(const Way *way, BlkRange r)
{
    uint64_t unit = MAX(way->align, way->zero_align);

    return way->has_zero && (way->zero_flags & BLK_REQ_NO_FALLBACK) &&
           way->n_good > 0 && blk_range_align_in(r, unit).bytes > 0;
}

static void coroutine_fn
way_co_case(FakeSetup *s, const Way *way, BlkRange r)
{
    FakeDisk *d = s->disk;
    unsigned n_flushes = fake_disk_n(d, FAKE_FLUSH_DISK);
    bool fast = way->flags & BLK_REQ_NO_FALLBACK;
    bool can = !fast || way_can_be_fast(way, r);
    BlkReqFlags fua =
        way->zero_flags & d->driver.write_flags & BLK_REQ_FUA;
    int ret;

    memset(d->mem, 0x77, way->size);
    d->fail_nth = way->n_good + 1;
    ret = blk_co_zero(s->blk, r, way->flags);
    g_assert_cmpint(ret, ==, can ? 0 : -ENOTSUP);
    for (uint64_t i = 0; i < way->size; i++) {
        bool zero = can && i >= r.offset && i < blk_range_end(r);

        g_assert_cmphex(d->mem[i], ==, zero ? 0 : 0x77);
    }
    g_assert_true(ash_buf_is_zero(d->mem + way->size, 64));
    g_assert_cmpint(fake_disk_n(d, FAKE_FLUSH_DISK) > n_flushes, ==,
                    can && (way->flags & BLK_REQ_FUA) && !fua);
}

static unsigned coroutine_fn
way_co_all_ranges(const Way *way)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", way->size);
    unsigned n = 0;
    FakeSetup s;

    d->limits.request_align = way->align;
    d->limits.zero_align = way->zero_align;
    d->limits.max_zero = way->max_zero;
    d->driver.zero_flags = way->zero_flags;
    d->driver.write_flags = way->zero_flags & BLK_REQ_FUA;
    if (!way->has_zero) {
        fake_disk_set_slots(d, FAKE_SLOTS & ~(unsigned)FAKE_ZERO);
    }
    fake_setup_co_open(&s, d, "");
    d->fail_mask = FAKE_ZERO;
    d->fail_forever = true;
    d->fail_err = -ENOTSUP;
    for (uint64_t i = 0; i < way->size; i += 1 + i % 3) {
        for (uint64_t j = i + 1; j <= way->size; j += 1 + j % 2) {
            way_co_case(&s, way, blk_range(i, j - i));
            n++;
        }
    }
    fake_setup_co_done(&s);
    return n;
}

static unsigned coroutine_fn
way_co_all_flags(Way *way)
{
    static const BlkReqFlags driver_flags[] = {
        0,
        BLK_REQ_FUA,
        BLK_REQ_NO_FALLBACK,
        (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK,
    };
    unsigned n = 0;

    for (BlkReqFlags flags = 0; flags <= all_zero_flags; flags++) {
        for (size_t i = 0; i < G_N_ELEMENTS(driver_flags); i++) {
            for (unsigned good = 0; good <= 2; good++) {
                way->flags = flags;
                way->zero_flags = driver_flags[i];
                way->n_good = good;
                n += way_co_all_ranges(way);
            }
        }
    }
    return n;
}

static void coroutine_fn
test_co_every_way(void *arg)
{
    unsigned n = 0;

    ash_maybe(arg);
    for (uint32_t align = 1; align <= 4; align *= 4) {
        for (uint32_t unit = align; unit <= 16; unit *= 4) {
            for (uint64_t cut = 0; cut < 4; cut += 3) {
                Way way = {
                    .align = align,
                    .zero_align = unit == align ? 0 : unit,
                    .max_zero = unit == 16 ? 16 : 0,
                    .has_zero = unit != 4,
                    .size = SMALL - cut,
                };

                n += way_co_all_flags(&way);
            }
        }
    }
    g_test_message("%u zero writes", n);
}

/* ---- what the driver is asked, in words ---- */

static void coroutine_fn
test_co_words(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4 * MIB);
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    d->limits.zero_align = 65536;
    d->limits.max_zero = 10 * 65536;
    d->driver.zero_flags = all_zero_flags;
    fake_setup_co_open(&s, d, "");
    fake_disk_start_log(d, FAKE_ALL_IO);
    /* Bulk, then the head, then the tail, which cross no unit. */
    g_assert_cmpint(co_zero(&s, 5, MIB, BLK_REQ_MAY_UNMAP), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==,
                    "d:z65536+655360:unmap d:z720896+327680:unmap "
                    "d:r0+512 d:w0+65536 d:r1048576+512 d:w1048576+512");
    g_assert_cmpint(co_zero(&s, 512, 1024, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:w512+1024");
    g_assert_cmpint(co_zero(&s, 512, 65536, BLK_REQ_NO_FALLBACK), ==,
                    -ENOTSUP);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "");
    g_assert_cmpint(co_zero(&s, 0, 65536, BLK_REQ_NO_FALLBACK), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:z0+65536:fast");
    /* Durable by a flush: the driver's writes can't be. */
    g_assert_cmpint(co_zero(&s, 0, 65536, BLK_REQ_FUA), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:z0+65536 d:fo d:fd");
    fake_setup_co_done(&s);
}

static void coroutine_fn
test_co_may_unmap(void *arg)
{
    static const struct {
        const char *options;
        BlkReqFlags supported;
        const char *log;
    } cases[] = {
        { "", BLK_REQ_MAY_UNMAP, "d:z0+4096:unmap" },
        { "discard=unmap", BLK_REQ_MAY_UNMAP, "d:z0+4096:unmap" },
        { "discard=ignore", BLK_REQ_MAY_UNMAP, "d:z0+4096" },
        { "", 0, "d:z0+4096" },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4096);
        FakeSetup s;

        d->driver.zero_flags = cases[i].supported;
        fake_setup_co_open(&s, d, cases[i].options);
        fake_disk_start_log(d, FAKE_ALL_IO);
        g_assert_cmpint(co_zero(&s, 0, 4096, BLK_REQ_MAY_UNMAP), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(d), ==, cases[i].log);
        g_assert_cmpint(co_zero(&s, 0, 4096, 0), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(d), ==, "d:z0+4096");
        fake_setup_co_done(&s);
    }
}

/* ---- failures ---- */

/* Fail each driver call: the request fails with that, at once, and nothing
 * outside of the range changes. */
static void coroutine_fn
test_co_fail_each_call(void *arg)
{
    ash_maybe(arg);
    for (unsigned has_zero = 0; has_zero < 2; has_zero++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 8192);
        unsigned n_failures = 0;
        FakeSetup s;

        d->limits.request_align = 512;
        d->limits.zero_align = 1024;
        d->limits.max_zero = 2048;
        d->limits.max_transfer = 1024;
        if (!has_zero) {
            fake_disk_set_slots(d, FAKE_SLOTS & ~(unsigned)FAKE_ZERO);
        }
        fake_setup_co_open(&s, d, "");
        for (unsigned nth = 1;; nth++) {
            unsigned n_calls;
            int ret;

            memset(d->mem, 0x33, 8192);
            memset(d->n_calls, 0, sizeof(d->n_calls));
            d->n_failed = 0;
            d->fail_mask = FAKE_ALL_IO;
            d->fail_nth = nth;
            d->fail_err = -ENOSPC;
            ret = co_zero(&s, 700, 7000, BLK_REQ_FUA);
            n_calls = 0;
            for (size_t i = 0; i < G_N_ELEMENTS(d->n_calls); i++) {
                n_calls += d->n_calls[i];
            }
            g_assert_cmphex(d->mem[699], ==, 0x33);
            g_assert_cmphex(d->mem[7700], ==, 0x33);
            if (ret == 0) {
                g_assert_cmpuint(d->n_failed, ==, 0);
                g_assert_true(ash_buf_is_zero(d->mem + 700, 7000));
                break;
            }
            g_assert_cmpint(ret, ==, -ENOSPC);
            g_assert_cmpuint(n_calls, ==, nth);
            n_failures++;
        }
        g_test_message("%u calls failed", n_failures);
        g_assert_cmpuint(n_failures, >=, 9);
        fake_setup_co_done(&s);
    }
}

/* ---- huge ---- */

typedef struct Ticker {
    bool stop;
    uint64_t n_ticks;
    const FakeDisk *disk;
    uint64_t seen;
    uint64_t most; /* bytes between two ticks */
    Coro *waiter;
} Ticker;

/* Sees how far the other coroutine gets between two of its turns. */
static void coroutine_fn
ticker_co_run(void *arg)
{
    Ticker *t = arg;

    while (!t->stop) {
        co_pause();
        t->most = MAX(t->most, t->disk->n_bytes - t->seen);
        t->seen = t->disk->n_bytes;
        t->n_ticks++;
    }
    coro_wake(t->waiter);
}

/* The loop runs others between the steps. */
static void coroutine_fn
test_co_huge(void *arg)
{
    static const struct {
        uint64_t bytes;
        bool has_zero;
        uint64_t max_zero;
        uint64_t most;
    } cases[] = {
        { UINT32_MAX, true, 0, 16 * MIB },
        { 300 * MIB + 3, false, 0, 2 * MIB },
        { 100 * MIB, true, MIB, MIB },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 0);
        Ticker t = { .disk = d, .waiter = coro_self() };
        FakeSetup s;

        d->hollow = true;
        d->size = (uint64_t)8 << 30;
        d->limits.max_zero = cases[i].max_zero;
        if (!cases[i].has_zero) {
            fake_disk_set_slots(d, FAKE_SLOTS & ~(unsigned)FAKE_ZERO);
        }
        fake_setup_co_open(&s, d, "");
        coro_spawn(ticker_co_run, &t);
        g_assert_cmpint(co_zero(&s, 5, cases[i].bytes, 0), ==, 0);
        g_assert_cmpuint(d->n_bytes, ==, cases[i].bytes);
        g_assert_cmpuint(t.most, <=, cases[i].most);
        g_assert_cmpuint(t.n_ticks, >, 0);
        t.stop = true;
        co_yield();
        fake_setup_co_done(&s);
    }
}

/* The largest numbers there are. */
static void coroutine_fn
test_co_largest(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 0);
    BlkExtent ext;
    FakeSetup s;

    ash_maybe(arg);
    d->hollow = true;
    d->size = INT64_MAX;
    d->limits.max_zero = (uint64_t)1 << 62;
    d->limits.max_trim = (uint64_t)1 << 62;
    fake_setup_co_open(&s, d, "");
    g_assert_cmpint(co_zero(&s, 0, INT64_MAX, 0), ==, 0);
    g_assert_cmpuint(d->n_bytes, ==, INT64_MAX);
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(1, INT64_MAX - 1), 0), ==,
                    0);
    g_assert_cmpint(blk_co_status(s.blk, blk_range(0, INT64_MAX), &ext), ==,
                    0);
    g_assert_cmpuint(ext.bytes, ==, INT64_MAX);
    fake_setup_co_done(&s);
}

/* ---- zero detection ---- */

static void coroutine_fn
test_co_detect(void *arg)
{
    static const struct {
        const char *options;
        const char *log;
    } cases[] = {
        { "", "d:w512+1024" },
        { "detect-zeroes=on", "d:z512+1024" },
        { "detect-zeroes=on discard=ignore", "d:z512+1024" },
        { "detect-zeroes=unmap", "d:z512+1024:unmap" },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree uint8_t *buf = g_malloc0(1024);
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 8192);
        FakeSetup s;

        d->driver.zero_flags = BLK_REQ_MAY_UNMAP;
        fake_setup_co_open(&s, d, cases[i].options);
        fake_disk_start_log(d, FAKE_ALL_IO);
        g_assert_cmpint(fake_co_write(s.blk, 512, buf, 1024, 0), ==, 0);
        g_assert_cmpstr(fake_disk_take_log(d), ==, cases[i].log);
        for (size_t at = 0; at < 1024; at += 341) {
            buf[at] = 1;
            g_assert_cmpint(fake_co_write(s.blk, 512, buf, 1024, 0), ==, 0);
            g_assert_cmpstr(fake_disk_take_log(d), ==, "d:w512+1024");
            g_assert_cmpint(d->mem[512 + at], ==, 1);
            buf[at] = 0;
        }
        /* A write it stays for the client's statistics. */
        g_assert_cmpuint(blk_stats(s.blk)->op[BLK_OP_WRITE].n, ==, 5);
        g_assert_cmpuint(blk_stats(s.blk)->op[BLK_OP_ZERO].n, ==, 0);
        /* FUA is not lost on the way. */
        g_assert_cmpint(fake_co_write(s.blk, 512, buf, 1024, BLK_REQ_FUA),
                        ==, 0);
        g_assert_cmpuint(fake_disk_n(d, FAKE_FLUSH_DISK), ==, 1);
        fake_setup_co_done(&s);
    }
}

/* ---- trim ---- */

static void coroutine_fn
test_co_trim_words(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4 * MIB);
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    d->limits.trim_align = 4096;
    d->limits.max_trim = 40960;
    memset(d->mem, 9, 4 * MIB);
    fake_setup_co_open(&s, d, "");
    fake_disk_start_log(d, FAKE_ALL_IO);
    /* The inner part only; edges are left alone. */
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(4095, 90000), 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==,
                    "d:t4096+40960 d:t45056+40960 d:t86016+4096");
    g_assert_cmpint(d->mem[4095], ==, 9);
    g_assert_cmpint(d->mem[90112], ==, 9);
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(1, 4096), 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "");
    /* -ENOTSUP of one step does not keep the others from being tried. */
    d->fail_mask = FAKE_TRIM;
    d->fail_err = -ENOTSUP;
    d->fail_nth = 1;
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(0, 81920), 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:t0+40960 d:t40960+40960");
    /* Another error ends it. */
    d->fail_err = -ENOSPC;
    d->fail_nth = 1;
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(0, 81920), 0), ==,
                    -ENOSPC);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:t0+40960");
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(0, 4096), BLK_REQ_FUA), ==,
                    0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:t0+4096 d:fo d:fd");
    fake_setup_co_done(&s);
}

static void coroutine_fn
test_co_trim_options(void *arg)
{
    static const struct {
        const char *options;
        unsigned slots;
        int ret;
        unsigned n_calls;
    } cases[] = {
        { "", FAKE_SLOTS, 0, 1 },
        { "discard=ignore", FAKE_SLOTS, 0, 0 },
        { "", FAKE_SLOTS & ~(unsigned)FAKE_TRIM, 0, 0 },
        { "read-only=on", FAKE_SLOTS, -EROFS, 0 },
        { "read-only=on discard=ignore", FAKE_SLOTS, -EROFS, 0 },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", MIB);
        FakeSetup s;

        fake_disk_set_slots(d, cases[i].slots);
        fake_setup_co_open(&s, d, cases[i].options);
        g_assert_cmpint(blk_co_trim(s.blk, blk_range(0, MIB), 0), ==,
                        cases[i].ret);
        g_assert_cmpuint(fake_disk_n(d, FAKE_TRIM), ==, cases[i].n_calls);
        fake_setup_co_done(&s);
    }
}

/* ---- prefetch ---- */

static void coroutine_fn
test_co_prefetch(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", MIB);
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    fake_setup_co_open(&s, d, "");
    fake_disk_start_log(d, FAKE_ALL_IO);
    g_assert_cmpint(blk_co_prefetch(s.blk, blk_range(100, 600000)), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==,
                    "d:r0+262144 d:r262144+262144 d:r524288+76288");
    d->fail_mask = FAKE_READ;
    d->fail_nth = 2;
    d->fail_err = -EIO;
    g_assert_cmpint(blk_co_prefetch(s.blk, blk_range(0, MIB)), ==, -EIO);
    g_assert_cmpstr(fake_disk_take_log(d), ==,
                    "d:r0+262144 d:r262144+262144");
    fake_setup_co_done(&s);

    d = fake_disk_new(FAKE_LEAF, "d", MIB);
    d->limits.request_align = 512;
    fake_disk_set_slots(d, FAKE_SLOTS | FAKE_PREFETCH);
    fake_setup_co_open(&s, d, "");
    fake_disk_start_log(d, FAKE_ALL_IO);
    g_assert_cmpint(blk_co_prefetch(s.blk, blk_range(100, 600000)), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:p0+600576");
    fake_setup_co_done(&s);
}

void
test_fallback_add(void)
{
    test_add_co("/blockcore/fallback/every-way", test_co_every_way);
    test_add_co("/blockcore/fallback/words", test_co_words);
    test_add_co("/blockcore/fallback/may-unmap", test_co_may_unmap);
    test_add_co("/blockcore/fallback/fail-each-call",
                test_co_fail_each_call);
    test_add_co("/blockcore/fallback/huge", test_co_huge);
    test_add_co("/blockcore/fallback/largest", test_co_largest);
    test_add_co("/blockcore/fallback/detect", test_co_detect);
    test_add_co("/blockcore/fallback/trim-words", test_co_trim_words);
    test_add_co("/blockcore/fallback/trim-options", test_co_trim_options);
    test_add_co("/blockcore/fallback/prefetch", test_co_prefetch);
}
