/*
 * tests/unit/blockcore/test-align.c - ranges and memory that the driver can't
 * take as they are.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/io-align.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "tests/lib/fake-driver.h"
#include "tests/unit/blockcore/test-blockcore.h"

/* ---- every range of a small disk ---- */

#define N_BLOCKS 6U

typedef struct Small {
    FakeSetup s;
    uint32_t align;
    uint64_t size;
    uint8_t shadow[N_BLOCKS * 16];
    unsigned n_cases;
} Small;

static void coroutine_fn
small_co_open(Small *t, uint32_t align, uint64_t size)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", size);

    d->limits.request_align = align;
    t->align = align;
    t->size = size;
    fake_setup_co_open(&t->s, d, "");
    for (uint64_t i = 0; i < size; i++) {
        t->shadow[i] = d->mem[i] = (uint8_t)(i * 11 + 1);
    }
}

/* Reads that a write of @r has to do first: of its first and of its last
 * block, if part of them is not written, and inside the size. */
static unsigned
small_rmw_reads(const Small *t, BlkRange r)
{
    uint64_t end = blk_range_end(r);
    bool head = r.offset % t->align != 0;
    bool tail = end % t->align != 0 && end < t->size;

    if (head && tail && r.offset / t->align == (end - 1) / t->align) {
        return 1;
    }
    return (unsigned)head + tail;
}

static void
small_check(const Small *t)
{
    const FakeDisk *d = t->s.disk;

    g_assert_cmpint(memcmp(d->mem, t->shadow, t->size), ==, 0);
    /* Nothing but zeros past the end, and the end stays. */
    g_assert_true(ash_buf_is_zero(d->mem + t->size, 256));
    g_assert_cmpuint(blk_size(t->s.blk), ==, t->size);
}

static void coroutine_fn
small_co_case(Small *t, BlkRange r)
{
    g_autofree uint8_t *buf = g_malloc(r.bytes);
    FakeDisk *d = t->s.disk;
    unsigned n_reads = fake_disk_n(d, FAKE_READ);
    unsigned n_writes = fake_disk_n(d, FAKE_WRITE);

    g_assert_cmpint(fake_co_read(t->s.blk, r.offset, buf, r.bytes), ==, 0);
    g_assert_cmpint(memcmp(buf, t->shadow + r.offset, r.bytes), ==, 0);
    g_assert_cmpuint(fake_disk_n(d, FAKE_READ) - n_reads, ==, 1);

    for (uint64_t i = 0; i < r.bytes; i++) {
        buf[i] = (uint8_t)(t->n_cases + i * 3);
    }
    memcpy(t->shadow + r.offset, buf, r.bytes);
    g_assert_cmpint(fake_co_write(t->s.blk, r.offset, buf, r.bytes, 0), ==,
                    0);
    g_assert_cmpuint(fake_disk_n(d, FAKE_WRITE) - n_writes, ==, 1);
    g_assert_cmpuint(fake_disk_n(d, FAKE_READ) - n_reads - 1, ==,
                     small_rmw_reads(t, r));
    small_check(t);
    t->n_cases++;
}

/* Each range x alignment x size: one driver read for a read; for a write, each
 * edge block read at most once, and one driver write. */
static void coroutine_fn
test_co_every_range(void *arg)
{
    unsigned n = 0;

    ash_maybe(arg);
    for (uint32_t align = 1; align <= 16; align *= 2) {
        for (uint32_t cut = 0; cut < align; cut += 1 + align / 4) {
            Small t = { .n_cases = 0 };
            uint64_t size = (uint64_t)N_BLOCKS * align - cut;

            small_co_open(&t, align, size);
            for (uint64_t i = 0; i < size; i++) {
                for (uint64_t j = i + 1; j <= size; j++) {
                    small_co_case(&t, blk_range(i, j - i));
                }
            }
            n += t.n_cases;
            g_assert_cmpuint(t.s.node->stats.bounced_bytes, ==, 0);
            fake_setup_co_done(&t.s);
        }
    }
    g_test_message("%u ranges", n);
}

/* ---- memory and pieces ---- */

/* Cut @bytes of memory from @base on into pieces of random sizes, some of them
 * aligned. */
