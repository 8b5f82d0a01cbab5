/*
 * tests/lib/fake-driver.c - see tests/lib/fake-driver.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/fake-driver.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "blockcore/edge-io.h"

#define FAKE_MEM_ALIGN ((uint64_t)64 << 10)

static FakeDisk *
fake_disk(BlkNode *node)
{
    const char *driver = (const char *)blk_node_driver(node);

    return (FakeDisk *)(uintptr_t)(driver - offsetof(FakeDisk, driver));
}

/* ---- what happens in every call ---- */

static void
fake_log_flags(GString *log, BlkReqFlags flags)
{
    static const char *const names[] = { "fua",       "unmap",  "fast",
                                         "unchanged", "serial", "nowait",
                                         "compressed" };

    for (unsigned i = 0; i < ASH_N_ELEMENTS(names); i++) {
        if (flags & (1U << i)) {
            g_string_append_printf(log, ":%s", names[i]);
        }
    }
}

static void
fake_log(FakeDisk *d, FakeCall call, BlkRange range, BlkReqFlags flags,
         const char *event)
{
    static const char *const names[] = { "r",  "w", "z", "t", "fo",
                                         "fd", "s", "p", "e:" };

    d->n_calls[ash_log2(call)]++;
    if (!d->log || !(d->log_mask & call)) {
        return;
    }
    g_string_append_printf(d->log, "%s:%s", d->driver.name,
                           names[ash_log2(call)]);
    if (event) {
        g_string_append(d->log, event);
    } else if (!(call & (FAKE_FLUSH_OS | FAKE_FLUSH_DISK))) {
        g_string_append_printf(d->log,
                               "%" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT,
                               range.offset, range.bytes);
    }
    fake_log_flags(d->log, flags);
    g_string_append_c(d->log, ' ');
}

static void coroutine_fn
fake_co_hold(FakeDisk *d)
{
    d->n_held++;
    co_queue_co_wait(&d->held);
    d->n_held--;
}

/* Is it this call's turn to fail? */
static bool
fake_fails(FakeDisk *d, FakeCall call)
{
    if (!(d->fail_mask & call) || d->fail_nth == 0) {
        return false;
    }
    if (d->fail_nth > 1) {
        d->fail_nth--;
        return false;
    }
    d->fail_nth = d->fail_forever ? 1 : 0;
    d->n_failed++;
    return true;
}

/* *late: do it, then fail. */
static int coroutine_fn
fake_co_enter(FakeDisk *d, FakeCall call, BlkRange range, BlkReqFlags flags,
              int *late)
{
    fake_log(d, call, range, flags, NULL);
    if (d->hold_mask & call) {
        fake_co_hold(d);
    }
    if (d->rand && (unsigned)g_rand_int_range(d->rand, 0, 100) < d->pause_pct) {
        co_pause();
    }
    *late = 0;
    if (!fake_fails(d, call)) {
        return 0;
    }
    *late = d->fail_late ? d->fail_err : 0;
    return d->fail_late ? 0 : d->fail_err;
}

static void
fake_check_memory(const FakeDisk *d, const IoVec *iov)
{
    const BlkLimits *limits = blk_node_limits(d->node);
    unsigned max_iov = limits->max_iov > 0 ? limits->max_iov : IOV_MAX;
    size_t bytes = 0;

    g_assert_cmpuint(iov->n, <=, max_iov);
    for (unsigned i = 0; i < iov->n; i++) {
        g_assert_cmpuint(iov->v[i].iov_len, >, 0);
        bytes += iov->v[i].iov_len;
        g_assert_true(
            ash_is_aligned((uintptr_t)iov->v[i].iov_base, limits->mem_align));
    }
    g_assert_cmpuint(bytes, ==, iov->bytes);
}

/* ---- blocks of an overlay ---- */

static uint64_t
fake_block_bytes(const FakeDisk *d)
{
    return ash_max(d->limits.request_align, 1);
}

static FakeBlock
fake_block(const FakeDisk *d, uint64_t offset)
{
    return (FakeBlock)d->blocks[offset / fake_block_bytes(d)];
}

/* Bytes from range.offset on in blocks of one state. */
static uint64_t
fake_run(const FakeDisk *d, BlkRange range)
{
    uint64_t block = fake_block_bytes(d);
    FakeBlock state = fake_block(d, range.offset);
    uint64_t end = range.offset + block;

    while (end < blk_range_end(range) && fake_block(d, end) == state) {
        end += block;
    }
    return end - range.offset;
}

