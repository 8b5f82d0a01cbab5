/*
 * tests/unit/blockcore/test-edge.c - what a driver asks of its children.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/iov.h"
#include "blockcore/blk.h"
#include "blockcore/edge-io.h"
#include "tests/lib/fake-setup.h"
#include "tests/unit/blockcore/test-blockcore.h"

static FakeDisk *edge_disks[2];

/* What a driver's edge does past the end of the child. */
static void coroutine_fn
test_co_past_end(void *arg)
{
    uint8_t buf[1000];
    IoVec iov;
    FakeGraph *fg;
    BlkEdge *file;

    ash_maybe(arg);
    edge_disks[0] = fake_disk_new(FAKE_LEAF, "leaf", 1300);
    edge_disks[1] = fake_disk_new(FAKE_FILTER, "top", 0);
    edge_disks[0]->limits.request_align = 512;
    memset(edge_disks[0]->mem, 0xaa, 65536); /* also past the end */
    fg = fake_graph_new(edge_disks, 2);
    fake_graph_co_open(fg, edge_disks[0], "");
    fake_graph_co_open(fg, edge_disks[1], "file=leaf");
    fake_disk_start_log(edge_disks[0], FAKE_ALL_IO);
    file = edge_disks[1]->file;

    /* Across: asked up to the end, rounded up. */
    iov_init_one(&iov, buf, 1000);
    memset(buf, 1, 1000);
    g_assert_cmpint(blk_edge_co_read(file, blk_range(1024, 1000), &iov, 0), ==,
                    0);
    g_assert_cmpstr(fake_disk_take_log(edge_disks[0]), ==, "leaf:r1024+512");
    for (int i = 0; i < 1000; i++) {
        g_assert_cmphex(buf[i], ==, i < 276 ? 0xaa : 0);
    }
    /* Past the end: not asked. */
    memset(buf, 1, 1000);
    g_assert_cmpint(blk_edge_co_read(file, blk_range(1300, 1000), &iov, 0), ==,
                    0);
    g_assert_cmpstr(fake_disk_take_log(edge_disks[0]), ==, "");
    g_assert_true(ash_buf_is_zero(buf, 1000));
    /* A failure is a failure. */
    edge_disks[0]->fail_mask = FAKE_READ;
    edge_disks[0]->fail_nth = 1;
    edge_disks[0]->fail_err = -EIO;
    g_assert_cmpint(blk_edge_co_read(file, blk_range(1024, 1000), &iov, 0), ==,
                    -EIO);
    /* No Blk, so no permission to write. */
    g_assert_cmpint(blk_edge_co_write(file, blk_range(0, 1000), &iov, 0), ==,
                    -EROFS);
    g_assert_cmpint(blk_edge_co_zero(file, blk_range(0, 1000), 0), ==, -EROFS);
    g_assert_cmpint(blk_edge_co_trim(file, blk_range(0, 1000)), ==, -EROFS);
    fake_graph_co_free(fg);
}

