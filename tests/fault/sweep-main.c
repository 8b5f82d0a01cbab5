/*
 * tests/fault/sweep-main.c - fail the first call of the host, the second, and
 * so on until none is left, with each errno, in each of many graphs and
 * scripts; say how many points were tried and what was wrong.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "tests/fault/sweep-run.h"

/* The first few are those that the code tells from others. */
static const int sweep_errors[] = {
    EIO,    ENOSPC, EINTR,  EAGAIN, ENOTSUP,   EPERM,
    EDQUOT, ENOMEM, EINVAL, EROFS,  ETIMEDOUT, EBADF,
};

#define FILE_SIZE (16384U + 777U)
/* The end is written by itself, and the script does not reach it. */
#define LONG_SIZE 77777U

static const SweepRig sweep_rigs[] = {
    {
        .name = "file",
        .options = "driver=raw file.driver=fault file.file.driver=file "
                   "file.file.filename=disk file.file.lock-wait-ms=0",
        .size = FILE_SIZE,
    },
    {
        .name = "file-inline",
        .options = "driver=raw file.driver=fault file.file.driver=file "
                   "file.file.filename=disk file.file.lock-wait-ms=0",
        .size = FILE_SIZE,
        .inline_io = true,
        .sync_alone = true,
    },
    {
        .name = "file-direct",
        .options = "driver=raw file.driver=fault file.file.driver=file "
                   "file.file.filename=disk file.file.lock-wait-ms=0 "
                   "cache.direct=on",
        .size = FILE_SIZE + 512,
    },
    {
        .name = "window-direct",
        .options = "driver=raw offset=60333 size=16384 file.driver=file "
                   "file.filename=disk file.lock-wait-ms=0 cache.direct=on",
        .size = LONG_SIZE,
        .offset = 60333,
        .n_errors = 6,
    },
    {
        .name = "sectors",
        .options = "driver=raw file.driver=fault file.align=512 "
                   "file.max-transfer=2048 file.opt-write-zero=1024 "
                   "file.max-write-zero=4096 file.max-discard=4096 "
                   "file.file.driver=file file.file.filename=disk "
                   "file.file.lock-wait-ms=0",
        .size = FILE_SIZE,
        .n_errors = 6,
        .inline_io = true,
    },
    {
        .name = "pieces",
        .options = "driver=raw file.driver=fault "
                   "file.inject-error.0.short=on file.seed=5 "
                   "file.file.driver=file file.file.filename=disk "
                   "file.file.lock-wait-ms=0",
        .size = FILE_SIZE,
        .n_errors = 4,
    },
    {
        .name = "rule",
        .by = SWEEP_BY_RULE,
        .options = "driver=raw file.driver=fault file.file.driver=file "
                   "file.file.filename=disk",
        .size = FILE_SIZE,
        .inline_io = true,
    },
    {
        .name = "fake",
        .by = SWEEP_BY_FAKE,
        .options = "driver=raw file.driver=fault file.file.driver=fake",
        .size = FILE_SIZE,
    },
};

/* No script makes so many. */
#define SWEEP_CALLS_MAX 200U

typedef struct SweepTotal {
    unsigned n_points;
    unsigned n_runs;
    unsigned n_failed;
    unsigned n_violations;
    char *state_dir;
    SweepDisk *disk; /* of the present rig */
    SweepModel model;
} SweepTotal;

/* ---- one point ---- */

static bool coroutine_fn
sweep_co_one(SweepTotal *total, SweepRun *run)
{
    run->disk = total->disk;
    run->model = &total->model;
    sweep_co_run(run);
    total->n_runs++;
    total->n_failed += run->n_failed;
    total->n_violations += run->n_violations;
    return run->fired || run->n_failed > 0;
}

/* Forget what the last run left in the state directory. */
static void
sweep_empty_dir(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        g_assert_cmpint(g_unlink(file), ==, 0);
    }
    g_dir_close(dir);
}

static bool coroutine_fn
sweep_co_fault(SweepTotal *total, const SweepRig *rig,
               const SweepScript *script, unsigned nth, SweepMode mode, int err)
{
    SweepRun run = {
        .rig = rig,
        .script = script,
        .fault = { .nth = nth, .mode = mode, .err = -err },
    };
    bool fired;

    /* Records are durable, so not in each run. */
    if (rig->by == SWEEP_BY_ENGINE && mode == SWEEP_EARLY && err == EIO) {
        run.state_dir = total->state_dir;
    }
    fired = sweep_co_one(total, &run);
    if (run.state_dir) {
        sweep_empty_dir(run.state_dir);
    }
    return fired;
}

