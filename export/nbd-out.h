/*
 * export/nbd-out.h - NbdOut: what waits to be sent on one connection.
 *
 * Pieces of buffers and filled pipes, in order.  Neighbouring pieces of one
 * buffer become one, so a batch of small replies leaves as a single piece.
 *
 * Layer:   export.      Thread: the connection's loop.      Never yields.
 * Tests:   tests/unit/export/test-out.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/channel.h"
#include "export/nbd-buf.h"

/* A pipe that carries file pages to a socket. */
typedef struct NbdPipe {
    int read_fd;
    int write_fd;
    size_t capacity;
    struct NbdPipe *next; /* in the pool */
} NbdPipe;

/* One loop's idle pipes. */
typedef struct NbdPipePool {
    NbdPipe *free;
    unsigned n_free;
    bool unavailable; /* the host refuses large pipes */
} NbdPipePool;

#define NBD_PIPE_BYTES ((size_t)1 << 20)
#define NBD_PIPES_FREE_MAX 8U

/* An empty pipe, NULL: none to be had. */
NbdPipe *nbd_pipe_get(NbdPipePool *pool);
/* Empty pipes are kept, others closed. */
void nbd_pipe_put(NbdPipePool *pool, NbdPipe *pipe, bool is_empty);
void nbd_pipe_pool_done(NbdPipePool *pool);

typedef struct NbdPiece {
    NbdBuf *buf; /* a reference; NULL for a pipe */
    const uint8_t *data;
    NbdPipe *pipe;
    size_t bytes;
} NbdPiece;

typedef struct NbdOut {
    NbdPiece *pieces; /* ring of @capacity, a power of two */
    size_t capacity;
    size_t first;
    size_t n;
    size_t n_pipes;
} NbdOut;

void nbd_out_init(NbdOut *out);
/* Drop what is there. */
void nbd_out_clear(NbdOut *out, NbdPipePool *pool);
void nbd_out_done(NbdOut *out);

/* Append @bytes at @data, inside @take_buf (a reference, taken). */
void nbd_out_add(NbdOut *out, NbdBuf *take_buf, const uint8_t *data,
                 size_t bytes);
/* Append the @bytes that are in @take_pipe. */
void nbd_out_add_pipe(NbdOut *out, NbdPipe *take_pipe, size_t bytes);

/* Send until all is gone (0), the channel is full (-EAGAIN), or it fails
 * (-errno). */
int nbd_out_push(NbdOut *out, Channel *chan, NbdPipePool *pool);

static inline bool
nbd_out_is_empty(const NbdOut *out)
{
    return out->n == 0;
}