static unsigned
cut_pieces(GRand *rand, uint8_t *base, size_t bytes, struct iovec *v,
           unsigned n_max)
{
    unsigned n = 0;

    while (bytes > 0) {
        size_t len = 1 + g_rand_int(rand) % 700;

        if (g_rand_int(rand) % 2) {
            len = ash_round_up(len, 512);
        }
        if (len > bytes || n + 1 == n_max) {
            len = bytes;
        }
        v[n].iov_base = base;
        v[n].iov_len = len;
        n++;
        base += len;
        bytes -= len;
    }
    return n;
}

typedef struct Pieces {
    uint32_t align;
    uint32_t mem_align;
    uint64_t max_transfer;
    uint32_t max_iov;
} Pieces;

#define PIECES_SIZE ((size_t)16 << 10)
#define PIECES_MAX 40U

typedef struct Buffers {
    uint8_t *shadow;
    uint8_t *mem;
    uint8_t *back;
    struct iovec *v;
} Buffers;

/* Writes and reads of random ranges through random pieces. */
static void coroutine_fn
pieces_co_round(FakeSetup *s, GRand *rand, Buffers *b)
{
    size_t offset = g_rand_int(rand) % PIECES_SIZE;
    size_t bytes = 1 + g_rand_int(rand) % (PIECES_SIZE - offset);
    size_t skew = g_rand_int(rand) % 3 * 256;
    BlkRange r = blk_range(offset, bytes);
    IoVec iov;

    for (size_t i = 0; i < bytes; i++) {
        b->mem[skew + i] = (uint8_t)g_rand_int(rand);
    }
    iov_init_array(&iov, b->v,
                   cut_pieces(rand, b->mem + skew, bytes, b->v, PIECES_MAX));
    g_assert_cmpint(blk_co_write(s->blk, r, &iov, 0), ==, 0);
    memcpy(b->shadow + offset, b->mem + skew, bytes);
    g_assert_cmpint(memcmp(s->disk->mem, b->shadow, PIECES_SIZE), ==, 0);

    memset(b->back, 0xee, PIECES_SIZE + 1024);
    iov_init_array(&iov, b->v,
                   cut_pieces(rand, b->back + skew, bytes, b->v,
                              PIECES_MAX));
    g_assert_cmpint(blk_co_read(s->blk, r, &iov, 0), ==, 0);
    g_assert_cmpint(memcmp(b->back + skew, b->shadow + offset, bytes), ==,
                    0);
    for (size_t i = 0; i < skew; i++) {
        g_assert_cmphex(b->back[i], ==, 0xee);
    }
    for (size_t i = skew + bytes; i < PIECES_SIZE + 1024; i++) {
        g_assert_cmphex(b->back[i], ==, 0xee);
    }
}

static void coroutine_fn
test_co_pieces(void *arg)
{
    static const Pieces limits[] = {
        { 1, 1, 0, 0 },         { 1, 1, 100, 0 },
        { 1, 1, 0, 1 },         { 1, 1, 100, 3 },
        { 512, 1, 0, 0 },       { 512, 1, 512, 0 },
        { 512, 1, 1536, 2 },    { 512, 1, 0, 1 },
        { 512, 512, 0, 0 },     { 512, 512, 1024, 1 },
        { 512, 4096, 1024, 1 }, { 512, 512, 4096, 4 },
        { 4096, 512, 0, 0 },    { 4096, 4096, 4096, 2 },
        { 64, 16, 640, 5 },
    };
    uint32_t seed = (uint32_t)g_test_rand_int();
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    Buffers b = {
        .shadow = g_malloc0(PIECES_SIZE),
        .mem = g_malloc(PIECES_SIZE + 1024),
        .back = g_malloc(PIECES_SIZE + 1024),
        .v = g_new(struct iovec, PIECES_MAX),
    };

    ash_maybe(arg);
    g_test_message("seed %u", seed);
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", PIECES_SIZE);
        FakeSetup s;

        d->limits.request_align = limits[i].align;
        d->limits.mem_align = limits[i].mem_align;
        d->limits.max_transfer = limits[i].max_transfer;
        d->limits.max_iov = limits[i].max_iov;
        memset(b.shadow, 0, PIECES_SIZE);
        fake_setup_co_open(&s, d, "");
        for (int round = 0; round < 200; round++) {
            pieces_co_round(&s, rand, &b);
        }
        fake_setup_co_done(&s);
    }
    g_test_message("%zu limits x 200 writes and reads",
                   G_N_ELEMENTS(limits));
    g_free(b.shadow);
    g_free(b.mem);
    g_free(b.back);
    g_free(b.v);
}

