/*
 * export/nbd-input.c - receive: headers, payloads, and what nobody wants.
 *
 * Method: one recv takes what has come.  A small payload is used where it was
 * received.  A large one that has not come whole is received into a buffer of
 * its own behind the part that is here, and what follows it into the next
 * input buffer, with one call.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-reply-priv.h"

/* Payloads up to here are used where they were received. */
#define NBD_PAYLOAD_INLINE_MAX ((size_t)64 << 10)

/* Whether the input buffer has room behind in_end. */
static bool
nbd_in_has_room(NbdConn *conn)
{
    NbdBuf *in = conn->in;

    if (in && nbd_in_bytes(conn) == 0 && in->refs == 1) {
        conn->in_pos = 0;
        conn->in_end = 0;
    }
    return in && conn->in_end < in->capacity;
}

/* Go on in @take_buf; what is not used yet moves there. */
static void
nbd_in_replace(NbdConn *conn, NbdBuf *take_buf)
{
    NbdBuf *old = conn->in;
    NbdBuf *buf = take_buf;
    size_t left = nbd_in_bytes(conn);

    if (left > 0) {
        memcpy(buf->data, old->data + conn->in_pos, left);
    }
    nbd_buf_unref(old);
    conn->in = buf;
    conn->in_pos = 0;
    conn->in_end = left;
}

/* Make sure that there is an input buffer with room behind in_end. */
static int coroutine_fn
nbd_in_co_prepare(NbdConn *conn)
{
    NbdBuf *buf;

    if (nbd_in_has_room(conn)) {
        return 0;
    }
    buf = nbd_conn_co_get_buf(conn, NBD_BUF_BYTES);
    if (!buf) {
        return -ENOMEM;
    }
    nbd_in_replace(conn, buf);
    return 0;
}

/* The same without waiting; false: not now. */
static bool
nbd_in_try_prepare(NbdConn *conn)
{
    NbdBuf *buf;

    if (nbd_in_has_room(conn)) {
        return true;
    }
    buf = nbd_buf_try_get(&conn->account, NBD_BUF_BYTES);
    if (!buf) {
        return false;
    }
    nbd_in_replace(conn, buf);
    return true;
}

/* Sleep until there is something to receive.  Inside a request the server can't
 * close before it is whole, so then a peer that stalls is cut off. */
static int coroutine_fn
nbd_in_co_wait_read(NbdConn *conn)
{
    unsigned stalls = 0;
    int ret;

    do {
        ret = chan_co_wait(conn->chan, CHAN_READ,
                           conn->in_request ? NBD_STALL_NS : UINT64_MAX);
    } while (ret == -ETIMEDOUT && !nbd_conn_lost_patience(conn, ++stalls));
    return ret;
}

/* The socket is empty: give memory back and sleep until it is not. */
static int coroutine_fn
nbd_in_co_wait(NbdConn *conn)
{
    if (conn->in && nbd_in_bytes(conn) == 0) {
        nbd_buf_unref(conn->in);
        conn->in = NULL;
        conn->in_pos = 0;
        conn->in_end = 0;
    }
    if (conn->out_buf && conn->out_buf->refs == 1 && conn->in_flight == 0) {
        nbd_buf_unref(conn->out_buf);
        conn->out_buf = NULL;
    }
    return nbd_in_co_wait_read(conn);
}

/* Receive into @v; waits until there is something.  Bytes, > 0, or -errno
 * (-ECONNRESET at the end of the stream). */
static ptrdiff_t coroutine_fn
nbd_in_co_recv(NbdConn *conn, const struct iovec *v, unsigned n)
{
    for (;;) {
        ptrdiff_t got;
        int ret;

        if (conn->dead) {
            return -ECONNRESET;
        }
        got = chan_recv(conn->chan, v, n);
        if (got > 0) {
            return got;
        }
        if (got != -EAGAIN) {
            return got == 0 ? -ECONNRESET : got;
        }
        if (conn->in_batch) {
            nbd_reply_end_batch(conn);
            continue; /* the client may have answered meanwhile */
        }
        ret = nbd_in_co_wait_read(conn);
        if (ret < 0) {
            return ret;
        }
    }
}

/* Get more input: at least one byte. */
int coroutine_fn
nbd_in_co_fill(NbdConn *conn)
{
    for (;;) {
        struct iovec v;
        ptrdiff_t got;
        int ret = nbd_in_co_prepare(conn);

        if (ret < 0 || conn->dead) {
            return ret < 0 ? ret : -ECONNRESET;
        }
        v.iov_base = conn->in->data + conn->in_end;
        v.iov_len = conn->in->capacity - conn->in_end;
        got = chan_recv(conn->chan, &v, 1);
        if (got > 0) {
            conn->in_end += (size_t)got;
            return 0;
        }
        if (got != -EAGAIN) {
            return got == 0 ? -ECONNRESET : (int)got;
        }
        if (conn->in_batch) {
            nbd_reply_end_batch(conn);
            continue;
        }
        ret = nbd_in_co_wait(conn);
        if (ret < 0) {
            return ret;
        }
    }
}

