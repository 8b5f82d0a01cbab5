/*
 * drivers/aio/posix-lock.c - open-file-description locks, and who holds one;
 * see drivers/aio/posix.h.
 *
 * Method.  The kernel names no owner of such a lock (F_OFD_GETLK says pid -1:
 * it belongs to an open file, which processes may share).  But each process
 * shows the locks of its open files in /proc/PID/fdinfo/FD, as
 *
 *     lock:  1: OFDLCK  ADVISORY  READ -1 fe:01:1234 100 100
 *
 * with device (hex) and inode of the file and the first and last byte (or
 * "EOF").  So the owner is found by looking at all of them; that takes some
 * milliseconds and happens only when a lock is refused.  Processes of other
 * users show nothing to an ordinary user: then no owner is known.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/parse.h"

int
aio_posix_lock(AioFile *file, uint64_t offset, uint64_t bytes, short type,
               bool test)
{
    struct flock lock = {
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = (int64_t)offset,
        .l_len = (int64_t)bytes,
    };

    if (fcntl(file->fd, test ? F_OFD_GETLK : F_OFD_SETLK, &lock) != 0) {
        switch (errno) {
        case EACCES:
            return -EAGAIN;
        case EINVAL:
        case ENOLCK: /* a file system without lock manager */
        case EOPNOTSUPP:
            return -ENOTSUP;
        default:
            return -errno;
        }
    }
    return test && lock.l_type != F_UNLCK ? -EAGAIN : 0;
}

/* ---- owners ---- */

typedef struct PosixOwner {
    int fd;
    uint64_t first; /* bytes that matter */
    uint64_t last;
    char id[64]; /* "fe:01:1234" */
    int ret;
} PosixOwner;

/* Does this line of an fdinfo speak of a lock in our way? */
static bool
posix_line_has_lock(const PosixOwner *o, const char *line)
{
    char id[64], first_text[32], last_text[32];
    uint64_t first, last = UINT64_MAX;

    if (sscanf(line, "lock: %*d: %*s %*s %*s %*d %63s %31s %31s", id,
               first_text, last_text) != 3 ||
        strcmp(id, o->id) != 0 ||
        !ash_parse_uint(first_text, INT64_MAX, &first, NULL)) {
        return false;
    }
    if (strcmp(last_text, "EOF") != 0 &&
        !ash_parse_uint(last_text, INT64_MAX, &last, NULL)) {
        return false;
    }
    return first <= o->last && o->first <= last;
}

static bool
posix_fdinfo_has_lock(const PosixOwner *o, int folder, const char *name)
{
    char line[256];
    bool found = false;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (!f) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    while (!found && fgets(line, sizeof(line), f)) {
        found = posix_line_has_lock(o, line);
    }
    fclose(f);
    return found;
}

/* Does the process @name ("1234") hold one, with another open file? */
static bool
posix_process_has_lock(const PosixOwner *o, const char *name, bool self)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo", name);
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool found = false;

    if (!dir) {
        return false;
    }
    while (!found && (entry = readdir(dir)) != NULL) {
        uint64_t fd;

        if (!ash_parse_uint(entry->d_name, INT32_MAX, &fd, NULL) ||
            (self && (int)fd == o->fd)) {
            continue;
        }
        found = posix_fdinfo_has_lock(o, dirfd(dir), entry->d_name);
    }
    closedir(dir);
    return found;
}

static void
posix_owner_work(void *arg)
{
    PosixOwner *o = arg;
    struct stat st;
    DIR *dir = NULL;
    struct dirent *entry;

    if (fstat(o->fd, &st) == 0) {
        dir = opendir("/proc");
    }
    if (!dir) {
        return;
    }
    g_snprintf(o->id, sizeof(o->id), "%02x:%02x:%" PRIu64, major(st.st_dev),
               minor(st.st_dev), (uint64_t)st.st_ino);
    while (o->ret == 0 && (entry = readdir(dir)) != NULL) {
        uint64_t pid;

        if (ash_parse_uint(entry->d_name, INT32_MAX, &pid, NULL) &&
            posix_process_has_lock(o, entry->d_name, (int)pid == getpid())) {
            o->ret = (int)pid;
        }
    }
    closedir(dir);
}

int coroutine_fn
aio_posix_co_lock_owner(AioFile *file, uint64_t offset, uint64_t bytes)
{
    PosixOwner o = {
        .fd = file->fd, .first = offset, .last = offset + bytes - 1,
    };

    aio_posix_co_run(aio_posix(file), posix_owner_work, &o);
    return o.ret;
}