/* With each errno and in each way; false: there is no such call any more. */
static bool coroutine_fn
sweep_co_point(SweepTotal *total, const SweepRig *rig,
               const SweepScript *script, unsigned nth)
{
    static const SweepMode modes[] = { SWEEP_LATE, SWEEP_FOREVER };
    size_t n = rig->n_errors ? rig->n_errors : G_N_ELEMENTS(sweep_errors);
    bool fired = false;

    for (size_t i = 0; i < n; i++) {
        /* "Can't do that" is not an error of a driver. */
        if (rig->by == SWEEP_BY_ENGINE || sweep_errors[i] != ENOTSUP) {
            fired |= sweep_co_fault(total, rig, script, nth, SWEEP_EARLY,
                                    sweep_errors[i]);
        }
    }
    for (size_t m = 0; m < G_N_ELEMENTS(modes); m++) {
        bool once = modes[m] == SWEEP_LATE;

        for (size_t i = 0; i < 2; i++) {
            if (rig->by == SWEEP_BY_ENGINE ||
                (rig->by == SWEEP_BY_FAKE && once)) {
                sweep_co_fault(total, rig, script, nth, modes[m],
                               sweep_errors[i]);
            }
        }
    }
    if (rig->by != SWEEP_BY_FAKE) {
        sweep_co_fault(total, rig, script, nth, SWEEP_SHORT, EIO);
    }
    return fired;
}

/* ---- all points ---- */

static void coroutine_fn
sweep_co_script_points(SweepTotal *total, const SweepRig *rig,
                       const SweepScript *script)
{
    SweepRun clean = { .rig = rig, .script = script };
    unsigned first = 1;

    sweep_co_one(total, &clean);
    if (clean.n_failed > 0) {
        g_print("%s/%s: fails without a fault\n", rig->name, script->name);
        total->n_violations++;
        return;
    }
    /* Opening is the same for all scripts. */
    if (script != sweep_scripts && rig->by == SWEEP_BY_ENGINE) {
        first = clean.n_open_calls + 1;
    }
    for (unsigned nth = first; nth <= SWEEP_CALLS_MAX; nth++) {
        bool fired = sweep_co_point(total, rig, script, nth);

        if (rig->by != SWEEP_BY_RULE && fired != (nth <= clean.n_calls)) {
            g_print("%s/%s: %u calls, and the %uth %s\n", rig->name,
                    script->name, clean.n_calls, nth,
                    fired ? "failed" : "did not");
            total->n_violations++;
        }
        if (!fired) {
            break;
        }
        total->n_points++;
    }
}

static void coroutine_fn
sweep_co_all(void *arg)
{
    SweepTotal *total = arg;

    for (size_t r = 0; r < G_N_ELEMENTS(sweep_rigs); r++) {
        SweepTotal part = { .state_dir = total->state_dir };
        int64_t before = g_get_monotonic_time();

        part.disk = sweep_disk_new(loop_current(), sweep_rigs[r].size);
        sweep_model_init(&part.model, sweep_rigs[r].size);
        for (unsigned i = 0; i < sweep_n_scripts; i++) {
            sweep_co_script_points(&part, &sweep_rigs[r], &sweep_scripts[i]);
        }
        g_print("%-14s %u scripts, %4u points, %5u runs, %5u requests failed, "
                "%u violations, %.1f s\n",
                sweep_rigs[r].name, sweep_n_scripts, part.n_points, part.n_runs,
                part.n_failed, part.n_violations,
                (double)(g_get_monotonic_time() - before) / 1e6);
        sweep_model_done(&part.model);
        sweep_disk_free(part.disk);
        total->n_points += part.n_points;
        total->n_runs += part.n_runs;
        total->n_failed += part.n_failed;
        total->n_violations += part.n_violations;
    }
}

int
main(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_strdup("./sweep-state-XXXXXX");
    SweepTotal total = { .state_dir = dir };
    Loop *loop = loop_new("sweep", &error);

    g_assert_no_error(error);
    g_assert_nonnull(g_mkdtemp(dir));
    loop_run_coroutine(loop, sweep_co_all, &total);
    loop_free(loop);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
    g_print("total: %zu graphs, %u scripts, %u points, %zu errnos, %u runs, "
            "%u requests failed, %u violations\n",
            G_N_ELEMENTS(sweep_rigs), sweep_n_scripts, total.n_points,
            G_N_ELEMENTS(sweep_errors), total.n_runs, total.n_failed,
            total.n_violations);
    return total.n_violations == 0 ? 0 : 1;
}
