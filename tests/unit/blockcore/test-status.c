/*
 * tests/unit/blockcore/test-status.c - what is where, for one layer by a table,
 * for chains against a model.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/io-status.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "coro/loop.h"
#include "tests/lib/fake-setup.h"
#include "tests/unit/blockcore/test-blockcore.h"

#define D BLK_STATUS_DATA
#define Z BLK_STATUS_ZERO
#define O BLK_STATUS_OFFSET_VALID
#define R BLK_STATUS_RAW
#define A BLK_STATUS_ALLOCATED
#define E BLK_STATUS_EOF

/* ---- one layer: an overlay "top" with a scripted answer ---- */

typedef struct Script {
    int err;
    BlkExtent top; /* the answer of top; its file is script.file's node */
    int file_err;
    BlkExtent file; /* the answer of the file */
    unsigned n_file;
} Script;

static Script script;

static int coroutine_fn
script_co_top(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    ash_maybe(node);
    ash_maybe(range);
    *ret = script.top;
    return script.err;
}

static int coroutine_fn
script_co_file(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    ash_maybe(range);
    script.n_file++;
    *ret = script.file;
    ret->file = node;
    return script.file_err;
}

typedef struct Scene {
    FakeGraph *fg;
    FakeDisk *disks[3];
    BlkNode *nodes[3];
    Blk *blk;
} Scene;

#define TOP_SIZE 10000U
#define FILE_SIZE 5000U

/* "top" over "base" of @base_size (0: none), and "file" beside it. */
static void coroutine_fn
scene_co_open(Scene *scene, uint64_t base_size)
{
    scene->disks[0] = fake_disk_new(FAKE_LEAF, "file", FILE_SIZE);
    scene->disks[1] = fake_disk_new(FAKE_LEAF, "base", base_size);
    scene->disks[2] = fake_disk_new(FAKE_OVERLAY, "top", TOP_SIZE);
    scene->disks[0]->driver.co_status = script_co_file;
    scene->disks[2]->driver.co_status = script_co_top;
    scene->fg = fake_graph_new(scene->disks, 3);
    scene->nodes[0] = fake_graph_co_open(scene->fg, scene->disks[0], "");
    scene->nodes[1] = fake_graph_co_open(scene->fg, scene->disks[1], "");
    scene->nodes[2] = fake_graph_co_open(scene->fg, scene->disks[2],
                                         base_size ? "backing=base" : "");
    scene->blk = fake_blk_co_new(scene->nodes[2]);
    script = (Script){ .top = { .file = scene->nodes[0] } };
}

static void coroutine_fn
scene_co_done(Scene *scene)
{
    fake_blk_co_free(scene->blk);
    fake_graph_co_free(scene->fg);
}

typedef struct Row {
    unsigned answer;     /* of top, for 1000 bytes, at file offset 0 */
    unsigned alone;      /* the result without backing */
    unsigned short_base; /* with one that ends before */
    bool asks_file;
} Row;

/* The eight combinations of the driver's flags. */
static const Row rows[] = {
    { D | Z | O, D | Z | O | A, D | Z | O | A, false },
    { D | O, D | O | A, D | O | A, true },
    { Z | O, Z | O | A, Z | O | A, false },
    { O, Z | O, Z | O, false },
    { D | Z, D | Z | A, D | Z | A, false },
    { D, D | A, D | A, false },
    { Z, Z | A, Z | A, false },
    { 0, Z, Z, false },
};

static void coroutine_fn
test_co_table(void *arg)
{
    ash_maybe(arg);
    for (int with_base = 0; with_base < 2; with_base++) {
        Scene scene;

        scene_co_open(&scene, with_base ? 2000 : 0);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            BlkExtent ext;

            script.top.status = rows[i].answer;
            script.top.bytes = 1000;
            script.top.host_offset = 77;
            script.file = (BlkExtent){ .bytes = 5000, .status = D | O };
            script.n_file = 0;
            g_assert_cmpint(
                blk_co_status(scene.blk, blk_range(2000, 3000), &ext), ==, 0);
            g_assert_cmphex(ext.status, ==,
                            with_base ? rows[i].short_base : rows[i].alone);
            g_assert_cmpuint(ext.bytes, ==, 1000);
            g_assert_cmpuint(script.n_file, ==, rows[i].asks_file);
            if (ext.status & O) {
                g_assert_cmpuint(ext.host_offset, ==, 77);
                g_assert_true(ext.file == scene.nodes[0]);
            }
        }
        scene_co_done(&scene);
    }
}

