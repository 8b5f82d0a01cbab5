/*
 * tests/fault/sweep-judge.c - what has to come of a fault.
 *
 * A call that goes wrong is absorbed (short transfers, EINTR, EAGAIN, what the
 * host does not have), or fails requests that it was made for, with the errno
 * that the contract gives it, and no other request.  A lost write fails the
 * file: every later change and flush is EIO, reads go on, and the host is not
 * asked to flush again (docs/durability.md, C6 to C8).
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <stdarg.h>

#include "base/bits.h"
#include "tests/fault/sweep-priv.h"

void
sweep_violation(SweepRun *run, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    run->n_violations++;
    g_print("%s/%s, call %u %s %s: %s\n", run->rig->name, run->script->name,
            run->fault.nth, sweep_mode_names[run->fault.mode],
            g_strerror(-run->fault.err), text);
}

/* ---- errno ---- */

/* What clients see of it: blockcore/blk.h. */
static int
sweep_seen(int err)
{
    switch (err) {
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return -ENOSPC;
    case -ENOMEDIUM:
    case -ENOMEM:
    case -EROFS:
    case -ESHUTDOWN:
        return err;
    default:
        return -EIO;
    }
}

typedef enum {
    SWEEP_SURFACES, /* some request fails */
    SWEEP_ABSORBED, /* none does */
    SWEEP_EITHER,
} SweepFate;

static SweepFate
sweep_fate(const SweepRun *run, const SweepCall *call)
{
    int err = run->fault.err;

    if (run->fault.mode == SWEEP_FOREVER) {
        return SWEEP_EITHER;
    }
    if (run->fault.mode == SWEEP_SHORT || err == -EINTR || err == -EAGAIN) {
        return SWEEP_ABSORBED;
    }
    switch (call->kind) {
    case SWEEP_STAT: /* while open: only for a better record */
    case SWEEP_LOCK:
        return SWEEP_ABSORBED;
    case SWEEP_SPACE:
        return err == -ENOTSUP ||
                       (err == -ENOSPC && call->space == AIO_SPACE_PUNCH)
                   ? SWEEP_ABSORBED
                   : SWEEP_SURFACES;
    case SWEEP_SEEK:
        return err == -EINVAL || err == -ENOTSUP ? SWEEP_ABSORBED
                                                 : SWEEP_SURFACES;
    case SWEEP_WRITE:
    case SWEEP_TRY_WRITE:
    case SWEEP_OPEN:
    case SWEEP_READ:
    case SWEEP_TRY_READ:
    case SWEEP_FLUSH:
    default:
        return SWEEP_SURFACES;
    }
}

/* ---- who is affected ---- */

static bool
sweep_modifies(const FakeReq *req)
{
    return req->op == BLK_OP_WRITE || req->op == BLK_OP_ZERO ||
           req->op == BLK_OP_TRIM;
}

/* Was the call made for a request of this kind? */
static bool
sweep_call_fits(const SweepCall *call, const FakeReq *req)
{
    bool flushes = req->op == BLK_OP_FLUSH || (req->flags & BLK_REQ_FUA) != 0;

    switch (call->kind) {
    case SWEEP_READ:
    case SWEEP_TRY_READ: /* or the rest of a sector that is written */
        return req->op == BLK_OP_READ || req->op == BLK_OP_CACHE ||
               req->op == BLK_OP_WRITE || req->op == BLK_OP_ZERO;
    case SWEEP_WRITE:
    case SWEEP_TRY_WRITE:
        return req->op == BLK_OP_WRITE || req->op == BLK_OP_ZERO;
    case SWEEP_SPACE:
        return req->op == BLK_OP_ZERO || req->op == BLK_OP_TRIM;
    case SWEEP_SEEK:
        return req->op == BLK_OP_STATUS;
    case SWEEP_FLUSH:
        return flushes;
    case SWEEP_OPEN:
    case SWEEP_STAT:
    case SWEEP_LOCK:
    default:
        return false;
    }
}