/* Aligned memory is never copied, other memory is and is counted. */
static void coroutine_fn
test_co_bounced_bytes(void *arg)
{
    uint8_t *buf = g_aligned_alloc0(1, 128 << 10, 4096);
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 1 << 20);
    const uint64_t *bounced;
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    d->limits.mem_align = 512;
    fake_setup_co_open(&s, d, "");
    bounced = &s.node->stats.bounced_bytes;
    g_assert_cmpint(fake_co_write(s.blk, 0, buf, 64 << 10, 0), ==, 0);
    g_assert_cmpint(fake_co_read(s.blk, 65536, buf, 64 << 10), ==, 0);
    g_assert_cmpint(fake_co_read(s.blk, 65536, buf + 512, 64 << 10), ==, 0);
    g_assert_cmpuint(*bounced, ==, 0);
    g_assert_cmpint(fake_co_read(s.blk, 65536, buf + 1, 64 << 10), ==, 0);
    g_assert_cmpuint(*bounced, ==, 64 << 10);
    g_assert_cmpint(fake_co_write(s.blk, 65536, buf + 8, 1024, 0), ==, 0);
    g_assert_cmpuint(*bounced, ==, 65 << 10);
    g_assert_cmpint(fake_co_write(s.blk, 1, buf, 512, 0), ==, 0);
    g_assert_cmpuint(*bounced, ==, 66 << 10);
    fake_setup_co_done(&s);
    g_aligned_free(buf);
}

/* Many more pieces than any driver takes, smaller than a block each. */
static void coroutine_fn
test_co_tiny_pieces(void *arg)
{
    unsigned n = 5000;
    g_autofree struct iovec *v = g_new(struct iovec, n);
    g_autofree uint8_t *mem = g_malloc(n);
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 8192);
    FakeSetup s;
    IoVec iov;

    ash_maybe(arg);
    d->limits.request_align = 4096;
    fake_setup_co_open(&s, d, "");
    for (unsigned i = 0; i < n; i++) {
        mem[i] = (uint8_t)(i * 13);
        v[i].iov_base = mem + i;
        v[i].iov_len = 1;
    }
    iov_init_array(&iov, v, n);
    g_assert_cmpint(blk_co_write(s.blk, blk_range(100, n), &iov, 0), ==, 0);
    g_assert_cmpint(memcmp(d->mem + 100, mem, n), ==, 0);
    memset(mem, 0, n);
    g_assert_cmpint(blk_co_read(s.blk, blk_range(100, n), &iov, 0), ==, 0);
    g_assert_cmpint(memcmp(d->mem + 100, mem, n), ==, 0);
    fake_setup_co_done(&s);
}

/* ---- what the driver is asked, in words ---- */

