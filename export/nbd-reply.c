/*
 * export/nbd-reply.c - lay out replies, queue them, send them.
 *
 * Method: while the receiver works through a batch, replies only queue; it
 * sends them with one call when the input is used up.  Replies that come later
 * are sent at the end of the loop's turn.  When the socket is full, a sender
 * coroutine waits for it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-errno.h"
#include "export/nbd-reply-priv.h"

/* Give back what requests were counted for that wait no more; one step stays
 * until nothing is in flight, so that a busy connection does not come and go.
 */
static void
nbd_reply_discharge(NbdConn *conn)
{
    unsigned spare = conn->in_flight > 0 ? NBD_REQUESTS_STEP : 0;

    while (conn->n_charged >= NBD_REQUESTS_STEP + spare &&
           conn->in_flight + NBD_REQUESTS_STEP + spare <=
               conn->n_charged + NBD_REQUESTS_FREE) {
        conn->n_charged -= NBD_REQUESTS_STEP;
        nbd_account_discharge(&conn->account,
                              NBD_REQUESTS_STEP * NBD_REQUEST_BYTES);
    }
}

NbdBuf *coroutine_fn
nbd_conn_co_get_buf(NbdConn *conn, size_t bytes)
{
    NbdBuf *buf = nbd_buf_try_get(&conn->account, bytes);
    bool batch = conn->in_batch && conn->receiver == coro_self();

    if (buf) {
        return buf;
    }
    /* What waits to be sent may be what memory waits for. */
    if (batch) {
        conn->in_batch = false;
    }
    nbd_reply_flush(conn);
    nbd_reply_discharge(conn);
    buf = nbd_buf_co_get(&conn->account, bytes);
    if (batch) {
        conn->in_batch = true;
    }
    return buf;
}

uint8_t *coroutine_fn
nbd_reply_co_reserve(NbdConn *conn, size_t bytes, size_t lead, size_t align,
                     NbdBuf **ret_buf)
{
    for (;;) {
        NbdBuf *buf = conn->out_buf;

        if (buf && buf->refs == 1) {
            buf->used = 0; /* everything in it was sent */
        }
        if (buf) {
            size_t start = ash_round_up(buf->used + lead, align) - lead;

            if (start + bytes <= buf->capacity) {
                buf->used = start + bytes;
                *ret_buf = nbd_buf_ref(buf);
                return buf->data + start;
            }
            conn->out_buf = NULL;
            nbd_buf_unref(buf);
        }
        buf = nbd_conn_co_get_buf(conn, bytes + align);
        if (!buf) {
            return NULL;
        }
        nbd_buf_unref(conn->out_buf); /* another request may have made one */
        conn->out_buf = buf;
    }
}

void coroutine_fn
nbd_reply_co_make_room(NbdConn *conn)
{
    NbdBuf *buf;
    uint8_t *start = nbd_reply_co_reserve(conn, NBD_REPLY_DONE_MAX, 0, 1, &buf);

    if (start) {
        buf->used = (size_t)(start - buf->data);
        nbd_buf_unref(buf);
    }
}

uint8_t *
nbd_reply_try_reserve(NbdConn *conn, size_t bytes)
{
    NbdBuf *buf = conn->out_buf;
    uint8_t *start;

    if (ash_unlikely(!buf)) {
        return NULL;
    }
    if (buf->refs == 1) {
        buf->used = 0; /* everything in it was sent */
    }
    if (ash_unlikely(bytes > buf->capacity - buf->used)) {
        return NULL;
    }
    start = buf->data + buf->used;
    buf->used += bytes;
    return start;
}

uint8_t *
nbd_reply_reserve(NbdConn *conn, size_t bytes, NbdBuf **ret_buf)
{
    uint8_t *head = nbd_reply_try_reserve(conn, bytes);

    if (ash_unlikely(!head)) {
        NbdBuf *buf = nbd_buf_force(&conn->account, bytes);

        if (!buf) {
            return NULL;
        }
        nbd_buf_unref(conn->out_buf);
        conn->out_buf = buf;
        buf->used = bytes;
        head = buf->data;
    }
    *ret_buf = nbd_buf_ref(conn->out_buf);
    return head;
}

void
nbd_reply_add(NbdConn *conn, NbdBuf *take_buf, const uint8_t *data,
              size_t bytes)
{
    if (conn->dead) {
        nbd_buf_unref(take_buf);
        return;
    }
    nbd_out_add(&conn->out, take_buf, data, bytes);
}

/* ---- final replies without data ---- */

/* An error chunk; with the offset it happened at unless that is ~0. */
static size_t
nbd_reply_encode_error(NbdConn *conn, const NbdCall *call, uint32_t error,
                       uint64_t offset, uint8_t *out)
{
    const char *text = nbd_error_text(error);
    size_t text_len = strlen(text);
    bool has_offset = offset != UINT64_MAX;
    Be32 be_error = be32_put(error);
    Be16 be_len = be16_put((uint16_t)text_len);
    Be64 be_offset = be64_put(offset);
    size_t len = sizeof(be_error) + sizeof(be_len) + text_len +
                 (has_offset ? sizeof(be_offset) : 0);
    uint8_t *p = out;

    p += nbd_encode_chunk(conn->mode, out,
                          &(NbdChunk){
                              .flags = NBD_REPLY_FLAG_DONE,
                              .type = has_offset ? NBD_REPLY_TYPE_ERROR_OFFSET
                                                 : NBD_REPLY_TYPE_ERROR,
                              .cookie = call->cookie,
                              .offset = call->offset,
                              .len = len,
                          });
    memcpy(p, &be_error, sizeof(be_error));
    p += sizeof(be_error);
    memcpy(p, &be_len, sizeof(be_len));
    p += sizeof(be_len);
    memcpy(p, text, text_len);
    p += text_len;
    if (has_offset) {
        memcpy(p, &be_offset, sizeof(be_offset));
        p += sizeof(be_offset);
    }
    ash_assert((size_t)(p - out) <= NBD_REPLY_DONE_MAX);
    return (size_t)(p - out);
}

