/*
 * server/socket-unix.c - unix and abstract sockets; see server/socket.h.
 *
 * Method: bind; if the name is taken, ask by connecting whether anybody is
 * there.  "Refused" means that the file was left behind, and only then it is
 * removed.  Between bind and listen a new socket refuses too, so check, bind
 * and listen happen under a lock on the directory.  Who can't have the lock
 * (another user holds it for ever) goes on without after a while.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "server/socket-priv.h"

#define SERVER_UNIX_LOCK_MS 2000
#define SERVER_UNIX_TRIES 8

static socklen_t
server_unix_address(const ConfAddr *addr, struct sockaddr_un *ret)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t len = strlen(addr->path);

    ash_assert(len < sizeof(ret->sun_path));
    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    if (!addr->abstract) {
        memcpy(ret->sun_path, addr->path, len);
        return (socklen_t)(head + len + 1);
    }
    memcpy(ret->sun_path + 1, addr->path, len);
    return (socklen_t)(addr->tight ? head + 1 + len : sizeof(*ret));
}

/* A descriptor that holds the lock, or -1: do without. */
static int
server_unix_lock_dir(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int ms = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; ms += 10) {
        if (errno != EWOULDBLOCK || ms >= SERVER_UNIX_LOCK_MS) {
            close(fd);
            return -1;
        }
        g_usleep(10 * 1000);
    }
    return fd;
}

/* Nobody listens on the file at @un: remove it, so that a bind can be tried
 * again. */
static bool
server_unix_clear(const struct sockaddr_un *un, socklen_t len, GError **error)
{
    struct stat st;
    int fd;
    int err = 0;

    if (lstat(un->sun_path, &st) < 0) {
        err = errno;
        if (err != ENOENT) {
            ash_set_error_errno(error, err, "can't look at it");
        }
        return err == ENOENT;
    }
    if (!S_ISSOCK(st.st_mode)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                    "the file exists and is not a socket");
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)un, len) < 0) {
        err = errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (err == ENOENT || (err == ECONNREFUSED && unlink(un->sun_path) == 0)) {
        return true;
    }
    if (err == 0 || err == EAGAIN) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                    "a running server listens there");
    } else if (err == ECONNREFUSED) {
        ash_set_error_errno(error, errno, "can't remove the old socket");
    } else {
        ash_set_error_errno(error, err, "can't tell whether it is in use");
    }
    return false;
}

static bool
server_unix_bind(int fd, const ConfAddr *addr, const struct sockaddr_un *un,
                 socklen_t len, GError **error)
{
    for (int i = 0; i < SERVER_UNIX_TRIES; i++) {
        int err;

        if (bind(fd, (const struct sockaddr *)un, len) == 0) {
            return true;
        }
        err = errno;
        if (err != EADDRINUSE) {
            ash_set_error_errno(error, err, "can't bind");
            return false;
        }
        if (addr->abstract) {
            break;
        }
        if (!server_unix_clear(un, len, error)) {
            return false;
        }
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                "a running server listens there");
    return false;
}

/* Remember which file we made, to remove that one only. */
static bool
server_unix_note_file(ServerSocket *sock, const char *path, GError **error)
{
    struct stat st;

    if (lstat(path, &st) < 0) {
        ash_set_error_errno(error, errno, "can't look at the new socket");
        return false;
    }
    sock->file = g_canonicalize_filename(path, NULL);
    sock->file_dev = st.st_dev;
    sock->file_ino = st.st_ino;
    return true;
}

static bool
server_unix_listen(const ConfAddr *addr, ServerSocket *sock, GError **error)
{
    struct sockaddr_un un;
    socklen_t len = server_unix_address(addr, &un);

    if (!server_unix_bind(sock->fd, addr, &un, len, error) ||
        (!addr->abstract && !server_unix_note_file(sock, addr->path, error))) {
        return false;
    }
    if (listen(sock->fd, SERVER_BACKLOG) < 0) {
        ash_set_error_errno(error, errno, "can't listen");
        return false;
    }
    return true;
}

bool
server_unix_open(const ConfAddr *addr, GPtrArray *ret, GError **error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int lock;
    bool ok;

    if (fd < 0) {
        ash_set_error_errno(error, errno, "can't make a socket");
        return false;
    }
    g_ptr_array_add(ret, server_socket_new(fd, AF_UNIX));
    lock = addr->abstract ? -1 : server_unix_lock_dir(addr->path);
    ok = server_unix_listen(addr, g_ptr_array_index(ret, ret->len - 1), error);
    if (lock >= 0) {
        close(lock);
    }
    return ok;
}
