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
 * users show nothing to an ordinary user: then no owner is known.  One that has
 * been sent SIGKILL does not count as living, even if a dead disk still holds
 * it up.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
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

/* The words of such a line, counted from "lock:". */
enum {
    WORD_LOCK,
    WORD_FILE = 6,
    WORD_FIRST,
    WORD_LAST,
    N_WORDS,
};

/* Does this line of an fdinfo speak of a lock in our way?  It is cut up. */
static bool
posix_line_has_lock(const PosixOwner *o, char *line)
{
    const char *words[N_WORDS] = { NULL };
    uint64_t first, last = UINT64_MAX;
    char *rest = NULL;
    char *word = strtok_r(line, " \t\n", &rest);

    for (unsigned i = 0; word && i < N_WORDS; i++) {
        words[i] = word;
        word = strtok_r(NULL, " \t\n", &rest);
    }
    if (!words[WORD_LAST] || strcmp(words[WORD_LOCK], "lock:") != 0 ||
        strcmp(words[WORD_FILE], o->id) != 0 ||
        !ash_parse_uint(words[WORD_FIRST], INT64_MAX, &first, NULL)) {
        return false;
    }
    if (strcmp(words[WORD_LAST], "EOF") != 0 &&
        !ash_parse_uint(words[WORD_LAST], INT64_MAX, &last, NULL)) {
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

/* Has the process @name been sent SIGKILL?  /proc/PID/status shows signals that
 * wait to be delivered, as masks in hex. */
static bool
posix_process_is_dying(const char *name)
{
    static const char *const keys[] = { "\nSigPnd:\t", "\nShdPnd:\t" };
    g_autofree char *path = g_strdup_printf("/proc/%s/status", name);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return true;
    }
    for (size_t i = 0; i < ASH_N_ELEMENTS(keys); i++) {
        const char *at = strstr(text, keys[i]);
        g_autofree char *mask = NULL;
        uint64_t signals;

        if (!at) {
            continue;
        }
        at += strlen(keys[i]);
        mask = g_strdup_printf("0x%.*s", (int)strcspn(at, "\n"), at);
        if (ash_parse_uint(mask, UINT64_MAX, &signals, NULL) &&
            (signals >> (SIGKILL - 1) & 1) != 0) {
            return true;
        }
    }
    return false;
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
            posix_process_has_lock(o, entry->d_name, (int)pid == getpid()) &&
            !posix_process_is_dying(entry->d_name)) {
            o->ret = (int)pid;
        }
    }
    closedir(dir);
}

int coroutine_fn
aio_posix_co_lock_owner(AioFile *file, uint64_t offset, uint64_t bytes)
{
    PosixOwner o = {
        .fd = file->fd,
        .first = offset,
        .last = offset + bytes - 1,
    };

    aio_posix_co_run(aio_posix(file), posix_owner_work, &o);
    return o.ret;
}
