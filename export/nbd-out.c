/*
 * export/nbd-out.c - see export/nbd-out.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "export/nbd-out.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#include "base/assert.h"

/* Pieces of one send; the kernel takes 1024, more than a batch needs. */
#define NBD_OUT_IOV 64

/* ---- pipes ---- */

static void
nbd_pipe_free(NbdPipe *pipe)
{
    (void)close(pipe->read_fd);
    (void)close(pipe->write_fd);
    g_free(pipe);
}

NbdPipe *
nbd_pipe_get(NbdPipePool *pool)
{
    NbdPipe *pipe = pool->free;
    int fds[2];
    int capacity;

    if (pipe) {
        pool->free = pipe->next;
        pool->n_free--;
        return pipe;
    }
    if (pool->unavailable || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        return NULL;
    }
    capacity = fcntl(fds[1], F_SETPIPE_SZ, (int)NBD_PIPE_BYTES);
    pipe = g_new0(NbdPipe, 1);
    pipe->read_fd = fds[0];
    pipe->write_fd = fds[1];
    if (capacity < (int)NBD_PIPE_BYTES) {
        pool->unavailable = true;
        nbd_pipe_free(pipe);
        return NULL;
    }
    pipe->capacity = (size_t)capacity;
    return pipe;
}

void
nbd_pipe_put(NbdPipePool *pool, NbdPipe *pipe, bool is_empty)
{
    if (!is_empty || pool->n_free == NBD_PIPES_FREE_MAX) {
        nbd_pipe_free(pipe);
        return;
    }
    pipe->next = pool->free;
    pool->free = pipe;
    pool->n_free++;
}

void
nbd_pipe_pool_done(NbdPipePool *pool)
{
    while (pool->free) {
        NbdPipe *pipe = pool->free;

        pool->free = pipe->next;
        nbd_pipe_free(pipe);
    }
    pool->n_free = 0;
}

/* ---- the queue ---- */

void
nbd_out_init(NbdOut *out)
{
    *out = (NbdOut){ .pieces = NULL };
}

static NbdPiece *
nbd_out_at(NbdOut *out, size_t i)
{
    return &out->pieces[(out->first + i) & (out->capacity - 1)];
}

static void
nbd_out_drop_first(NbdOut *out, NbdPipePool *pool, bool pipe_is_empty)
{
    NbdPiece *piece = nbd_out_at(out, 0);

    if (piece->pipe) {
        nbd_pipe_put(pool, piece->pipe, pipe_is_empty);
        out->n_pipes--;
    } else {
        nbd_buf_unref(piece->buf);
    }
    out->first++;
    out->n--;
}

void
nbd_out_clear(NbdOut *out, NbdPipePool *pool)
{
    while (out->n > 0) {
        nbd_out_drop_first(out, pool, false);
    }
}

void
nbd_out_done(NbdOut *out)
{
    ash_assert(out->n == 0);
    g_free(out->pieces);
    nbd_out_init(out);
}

static NbdPiece *
nbd_out_append(NbdOut *out)
{
    if (out->n == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 16;
        NbdPiece *pieces = g_new(NbdPiece, capacity);

        for (size_t i = 0; i < out->n; i++) {
            pieces[i] = *nbd_out_at(out, i);
        }
        g_free(out->pieces);
        out->pieces = pieces;
        out->capacity = capacity;
        out->first = 0;
    }
    return nbd_out_at(out, out->n++);
}

void
nbd_out_add(NbdOut *out, NbdBuf *take_buf, const uint8_t *data, size_t bytes)
{
    if (out->n > 0) {
        NbdPiece *last = nbd_out_at(out, out->n - 1);

        if (last->buf == take_buf && last->data + last->bytes == data) {
            last->bytes += bytes;
            nbd_buf_unref(take_buf);
            return;
        }
    }
    *nbd_out_append(out) = (NbdPiece){
        .buf = take_buf,
        .data = data,
        .bytes = bytes,
    };
}

void
nbd_out_add_pipe(NbdOut *out, NbdPipe *take_pipe, size_t bytes)
{
    *nbd_out_append(out) = (NbdPiece){ .pipe = take_pipe, .bytes = bytes };
    out->n_pipes++;
}

/* ---- sending ---- */

/* Take @bytes that were sent off the front. */
static void
nbd_out_consume(NbdOut *out, NbdPipePool *pool, size_t bytes)
{
    while (bytes > 0) {
        NbdPiece *piece = nbd_out_at(out, 0);

        if (bytes < piece->bytes) {
            piece->bytes -= bytes;
            if (!piece->pipe) {
                piece->data += bytes;
            }
            return;
        }
        bytes -= piece->bytes;
        nbd_out_drop_first(out, pool, true);
    }
}

static ptrdiff_t
nbd_out_send(NbdOut *out, Channel *chan)
{
    struct iovec v[NBD_OUT_IOV];
    unsigned n = 0;
    bool more = false;

    for (size_t i = 0; i < out->n && n < NBD_OUT_IOV; i++) {
        const NbdPiece *piece = nbd_out_at(out, i);

        if (piece->pipe) {
            more = true;
            break;
        }
        v[n].iov_base = (void *)(uintptr_t)piece->data;
        v[n].iov_len = piece->bytes;
        n++;
    }
    return chan_send(chan, v, n, more || n < out->n);
}

int
nbd_out_push(NbdOut *out, Channel *chan, NbdPipePool *pool)
{
    while (out->n > 0) {
        const NbdPiece *piece = nbd_out_at(out, 0);
        ptrdiff_t n;

        if (piece->pipe) {
            n = chan->ops->splice(chan, piece->pipe->read_fd, piece->bytes,
                                  out->n > 1);
        } else {
            n = nbd_out_send(out, chan);
        }
        if (n < 0) {
            return (int)n;
        }
        nbd_out_consume(out, pool, (size_t)n);
    }
    return 0;
}
