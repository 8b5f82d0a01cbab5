/*
 * tests/fault/sweep-run.c - see tests/fault/sweep-run.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/fault/sweep-run.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "blockcore/driver.h"
#include "drivers/drivers.h"
#include "tests/fault/sweep-priv.h"

bool
sweep_state_fired(const SweepState *s)
{
    return s->disk ? s->disk->fired : s->fake->n_failed > 0;
}

/* ---- open ---- */

static BlkOptions *
sweep_options(const SweepRun *run)
{
    g_auto(GStrv) words = g_strsplit(run->rig->options, " ", -1);
    BlkOptions *opts = blk_options_new();

    blk_options_set(opts, "node-name", BLK_VALUE_STRING, "top");
    for (char **w = words; *w; w++) {
        char *value = strchr(*w, '=');

        *value++ = '\0';
        blk_options_set(opts, *w, BLK_VALUE_KEYVAL, value);
    }
    if (run->rig->by == SWEEP_BY_RULE && run->fault.nth != 0) {
        bool is_short = run->fault.mode == SWEEP_SHORT;
        g_autofree char *nth = g_strdup_printf("%u", run->fault.nth);
        g_autofree char *err =
            g_strdup_printf("%d", is_short ? 0 : -run->fault.err);

        blk_options_set(opts, "file.inject-error.0.nth", BLK_VALUE_KEYVAL, nth);
        blk_options_set(opts, "file.inject-error.0.errno", BLK_VALUE_KEYVAL,
                        err);
        blk_options_set(opts, "file.inject-error.0.once", BLK_VALUE_KEYVAL,
                        is_short ? "off" : "on");
        blk_options_set(opts, "file.inject-error.0.short", BLK_VALUE_KEYVAL,
                        is_short ? "on" : "off");
        blk_options_set(opts, "file.seed", BLK_VALUE_KEYVAL, nth);
    }
    return opts;
}

/* A disk in memory that wants whole sectors, as few as possible at a time. */
static FakeDisk *
sweep_fake_new(uint64_t size)
{
    FakeDisk *fake = fake_disk_new(FAKE_LEAF, "fake", size);

    fake->limits = (BlkLimits){
        .request_align = SWEEP_SECTOR,
        .mem_align = SWEEP_SECTOR,
        .max_transfer = 4096,
        .zero_align = 1024,
        .max_zero = 4096,
        .trim_align = 1024,
        .max_trim = 4096,
    };
    fake->driver.write_flags = BLK_REQ_FUA;
    fake->driver.zero_flags =
        (BlkReqFlags)BLK_REQ_MAY_UNMAP | BLK_REQ_NO_FALLBACK;
    memset(fake->mem, SWEEP_FILL, size);
    return fake;
}

static void
sweep_make_disk(SweepState *s)
{
    const SweepRun *run = s->run;
    const SweepFault none = { 0 };
    Loop *loop = loop_current();
    size_t n = 0;

    for (; drivers[n]; n++) {
        s->drivers[n] = drivers[n];
    }
    if (run->rig->by == SWEEP_BY_FAKE) {
        s->fake = sweep_fake_new(run->rig->size);
        s->fake->fail_mask = FAKE_ALL_IO;
        s->fake->fail_nth = run->fault.nth;
        s->fake->fail_err = run->fault.err;
        s->fake->fail_late = run->fault.mode == SWEEP_LATE;
        s->drivers[n++] = &s->fake->driver;
    } else {
        s->disk = run->disk;
        sweep_disk_reset(s->disk, SWEEP_FILL);
        s->disk->inline_io = run->rig->inline_io;
        s->disk->sync_alone = run->rig->sync_alone;
        sweep_disk_set_fault(
            s->disk, run->rig->by == SWEEP_BY_ENGINE ? &run->fault : &none);
        loop_set_engines(loop, aio_engine_set_new_single(&s->disk->engine));
    }
    g_assert_cmpuint(n, <, G_N_ELEMENTS(s->drivers));
    s->graph = blk_graph_new(s->drivers, run->state_dir);
}

static void
sweep_free_disk(SweepState *s)
{
    blk_graph_free(s->graph);
    if (s->disk) {
        aio_engine_set_free(loop_engines(loop_current()));
        loop_set_engines(loop_current(), NULL);
    } else {
        fake_disk_free(s->fake);
    }
}

