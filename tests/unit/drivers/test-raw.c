/*
 * tests/unit/drivers/test-raw.c - raw passes bytes on, inside its window and
 * nowhere else.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "blockcore/driver.h"
#include "blockcore/edge-io.h"
#include "drivers/drivers.h"
#include "tests/unit/drivers/test-drivers.h"

#define SIZE 12U

/* Every request that begins and ends in the window, on a window of
 * [offset, offset + size) of the disk: what is read, written, zeroed and
 * reported is there, the rest stays. */
static unsigned coroutine_fn
test_co_one_window(TestNode *t, unsigned offset, unsigned size)
{
    unsigned n = 0;

    g_assert_cmpuint(blk_size(t->blk), ==, size);
    for (unsigned x = 0; x < (size + 1) * (size + 1); x++) {
        unsigned from = x / (size + 1);
        unsigned bytes = x % (size + 1);
        uint8_t model[SIZE];
        uint8_t buf[SIZE];
        BlkExtent e;
        int bad = from + bytes > size ? -1 : 0;

        for (unsigned i = 0; i < SIZE; i++) {
            t->disk->mem[i] = model[i] = (uint8_t)(i + 1);
        }
        g_assert_cmpint(fake_co_read(t->blk, from, buf, bytes), ==,
                        bad ? -EINVAL : 0);
        if (!bad) {
            test_assert_same(buf, model + offset + from, bytes);
        }
        memset(buf, 0xee, sizeof(buf));
        g_assert_cmpint(fake_co_write(t->blk, from, buf, bytes, 0), ==,
                        bad ? -ENOSPC : 0);
        if (!bad) {
            memset(model + offset + from, 0xee, bytes);
        }
        test_assert_same(t->disk->mem, model, SIZE);
        g_assert_cmpint(test_co_request(t, BLK_OP_ZERO, from, bytes, 0), ==,
                        bad ? -ENOSPC : 0);
        if (!bad) {
            memset(model + offset + from, 0, bytes);
        }
        test_assert_same(t->disk->mem, model, SIZE);
        if (!bad && bytes > 0) {
            g_assert_cmpint(blk_co_status(t->blk, blk_range(from, bytes), &e),
                            ==, 0);
            g_assert_true(e.status & BLK_STATUS_OFFSET_VALID);
            g_assert_cmpuint(e.host_offset, ==, offset + from);
            g_assert_true(e.file == t->disk->node);
        }
        n++;
    }
    return n;
}

static void coroutine_fn
test_co_windows(void *arg)
{
    unsigned n = 0;

    ash_maybe(arg);
    for (unsigned offset = 0; offset <= SIZE; offset++) {
        for (unsigned size = 0; size <= SIZE - offset + 1; size++) {
            bool rest = size > SIZE - offset; /* once without a size */
            g_autofree char *with =
                rest ? g_strdup("") : g_strdup_printf(" size=%u", size);
            g_autofree char *text = g_strdup_printf(
                "driver=raw file.driver=d offset=%u%s", offset, with);
            TestNode t;

            test_co_open(&t, fake_disk_new(FAKE_LEAF, "d", SIZE), text);
            n += test_co_one_window(&t, offset, rest ? SIZE - offset : size);
            test_co_close(&t);
        }
    }
    g_test_message("%u ranges", n);
}

static void coroutine_fn
test_co_errors(void *arg)
{
    static const struct {
        const char *options;
        const char *message;
    } cases[] = {
        { "offset=13", "node 'n': raw: offset 13 is past the end of the file, "
                       "which has 12 bytes" },
        { "offset=1 size=12", "node 'n': raw: offset 1 and size 12 reach past "
                              "the end of the file, which has 12 bytes" },
        { "size=9223372036854775807",
          "node 'n': raw: offset 0 and size 9223372036854775807 reach past "
          "the end of the file, which has 12 bytes" },
        { "offset=9223372036854775807 size=9223372036854775807",
          "node 'n': raw: offset 9223372036854775807 is past the end of the "
          "file, which has 12 bytes" },
        { "size=", "node 'n': raw: option 'size': '' is not a size: use a "
                   "whole number of bytes, or a suffix k, M, G, T, P, E for "
                   "powers of 1024" },
        { "ofset=1", "node 'n': driver 'raw' has no option 'ofset', did you "
                     "mean 'offset'?" },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strconcat("driver=raw file.driver=d ", cases[i].options, NULL);

        test_co_open_fails(fake_disk_new(FAKE_LEAF, "d", SIZE), text,
                           ASH_ERROR_CONFIG, cases[i].message);
    }
    test_co_open_fails(NULL, "driver=raw", ASH_ERROR_CONFIG,
                       "node 'n': raw: option 'file' is required: the name "
                       "of a node, or the options of one ('file.driver', "
                       "...)");
}