static void
fake_set_blocks(FakeDisk *d, BlkRange range, FakeBlock state)
{
    uint64_t block = fake_block_bytes(d);

    if (d->blocks) {
        memset(d->blocks + range.offset / block, (int)state,
               range.bytes / block);
    }
}

static int coroutine_fn
fake_co_read_run(FakeDisk *d, BlkRange range, const IoVec *iov, size_t skip)
{
    g_autofree struct iovec *space = g_new(struct iovec, iov->n);
    IoVec part;

    switch (fake_block(d, range.offset)) {
    case FAKE_DATA:
        iov_from_buf(iov, skip, d->mem + range.offset, range.bytes);
        return 0;
    case FAKE_ZEROED:
        iov_memset(iov, skip, 0, range.bytes);
        return 0;
    case FAKE_HOLE:
    case FAKE_PREALLOCATED:
    default:
        break;
    }
    if (!d->backing) {
        iov_memset(iov, skip, 0, range.bytes);
        return 0;
    }
    iov_slice(iov, skip, range.bytes, space, &part);
    return blk_edge_co_read(d->backing, range, &part, 0);
}

static int coroutine_fn
fake_co_read_overlay(FakeDisk *d, BlkRange range, const IoVec *iov)
{
    size_t skip = 0;
    int ret = 0;

    while (ret == 0 && range.bytes > 0) {
        uint64_t bytes = fake_run(d, range);

        ret = fake_co_read_run(d, blk_range_head(range, bytes), iov, skip);
        skip += bytes;
        range = blk_range_skip(range, bytes);
    }
    return ret;
}

/* ---- the slots ---- */

static int coroutine_fn
fake_co_slot_read(BlkNode *node, BlkRange range, const IoVec *iov,
                  BlkReqFlags flags)
{
    FakeDisk *d = fake_disk(node);
    int late;
    int ret = fake_co_enter(d, FAKE_READ, range, flags, &late);

    fake_check_memory(d, iov);
    if (ret != 0) {
        return ret;
    }
    switch (d->kind) {
    case FAKE_LEAF:
        if (d->hollow) {
            iov_memset(iov, 0, 0, range.bytes);
        } else {
            iov_from_buf(iov, 0, d->mem + range.offset, range.bytes);
        }
        break;
    case FAKE_FILTER:
        ret = blk_edge_co_read(d->file, range, iov, flags);
        break;
    case FAKE_OVERLAY:
    default:
        ret = fake_co_read_overlay(d, range, iov);
        break;
    }
    return ret ? ret : late;
}

static void
fake_grow(FakeDisk *d, BlkRange range)
{
    uint64_t end = ash_round_up(blk_range_end(range), FAKE_MEM_ALIGN);

    if (d->mem && end > d->mem_bytes) {
        g_assert_cmpint(d->kind, ==, FAKE_LEAF);
        d->mem = g_realloc(d->mem, end);
        memset(d->mem + d->mem_bytes, 0, end - d->mem_bytes);
        d->mem_bytes = end;
    }
}

static int coroutine_fn
fake_co_slot_write(BlkNode *node, BlkRange range, const IoVec *iov,
                   BlkReqFlags flags)
{
    FakeDisk *d = fake_disk(node);
    int late;
    int ret = fake_co_enter(d, FAKE_WRITE, range, flags, &late);

    fake_check_memory(d, iov);
    if (ret != 0) {
        return ret;
    }
    if (d->kind == FAKE_FILTER) {
        ret = blk_edge_co_write(d->file, range, iov, flags);
    } else if (!d->hollow) {
        fake_grow(d, range);
        iov_to_buf(iov, 0, d->mem + range.offset, range.bytes);
        fake_set_blocks(d, range, FAKE_DATA);
    }
    d->n_bytes += ret ? 0 : range.bytes;
    return ret ? ret : late;
}

static int coroutine_fn
fake_co_slot_zero(BlkNode *node, BlkRange range, BlkReqFlags flags)
{
    FakeDisk *d = fake_disk(node);
    int late;
    int ret = fake_co_enter(d, FAKE_ZERO, range, flags, &late);

    if (ret != 0) {
        return ret;
    }
    if (d->kind == FAKE_FILTER) {
        ret = blk_edge_co_zero(d->file, range, flags);
    } else if (!d->hollow) {
        fake_grow(d, range);
        memset(d->mem + range.offset, 0, range.bytes);
        fake_set_blocks(d, range, FAKE_ZEROED);
    }
    d->n_bytes += ret ? 0 : range.bytes;
    return ret ? ret : late;
}

