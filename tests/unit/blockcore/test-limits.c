/*
 * tests/unit/blockcore/test-limits.c - limits that make no sense are refused
 * when a node opens, so that no request meets them.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "base/error.h"
#include "blockcore/graph-priv.h"
#include "tests/lib/fake-setup.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define SIZE ((uint64_t)1 << 20)

/* Open a leaf with @limits; the error's text, NULL if it opens. */
static char *coroutine_fn
limits_co_try(const BlkLimits *limits)
{
    FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", SIZE);
    FakeGraph *fg = fake_graph_new(&d, 1);
    BlkOptions *opts = blk_options_new();
    g_autoptr(GError) error = NULL;
    char *message = NULL;
    BlkNode *node;

    d->limits = *limits;
    blk_options_set(opts, "driver", BLK_VALUE_KEYVAL, "d");
    blk_options_set(opts, "node-name", BLK_VALUE_KEYVAL, "d");
    if (!blk_graph_co_add(fg->graph, opts, &node, &error)) {
        g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFIG);
        message = g_strdup(error->message);
    }
    fake_graph_co_free(fg);
    return message;
}

typedef struct Case {
    BlkLimits limits;
    const char *message;
} Case;

static const Case cases[] = {
    { { .request_align = 1, .mem_align = 1 }, NULL },
    { { .request_align = 65536, .mem_align = 65536 }, NULL },
    { { .request_align = 0, .mem_align = 1 },
      "request alignment 0 is not a power of two from 1 to 65536" },
    { { .request_align = 1536, .mem_align = 1 },
      "request alignment 1536 is not a power of two from 1 to 65536" },
    { { .request_align = 131072, .mem_align = 1 },
      "request alignment 131072 is not a power of two from 1 to 65536" },
    { { .request_align = 1, .mem_align = 0 },
      "memory alignment 0 is not a power of two from 1 to 65536" },
    { { .request_align = 1, .mem_align = 3 },
      "memory alignment 3 is not a power of two from 1 to 65536" },
    { { .request_align = 512, .mem_align = 1, .opt_transfer = 1536 }, NULL },
    { { .request_align = 512, .mem_align = 1, .opt_transfer = 100 },
      "optimal transfer 100 is not a multiple of the request alignment 512" },
    { { .request_align = 512, .mem_align = 1, .max_transfer = 1536 }, NULL },
    { { .request_align = 4096, .mem_align = 1, .max_transfer = 6000 },
      "maximal transfer 6000 is not a multiple of the request alignment "
      "4096" },
    /* The units of trims and zero writes may be larger than a block, ... */
    { { .request_align = 512, .mem_align = 1, .trim_align = 1 << 21 }, NULL },
    { { .request_align = 512, .mem_align = 1, .zero_align = 1 << 21 }, NULL },
    /* ... but are whole blocks, and powers of two. */
    { { .request_align = 512, .mem_align = 1, .trim_align = 256 },
      "trim alignment 256 is not a multiple of the request alignment 512" },
    { { .request_align = 512, .mem_align = 1, .trim_align = 1536 },
      "trim alignment 1536 is not a power of two" },
    { { .request_align = 512, .mem_align = 1, .max_trim = 700 },
      "maximal trim 700 is not a multiple of the request alignment 512" },
    { { .request_align = 512,
        .mem_align = 1,
        .trim_align = 1024,
        .max_trim = 1536 },
      "maximal trim 1536 is not a multiple of the trim alignment 1024" },
    { { .request_align = 512,
        .mem_align = 1,
        .trim_align = 1024,
        .max_trim = 512 },
      "maximal trim 512 is not a multiple of the trim alignment 1024" },
    { { .request_align = 512, .mem_align = 1, .zero_align = 256 },
      "zero alignment 256 is not a multiple of the request alignment 512" },
    { { .request_align = 512, .mem_align = 1, .zero_align = 1536 },
      "zero alignment 1536 is not a power of two" },
    { { .request_align = 512, .mem_align = 1, .max_zero = 700 },
      "maximal zero 700 is not a multiple of the request alignment 512" },
    { { .request_align = 512,
        .mem_align = 1,
        .zero_align = 1024,
        .max_zero = 1536 },
      "maximal zero 1536 is not a multiple of the zero alignment 1024" },
};

static void coroutine_fn
test_co_refused(void *arg)
{
    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *message = limits_co_try(&cases[i].limits);
        g_autofree char *wanted = NULL;

        if (cases[i].message) {
            wanted = g_strconcat("node 'd': limits: ", cases[i].message, NULL);
        }
        g_assert_cmpstr(message, ==, wanted);
    }
    g_test_message("%zu sets of limits", G_N_ELEMENTS(cases));
}

/* From below come the strictest, except the block, which is each node's own;
 * where one unit is larger the maxima are cut to it. */
static void coroutine_fn
test_co_merged(void *arg)
{
    FakeDisk *disks[] = { fake_disk_new(FAKE_LEAF, "base", SIZE),
                          fake_disk_new(FAKE_LEAF, "leaf", SIZE),
                          fake_disk_new(FAKE_OVERLAY, "top", SIZE) };
    FakeGraph *fg = fake_graph_new(disks, 3);
    const BlkLimits *l;
    BlkNode *node;

    ash_maybe(arg);
    disks[0]->limits = (BlkLimits){
        .request_align = 512,
        .mem_align = 512,
        .max_transfer = 5120,
        .max_iov = 7,
        .trim_align = 4096,
        .max_trim = 8192,
        .zero_align = 512,
        .max_zero = 512,
    };
    disks[1]->limits = (BlkLimits){
        .request_align = 4096,
        .mem_align = 64,
        .opt_transfer = 8192,
        .max_iov = 9,
        .trim_align = 8192,
        .max_trim = 24576,
        .zero_align = 4096,
        .rotational = true,
        .zero_init = true,
    };
    disks[2]->driver.get_limits = NULL;
    fake_graph_co_open(fg, disks[0], "");
    fake_graph_co_open(fg, disks[1], "");
    node = fake_graph_co_open(fg, disks[2], "backing=base file=leaf");
    node->primary = disks[2]->file;
    g_assert_true(blk_limits_refresh(node, NULL));
    l = &node->limits;
    g_assert_cmpuint(l->request_align, ==, 1);
    g_assert_cmpuint(l->mem_align, ==, 512);
    g_assert_cmpuint(l->opt_transfer, ==, 8192);
    g_assert_cmpuint(l->max_transfer, ==, 5120);
    g_assert_cmpuint(l->max_iov, ==, 7);
    g_assert_cmpuint(l->trim_align, ==, 8192);
    g_assert_cmpuint(l->max_trim, ==, 8192);
    g_assert_cmpuint(l->zero_align, ==, 4096);
    g_assert_cmpuint(l->max_zero, ==, 4096);
    g_assert_true(l->rotational);
    g_assert_true(disks[1]->node->limits.zero_init);
    /* A new layer shows what is below it. */
    g_assert_false(l->zero_init);
    fake_graph_co_free(fg);
}

void
test_limits_add(void)
{
    test_add_co("/blockcore/limits/refused", test_co_refused);
    test_add_co("/blockcore/limits/merged", test_co_merged);
}