static bool coroutine_fn
sweep_co_open_graph(SweepState *s, GError **error)
{
    const BlkPerm perm = (BlkPerm)BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE;

    if (!blk_graph_co_add(s->graph, sweep_options(s->run), &s->node, error)) {
        return false;
    }
    s->blk = blk_new("export 'sweep'");
    if (blk_co_attach(s->blk, s->node, perm, BLK_PERM_ALL, error)) {
        return true;
    }
    blk_free(s->blk);
    s->blk = NULL;
    return false;
}

static void
sweep_count_node(BlkNode *node, void *arg)
{
    ash_maybe(node);
    ++*(unsigned *)arg;
}

static int coroutine_fn
sweep_co_close_graph(SweepState *s)
{
    unsigned n = 0;
    int ret;

    if (s->blk) {
        blk_co_detach(s->blk);
        blk_free(s->blk);
        s->blk = NULL;
    }
    ret = blk_graph_co_close_all(s->graph);
    blk_graph_foreach(s->graph, sweep_count_node, &n);
    if (n > 0) {
        sweep_violation(s->run, "%u nodes are left", n);
    }
    return ret;
}

/* ---- requests ---- */

static uint64_t
sweep_at(const SweepState *s, const FakeReq *req)
{
    return req->range.offset + s->run->rig->offset;
}

static void
sweep_prepare(SweepState *s, unsigned i)
{
    const SweepRequest *r = &s->run->script->requests[i];
    FakeReq *req = &s->reqs[i];
    uint8_t value = r->op == BLK_OP_WRITE ? SWEEP_VALUE(i) : 0;

    *req = (FakeReq){
        .blk = s->blk,
        .op = r->op,
        .range = blk_range(r->offset, r->bytes),
        .flags = r->flags,
    };
    if (r->op == BLK_OP_READ || r->op == BLK_OP_WRITE) {
        req->buf = g_malloc(r->bytes);
        memset(req->buf, value, r->bytes);
    }
    if (r->op == BLK_OP_WRITE || r->op == BLK_OP_ZERO || r->op == BLK_OP_TRIM) {
        sweep_model_begin(s->model, sweep_at(s, req), r->bytes, value);
    }
}

/* What is said to be zero is. */
static void
sweep_check_status(SweepState *s, unsigned i)
{
    const FakeReq *req = &s->reqs[i];
    const BlkExtent *e = &req->extent;
    const uint8_t *bytes = s->disk ? s->disk->visible : s->fake->mem;

    if (e->bytes == 0 || e->bytes > req->range.bytes) {
        sweep_violation(s->run, "request %u: a status of %u bytes", i,
                        (unsigned)e->bytes);
    } else if ((e->status & BLK_STATUS_ZERO) != 0 &&
               !ash_buf_is_zero(bytes + sweep_at(s, req), e->bytes)) {
        sweep_violation(s->run, "request %u: data are said to be zero", i);
    }
}

static void
sweep_finish(SweepState *s, unsigned i)
{
    FakeReq *req = &s->reqs[i];
    uint64_t at = sweep_at(s, req);
    uint64_t bytes = req->range.bytes;
    bool durable = (req->flags & BLK_REQ_FUA) != 0;
    uint64_t bad;

    if (req->ret == 0 && req->op == BLK_OP_WRITE) {
        sweep_model_written(s->model, at, bytes, SWEEP_VALUE(i), durable);
    } else if (req->ret == 0 && req->op == BLK_OP_ZERO) {
        sweep_model_written(s->model, at, bytes, 0, durable);
    } else if (req->ret == 0 && req->op == BLK_OP_READ &&
               !sweep_model_read(s->model, at, req->buf, bytes, &bad)) {
        sweep_violation(s->run, "request %u read a wrong byte at %u", i,
                        (unsigned)bad);
    } else if (req->ret == 0 && req->op == BLK_OP_STATUS) {
        sweep_check_status(s, i);
    }
    g_free(req->buf);
}

