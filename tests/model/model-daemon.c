/*
 * tests/model/model-daemon.c - the daemon and its image; see
 * tests/model/model.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/iov.h"
#include "tests/model/model.h"

#define MODEL_PATIENCE_MS 60000

struct ModelDaemon {
    GPid pid;
    int out; /* its standard output */
    char *image;
    char *log;
    uint8_t *outside; /* the image as it was */
};

/* ---- the image ---- */

static uint64_t
model_image_size(const ModelRun *run)
{
    return run->start + run->size + run->rest;
}

/* Data here, holes there. */
static uint8_t *
model_draw_image(uint64_t size, SimRng *rng)
{
    uint8_t *data = g_malloc0(size);
    uint64_t at = 0;

    while (at < size) {
        uint64_t end =
            ash_min(at + sim_rng_skewed(rng, 1, 256 * ASH_KIB), size);
        bool hole = sim_rng_chance(rng, 400);

        for (; at < end; at++) {
            data[at] = hole ? 0 : (uint8_t)sim_rng_next(rng);
        }
    }
    return data;
}

/* Runs of zeros become holes, where a page is one. */
static bool
model_write_image(const char *path, const uint8_t *data, uint64_t size)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && ftruncate(fd, (int64_t)size) == 0;

    for (uint64_t at = 0; ok && at < size; at += 4096) {
        size_t n = ash_min(4096, size - at);

        if (!ash_buf_is_zero(data + at, n)) {
            ok = pwrite(fd, data + at, n, (int64_t)at) == (ssize_t)n;
        }
    }
    return fd >= 0 && close(fd) == 0 && ok;
}

static void
model_check_image(ModelRun *run, const ModelDaemon *d)
{
    const uint8_t *want = model_shadow_contents(run->shadow);
    uint64_t size = model_image_size(run), end = run->start + run->size;
    g_autofree char *have = NULL;
    gsize n = 0;

    if (!g_file_get_contents(d->image, &have, &n, NULL) || n != size) {
        model_complain(run, "the image has %" PRIu64 " bytes, not %" PRIu64,
                       (uint64_t)n, size);
        return;
    }
    run->stats->n_outside += size - run->size;
    if (memcmp(have, d->outside, run->start) != 0 ||
        memcmp(have + end, d->outside + end, run->rest) != 0) {
        model_complain(run, "the image has changed outside of the window");
    }
    if (memcmp(have + run->start, want, run->size) != 0) {
        model_complain(run, "the image is not what was read last");
    }
}

/* ---- the process ---- */

/* The template with the numbers and names of this run. */
static char *
model_blockdev(const ModelRun *run, const char *image)
{
    const struct {
        const char *word;
        uint64_t n;
    } numbers[] = {
        { "SIZE", run->size },
        { "START", run->start },
        { "SEED", run->seed >> 1 },
    };
    g_autoptr(GString) text = g_string_new(run->backend->blockdev);

    for (unsigned i = 0; i < ASH_N_ELEMENTS(numbers); i++) {
        g_autofree char *value = g_strdup_printf("%" PRIu64, numbers[i].n);

        g_string_replace(text, numbers[i].word, value, 0);
    }
    g_string_replace(text, "FILE", image, 0);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool
model_spawn(ModelRun *run, ModelDaemon *d, const char *program,
            const char *state_dir)
{
    g_autofree char *blockdev = model_blockdev(run, d->image);
    g_autofree char *server =
        g_strdup_printf("addr.type=unix,addr.path=%s", run->socket);
    g_autofree char *export =
        g_strdup_printf("type=nbd,id=e,node-name=d,name=disk,writable=%s",
                        run->backend->read_only ? "off" : "on");
    const char *argv[] = { program,   "--blockdev", blockdev, "--nbd-server",
                           server,    "--export",   export,   "--state-dir",
                           state_dir, "--workers",  "2",      "--print-uri",
                           NULL };
    g_autoptr(GError) error = NULL;
    int log = open(d->log, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    bool ok;

    ok = g_spawn_async_with_pipes_and_fds(
        NULL, (const char *const *)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
        NULL, -1, -1, log, NULL, NULL, 0, &d->pid, NULL, &d->out, NULL, &error);
    close(log);
    if (!ok) {
        model_complain(run, "%s", error->message);
    }
    return ok;
}

/* It prints a line when it is ready. */
static bool
model_wait_ready(const ModelDaemon *d)
{
    struct pollfd poll_fd = { .fd = d->out, .events = POLLIN };
    char byte = 0;

    while (byte != '\n') {
        if (poll(&poll_fd, 1, MODEL_PATIENCE_MS) != 1 ||
            read(d->out, &byte, 1) != 1) {
            return false;
        }
    }
    return true;
}

static void
model_complain_log(ModelRun *run, const ModelDaemon *d, const char *what,
                   int status)
{
    g_autofree char *log = NULL;

    ash_maybe(g_file_get_contents(d->log, &log, NULL, NULL));
    model_complain(run, "%s: status %#x; it says: %.4000s", what,
                   (unsigned)status, log ? log : "nothing");
}

/* Its status; killed if it does not end by itself. */
static int
model_wait_end(const ModelDaemon *d)
{
    int fd = pidfd_open(d->pid, 0), status = 0;
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    if (fd < 0 || poll(&poll_fd, 1, MODEL_PATIENCE_MS) != 1) {
        kill(d->pid, SIGKILL);
    }
    if (fd >= 0) {
        close(fd);
    }
    while (waitpid(d->pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

/* ---- life ---- */

ModelDaemon *
model_daemon_start(ModelRun *run, const char *program, const char *dir,
                   SimRng *rng)
{
    ModelDaemon *d = g_new0(ModelDaemon, 1);
    uint64_t size = model_image_size(run);

    d->out = -1;
    d->image = g_build_filename(dir, "image", NULL);
    d->log = g_build_filename(dir, "log", NULL);
    g_free(run->socket);
    run->socket = g_build_filename(dir, "socket", NULL);
    d->outside =
        run->backend->forgets ? g_malloc0(size) : model_draw_image(size, rng);
    run->shadow = model_shadow_new(
        run->size, g_memdup2(d->outside + run->start, run->size));
    if (!model_write_image(d->image, d->outside, size)) {
        model_complain(run, "can't write '%s'", d->image);
    } else if (model_spawn(run, d, program, dir)) {
        if (model_wait_ready(d)) {
            return d;
        }
        kill(d->pid, SIGTERM);
        model_complain_log(run, d, "the daemon does not start",
                           model_wait_end(d));
    }
    model_daemon_free(d);
    return NULL;
}

void
model_daemon_stop(ModelRun *run, ModelDaemon *d)
{
    int status;

    kill(d->pid, SIGTERM);
    status = model_wait_end(d);
    if (status != 0) {
        model_complain_log(run, d, "the daemon ends badly", status);
    } else if (run->n_complaints == 0 && !run->backend->forgets) {
        model_check_image(run, d);
    }
}

void
model_daemon_free(ModelDaemon *d)
{
    if (d->out >= 0) {
        close(d->out);
    }
    g_unlink(d->image);
    g_unlink(d->log);
    g_free(d->image);
    g_free(d->log);
    g_free(d->outside);
    g_free(d);
}