static void coroutine_fn
test_co_words(void *arg)
{
    static const struct {
        uint64_t offset;
        size_t bytes;
        const char *log;
    } cases[] = {
        { 0, 4096, "d:e:pwritev d:w0+4096 d:e:pwritev_done" },
        { 1, 1,
          "d:e:pwritev_rmw_head d:r0+512 d:e:pwritev_rmw_after_head "
          "d:e:pwritev d:w0+512 d:e:pwritev_done" },
        { 0, 700,
          "d:e:pwritev_rmw_tail d:r512+512 d:e:pwritev_rmw_after_tail "
          "d:e:pwritev d:w0+1024 d:e:pwritev_done" },
        { 4095, 4097,
          "d:e:pwritev_rmw_head d:r3584+512 d:e:pwritev_rmw_after_head "
          "d:e:pwritev d:w3584+4608 d:e:pwritev_done" },
        { 511, 2,
          "d:e:pwritev_rmw_head d:r0+512 d:e:pwritev_rmw_after_head "
          "d:e:pwritev_rmw_tail d:r512+512 d:e:pwritev_rmw_after_tail "
          "d:e:pwritev d:w0+1024 d:e:pwritev_done" },
        /* The rest of the last block lies past the end. */
        { 9728, 272, "d:e:pwritev d:w9728+512 d:e:pwritev_done" },
    };
    g_autofree uint8_t *buf = g_malloc0(5000);
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 10000);
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    fake_disk_set_slots(d, FAKE_SLOTS | FAKE_EVENT);
    fake_setup_co_open(&s, d, "");
    fake_disk_start_log(d, FAKE_ALL_IO | FAKE_EVENT);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(fake_co_write(s.blk, cases[i].offset, buf,
                                      cases[i].bytes, 0),
                        ==, 0);
        g_assert_cmpstr(fake_disk_take_log(d), ==, cases[i].log);
    }
    g_assert_cmpint(fake_co_read(s.blk, 1, buf, 1), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:r0+512");
    g_assert_cmpint(fake_co_read(s.blk, 9999, buf, 1), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:r9728+512");
    fake_setup_co_done(&s);
}

/* ---- failures ---- */

/* Fail each driver call of an unaligned write in pieces: it fails, no byte
 * outside changes, and nothing is written when a read failed. */
static void coroutine_fn
test_co_fail_each_call(void *arg)
{
    g_autofree uint8_t *buf = g_malloc(3000);
    g_autofree uint8_t *before = g_malloc(8192);
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 8192);
    unsigned n_failures = 0;
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    d->limits.max_transfer = 1024;
    memset(d->mem, 0x11, 8192);
    memset(buf, 0x22, 3000);
    fake_setup_co_open(&s, d, "");
    for (int late = 0; late < 2; late++) {
        for (unsigned nth = 1;; nth++) {
            int ret;

            memcpy(before, d->mem, 8192);
            d->n_failed = 0;
            d->fail_mask = FAKE_ALL_IO;
            d->fail_nth = nth;
            d->fail_err = -EIO;
            d->fail_late = late;
            ret = fake_co_write(s.blk, 1111, buf, 3000, 0);
            g_assert_cmpint(ret, ==, d->n_failed ? -EIO : 0);
            g_assert_cmpint(memcmp(d->mem, before, 1111), ==, 0);
            g_assert_cmpint(memcmp(d->mem + 4111, before + 4111, 4081), ==,
                            0);
            if (nth <= 2) {
                g_assert_cmpint(memcmp(d->mem, before, 8192), ==, 0);
            }
            g_assert_true(ash_list_is_empty(&s.node->tracked));
            g_assert_cmpuint(s.node->in_flight, ==, 0);
            if (ret == 0) {
                break;
            }
            n_failures++;
            memcpy(d->mem, before, 8192);
        }
        g_assert_cmphex(d->mem[1111], ==, 0x22);
        memset(d->mem, 0x11, 8192);
        d->fail_nth = 0;
    }
    /* Two reads, four writes, early and late. */
    g_assert_cmpuint(n_failures, ==, 12);
    fake_setup_co_done(&s);
}

/* ---- at the same time ---- */

static FakeReq
request(Blk *blk, BlkOp op, uint64_t offset, uint64_t bytes, void *buf)
{
    return (FakeReq){
        .blk = blk,
        .op = op,
        .range = blk_range(offset, bytes),
        .buf = buf,
    };
}

/* Two writes to parts of one block: the second waits for the first, at each
 * event of it, and both survive. */
static void coroutine_fn
test_co_neighbours(void *arg)
{
    static const char *const events[] = {
        "pwritev_rmw_head", "pwritev_rmw_after_head", "pwritev",
        "pwritev_done"
    };
    uint8_t a[100];
    uint8_t b[100];
    uint8_t c[100];

    ash_maybe(arg);
    memset(a, 0xaa, 100);
    memset(b, 0xbb, 100);
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4096);
        FakeReq first;
        FakeReq second;
        FakeReq read;
        FakeReq other;
        FakeSetup s;

        d->limits.request_align = 512;
        fake_disk_set_slots(d, FAKE_SLOTS | FAKE_EVENT);
        fake_setup_co_open(&s, d, "");
        first = request(s.blk, BLK_OP_WRITE, 100, 100, a);
        second = request(s.blk, BLK_OP_WRITE, 200, 100, b);
        read = request(s.blk, BLK_OP_READ, 400, 100, c);
        other = request(s.blk, BLK_OP_WRITE, 512, 100, b);
        d->hold_event = events[i];
        fake_req_start(&first);
        d->hold_event = NULL;
        fake_req_start(&second);
        fake_req_start(&read);
        fake_req_start(&other);
        fake_co_settle();
        g_assert_false(first.done);
        g_assert_false(second.done);
        g_assert_false(read.done);
        g_assert_true(other.done);
        fake_disk_release(d);
        g_assert_cmpint(fake_req_co_wait(&first), ==, 0);
        g_assert_cmpint(fake_req_co_wait(&second), ==, 0);
        g_assert_cmpint(fake_req_co_wait(&read), ==, 0);
        g_assert_cmpint(memcmp(d->mem + 100, a, 100), ==, 0);
        g_assert_cmpint(memcmp(d->mem + 200, b, 100), ==, 0);
        fake_setup_co_done(&s);
    }
}