/* What is not here is in the backing node; it is not ALLOCATED then. */
static void coroutine_fn
test_co_shows_backing(void *arg)
{
    Scene scene;
    BlkExtent ext;
    uint64_t bytes;
    uint32_t depth;

    ash_maybe(arg);
    scene_co_open(&scene, 2000);
    for (unsigned answer = 0; answer <= O; answer += O) {
        script.top.status = answer;
        script.top.bytes = 3000;
        g_assert_cmpint(blk_co_status(scene.blk, blk_range(500, 9000), &ext),
                        ==, 0);
        g_assert_cmphex(ext.status, ==, D | O);
        g_assert_cmpuint(ext.bytes, ==, 1500);
        g_assert_true(ext.file == scene.nodes[1]);
        g_assert_cmpuint(ext.host_offset, ==, 500);
        g_assert_cmpint(blk_co_allocation_depth(scene.blk, blk_range(500, 9000),
                                                &bytes, &depth),
                        ==, 0);
        g_assert_cmpuint(depth, ==, 2);
        g_assert_cmpuint(bytes, ==, 1500);
        g_assert_cmpint(blk_co_allocation_depth(
                            scene.blk, blk_range(2000, 8000), &bytes, &depth),
                        ==, 0);
        g_assert_cmpuint(depth, ==, 0);
        g_assert_cmpuint(bytes, ==, 3000);
    }
    scene_co_done(&scene);
}

/* The second question, to the file. */
static void coroutine_fn
test_co_file_answers(void *arg)
{
    static const struct {
        uint64_t host_offset;
        int err;
        BlkExtent file;
        unsigned status;
        uint64_t bytes;
    } cases[] = {
        { 0, 0, { .bytes = 9999, .status = D | O }, D | O | A, 1000 },
        { 0, 0, { .bytes = 300, .status = D | O }, D | O | A, 300 },
        { 0, 0, { .bytes = 300, .status = Z | O }, D | Z | O | A, 300 },
        { 0, 0, { .bytes = 9999, .status = Z }, D | Z | O | A, 1000 },
        /* Its errors and nonsense are not ours. */
        { 0, -EIO, { .bytes = 1 }, D | O | A, 1000 },
        { 0, 0, { .bytes = 0, .status = Z }, D | O | A, 1000 },
        /* Past its end it is zero, and the extent stays. */
        { FILE_SIZE, 0, { .bytes = 1 }, D | Z | O | A, 1000 },
        { FILE_SIZE + 5, -EIO, { .bytes = 1 }, D | Z | O | A, 1000 },
        /* Up to its end. */
        { FILE_SIZE - 10, 0, { .bytes = 9, .status = D }, D | O | A, 9 },
        { FILE_SIZE - 10, 0, { .bytes = 99, .status = D }, D | O | A, 10 },
        { INT64_MAX, 0, { .bytes = 99, .status = D }, D | O | A, 1000 },
        { UINT64_MAX, 0, { .bytes = 99, .status = D }, D | O | A, 1000 },
    };
    Scene scene;

    ash_maybe(arg);
    scene_co_open(&scene, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        BlkExtent ext;

        script.top.status = D | O;
        script.top.bytes = 1000;
        script.top.host_offset = cases[i].host_offset;
        script.file = cases[i].file;
        script.file_err = cases[i].err;
        g_assert_cmpint(blk_co_status(scene.blk, blk_range(2000, 3000), &ext),
                        ==, 0);
        g_assert_cmphex(ext.status, ==, cases[i].status);
        g_assert_cmpuint(ext.bytes, ==, cases[i].bytes);
    }
    scene_co_done(&scene);
}

