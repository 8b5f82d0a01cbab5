/*
 * drivers/file-failure.c - see drivers/file-failure.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file-failure.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/parse.h"
#include "coro/loop.h"
#include "drivers/file.h"

#define FAILURE_PREFIX "errno="
#define FAILURE_ERRNO_MAX 4095

/* Where the record of a file of this identity is. */
static char *
failure_path(const char *state_dir, const AioStat *st)
{
    if (st->is_block) {
        return g_strdup_printf("%s/failed-dev-%" PRIx64, state_dir, st->dev);
    }
    return g_strdup_printf(
        "%s/failed-%" PRIx64 "-%" PRIx64 "-%c%" PRIx64, state_dir, st->dev,
        st->ino, st->btime_ns != 0 ? 'b' : 'c',
        (uint64_t)(st->btime_ns != 0 ? st->btime_ns : st->ctime_ns));
}

static bool
failure_sync_dir(const char *dir, GError **error)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = 0;

    if (fd < 0 || fsync(fd) != 0) {
        err = errno;
        ash_set_error_errno(error, err, "cannot sync '%s'", dir);
    }
    if (fd >= 0) {
        close(fd);
    }
    return err == 0;
}

/* ---- record ---- */

typedef struct FailureRecord {
    const char *state_dir;
    const AioStat *st;
    const char *path;
    int err;
    bool ok;
    GError **error;
} FailureRecord;

/* Whole or not at all: a temporary file, synced, renamed, and the folder. */
static void
failure_record_work(void *arg)
{
    FailureRecord *r = arg;
    g_autofree char *name = failure_path(r->state_dir, r->st);
    g_autofree char *text =
        g_strdup_printf(FAILURE_PREFIX "%d\npath=%s\n", -r->err, r->path);
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents_full(name, text, -1,
                                  G_FILE_SET_CONTENTS_CONSISTENT |
                                      G_FILE_SET_CONTENTS_DURABLE,
                                  0600, &error)) {
        g_set_error(r->error, ASH_ERROR, ASH_ERROR_IO,
                    "cannot record a failure: %s", error->message);
        return;
    }
    r->ok = failure_sync_dir(r->state_dir, r->error);
}

bool coroutine_fn
file_failure_co_record(const char *state_dir, const AioStat *st,
                       const char *path, int err, GError **error)
{
    FailureRecord r = {
        .state_dir = state_dir,
        .st = st,
        .path = path,
        .err = err,
        .error = error,
    };

    co_work(failure_record_work, &r);
    return r.ok;
}

/* ---- find ---- */

typedef struct FailureFind {
    const char *state_dir;
    const AioStat *st;
    int ret;
} FailureFind;

static int
failure_parse(char *text)
{
    uint64_t err;

    text[strcspn(text, "\n")] = '\0';
    if (!g_str_has_prefix(text, FAILURE_PREFIX) ||
        !ash_parse_uint(text + strlen(FAILURE_PREFIX), FAILURE_ERRNO_MAX, &err,
                        NULL) ||
        err == 0) {
        return -EIO;
    }
    return -(int)err;
}

static void
failure_find_work(void *arg)
{
    FailureFind *f = arg;
    g_autofree char *name = failure_path(f->state_dir, f->st);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    if (g_file_get_contents(name, &text, NULL, &error)) {
        f->ret = failure_parse(text);
    } else if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        f->ret = -EIO;
    }
}

int coroutine_fn
file_failure_co_find(const char *state_dir, const AioStat *st)
{
    FailureFind f = { .state_dir = state_dir, .st = st };

    co_work(failure_find_work, &f);
    return f.ret;
}

/* ---- forget ---- */

/* As drivers/aio does for an open file. */
static bool
failure_identify(const char *path, AioStat *ret, GError **error)
{
    struct statx stx = { 0 };

    if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, &stx) != 0) {
        ash_set_error_errno(error, errno, "cannot find '%s'", path);
        return false;
    }
    *ret = (AioStat){
        .is_block = S_ISBLK(stx.stx_mode),
        .ino = stx.stx_ino,
        .ctime_ns =
            stx.stx_ctime.tv_sec * 1000000000 + (int64_t)stx.stx_ctime.tv_nsec,
    };
    ret->dev = ret->is_block ? makedev(stx.stx_rdev_major, stx.stx_rdev_minor)
                             : makedev(stx.stx_dev_major, stx.stx_dev_minor);
    if ((stx.stx_mask & STATX_BTIME) != 0) {
        ret->btime_ns =
            stx.stx_btime.tv_sec * 1000000000 + (int64_t)stx.stx_btime.tv_nsec;
    }
    return true;
}

bool
file_failure_forget(const char *state_dir, const char *path, GError **error)
{
    g_autofree char *name = NULL;
    AioStat st;

    if (!failure_identify(path, &st, error)) {
        return false;
    }
    name = failure_path(state_dir, &st);
    if (g_unlink(name) == 0) {
        return failure_sync_dir(state_dir, error);
    }
    if (errno == ENOENT) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_NOT_FOUND,
                    "no failure of '%s' is recorded", path);
    } else {
        ash_set_error_errno(error, errno, "cannot remove '%s'", name);
    }
    return false;
}