/* Aligned writes do not wait for each other, overlapping or not; nor do
 * unaligned ones in different blocks. */
static void coroutine_fn
test_co_parallel(void *arg)
{
    static const BlkRange pairs[][2] = {
        { { 0, 1024 }, { 512, 1024 } },
        { { 0, 512 }, { 0, 512 } },
        { { 511, 1 }, { 512, 1 } },
        { { 512, 512 }, { 1024, 1 } },
    };
    uint8_t buf[1024] = { 0 };
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4096);
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    fake_setup_co_open(&s, d, "");
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        const BlkRange *p = pairs[i];
        FakeReq a =
            request(s.blk, BLK_OP_WRITE, p[0].offset, p[0].bytes, buf);
        FakeReq b =
            request(s.blk, BLK_OP_WRITE, p[1].offset, p[1].bytes, buf);

        d->hold_mask = FAKE_WRITE;
        fake_req_start(&a);
        fake_req_start(&b);
        fake_co_settle();
        g_assert_cmpuint(d->n_held, ==, 2);
        fake_disk_release(d);
        g_assert_cmpint(fake_req_co_wait(&a), ==, 0);
        g_assert_cmpint(fake_req_co_wait(&b), ==, 0);
    }
    fake_setup_co_done(&s);
}

/* SERIALISING waits for an aligned write, and one with NO_WAIT for nobody. */
static void coroutine_fn
test_co_flags(void *arg)
{
    uint8_t buf[512] = { 0 };
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 4096);
    FakeReq a;
    FakeReq b;
    FakeReq c;
    FakeSetup s;

    ash_maybe(arg);
    fake_setup_co_open(&s, d, "");
    a = request(s.blk, BLK_OP_WRITE, 0, 512, buf);
    b = request(s.blk, BLK_OP_WRITE, 256, 512, buf);
    c = request(s.blk, BLK_OP_READ, 300, 10, buf);
    b.flags = BLK_REQ_SERIALISING;
    d->hold_mask = FAKE_WRITE;
    fake_req_start(&a);
    fake_req_start(&b);
    fake_co_settle();
    g_assert_cmpuint(d->n_held, ==, 1);
    fake_disk_release(d);
    d->hold_mask = FAKE_WRITE;
    fake_co_settle();
    g_assert_true(a.done);
    g_assert_cmpuint(d->n_held, ==, 1);
    fake_req_start(&c);
    g_assert_false(c.done);
    a = c;
    a.flags = BLK_REQ_NO_WAIT;
    fake_req_start(&a);
    g_assert_true(a.done);
    fake_disk_release(d);
    g_assert_cmpint(fake_req_co_wait(&b), ==, 0);
    g_assert_cmpint(fake_req_co_wait(&c), ==, 0);
    fake_setup_co_done(&s);
}

void
test_align_add(void)
{
    test_add_co("/blockcore/align/every-range", test_co_every_range);
    test_add_co("/blockcore/align/pieces", test_co_pieces);
    test_add_co("/blockcore/align/bounced-bytes", test_co_bounced_bytes);
    test_add_co("/blockcore/align/tiny-pieces", test_co_tiny_pieces);
    test_add_co("/blockcore/align/words", test_co_words);
    test_add_co("/blockcore/align/fail-each-call", test_co_fail_each_call);
    test_add_co("/blockcore/align/neighbours", test_co_neighbours);
    test_add_co("/blockcore/align/parallel", test_co_parallel);
    test_add_co("/blockcore/align/flags", test_co_flags);
}
