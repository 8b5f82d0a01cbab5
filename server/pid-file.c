/*
 * server/pid-file.c - see server/pid-file.h.
 *
 * Method: a lock belongs to an inode, a name may get another inode.  So:
 *  P1  Whoever holds the lock of the inode that the name leads to, and only
 *      he, may replace or remove the name.
 *  P2  A name that leads nowhere is taken by a rename that replaces nothing.
 *  P3  The new inode is locked before the name leads to it.
 * Two starters that find an old file: one gets its lock, replaces it, and the
 * other finds the new one locked (P1, P3).  Two that find none: the rename of
 * one fails (P2).  Who locked an old inode checks afterwards that the name
 * still leads to it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/pid-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

#define SERVER_PID_TRIES 100
#define SERVER_PID_MODE 0644

struct ServerPidFile {
    char *path; /* absolute */
    int old_fd; /* locked: what was there before, -1: nothing */
    int fd;     /* locked: ours, -1: not published */
};

/* Does the name lead to the inode behind @fd? */
static bool
server_pid_is_named(const char *path, int fd)
{
    struct stat by_name;
    struct stat by_fd;

    return lstat(path, &by_name) == 0 && fstat(fd, &by_fd) == 0 &&
           by_name.st_dev == by_fd.st_dev && by_name.st_ino == by_fd.st_ino;
}

/* Who has the file says the file itself. */
static void
server_pid_set_taken_error(const char *path, int fd, GError **error)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? strspn(text, G_CSET_DIGITS) : 0] = '\0';
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                "pid file '%s': process %s is running with it", path,
                text[0] != '\0' ? text : "another");
}

static bool
server_pid_check_regular(const char *path, int fd, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        return true;
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                "pid file '%s': it exists and is not a regular file", path);
    return false;
}

/* Lock what is at the path, if anything: *ret is the fd or -1. */
static bool
server_pid_lock_old(const char *path, int *ret, GError **error)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    *ret = -1;
    if (fd < 0 && errno == ENOENT) {
        return true;
    }
    if (fd < 0) {
        ash_set_error_errno(error, errno, "pid file '%s'", path);
        return false;
    }
    if (!server_pid_check_regular(path, fd, error)) {
        close(fd);
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        server_pid_set_taken_error(path, fd, error);
        close(fd);
        return false;
    }
    *ret = fd;
    return true;
}

ServerPidFile *
server_pid_file_claim(const char *path, GError **error)
{
    ServerPidFile *pid_file = g_new0(ServerPidFile, 1);

    pid_file->path = g_canonicalize_filename(path, NULL);
    pid_file->fd = -1;
    if (!server_pid_lock_old(pid_file->path, &pid_file->old_fd, error)) {
        pid_file->old_fd = -1;
        server_pid_file_free(pid_file);
        return NULL;
    }
    return pid_file;
}

/* A new file beside the path, complete and locked; its name in @ret_name. */
static int
server_pid_make(const char *path, char **ret_name, GError **error)
{
    g_autofree char *name = g_strdup_printf("%s.XXXXXX", path);
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    ssize_t len = (ssize_t)strlen(text);
    int fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, SERVER_PID_MODE);

    if (fd < 0) {
        ash_set_error_errno(error, errno, "pid file '%s'", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 ||
        write(fd, text, (size_t)len) != len) {
        ash_set_error_errno(error, errno, "pid file '%s'", path);
        unlink(name);
        close(fd);
        return -1;
    }
    *ret_name = g_steal_pointer(&name);
    return fd;
}

/* Let the path lead to the file called @name: 0, or -errno; -EEXIST: somebody
 * else's file is there now. */
static int
server_pid_rename(const ServerPidFile *pid_file, const char *name)
{
    int ret;

    if (pid_file->old_fd >= 0 &&
        server_pid_is_named(pid_file->path, pid_file->old_fd)) {
        ret = rename(name, pid_file->path);
        return ret < 0 ? -errno : 0;
    }
    ret = renameat2(AT_FDCWD, name, AT_FDCWD, pid_file->path, RENAME_NOREPLACE);
    if (ret < 0 && errno == EINVAL) {
        /* A file system without the flag: no protection from a race. */
        ret = rename(name, pid_file->path);
    }
    return ret < 0 ? -errno : 0;
}

static bool
server_pid_place(ServerPidFile *pid_file, const char *name, GError **error)
{
    for (int i = 0; i < SERVER_PID_TRIES; i++) {
        int ret = server_pid_rename(pid_file, name);

        if (ret == 0) {
            return true;
        }
        if (ret != -EEXIST) {
            ash_set_error_errno(error, -ret, "pid file '%s'", pid_file->path);
            return false;
        }
        if (pid_file->old_fd >= 0) {
            close(pid_file->old_fd);
        }
        if (!server_pid_lock_old(pid_file->path, &pid_file->old_fd, error)) {
            return false;
        }
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                "pid file '%s': others keep replacing it", pid_file->path);
    return false;
}

bool
server_pid_file_publish(ServerPidFile *pid_file, GError **error)
{
    g_autofree char *name = NULL;

    ash_assert(pid_file->fd < 0);
    pid_file->fd = server_pid_make(pid_file->path, &name, error);
    if (pid_file->fd < 0) {
        return false;
    }
    if (!server_pid_place(pid_file, name, error)) {
        unlink(name);
        close(pid_file->fd);
        pid_file->fd = -1;
        return false;
    }
    if (pid_file->old_fd >= 0) {
        close(pid_file->old_fd);
        pid_file->old_fd = -1;
    }
    return true;
}

void
server_pid_file_remove(ServerPidFile *pid_file)
{
    if (pid_file->fd >= 0 &&
        server_pid_is_named(pid_file->path, pid_file->fd)) {
        unlink(pid_file->path);
    }
}

void
server_pid_file_free(ServerPidFile *pid_file)
{
    if (!pid_file) {
        return;
    }
    server_pid_file_remove(pid_file);
    if (pid_file->fd >= 0) {
        close(pid_file->fd);
    }
    if (pid_file->old_fd >= 0) {
        close(pid_file->old_fd);
    }
    g_free(pid_file->path);
    g_free(pid_file);
}
