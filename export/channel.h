/*
 * export/channel.h - Channel: a byte stream to one client.
 *
 * Transfers never wait: they move what they can or say -EAGAIN; chan_co_wait()
 * waits.  channel-socket.c implements it on sockets, tests/lib/sim-net.c on
 * memory.
 *
 * Layer:   export.      Thread: the loop it is attached to.
 * Yields:  chan_co_wait().
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/annotate.h"
#include "base/error.h"
#include "coro/loop.h"

typedef struct Channel Channel;

typedef enum {
    CHAN_READ = LOOP_FD_READ,
    CHAN_WRITE = LOOP_FD_WRITE,
} ChanEvent;

typedef struct ChannelOps {
    /* Bytes taken, 0 at the end of the stream, or -errno. */
    ptrdiff_t (*recv)(Channel *chan, const struct iovec *v, unsigned n);
    /* Bytes sent, > 0, or -errno.  @more: another send follows at once. */
    ptrdiff_t (*send)(Channel *chan, const struct iovec *v, unsigned n,
                      bool more);
    /* Send @bytes out of a pipe; the same results.  NULL: can't. */
    ptrdiff_t (*splice)(Channel *chan, int pipe_fd, size_t bytes, bool more);
    /* 0, -ETIMEDOUT, or -ECANCELED after shutdown. */
    int coroutine_fn (*co_wait)(Channel *chan, ChanEvent event,
                                uint64_t timeout_ns);
    /* End both directions; who waits is woken with -ECANCELED. */
    void (*shutdown)(Channel *chan);
    /* Leave the loop / join one.  Nobody waits. */
    void (*detach)(Channel *chan);
    bool (*attach)(Channel *chan, Loop *loop, GError **error);
    /* Detached or attached; nobody waits. */
    void (*free)(Channel *chan);
} ChannelOps;

struct Channel {
    const ChannelOps *ops;
    char *peer;    /* "127.0.0.1:4711", "unix", for messages */
    bool is_local; /* a unix socket */
};

/* Take over a connected, non-blocking socket; not attached yet. */
Channel *chan_new_socket(int take_fd, char *take_peer, bool is_local);

static inline ptrdiff_t
chan_recv(Channel *chan, const struct iovec *v, unsigned n)
{
    return chan->ops->recv(chan, v, n);
}

static inline ptrdiff_t
chan_send(Channel *chan, const struct iovec *v, unsigned n, bool more)
{
    return chan->ops->send(chan, v, n, more);
}

static inline int coroutine_fn
chan_co_wait(Channel *chan, ChanEvent event, uint64_t timeout_ns)
{
    return chan->ops->co_wait(chan, event, timeout_ns);
}