int coroutine_fn
nbd_in_co_drop(NbdConn *conn, uint64_t bytes)
{
    while (bytes > 0) {
        size_t here = ash_min(nbd_in_bytes(conn), bytes);
        int ret;

        conn->in_pos += here;
        bytes -= here;
        if (bytes > 0) {
            ret = nbd_in_co_fill(conn);
            if (ret < 0) {
                return ret;
            }
        }
    }
    return 0;
}

/* Receive the rest of a payload: the first @here bytes are taken from the
 * input; the others go to r->more, what follows them to a new input buffer. */
static int coroutine_fn
nbd_in_co_payload_rest(NbdRequest *r, size_t here, uint8_t *dst, size_t bytes)
{
    NbdConn *conn = r->conn;
    size_t done = here;

    while (done < bytes) {
        struct iovec v[2] = { { dst + done, bytes - done } };
        unsigned n_v = 1;
        ptrdiff_t got;

        if (nbd_in_try_prepare(conn)) {
            v[1].iov_base = conn->in->data + conn->in_end;
            v[1].iov_len = conn->in->capacity - conn->in_end;
            n_v = 2;
        }
        got = nbd_in_co_recv(conn, v, n_v);
        if (got < 0) {
            return (int)got;
        }
        if ((size_t)got > bytes - done) {
            conn->in_end += (size_t)got - (bytes - done);
            got = (ptrdiff_t)(bytes - done);
        }
        done += (size_t)got;
    }
    return 0;
}

/* A payload of up to NBD_PAYLOAD_INLINE_MAX: wait for all of it in the input;
 * use it there, or copy it to aligned memory for direct I/O. */
static int coroutine_fn
nbd_in_co_payload_small(NbdRequest *r)
{
    NbdConn *conn = r->conn;
    size_t bytes = r->range.bytes;
    uint8_t *data;

    while (nbd_in_bytes(conn) < bytes) {
        int ret = nbd_in_co_fill(conn);

        if (ret < 0) {
            return ret;
        }
    }
    if (conn->mem_align > 1) {
        data = nbd_reply_co_reserve(conn, bytes, 0, conn->mem_align, &r->buf);
        if (!data) {
            return -ENOMEM;
        }
        memcpy(data, conn->in->data + conn->in_pos, bytes);
    } else {
        r->buf = nbd_buf_ref(conn->in);
        data = conn->in->data + conn->in_pos;
    }
    r->v[0] = (struct iovec){ data, bytes };
    r->n_v = 1;
    conn->in_pos += bytes;
    return 0;
}

int coroutine_fn
nbd_in_co_payload(NbdRequest *r)
{
    NbdConn *conn = r->conn;
    size_t bytes = r->range.bytes;
    size_t here;
    uint8_t *start;

    if (bytes <= NBD_PAYLOAD_INLINE_MAX || nbd_in_bytes(conn) >= bytes) {
        return nbd_in_co_payload_small(r);
    }
    r->more = nbd_conn_co_get_buf(conn, bytes);
    if (!r->more) {
        return -ENOMEM;
    }
    here = nbd_in_bytes(conn);
    start = conn->in->data + conn->in_pos;
    conn->in_pos += here;
    if (conn->mem_align > 1) {
        memcpy(r->more->data, start, here);
        r->v[0] = (struct iovec){ r->more->data, bytes };
        r->n_v = 1;
        return nbd_in_co_payload_rest(r, here, r->more->data, bytes);
    }
    if (here > 0) {
        r->buf = nbd_buf_ref(conn->in);
        r->v[r->n_v++] = (struct iovec){ start, here };
    }
    r->v[r->n_v++] = (struct iovec){ r->more->data, bytes - here };
    return nbd_in_co_payload_rest(r, 0, r->more->data, bytes - here);
}

/* The payload of BLOCK_STATUS: which length and which contexts.  0 and
 * *ret_bytes, -EINVAL (the payload was taken), or -ECONNRESET and the like. */
int coroutine_fn
nbd_in_co_status_filter(NbdRequest *r, uint64_t *ret_bytes, bool *ret_fatal)
{
    NbdConn *conn = r->conn;
    uint64_t len = r->call.len;
    uint64_t n_ids = (len - 8) / 4;
    const uint8_t *p;
    Be64 bytes;

    *ret_fatal = false;
    if (len < 8 || len % 4 != 0 || n_ids == 0 || n_ids > NBD_N_META) {
        *ret_fatal = nbd_in_co_drop(conn, len) < 0;
        return -EINVAL;
    }
    while (nbd_in_bytes(conn) < len) {
        if (nbd_in_co_fill(conn) < 0) {
            *ret_fatal = true;
            return -ECONNRESET;
        }
    }
    p = conn->in->data + conn->in_pos;
    conn->in_pos += len;
    memcpy(&bytes, p, sizeof(bytes));
    *ret_bytes = be64_get(bytes);
    for (uint32_t i = 0; i < n_ids; i++) {
        Be32 be_id;
        uint32_t id;

        memcpy(&be_id, p + 8 + 4 * i, sizeof(be_id));
        id = be32_get(be_id);
        if (id == 0 || id > NBD_N_META || !conn->negotiated.meta[id]) {
            return -EINVAL;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (r->ids[j] == id) {
                return -EINVAL;
            }
        }
        r->ids[i] = id;
    }
    r->n_ids = (uint32_t)n_ids;
    return 0;
}