/* Whatever the request asks for arrives: flags, trim, cache, flush. */
static void coroutine_fn
test_co_forward(void *arg)
{
    const BlkReqFlags zero_flags =
        (BlkReqFlags)BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK | BLK_REQ_FUA;
    uint8_t buf[100] = { 1 };
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 1000);
    TestNode t;

    ash_maybe(arg);
    fake_disk_set_slots(d, FAKE_ALL_IO);
    d->driver.write_flags = BLK_REQ_FUA;
    d->driver.zero_flags = zero_flags;
    d->limits.fast_zero = true;
    d->limits.rotational = true;
    test_co_open(&t, d, "driver=raw file.driver=d offset=10 size=200");
    fake_disk_start_log(d, FAKE_ALL_IO);
    g_assert_cmpint(fake_co_write(t.blk, 5, buf, 100, BLK_REQ_FUA), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:w15+100:fua");
    g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, 0, 200, zero_flags), ==,
                    0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:z10+200:fua:unmap:fast");
    g_assert_cmpint(test_co_request(&t, BLK_OP_TRIM, 1, 2, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:t11+2");
    g_assert_cmpint(test_co_request(&t, BLK_OP_CACHE, 1, 2, 0), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:p11+2");
    g_assert_cmpint(blk_co_flush(t.blk), ==, 0);
    g_assert_cmpstr(fake_disk_take_log(d), ==, "d:fo d:fd");
    d->fail_mask = FAKE_ALL_IO;
    d->fail_err = -ESHUTDOWN;
    d->fail_nth = 1;
    g_assert_cmpint(fake_co_read(t.blk, 0, buf, 1), ==, -ESHUTDOWN);
    g_assert_true(blk_limits(t.blk)->fast_zero);
    g_assert_true(blk_limits(t.blk)->rotational);
    test_co_close(&t);
}

/* A file of blocks behind an odd window: the neighbours of the window stay,
 * and so do those of each write. */
static void coroutine_fn
test_co_blocks(void *arg)
{
    const unsigned size = 8192;
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", size);
    uint8_t *model = g_malloc0(size);
    uint32_t seed = (uint32_t)g_test_rand_int();
    GRand *rand = g_rand_new_with_seed(seed);
    TestNode t;

    ash_maybe(arg);
    d->limits = (BlkLimits){
        .request_align = 512,
        .mem_align = 1,
        .zero_align = 512,
        .trim_align = 1024,
        .max_trim = 2048,
    };
    test_co_open(&t, d, "driver=raw file.driver=d offset=333 size=7000");
    g_assert_cmpuint(blk_limits(t.blk)->request_align, ==, 1);
    g_assert_cmpuint(blk_limits(t.blk)->trim_align, ==, 0);
    g_assert_cmpuint(blk_limits(t.blk)->zero_align, ==, 0);
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t from = (uint32_t)g_rand_int_range(rand, 0, 7000);
        uint32_t bytes =
            (uint32_t)g_rand_int_range(rand, 1, (gint32)(7001 - from));
        g_autofree uint8_t *buf = g_malloc(bytes);

        memset(buf, (int)(i % 255 + 1), bytes);
        switch (i % 3) {
        case 0:
            g_assert_cmpint(fake_co_write(t.blk, from, buf, bytes, 0), ==, 0);
            memcpy(model + 333 + from, buf, bytes);
            break;
        case 1:
            g_assert_cmpint(test_co_request(&t, BLK_OP_ZERO, from, bytes, 0),
                            ==, 0);
            memset(model + 333 + from, 0, bytes);
            break;
        default:
            g_assert_cmpint(fake_co_read(t.blk, from, buf, bytes), ==, 0);
            test_assert_same(buf, model + 333 + from, bytes);
            break;
        }
        test_assert_same(d->mem, model, size);
    }
    g_test_message("2000 requests, seed %u", seed);
    test_co_close(&t);
    g_rand_free(rand);
    g_free(model);
}

/* A format that holds its file with every permission. */
static BlkEdge *grower_file;

static const BlkOptionSpec grower_options[] = {
    { .name = "file", .type = BLK_OPT_NODE },
    { .name = NULL },
};

static bool coroutine_fn
grower_co_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    return blk_node_co_open_child(node, opts, "file",
                                  (BlkRole)BLK_ROLE_DATA | BLK_ROLE_METADATA |
                                      BLK_ROLE_PRIMARY,
                                  true, &grower_file, error);
}