static int coroutine_fn
fake_co_slot_trim(BlkNode *node, BlkRange range)
{
    FakeDisk *d = fake_disk(node);
    int late;
    int ret = fake_co_enter(d, FAKE_TRIM, range, 0, &late);

    if (ret != 0) {
        return ret;
    }
    if (d->kind == FAKE_FILTER) {
        ret = blk_edge_co_trim(d->file, range);
    } else if (!d->hollow) {
        memset(d->mem + range.offset, 0, range.bytes);
        fake_set_blocks(d, range, FAKE_ZEROED);
    }
    d->n_bytes += ret ? 0 : range.bytes;
    return ret ? ret : late;
}

static int coroutine_fn
fake_co_slot_flush_os(BlkNode *node)
{
    FakeDisk *d = fake_disk(node);
    int late;
    int ret = fake_co_enter(d, FAKE_FLUSH_OS, blk_range(0, 0), 0, &late);

    return ret ? ret : late;
}

static int coroutine_fn
fake_co_slot_flush_disk(BlkNode *node)
{
    FakeDisk *d = fake_disk(node);
    int late;
    int ret = fake_co_enter(d, FAKE_FLUSH_DISK, blk_range(0, 0), 0, &late);

    ret = ret ? ret : late;
    if (ret != 0 && d->fail_node != 0) {
        blk_node_fail(node, d->fail_node);
    }
    return ret;
}

static int coroutine_fn
fake_co_slot_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    static const unsigned of_block[] = {
        [FAKE_HOLE] = 0,
        [FAKE_DATA] = BLK_STATUS_DATA | BLK_STATUS_OFFSET_VALID,
        [FAKE_ZEROED] = BLK_STATUS_ZERO,
        [FAKE_PREALLOCATED] = BLK_STATUS_OFFSET_VALID,
    };
    FakeDisk *d = fake_disk(node);
    int late;
    int err = fake_co_enter(d, FAKE_STATUS, range, 0, &late);

    if (err != 0) {
        return err;
    }
    ret->bytes = range.bytes;
    ret->host_offset = range.offset;
    if (d->kind == FAKE_FILTER) {
        ret->status = BLK_STATUS_RAW | BLK_STATUS_OFFSET_VALID;
        ret->file = blk_edge_child(d->file);
    } else if (d->kind == FAKE_LEAF) {
        ret->status = BLK_STATUS_DATA | BLK_STATUS_OFFSET_VALID;
        ret->file = node;
    } else {
        ret->bytes = fake_run(d, range);
        ret->status = of_block[fake_block(d, range.offset)];
        ret->file = node;
    }
    return late;
}

static int coroutine_fn
fake_co_slot_prefetch(BlkNode *node, BlkRange range)
{
    FakeDisk *d = fake_disk(node);
    int late;
    int ret = fake_co_enter(d, FAKE_PREFETCH, range, 0, &late);

    return ret ? ret : late;
}

static void coroutine_fn
fake_co_slot_event(BlkNode *node, const char *event)
{
    FakeDisk *d = fake_disk(node);

    fake_log(d, FAKE_EVENT, blk_range(0, 0), 0, event);
    if (d->hold_event && strcmp(d->hold_event, event) == 0) {
        fake_co_hold(d);
    }
}

/* ---- opening ---- */

static bool coroutine_fn
fake_co_slot_open(BlkNode *node, BlkOptions *opts, GError **error)
{
    FakeDisk *d = fake_disk(node);
    BlkRole role = (BlkRole)BLK_ROLE_FILTERED | BLK_ROLE_PRIMARY;

    d->node = node;
    d->file = NULL;
    d->backing = NULL;
    if (d->kind == FAKE_FILTER) {
        return blk_node_co_open_child(node, opts, "file", role, true, &d->file,
                                      error);
    }
    if (d->kind == FAKE_OVERLAY) {
        return blk_node_co_open_child(node, opts, "backing", BLK_ROLE_BACKING,
                                      false, &d->backing, error);
    }
    return true;
}

static int coroutine_fn
fake_co_slot_size(BlkNode *node, uint64_t *ret)
{
    const FakeDisk *d = fake_disk(node);

    *ret = d->size;
    return 0;
}

static void
fake_slot_limits(BlkNode *node, BlkLimits *ret)
{
    *ret = fake_disk(node)->limits;
}

static const BlkOptionSpec fake_filter_options[] = {
    { .name = "file", .type = BLK_OPT_NODE, .required = true },
    { .name = NULL },
};
static const BlkOptionSpec fake_overlay_options[] = {
    { .name = "file", .type = BLK_OPT_NODE },
    { .name = "backing", .type = BLK_OPT_NODE },
    { .name = NULL },
};

static const BlkDriver fake_driver = {
    .co_open = fake_co_slot_open,
    .co_size = fake_co_slot_size,
    .get_limits = fake_slot_limits,
    .co_read = fake_co_slot_read,
};

