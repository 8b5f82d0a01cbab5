/*
 * export/channel-socket.c - Channel on a connected TCP or unix socket.
 *
 * Method: system calls first, waiting through the loop's watch only after
 * EAGAIN.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "export/channel.h"

typedef struct ChanSocket {
    Channel chan;
    int fd;
    LoopFd *watch; /* NULL: detached */
    bool is_shut;
} ChanSocket;

/* What the kernel may hold of one connection's replies, so that a batch of
 * large ones leaves with one call each. */
#define CHAN_SEND_BUFFER ((int)4 << 20)

static ChanSocket *
chan_socket(Channel *chan)
{
    return ash_container_of(chan, ChanSocket, chan);
}

static ptrdiff_t
chan_socket_recv(Channel *chan, const struct iovec *v, unsigned n)
{
    struct msghdr msg = {
        .msg_iov = (struct iovec *)(uintptr_t)v,
        .msg_iovlen = n,
    };
    ssize_t r;

    do {
        r = n == 1 ? recv(chan_socket(chan)->fd, v->iov_base, v->iov_len,
                          MSG_DONTWAIT)
                   : recvmsg(chan_socket(chan)->fd, &msg, MSG_DONTWAIT);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

static ptrdiff_t
chan_socket_send(Channel *chan, const struct iovec *v, unsigned n, bool more)
{
    struct msghdr msg = {
        .msg_iov = (struct iovec *)(uintptr_t)v,
        .msg_iovlen = n,
    };
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t r;

    do {
        r = n == 1 ? send(chan_socket(chan)->fd, v->iov_base, v->iov_len, flags)
                   : sendmsg(chan_socket(chan)->fd, &msg, flags);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

static ptrdiff_t
chan_socket_splice(Channel *chan, int pipe_fd, size_t bytes, bool more)
{
    unsigned flags =
        SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
    ssize_t r;

    do {
        r = splice(pipe_fd, NULL, chan_socket(chan)->fd, NULL, bytes, flags);
    } while (r < 0 && errno == EINTR);
    if (r == 0) {
        return -EIO; /* the pipe holds less than it was filled with */
    }
    return r < 0 ? -errno : r;
}

static int coroutine_fn
chan_socket_co_wait(Channel *chan, ChanEvent event, uint64_t timeout_ns)
{
    ChanSocket *s = chan_socket(chan);

    if (s->is_shut) {
        return -ECANCELED;
    }
    return co_wait_fd(s->watch, (LoopFdEvents)event, timeout_ns);
}

static void
chan_socket_shutdown(Channel *chan)
{
    ChanSocket *s = chan_socket(chan);

    if (!s->is_shut) {
        s->is_shut = true;
        (void)shutdown(s->fd, SHUT_RDWR);
        if (s->watch) {
            loop_fd_cancel(s->watch);
        }
    }
}

static void
chan_socket_detach(Channel *chan)
{
    ChanSocket *s = chan_socket(chan);

    if (s->watch) {
        loop_fd_free(s->watch);
        s->watch = NULL;
    }
}

static bool
chan_socket_attach(Channel *chan, Loop *loop, GError **error)
{
    ChanSocket *s = chan_socket(chan);

    ash_assert(!s->watch);
    s->watch = loop_fd_new(loop, s->fd, error);
    if (s->watch && s->is_shut) {
        loop_fd_cancel(s->watch);
    }
    return s->watch != NULL;
}

static void
chan_socket_free(Channel *chan)
{
    ChanSocket *s = chan_socket(chan);

    chan_socket_detach(chan);
    (void)close(s->fd);
    g_free(chan->peer);
    g_free(s);
}

static const ChannelOps chan_socket_ops = {
    .recv = chan_socket_recv,
    .send = chan_socket_send,
    .splice = chan_socket_splice,
    .co_wait = chan_socket_co_wait,
    .shutdown = chan_socket_shutdown,
    .detach = chan_socket_detach,
    .attach = chan_socket_attach,
    .free = chan_socket_free,
};

Channel *
chan_new_socket(int take_fd, char *take_peer, bool is_local)
{
    ChanSocket *s = g_new0(ChanSocket, 1);
    int size = CHAN_SEND_BUFFER;

    if (is_local && setsockopt(take_fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
                               sizeof(size)) < 0) {
        (void)setsockopt(take_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    }
    s->chan.ops = &chan_socket_ops;
    s->chan.peer = take_peer;
    s->chan.is_local = is_local;
    s->fd = take_fd;
    return &s->chan;
}