static int coroutine_fn
grower_co_size(BlkNode *node, uint64_t *ret)
{
    ash_maybe(node);
    *ret = 0;
    return 0;
}

static int coroutine_fn
grower_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
                BlkReqFlags flags)
{
    ash_maybe(node);
    ash_maybe(flags);
    return blk_edge_co_write(grower_file, range, iov, 0);
}

static const BlkDriver grower = {
    .name = "grower",
    .kind = BLK_FORMAT,
    .options = grower_options,
    .co_open = grower_co_open,
    .co_size = grower_co_size,
    .co_write = grower_co_write,
};

/* Without a size the disk grows with its file; with one it stays inside. */
static void coroutine_fn
test_co_grow(void *arg)
{
    static const char *const options[] = { "", "90" };
    uint8_t buf[20] = { 1 };
    IoVec iov;

    ash_maybe(arg);
    iov_init_one(&iov, buf, 20);
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 100);
        const BlkDriver *table[] = { drivers_find("raw"), &d->driver, &grower,
                                     NULL };
        BlkGraph *graph = blk_graph_new(table, NULL);
        BlkOptions *opts = blk_options_new();
        g_autoptr(GError) error = NULL;
        BlkNode *node;

        blk_options_set(opts, "driver", BLK_VALUE_STRING, "grower");
        blk_options_set(opts, "node-name", BLK_VALUE_STRING, "n");
        blk_options_set(opts, "file.driver", BLK_VALUE_STRING, "raw");
        blk_options_set(opts, "file.file.driver", BLK_VALUE_STRING, "d");
        blk_options_set(opts, "file.offset", BLK_VALUE_NUMBER, "10");
        if (*options[i] != '\0') {
            blk_options_set(opts, "file.size", BLK_VALUE_NUMBER, options[i]);
        }
        blk_graph_co_add(graph, opts, &node, &error);
        g_assert_no_error(error);
        fake_disk_start_log(d, FAKE_WRITE | FAKE_ZERO);
        g_assert_cmpint(
            blk_edge_co_write(grower_file, blk_range(80, 20), &iov, 0), ==,
            i == 0 ? 0 : -ENOSPC);
        g_assert_cmpstr(fake_disk_take_log(d), ==, i == 0 ? "d:w90+20" : "");
        g_assert_cmpuint(blk_edge_size(grower_file), ==, i == 0 ? 100 : 90);
        g_assert_cmpuint(blk_node_size(d->node), ==, i == 0 ? 110 : 100);
        g_assert_cmpint(blk_edge_co_zero(grower_file, blk_range(90, 20), 0), ==,
                        i == 0 ? 0 : -ENOSPC);
        g_assert_cmpuint(blk_node_size(d->node), ==, i == 0 ? 120 : 100);
        g_assert_cmpint(blk_edge_co_write(grower_file,
                                          blk_range(INT64_MAX - 25, 20), &iov,
                                          0),
                        ==, -ENOSPC);
        g_assert_cmpint(blk_graph_co_close_all(graph), ==, 0);
        blk_graph_free(graph);
        fake_disk_free(d);
    }
}

/* A read-only file makes a read-only disk. */
static void coroutine_fn
test_co_read_only(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", 100);
    TestNode t;
    uint8_t byte = 0;

    ash_maybe(arg);
    test_co_open(&t, d, "driver=raw file.driver=d file.read-only=on");
    g_assert_true(blk_node_is_read_only(t.node));
    g_assert_false(blk_is_writable(t.blk));
    g_assert_cmpint(fake_co_write(t.blk, 0, &byte, 1, 0), ==, -EROFS);
    g_assert_cmpint(fake_co_read(t.blk, 0, &byte, 1), ==, 0);
    test_co_close(&t);
}

void
test_raw_add(void)
{
    test_add_co("/drivers/raw/windows", test_co_windows);
    test_add_co("/drivers/raw/errors", test_co_errors);
    test_add_co("/drivers/raw/forward", test_co_forward);
    test_add_co("/drivers/raw/blocks", test_co_blocks);
    test_add_co("/drivers/raw/grow", test_co_grow);
    test_add_co("/drivers/raw/read-only", test_co_read_only);
}