static bool
sweep_affects(const SweepState *s, const SweepCall *call, const FakeReq *req)
{
    BlkRange range =
        blk_range(req->range.offset + s->run->rig->offset, req->range.bytes);

    if (!sweep_call_fits(call, req)) {
        return false;
    }
    return call->kind == SWEEP_FLUSH ||
           blk_range_overlaps(blk_range_align_out(range, SWEEP_SECTOR),
                              blk_range(call->offset, call->bytes));
}

/* Is the file lost by this call?  A sync said so. */
static bool
sweep_loses(const SweepRun *run, const SweepCall *call)
{
    bool sync =
        call->kind == SWEEP_FLUSH || (call->kind == SWEEP_WRITE && call->fua);

    return sync && sweep_fate(run, call) == SWEEP_SURFACES;
}

/* ---- requests of a group ---- */

/* May the request end with what it did?  @hit: in this group. */
static bool
sweep_may_end(const SweepState *s, const FakeReq *req, bool hit, int expected)
{
    bool is_fast = (req->flags & BLK_REQ_NO_FALLBACK) != 0;

    if (req->ret == 0) {
        return true;
    }
    if (s->lost && (sweep_modifies(req) || req->op == BLK_OP_FLUSH) &&
        req->ret == -EIO) {
        return true;
    }
    if (req->ret == -ENOTSUP) {
        return is_fast && (s->refused || s->run->fault.err == -ENOTSUP);
    }
    return hit && req->ret == expected;
}

static void
sweep_judge_engine(SweepState *s, unsigned first, unsigned end)
{
    const SweepRun *run = s->run;
    const SweepCall *call = &s->disk->call;
    bool fired_now = s->disk->fired && !s->was_fired;
    bool lost_before = s->lost;
    bool surfaced = false;

    if (fired_now) {
        s->disk->n_flushes_since = 0; /* those went out with it */
        s->lost = sweep_loses(run, call);
        s->refused = run->fault.err == -ENOTSUP;
    }
    for (unsigned i = first; i < end; i++) {
        const FakeReq *req = &s->reqs[i];
        bool hit = fired_now && sweep_fate(run, call) != SWEEP_ABSORBED &&
                   sweep_affects(s, call, req);
        bool changes = sweep_modifies(req) || req->op == BLK_OP_FLUSH;
        int expected = s->lost ? -EIO : sweep_seen(run->fault.err);

        /* Zeros that can't be written in one way are in another. */
        surfaced = surfaced || (hit && req->ret != 0) ||
                   (hit && !s->lost && req->op == BLK_OP_ZERO &&
                    run->fault.err == -ENOTSUP);
        if (!sweep_may_end(s, req, hit, expected)) {
            sweep_violation(s->run, "request %u (op %d) gave %d", i,
                            (int)req->op, req->ret);
        }
        if (lost_before && changes && req->ret == 0) {
            sweep_violation(s->run, "request %u changed a failed file", i);
        }
    }
    if (fired_now && sweep_fate(run, call) == SWEEP_SURFACES && !surfaced) {
        sweep_violation(s->run, "a failed %s at %u was not reported",
                        sweep_kind_names[call->kind], (unsigned)call->offset);
    }
}

/* The rest can't be told of a host that fails always: an error is one of two,
 * and no sector is lost that was promised. */
static void
sweep_judge_forever(SweepState *s, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        int ret = s->reqs[i].ret;

        if (ret != 0 &&
            (!s->disk->fired ||
             (ret != -EIO && ret != sweep_seen(s->run->fault.err)))) {
            sweep_violation(s->run, "request %u gave %d", i, ret);
        }
    }
}