/* With the permission to resize, a write moves the end; others do not. */
static void coroutine_fn
test_co_grows(void *arg)
{
    BlkPerm perm = (BlkPerm)BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE;
    g_autofree uint8_t *buf = g_malloc0(1000);
    GError *error = NULL;
    FakeGraph *fg;
    FakeDisk *leaf;
    BlkNode *node;
    BlkEdge *file;
    IoVec iov;
    Blk *blk;

    ash_maybe(arg);
    leaf = edge_disks[0] = fake_disk_new(FAKE_LEAF, "leaf", 1300);
    edge_disks[1] = fake_disk_new(FAKE_FILTER, "top", 0);
    leaf->limits.request_align = 512;
    fg = fake_graph_new(edge_disks, 2);
    fake_graph_co_open(fg, leaf, "");
    node = fake_graph_co_open(fg, edge_disks[1], "file=leaf");
    blk = blk_new("export 'grow'");
    g_assert_true(blk_co_attach(blk, node, perm, BLK_PERM_ALL, &error));
    file = edge_disks[1]->file;
    memset(buf, 5, 1000);
    iov_init_one(&iov, buf, 1000);
    g_assert_cmpint(blk_edge_co_write(file, blk_range(1024, 1000), &iov, 0), ==,
                    -ENOSPC);
    g_assert_cmpuint(blk_edge_size(file), ==, 1300);
    blk_co_detach(blk);

    perm |= BLK_PERM_RESIZE;
    g_assert_true(blk_co_attach(blk, node, perm, BLK_PERM_ALL, &error));
    leaf->fail_mask = FAKE_WRITE;
    leaf->fail_nth = 1;
    leaf->fail_err = -ENOSPC;
    g_assert_cmpint(blk_edge_co_write(file, blk_range(1024, 1000), &iov, 0), ==,
                    -ENOSPC);
    g_assert_cmpuint(blk_edge_size(file), ==, 1300);
    g_assert_cmpint(blk_edge_co_write(file, blk_range(1024, 1000), &iov, 0), ==,
                    0);
    g_assert_cmpuint(blk_edge_size(file), ==, 2024);
    g_assert_cmpint(leaf->mem[2023], ==, 5);
    g_assert_cmpint(leaf->mem[2024], ==, 0);
    g_assert_cmpint(blk_edge_co_trim(file, blk_range(2024, 512)), ==, -EINVAL);
    g_assert_cmpint(blk_edge_co_zero(file, blk_range(4096, 512), 0), ==, 0);
    g_assert_cmpuint(blk_edge_size(file), ==, 4608);
    fake_blk_co_free(blk);
    fake_graph_co_free(fg);
}

/* A zero write in several steps that fails at any of them does not move the
 * end, in whatever way the steps are done. */
static void coroutine_fn
test_co_failed_zero(void *arg)
{
    BlkPerm perm =
        (BlkPerm)BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE;
    unsigned n_failures = 0;

    ash_maybe(arg);
    for (int has_zero = 0; has_zero < 2; has_zero++) {
        GError *error = NULL;
        FakeGraph *fg;
        FakeDisk *leaf;
        BlkNode *node;
        BlkEdge *file;
        Blk *blk;

        leaf = edge_disks[0] = fake_disk_new(FAKE_LEAF, "leaf", 1300);
        edge_disks[1] = fake_disk_new(FAKE_FILTER, "top", 0);
        leaf->limits.request_align = 512;
        leaf->limits.zero_align = 1024;
        leaf->limits.max_zero = 1024;
        leaf->limits.max_transfer = 512;
        if (!has_zero) {
            fake_disk_set_slots(leaf, FAKE_SLOTS & ~(unsigned)FAKE_ZERO);
        }
        fg = fake_graph_new(edge_disks, 2);
        fake_graph_co_open(fg, leaf, "");
        node = fake_graph_co_open(fg, edge_disks[1], "file=leaf");
        blk = blk_new("export 'grow'");
        g_assert_true(blk_co_attach(blk, node, perm, BLK_PERM_ALL, &error));
        file = edge_disks[1]->file;
        leaf->fail_mask = FAKE_ALL_IO;
        leaf->fail_err = -ENOSPC;
        for (unsigned nth = 1;; nth++) {
            int ret;

            leaf->fail_nth = nth;
            ret = blk_edge_co_zero(file, blk_range(1000, 5000), 0);
            if (ret == 0) {
                break;
            }
            g_assert_cmpint(ret, ==, -ENOSPC);
            g_assert_cmpuint(blk_edge_size(file), ==, 1300);
            n_failures++;
        }
        g_assert_cmpuint(blk_edge_size(file), ==, 6000);
        fake_blk_co_free(blk);
        fake_graph_co_free(fg);
    }
    g_test_message("%u steps failed", n_failures);
}

void
test_edge_add(void)
{
    test_add_co("/blockcore/edge/past-end", test_co_past_end);
    test_add_co("/blockcore/edge/grows", test_co_grows);
    test_add_co("/blockcore/edge/failed-zero", test_co_failed_zero);
}