/* RAW: the file's answer is the node's. */
static void coroutine_fn
test_co_raw(void *arg)
{
    Scene scene;
    BlkExtent ext;

    ash_maybe(arg);
    scene_co_open(&scene, 0);
    script.top.status = R | O;
    script.top.bytes = 1000;
    script.top.host_offset = 100;
    script.file = (BlkExtent){ .bytes = 500, .status = Z };
    g_assert_cmpint(blk_co_status(scene.blk, blk_range(0, 3000), &ext), ==, 0);
    g_assert_cmphex(ext.status, ==, Z | A);
    g_assert_cmpuint(ext.bytes, ==, 500);
    script.file.bytes = 50000;
    g_assert_cmpint(blk_co_status(scene.blk, blk_range(0, 3000), &ext), ==, 0);
    g_assert_cmpuint(ext.bytes, ==, 1000);
    /* The child's errors are, here. */
    script.file_err = -ENOSPC;
    g_assert_cmpint(blk_co_status(scene.blk, blk_range(0, 3000), &ext), ==,
                    -ENOSPC);
    script.file_err = 0;
    /* Past the child's end, and past everything. */
    script.top.host_offset = FILE_SIZE;
    g_assert_cmpint(blk_co_status(scene.blk, blk_range(0, 3000), &ext), ==, 0);
    g_assert_cmphex(ext.status, ==, Z);
    g_assert_cmpuint(ext.bytes, ==, 1000);
    script.top.host_offset = INT64_MAX;
    g_assert_cmpint(blk_co_status(scene.blk, blk_range(0, 3000), &ext), ==,
                    -EIO);
    scene_co_done(&scene);
}

/* ---- answers that make no sense ---- */

static void coroutine_fn
test_co_answers(void *arg)
{
    static const struct {
        uint32_t align;
        uint64_t bytes; /* of the answer */
        uint64_t offset;
        int err;
        uint64_t expect;
    } cases[] = {
        { 1, 0, 0, -EIO, 0 },          { 1, UINT64_MAX, 0, 0, 3000 },
        { 1, UINT64_MAX, 1, 0, 3000 }, { 512, 511, 0, -EIO, 0 },
        { 512, 1023, 0, 0, 512 },      { 512, 512, 100, 0, 412 },
        { 512, 1024, 511, 0, 513 },    { 512, UINT64_MAX, 9999, 0, 1 },
        { 512, 512, 9999, 0, 1 },
    };

    ash_maybe(arg);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        FakeDisk *d = fake_disk_new(FAKE_LEAF, "d", TOP_SIZE);
        uint64_t left = TOP_SIZE - cases[i].offset;
        BlkExtent ext;
        FakeSetup s;

        d->limits.request_align = cases[i].align;
        d->driver.co_status = script_co_file;
        fake_setup_co_open(&s, d, "");
        script.file_err = 0;
        script.file = (BlkExtent){ .bytes = cases[i].bytes,
                                   .status = D | O,
                                   .host_offset = 0 };
        g_assert_cmpint(
            blk_co_status(s.blk, blk_range(cases[i].offset, MIN(left, 3000)),
                          &ext),
            ==, cases[i].err);
        if (cases[i].err == 0) {
            g_assert_cmpuint(ext.bytes, ==, cases[i].expect);
            g_assert_cmpuint(ext.host_offset, ==,
                             cases[i].offset % cases[i].align);
            g_assert_cmphex(ext.status, ==,
                            D | O | A | (ext.bytes == left ? E : 0));
        }
        fake_setup_co_done(&s);
    }
}