/* A driver's error, once: one request has it. */
static void
sweep_judge_driver(SweepState *s, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        int ret = s->reqs[i].ret;

        if (ret != 0 &&
            (s->run->n_failed > 1 || ret != sweep_seen(s->run->fault.err))) {
            sweep_violation(s->run, "request %u gave %d, failure %u", i, ret,
                            s->run->n_failed);
        }
    }
    if (s->run->rig->by == SWEEP_BY_FAKE && !s->was_fired &&
        sweep_state_fired(s) && s->run->n_failed == 0) {
        sweep_violation(s->run, "the error was not reported");
    }
}

/* A flush of a driver in memory is no word only: it comes after all changes,
 * and after a flush that failed. */
static void
sweep_judge_flushes(SweepState *s, unsigned first, unsigned end)
{
    unsigned n = fake_disk_n(s->fake, FAKE_FLUSH_DISK);
    bool changed = false;
    bool flushed = false;

    for (unsigned i = first; i < end; i++) {
        const FakeReq *req = &s->reqs[i];
        bool is_flush = req->op == BLK_OP_FLUSH;

        if (is_flush && req->ret == 0 && n < s->n_flushed + 1) {
            sweep_violation(s->run, "request %u flushed nothing", i);
        }
        changed = changed || sweep_modifies(req) || is_flush;
        flushed = flushed || (is_flush && req->ret == 0);
    }
    if (changed && !flushed) {
        s->n_flushed = n;
    }
}

void
sweep_judge_group(SweepState *s, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        s->run->n_failed += s->reqs[i].ret != 0;
    }
    if (s->run->rig->by != SWEEP_BY_ENGINE) {
        sweep_judge_driver(s, first, end);
        if (s->fake) {
            sweep_judge_flushes(s, first, end);
        }
    } else if (s->run->fault.mode == SWEEP_FOREVER) {
        sweep_judge_forever(s, first, end);
    } else {
        sweep_judge_engine(s, first, end);
    }
}

/* ---- open and close ---- */

void
sweep_judge_open(SweepState *s, bool opened, const GError *error)
{
    const SweepRun *run = s->run;
    bool absorbed;

    if (!sweep_state_fired(s)) {
        if (!opened) {
            sweep_violation(s->run, "not opened: %s", error->message);
        }
        return;
    }
    absorbed = run->fault.err == -EINTR;
    if (s->disk->call.kind == SWEEP_LOCK) {
        /* Nobody needs to hear that there are no locks, or of a lock that is
         * not given back. */
        absorbed =
            absorbed || run->fault.err == -ENOTSUP || s->disk->call.unlock;
    } else {
        absorbed = absorbed || run->fault.err == -EAGAIN;
    }
    if (opened != absorbed) {
        sweep_violation(s->run, "a failed %s: %s",
                        sweep_kind_names[s->disk->call.kind],
                        opened ? "opened all the same" : error->message);
    }
    if (!opened && !g_str_has_prefix(error->message, "node '") &&
        !g_str_has_prefix(error->message, "failed to get") &&
        !g_str_has_prefix(error->message, "cannot lock")) {
        sweep_violation(s->run, "it says only: %s", error->message);
    }
}

void
sweep_judge_close(SweepState *s, int ret)
{
    const SweepDisk *d = s->disk;

    if (!d) {
        return;
    }
    if (s->run->rig->by == SWEEP_BY_ENGINE && d->fired && !s->lost &&
        s->run->fault.mode != SWEEP_FOREVER) {
        s->lost = sweep_loses(s->run, &d->call);
    }
    if (s->lost != (ret != 0) && s->run->fault.mode != SWEEP_FOREVER) {
        sweep_violation(s->run, "closing gave %d", ret);
    }
    if (s->lost && d->n_flushes_since > 0) {
        sweep_violation(s->run, "the host was asked to flush again");
    }
    if (d->n_bad > 0) {
        sweep_violation(s->run, "%u calls break the contract", d->n_bad);
    }
    if (d->n_open > 0) {
        sweep_violation(s->run, "%u files are still open", d->n_open);
    }
}