/* Requests [@first, @end) at the same time. */
static void coroutine_fn
sweep_co_group(SweepState *s, unsigned first, unsigned end)
{
    bool flushed = false;

    s->was_fired = sweep_state_fired(s);
    /* A flush need not cover what is in flight, but may. */
    for (unsigned i = first; i < end; i++) {
        sweep_prepare(s, i);
    }
    sweep_model_flush(s->model);
    for (unsigned i = first; i < end; i++) {
        fake_req_start(&s->reqs[i]);
    }
    for (unsigned i = first; i < end; i++) {
        int ret = fake_req_co_wait(&s->reqs[i]);

        flushed = flushed || (s->reqs[i].op == BLK_OP_FLUSH && ret == 0);
    }
    if (flushed) {
        sweep_model_flushed(s->model);
    }
    for (unsigned i = first; i < end; i++) {
        sweep_finish(s, i);
    }
    sweep_judge_group(s, first, end);
}

static void coroutine_fn
sweep_co_script(SweepState *s)
{
    const SweepScript *script = s->run->script;
    unsigned first = 0;

    g_assert_cmpuint(script->n, <=, SWEEP_REQUESTS_MAX);
    for (unsigned i = 0; i < script->n; i++) {
        if (!script->requests[i].and_next) {
            sweep_co_group(s, first, i + 1);
            first = i + 1;
        }
    }
}

/* ---- afterwards ---- */

/* Everything that the file has, and would have after a power cut. */
static void
sweep_check_contents(SweepState *s)
{
    const uint8_t *bytes = s->disk ? s->disk->visible : s->fake->mem;
    uint64_t bad;

    if (!sweep_model_read(s->model, 0, bytes, s->run->rig->size, &bad)) {
        sweep_violation(s->run, "byte %u is wrong in the end: %u",
                        (unsigned)bad, bytes[bad]);
    }
    if (s->disk && !sweep_model_survives(s->model, s->disk->durable, &bad)) {
        sweep_violation(s->run, "byte %u was promised, and is lost: %u",
                        (unsigned)bad, s->disk->durable[bad]);
    }
}

/* The next process, on a host that is well: reads all; and fails to flush if
 * this one lost data and could say so. */
static void coroutine_fn
sweep_co_check_reopened(SweepState *s)
{
    const SweepFault none = { 0 };
    int expected = s->lost && s->run->state_dir ? -EIO : 0;
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *buf = NULL;
    uint64_t size, bad;

    sweep_disk_set_fault(s->disk, &none);
    if (!sweep_co_open_graph(s, &error)) {
        sweep_violation(s->run, "not opened again: %s", error->message);
        ash_maybe(sweep_co_close_graph(s));
        return;
    }
    size = blk_size(s->blk);
    buf = g_malloc(size);
    if (fake_co_read(s->blk, 0, buf, size) != 0 ||
        !sweep_model_read(s->model, s->run->rig->offset, buf, size, &bad)) {
        sweep_violation(s->run, "wrong data when opened again");
    }
    if (blk_co_flush(s->blk) != expected) {
        sweep_violation(s->run, "flush is not %d when opened again", expected);
    }
    ash_maybe(sweep_co_close_graph(s));
}

/* The run's own rule would act again. */
static bool
sweep_can_reopen(const SweepState *s)
{
    return s->run->rig->by == SWEEP_BY_ENGINE;
}

void coroutine_fn
sweep_co_run(SweepRun *run)
{
    g_autofree SweepState *s = g_new0(SweepState, 1);
    g_autoptr(GError) error = NULL;
    bool opened;
    int ret;

    s->run = run;
    sweep_make_disk(s);
    s->model = run->model;
    sweep_model_reset(s->model, SWEEP_FILL);
    opened = sweep_co_open_graph(s, &error);
    sweep_judge_open(s, opened, error);
    run->n_open_calls = s->disk ? s->disk->n_calls : 0;
    if (opened) {
        sweep_co_script(s);
    }
    ret = sweep_co_close_graph(s);
    sweep_judge_close(s, ret);
    run->fired = sweep_state_fired(s);
    if (s->disk) {
        run->n_calls = s->disk->n_calls;
    } else {
        for (unsigned i = 0; i < 8; i++) {
            run->n_calls += s->fake->n_calls[i];
        }
    }
    sweep_check_contents(s);
    if (sweep_can_reopen(s)) {
        sweep_co_check_reopened(s);
    }
    sweep_free_disk(s);
}