/* Without a slot: a leaf is data, a filter what its child is. */
static void coroutine_fn
test_co_no_slot(void *arg)
{
    FakeDisk *disks[] = { fake_disk_new(FAKE_LEAF, "leaf", TOP_SIZE),
                          fake_disk_new(FAKE_FILTER, "top", 0) };
    FakeGraph *fg = fake_graph_new(disks, 2);
    BlkExtent ext;
    Blk *blk;

    ash_maybe(arg);
    disks[0]->driver.co_status = NULL;
    disks[1]->driver.co_status = NULL;
    fake_graph_co_open(fg, disks[0], "");
    blk = fake_blk_co_new(fake_graph_co_open(fg, disks[1], "file=leaf"));
    g_assert_cmpint(blk_co_status(blk, blk_range(10, TOP_SIZE - 10), &ext), ==,
                    0);
    g_assert_cmphex(ext.status, ==, D | O | A | E);
    g_assert_cmpuint(ext.bytes, ==, TOP_SIZE - 10);
    g_assert_cmpuint(ext.host_offset, ==, 10);
    g_assert_true(ext.file == disks[0]->node);
    fake_blk_co_free(blk);
    fake_graph_co_free(fg);
}

/* ---- chains at random ---- */

#define N_LAYERS 5U
#define CHAIN_BYTES 192U

typedef struct Chain {
    GRand *rand;
    unsigned n; /* layers, the base first */
    FakeDisk *layers[N_LAYERS];
    FakeDisk *disks[2 * N_LAYERS]; /* with filters between */
    FakeGraph *fg;
    Blk *blk;
    unsigned n_extents;
} Chain;

/* The base is a leaf; above it are overlays of other lengths and blocks, some
 * with a filter on them. */
static void coroutine_fn
chain_co_open(Chain *c)
{
    g_autoptr(GString) options = g_string_new("");
    unsigned n_disks = 0;
    bool is_filter[2 * N_LAYERS] = { false };
    BlkNode *node = NULL;

    c->n = 1 + g_rand_int(c->rand) % N_LAYERS;
    for (unsigned i = 0; i < c->n; i++) {
        g_autofree char *name = g_strdup_printf("l%u", i);
        g_autofree char *filter = g_strdup_printf("f%u", i);
        uint64_t size = 1 + g_rand_int(c->rand) % CHAIN_BYTES;
        FakeDisk *d = fake_disk_new(i ? FAKE_OVERLAY : FAKE_LEAF, name, size);

        d->limits.request_align = 1U << g_rand_int(c->rand) % 5;
        memset(d->mem, (int)(i + 1), CHAIN_BYTES + 64);
        for (uint64_t b = 0; i > 0 && b < CHAIN_BYTES; b++) {
            d->blocks[b] = (uint8_t)(g_rand_int(c->rand) % 4);
        }
        c->layers[i] = c->disks[n_disks++] = d;
        if (g_rand_int(c->rand) % 2) {
            is_filter[n_disks] = true;
            c->disks[n_disks++] = fake_disk_new(FAKE_FILTER, filter, 0);
        }
    }
    c->fg = fake_graph_new(c->disks, n_disks);
    for (unsigned i = 0; i < n_disks; i++) {
        g_string_truncate(options, 0);
        if (i > 0) {
            g_string_printf(options, "%s=%s", is_filter[i] ? "file" : "backing",
                            c->disks[i - 1]->driver.name);
        }
        node = fake_graph_co_open(c->fg, c->disks[i], options->str);
    }
    c->blk = fake_blk_co_new(node);
}

typedef struct Byte {
    bool data;
    bool zero;
    uint32_t depth;
} Byte;

/* What the chain is at one byte, by definition. */
static Byte
chain_byte(const Chain *c, uint64_t offset)
{
    for (unsigned i = c->n; i-- > 0;) {
        const FakeDisk *d = c->layers[i];
        uint32_t depth = c->n - i;
        FakeBlock state = FAKE_DATA;

        if (offset >= d->size) {
            break;
        }
        if (d->blocks) {
            state = (FakeBlock)d->blocks[offset / d->limits.request_align];
        }
        if (state == FAKE_DATA) {
            return (Byte){ .data = true, .depth = depth };
        }
        if (state == FAKE_ZEROED) {
            return (Byte){ .zero = true, .depth = depth };
        }
    }
    return (Byte){ .zero = true };
}

