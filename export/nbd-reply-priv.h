/*
 * export/nbd-reply-priv.h - laying out and queueing replies; export only.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "export/nbd-request-priv.h"

/* Room that a final reply without data may need, error text included. */
#define NBD_REPLY_DONE_MAX ((size_t)128)

/* @bytes in conn->out_buf, aligned to @align so that @lead bytes in, memory
 * is a multiple of it; a reference in *ret_buf.  NULL: out of memory. */
uint8_t *coroutine_fn nbd_reply_co_reserve(NbdConn *conn, size_t bytes,
                                           size_t lead, size_t align,
                                           NbdBuf **ret_buf);
/* The same without waiting and without a reference; NULL: no room just now. */
uint8_t *nbd_reply_try_reserve(NbdConn *conn, size_t bytes);
/* The same, with a reference in *ret_buf, and beyond the budgets if need be:
 * for heads of replies, which end what holds memory.  NULL: out of memory. */
uint8_t *nbd_reply_reserve(NbdConn *conn, size_t bytes, NbdBuf **ret_buf);
/* Whether there is room for one more final reply.  The receiver makes some
 * before it takes a request, or waits, so that what is reserved beyond the
 * budgets is bounded by the requests in flight. */
static inline bool
nbd_reply_has_room(const NbdConn *conn)
{
    const NbdBuf *buf = conn->out_buf;

    return buf && buf->capacity - buf->used >= NBD_REPLY_DONE_MAX;
}
void coroutine_fn nbd_reply_co_make_room(NbdConn *conn);
/* The final reply of a request without data: success or -errno. */
void nbd_reply_done(NbdRequest *r, int ret);
/* The same, into room that is there already: nbd_reply_bytes_max(). */
void nbd_reply_done_into(NbdRequest *r, int ret, NbdBuf *take_buf,
                         uint8_t *head);
/* Encode an error chunk for a read that failed at @offset; its length. */
size_t nbd_reply_encode_error_at(NbdConn *conn, const NbdCall *call,
                                 uint64_t offset, int ret, uint8_t *out);
/* Queue @bytes at @data of @take_buf. */
void nbd_reply_add(NbdConn *conn, NbdBuf *take_buf, const uint8_t *data,
                   size_t bytes);
/* The request's final reply is queued: let it go. */
void nbd_reply_end(NbdRequest *r);
/* The receiver has no more input: the replies go out, later ones flush
 * themselves. */
void nbd_reply_end_batch(NbdConn *conn);
/* Wait until fewer than @n_pieces wait to be sent, and no more than
 * @n_pipes pipes. */
void coroutine_fn nbd_reply_co_wait_room(NbdConn *conn, size_t n_pieces,
                                         size_t n_pipes);