void
fake_disk_set_slots(FakeDisk *d, unsigned calls)
{
    BlkDriver *driver = &d->driver;

#define FAKE_SET(slot, call, fn) driver->slot = (calls & (call)) ? (fn) : NULL
    FAKE_SET(co_write, FAKE_WRITE, fake_co_slot_write);
    FAKE_SET(co_zero, FAKE_ZERO, fake_co_slot_zero);
    FAKE_SET(co_trim, FAKE_TRIM, fake_co_slot_trim);
    FAKE_SET(co_flush_os, FAKE_FLUSH_OS, fake_co_slot_flush_os);
    FAKE_SET(co_flush_disk, FAKE_FLUSH_DISK, fake_co_slot_flush_disk);
    FAKE_SET(co_status, FAKE_STATUS, fake_co_slot_status);
    FAKE_SET(co_prefetch, FAKE_PREFETCH, fake_co_slot_prefetch);
    FAKE_SET(co_debug_event, FAKE_EVENT, fake_co_slot_event);
#undef FAKE_SET
}

FakeDisk *
fake_disk_new(FakeKind kind, const char *name, uint64_t size)
{
    FakeDisk *d = g_new0(FakeDisk, 1);

    d->driver = fake_driver;
    fake_disk_set_slots(d, FAKE_SLOTS);
    d->driver.name = g_strdup(name);
    d->kind = kind;
    d->size = size;
    d->limits.request_align = 1;
    d->limits.mem_align = 1;
    co_queue_init(&d->held);
    if (kind == FAKE_FILTER) {
        d->driver.kind = BLK_FILTER;
        d->driver.options = fake_filter_options;
        d->driver.co_size = NULL;
        d->driver.write_flags = BLK_REQ_FUA;
        d->driver.zero_flags =
            (BlkReqFlags)BLK_REQ_FUA | BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK;
        return d;
    }
    d->driver.kind = kind == FAKE_LEAF ? BLK_PROTOCOL : BLK_FORMAT;
    d->driver.options = kind == FAKE_LEAF ? NULL : fake_overlay_options;
    d->mem_bytes = ash_round_up(ash_max(size, 1), FAKE_MEM_ALIGN);
    d->mem = g_malloc0(d->mem_bytes);
    if (kind == FAKE_OVERLAY) {
        d->blocks = g_malloc0(d->mem_bytes);
    }
    return d;
}

void
fake_disk_free(FakeDisk *d)
{
    g_assert_cmpuint(d->n_held, ==, 0);
    g_free((char *)(uintptr_t)d->driver.name);
    g_free(d->mem);
    g_free(d->blocks);
    if (d->owns_log) {
        g_string_free(d->log, TRUE);
    }
    g_free(d);
}

/* ---- graphs ---- */

FakeGraph *
fake_graph_new(FakeDisk *const *disks, unsigned n)
{
    FakeGraph *fg = g_new0(FakeGraph, 1);

    fg->n = n;
    fg->disks = g_new0(FakeDisk *, n);
    fg->drivers = g_new0(const BlkDriver *, n + 1);
    for (unsigned i = 0; i < n; i++) {
        fg->disks[i] = disks[i];
        fg->drivers[i] = &disks[i]->driver;
    }
    fg->graph = blk_graph_new(fg->drivers, NULL);
    return fg;
}

BlkNode *coroutine_fn
fake_graph_co_open(FakeGraph *fg, FakeDisk *top, const char *options)
{
    g_auto(GStrv) words = g_strsplit(options, " ", -1);
    BlkOptions *opts = blk_options_new();
    GError *error = NULL;
    BlkNode *node;

    blk_options_set(opts, "driver", BLK_VALUE_KEYVAL, top->driver.name);
    blk_options_set(opts, "node-name", BLK_VALUE_KEYVAL, top->driver.name);
    for (char **w = words; *w; w++) {
        char *value = strchr(*w, '=');

        if (value) {
            *value = '\0';
            blk_options_set(opts, *w, BLK_VALUE_KEYVAL, value + 1);
        }
    }
    blk_graph_co_add(fg->graph, opts, &node, &error);
    g_assert_no_error(error);
    return node;
}

void coroutine_fn
fake_graph_co_free(FakeGraph *fg)
{
    ash_maybe(blk_graph_co_close_all(fg->graph));
    blk_graph_free(fg->graph);
    for (unsigned i = 0; i < fg->n; i++) {
        fake_disk_free(fg->disks[i]);
    }
    g_free(fg->disks);
    g_free(fg->drivers);
    g_free(fg);
}