static void coroutine_fn
chain_co_check_extent(Chain *c, BlkRange r, const uint8_t *content)
{
    BlkExtent ext;
    uint64_t depth_bytes;
    uint32_t depth;

    g_assert_cmpint(blk_co_status(c->blk, r, &ext), ==, 0);
    g_assert_cmpuint(ext.bytes, >=, 1);
    g_assert_cmpuint(ext.bytes, <=, r.bytes);
    g_assert_cmphex(ext.status & R, ==, 0);
    g_assert_cmpint((ext.status & E) != 0, ==,
                    r.offset + ext.bytes == blk_size(c->blk));
    for (uint64_t i = 0; i < ext.bytes; i++) {
        Byte b = chain_byte(c, r.offset + i);

        g_assert_cmpuint(b.depth, ==, chain_byte(c, r.offset).depth);
        g_assert_cmpint((ext.status & D) != 0, ==, b.data);
        g_assert_cmpint((ext.status & Z) != 0, ==, b.zero);
        g_assert_cmpint((ext.status & A) != 0, ==, b.depth == 1);
        g_assert_cmpuint(content[r.offset + i], ==,
                         b.data ? c->n - b.depth + 1 : 0);
    }
    g_assert_cmpint(blk_co_allocation_depth(c->blk, r, &depth_bytes, &depth),
                    ==, 0);
    g_assert_cmpuint(depth_bytes, ==, ext.bytes);
    g_assert_cmpuint(depth, ==, chain_byte(c, r.offset).depth);
    c->n_extents++;
}

/* Walk the whole chain and ask from everywhere for any length. */
static void coroutine_fn
chain_co_check(Chain *c)
{
    uint64_t size = blk_size(c->blk);
    g_autofree uint8_t *content = g_malloc0(size);
    uint64_t offset = 0;

    g_assert_cmpint(fake_co_read(c->blk, 0, content, size), ==, 0);
    while (offset < size) {
        BlkExtent ext;

        chain_co_check_extent(c, blk_range(offset, size - offset), content);
        g_assert_cmpint(
            blk_co_status(c->blk, blk_range(offset, size - offset), &ext), ==,
            0);
        offset += ext.bytes;
    }
    g_assert_cmpuint(offset, ==, size);
    for (offset = 0; offset < size; offset++) {
        uint64_t bytes = 1 + g_rand_int(c->rand) % (size - offset);

        chain_co_check_extent(c, blk_range(offset, bytes), content);
    }
    g_assert_cmpint(blk_depth(c->blk), ==, (int)c->n);
}

static void coroutine_fn
test_co_chains(void *arg)
{
    uint32_t seed = (uint32_t)g_test_rand_int();
    Chain c = { .rand = g_rand_new_with_seed(seed) };
    unsigned n = 300;

    ash_maybe(arg);
    g_test_message("seed %u", seed);
    for (unsigned i = 0; i < n; i++) {
        chain_co_open(&c);
        chain_co_check(&c);
        fake_blk_co_free(c.blk);
        fake_graph_co_free(c.fg);
    }
    g_test_message("%u chains, %u extents", n, c.n_extents);
    g_rand_free(c.rand);
}

/* ---- at the side ---- */

/* Legal while another node is drained; after the change of a block the next
 * answer has it. */
static void coroutine_fn
test_co_circumstances(void *arg)
{
    FakeDisk *disks[] = { fake_disk_new(FAKE_LEAF, "other", 4096),
                          fake_disk_new(FAKE_OVERLAY, "top", 4096) };
    FakeGraph *fg = fake_graph_new(disks, 2);
    BlkNode *other = fake_graph_co_open(fg, disks[0], "");
    BlkNode *node;
    BlkExtent ext;
    Blk *blk;

    ash_maybe(arg);
    disks[1]->limits.request_align = 512;
    node = fake_graph_co_open(fg, disks[1], "");
    blk = fake_blk_co_new(node);
    blk_node_co_drain_begin(other);
    g_assert_cmpint(blk_co_status(blk, blk_range(0, 4096), &ext), ==, 0);
    g_assert_cmphex(ext.status, ==, Z | E);
    g_assert_cmpint(fake_co_write(blk, 512, "x", 1, 0), ==, 0);
    g_assert_cmpint(blk_co_status(blk, blk_range(0, 4096), &ext), ==, 0);
    g_assert_cmphex(ext.status, ==, Z);
    g_assert_cmpuint(ext.bytes, ==, 512);
    g_assert_cmpint(blk_co_status(blk, blk_range(512, 3584), &ext), ==, 0);
    g_assert_cmphex(ext.status, ==, D | O | A);
    g_assert_cmpint(blk_co_zero(blk, blk_range(512, 512), 0), ==, 0);
    g_assert_cmpint(blk_co_status(blk, blk_range(512, 3584), &ext), ==, 0);
    g_assert_cmphex(ext.status, ==, Z | A);
    blk_node_drain_end(other);
    g_assert_cmpuint(node->write_gen, ==, 2);
    fake_blk_co_free(blk);
    fake_graph_co_free(fg);
}