size_t
nbd_reply_encode_error_at(NbdConn *conn, const NbdCall *call, uint64_t offset,
                          int ret, uint8_t *out)
{
    return nbd_reply_encode_error(conn, call, nbd_errno(-ret), offset, out);
}

static size_t
nbd_reply_encode_done(NbdConn *conn, const NbdCall *call, uint32_t error,
                      uint8_t *out)
{
    /* Structured replies are a must for READ only. */
    if (conn->mode == NBD_MODE_SIMPLE ||
        (conn->mode == NBD_MODE_STRUCTURED && error == 0 &&
         call->command != NBD_CMD_READ)) {
        return nbd_encode_simple_reply(out, call->cookie, error);
    }
    if (error != 0) {
        return nbd_reply_encode_error(conn, call, error, UINT64_MAX, out);
    }
    return nbd_encode_chunk(conn->mode, out,
                            &(NbdChunk){ .flags = NBD_REPLY_FLAG_DONE,
                                         .type = NBD_REPLY_TYPE_NONE,
                                         .cookie = call->cookie,
                                         .offset = call->offset });
}

void
nbd_reply_done_into(NbdRequest *r, int ret, NbdBuf *take_buf, uint8_t *head)
{
    NbdConn *conn = r->conn;
    size_t n = nbd_reply_encode_done(conn, &r->call, nbd_errno(-ret), head);

    nbd_reply_add(conn, take_buf, head, n);
    nbd_reply_end(r);
}

void
nbd_reply_done(NbdRequest *r, int ret)
{
    NbdConn *conn = r->conn;
    NbdBuf *buf;
    uint8_t *head = nbd_reply_reserve(conn, NBD_REPLY_DONE_MAX, &buf);

    if (!head) {
        nbd_conn_kill(conn);
        nbd_reply_end(r);
        return;
    }
    size_t n = nbd_reply_encode_done(conn, &r->call, nbd_errno(-ret), head);

    /* The last reservation gives back what it does not need, so that the
     * replies of a batch stay next to each other. */
    if (head + NBD_REPLY_DONE_MAX == buf->data + buf->used) {
        buf->used -= NBD_REPLY_DONE_MAX - n;
    }
    nbd_reply_add(conn, buf, head, n);
    nbd_reply_end(r);
}

void
nbd_reply_end(NbdRequest *r)
{
    NbdConn *conn = r->conn;

    nbd_request_free(r);
    ash_assert(conn->in_flight > 0);
    conn->in_flight--;
    if (conn->in_batch) {
        return;
    }
    if (conn->in_flight == 0) {
        co_queue_wake_all(&conn->idle);
    }
    nbd_reply_discharge(conn);
    if (conn->in_flight == NBD_IN_FLIGHT_MAX / 2) {
        co_queue_wake_all(&conn->out_space);
    }
    loop_defer(conn->home->loop, &conn->flush);
}

/* ---- sending ---- */

static void coroutine_fn
nbd_reply_co_sender(void *arg)
{
    NbdConn *conn = arg;
    unsigned stalls = 0;
    int ret = 0;

    while (!conn->dead) {
        ret = chan_co_wait(conn->chan, CHAN_WRITE, NBD_STALL_NS);
        if (ret == -ETIMEDOUT && !nbd_conn_lost_patience(conn, ++stalls)) {
            ret = -EAGAIN;
        } else if (ret == 0) {
            stalls = 0;
            ret = nbd_out_push(&conn->out, conn->chan, &conn->home->pipes);
        }
        co_queue_wake_all(&conn->out_space);
        if (ret != -EAGAIN) {
            break;
        }
    }
    conn->sender = false;
    if (conn->dead || (ret < 0 && ret != -EAGAIN)) {
        nbd_conn_kill(conn);
    }
    co_queue_wake_all(&conn->out_space);
    co_queue_wake_all(&conn->idle);
    if (conn->closing) {
        nbd_conn_start_closing(conn);
    }
}

void
nbd_reply_flush(NbdConn *conn)
{
    int ret;

    if (conn->dead || conn->sender || nbd_out_is_empty(&conn->out)) {
        return;
    }
    ret = nbd_out_push(&conn->out, conn->chan, &conn->home->pipes);
    if (ret == -EAGAIN) {
        conn->sender = true;
        coro_spawn_later(nbd_reply_co_sender, conn);
    } else if (ret < 0) {
        nbd_conn_kill(conn);
    } else if (!conn->in && conn->in_flight == 0 && conn->out_buf &&
               conn->out_buf->refs == 1) {
        nbd_buf_unref(conn->out_buf);
        conn->out_buf = NULL;
    }
}

void
nbd_reply_end_batch(NbdConn *conn)
{
    conn->in_batch = false;
    nbd_reply_flush(conn);
    nbd_reply_discharge(conn);
    if (conn->closing) {
        nbd_conn_start_closing(conn);
    }
}

void coroutine_fn
nbd_reply_co_wait_room(NbdConn *conn, size_t n_pieces, size_t n_pipes)
{
    while (!conn->dead &&
           (conn->out.n >= n_pieces || conn->out.n_pipes > n_pipes)) {
        nbd_reply_flush(conn);
        if (conn->sender) {
            co_queue_co_wait(&conn->out_space);
        }
    }
}