Blk *coroutine_fn
fake_blk_co_new(BlkNode *node)
{
    Blk *blk = blk_new("export 'test'");
    BlkPerm perm = BLK_PERM_CONSISTENT_READ;
    GError *error = NULL;

    if (!blk_node_is_read_only(node)) {
        perm |= BLK_PERM_WRITE;
    }
    blk_co_attach(blk, node, perm, BLK_PERM_ALL, &error);
    g_assert_no_error(error);
    return blk;
}

void coroutine_fn
fake_blk_co_free(Blk *blk)
{
    blk_co_detach(blk);
    blk_free(blk);
}

void coroutine_fn
fake_setup_co_open(FakeSetup *setup, FakeDisk *disk, const char *options)
{
    setup->disk = disk;
    setup->fg = fake_graph_new(&disk, 1);
    setup->node = fake_graph_co_open(setup->fg, disk, options);
    setup->blk = fake_blk_co_new(setup->node);
}

void coroutine_fn
fake_setup_co_done(FakeSetup *setup)
{
    fake_blk_co_free(setup->blk);
    fake_graph_co_free(setup->fg);
}

/* ---- looking and steering ---- */

void
fake_disk_start_log(FakeDisk *d, unsigned calls)
{
    if (!d->log) {
        d->log = g_string_new(NULL);
        d->owns_log = true;
    }
    d->log_mask = calls;
    g_string_truncate(d->log, 0);
}

void
fake_disk_share_log(FakeDisk *d, const FakeDisk *other)
{
    g_assert_null(d->log);
    d->log = other->log;
    d->log_mask = other->log_mask;
}

const char *
fake_disk_take_log(FakeDisk *d)
{
    static char text[16384];

    g_assert_cmpuint(d->log->len, <, sizeof(text));
    g_strlcpy(text, d->log->str, sizeof(text));
    g_strchomp(text);
    g_string_truncate(d->log, 0);
    return text;
}

unsigned
fake_disk_n(const FakeDisk *d, FakeCall call)
{
    return d->n_calls[ash_log2(call)];
}

void
fake_disk_release(FakeDisk *d)
{
    d->hold_mask = 0;
    d->hold_event = NULL;
    co_queue_wake_all(&d->held);
}

void coroutine_fn
fake_co_settle(void)
{
    for (int i = 0; i < 32; i++) {
        co_pause();
    }
}

/* ---- requests ---- */

static int coroutine_fn
fake_req_co_do(FakeReq *r)
{
    IoVec iov;

    switch (r->op) {
    case BLK_OP_READ:
        iov_init_one(&iov, r->buf, r->range.bytes);
        return blk_co_read(r->blk, r->range, &iov, r->flags);
    case BLK_OP_WRITE:
        iov_init_one(&iov, r->buf, r->range.bytes);
        return blk_co_write(r->blk, r->range, &iov, r->flags);
    case BLK_OP_ZERO:
        return blk_co_zero(r->blk, r->range, r->flags);
    case BLK_OP_TRIM:
        return blk_co_trim(r->blk, r->range, r->flags);
    case BLK_OP_FLUSH:
        return blk_co_flush(r->blk);
    case BLK_OP_CACHE:
        return blk_co_prefetch(r->blk, r->range);
    case BLK_OP_STATUS:
        return blk_co_status(r->blk, r->range, &r->extent);
    case BLK_N_OPS:
    default:
        ash_unreachable();
    }
}

static void coroutine_fn
fake_req_co_run(void *arg)
{
    FakeReq *r = arg;

    r->ret = fake_req_co_do(r);
    r->done = true;
    if (r->waiter) {
        coro_wake(r->waiter);
    }
}

void
fake_req_start(FakeReq *r)
{
    r->ret = 1;
    r->done = false;
    r->waiter = NULL;
    coro_spawn(fake_req_co_run, r);
}

int coroutine_fn
fake_req_co_wait(FakeReq *r)
{
    if (!r->done) {
        r->waiter = coro_self();
        co_yield();
    }
    return r->ret;
}

int coroutine_fn
fake_co_read(Blk *blk, uint64_t offset, void *buf, size_t bytes)
{
    IoVec iov;

    iov_init_one(&iov, buf, bytes);
    return blk_co_read(blk, blk_range(offset, bytes), &iov, 0);
}

int coroutine_fn
fake_co_write(Blk *blk, uint64_t offset, const void *buf, size_t bytes,
              BlkReqFlags flags)
{
    IoVec iov;

    iov_init_one(&iov, (void *)(uintptr_t)buf, bytes);
    return blk_co_write(blk, blk_range(offset, bytes), &iov, flags);
}