/* On a read-only node, and it changes nothing: nothing is allocated or counted
 * as a modification, and the driver is asked nothing else. */
static void coroutine_fn
test_co_read_only(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_OVERLAY, "d", 4096);
    uint64_t bytes;
    uint32_t depth;
    BlkExtent ext;
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    fake_setup_co_open(&s, d, "read-only=on");
    d->blocks[1] = FAKE_DATA;
    fake_disk_start_log(d, (unsigned)FAKE_ALL_IO & ~(unsigned)FAKE_STATUS);
    for (uint64_t at = 0; at < 4096; at += ext.bytes) {
        BlkRange r = blk_range(at, 4096 - at);

        g_assert_cmpint(blk_co_status(s.blk, r, &ext), ==, 0);
        g_assert_cmpint((ext.status & D) != 0, ==, at == 512);
        g_assert_cmpint(blk_co_allocation_depth(s.blk, r, &bytes, &depth), ==,
                        0);
        g_assert_cmpuint(depth, ==, at == 512);
    }
    g_assert_cmpstr(fake_disk_take_log(d), ==, "");
    g_assert_cmpuint(s.node->write_gen, ==, 0);
    for (int i = 0; i < 8; i++) {
        g_assert_cmpuint(d->blocks[i], ==, i == 1 ? FAKE_DATA : FAKE_HOLE);
    }
    fake_setup_co_done(&s);
}

/* A trim shows at once, as does what was written. */
static void coroutine_fn
test_co_after_trim(void *arg)
{
    FakeDisk *d = fake_disk_new(FAKE_OVERLAY, "d", 4096);
    BlkExtent ext;
    FakeSetup s;

    ash_maybe(arg);
    d->limits.request_align = 512;
    fake_setup_co_open(&s, d, "");
    g_assert_cmpint(fake_co_write(s.blk, 0, d->mem, 4096, 0), ==, 0);
    g_assert_cmpint(blk_co_status(s.blk, blk_range(0, 4096), &ext), ==, 0);
    g_assert_cmphex(ext.status, ==, D | O | A | E);
    g_assert_cmpint(blk_co_trim(s.blk, blk_range(1024, 512), 0), ==, 0);
    g_assert_cmpint(blk_co_status(s.blk, blk_range(0, 4096), &ext), ==, 0);
    g_assert_cmpuint(ext.bytes, ==, 1024);
    g_assert_cmpint(blk_co_status(s.blk, blk_range(1024, 3072), &ext), ==, 0);
    g_assert_cmphex(ext.status & (D | Z), ==, Z);
    g_assert_cmpuint(ext.bytes, ==, 512);
    fake_setup_co_done(&s);
}

void
test_status_add(void)
{
    test_add_co("/blockcore/status/table", test_co_table);
    test_add_co("/blockcore/status/shows-backing", test_co_shows_backing);
    test_add_co("/blockcore/status/file-answers", test_co_file_answers);
    test_add_co("/blockcore/status/raw", test_co_raw);
    test_add_co("/blockcore/status/answers", test_co_answers);
    test_add_co("/blockcore/status/no-slot", test_co_no_slot);
    test_add_co("/blockcore/status/chains", test_co_chains);
    test_add_co("/blockcore/status/circumstances", test_co_circumstances);
    test_add_co("/blockcore/status/read-only", test_co_read_only);
    test_add_co("/blockcore/status/after-trim", test_co_after_trim);
}
