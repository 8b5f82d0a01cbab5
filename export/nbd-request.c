/*
 * export/nbd-request.c - receive requests, validate them, run them.
 *
 * Method: one recv takes what has come; each complete request is validated
 * against one table, gets its memory and becomes a coroutine, which usually
 * ends without having waited.  A payload that has not come whole is received
 * into a buffer of its own behind the part that is here, and what follows it
 * into the next input buffer, with one call.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-conn-priv.h"
#include "export/nbd-names.h"

/* Requests handled, or bytes moved, before others on the loop get a turn. */
#define NBD_BATCH_REQUESTS 128U
#define NBD_BATCH_BYTES ((size_t)2 << 20)
#define NBD_FREE_REQUESTS_MAX 2048U
/* Payloads up to here are used where they were received. */
#define NBD_PAYLOAD_INLINE_MAX ((size_t)64 << 10)

/* ---- request objects ---- */

NbdRequest *
nbd_request_new(NbdConn *conn)
{
    NbdHome *home = conn->home;
    NbdRequest *r = home->free_requests;

    if (r) {
        home->free_requests = r->next;
        home->n_free_requests--;
    } else {
        r = g_new(NbdRequest, 1);
    }
    r->conn = conn;
    r->buf = NULL;
    r->more = NULL;
    r->n_v = 0;
    r->n_ids = 0;
    return r;
}

void
nbd_request_free(NbdRequest *r)
{
    NbdHome *home = r->conn->home;

    nbd_buf_unref(r->buf);
    nbd_buf_unref(r->more);
    r->call.offset = UINT64_MAX; /* a stale use goes nowhere */
    r->range = (BlkRange){ .offset = UINT64_MAX };
    if (home->n_free_requests == NBD_FREE_REQUESTS_MAX) {
        g_free(r);
        return;
    }
    r->next = home->free_requests;
    home->free_requests = r;
    home->n_free_requests++;
}

/* ---- validation ---- */

typedef struct NbdRule {
    uint16_t flags;   /* allowed besides FUA */
    bool writes;      /* refused on a read-only export */
    bool has_range;
    bool has_data;    /* moves payload either way */
    int past_end;     /* errno when the range passes the end */
} NbdRule;

static const NbdRule nbd_rules[] = {
    [NBD_CMD_READ] = { NBD_CMD_FLAG_DF, false, true, true, EINVAL },
    [NBD_CMD_WRITE] = { NBD_CMD_FLAG_PAYLOAD_LEN, true, true, true, ENOSPC },
    [NBD_CMD_DISC] = { 0, false, false, false, 0 },
    [NBD_CMD_FLUSH] = { 0, false, false, false, 0 },
    [NBD_CMD_TRIM] = { 0, true, true, false, EINVAL },
    [NBD_CMD_CACHE] = { 0, false, true, false, EINVAL },
    [NBD_CMD_WRITE_ZEROES] = { NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FAST_ZERO,
                               true, true, false, ENOSPC },
    [NBD_CMD_BLOCK_STATUS] = { NBD_CMD_FLAG_REQ_ONE |
                                   NBD_CMD_FLAG_PAYLOAD_LEN,
                               false, true, false, EINVAL },
};

/* Flags that only some negotiated modes have. */
static bool
nbd_request_flags_valid(const NbdConn *conn, const NbdCall *call,
                        const NbdRule *rule)
{
    uint16_t allowed = rule->flags | NBD_CMD_FLAG_FUA;

    if (conn->mode != NBD_MODE_EXTENDED) {
        allowed &= (uint16_t)~NBD_CMD_FLAG_PAYLOAD_LEN;
    }
    if (conn->mode == NBD_MODE_SIMPLE) {
        allowed &= (uint16_t)~NBD_CMD_FLAG_DF;
    }
    if (call->flags & ~allowed) {
        return false;
    }
    /* proto.md: with extended headers, WRITE always says PAYLOAD_LEN. */
    return conn->mode != NBD_MODE_EXTENDED || call->command != NBD_CMD_WRITE ||
           (call->flags & NBD_CMD_FLAG_PAYLOAD_LEN);
}

/* 0 and r->range, or -errno; all that can be said without I/O.  @bytes: the
 * length of the effect. */
static int
nbd_request_validate(NbdRequest *r, uint64_t bytes)
{
    const NbdConn *conn = r->conn;
    const NbdCall *call = &r->call;
    const NbdRule *rule;

    if (call->command >= ASH_N_ELEMENTS(nbd_rules)) {
        return -EINVAL;
    }
    rule = &nbd_rules[call->command];
    if (!nbd_request_flags_valid(conn, call, rule)) {
        return -EINVAL;
    }
    if (conn->closing) {
        return -ESHUTDOWN;
    }
    if (rule->writes && conn->read_only) {
        return -EPERM;
    }
    if (!rule->has_range) {
        /* The offset and length of FLUSH are zero in the specification;
         * nothing depends on them, so others are no error. */
        r->range = (BlkRange){ .offset = 0 };
        return 0;
    }
    if (rule->has_data && bytes > NBD_PAYLOAD_MAX) {
        return -EINVAL;
    }
    if (!blk_range_validate(call->offset, bytes, &r->range) ||
        !blk_range_is_inside(r->range, blk_size(conn->blk))) {
        return -rule->past_end;
    }
    if (call->command == NBD_CMD_BLOCK_STATUS &&
        (bytes == 0 || !nbd_conn_has_meta(conn))) {
        return -EINVAL;
    }
    return 0;
}

/* ---- execution ---- */

static int coroutine_fn
nbd_request_co_write(NbdRequest *r, BlkReqFlags flags)
{
    IoVec iov;

    iov_init_array(&iov, r->v, r->n_v);
    return blk_co_write(r->conn->blk, r->range, &iov, flags);
}

static int coroutine_fn
nbd_request_co_zero(NbdRequest *r, BlkReqFlags flags)
{
    if (!(r->call.flags & NBD_CMD_FLAG_NO_HOLE)) {
        flags |= BLK_REQ_MAY_UNMAP;
    }
    if (r->call.flags & NBD_CMD_FLAG_FAST_ZERO) {
        flags |= BLK_REQ_NO_FALLBACK;
    }
    return blk_co_zero(r->conn->blk, r->range, flags);
}

static void coroutine_fn
nbd_request_co_run(void *arg)
{
    NbdRequest *r = arg;
    Blk *blk = r->conn->blk;
    BlkReqFlags flags = r->call.flags & NBD_CMD_FLAG_FUA ? BLK_REQ_FUA : 0;
    int ret;

    switch (r->call.command) {
    case NBD_CMD_READ:
        nbd_read_co_run(r);
        return;
    case NBD_CMD_BLOCK_STATUS:
        nbd_status_co_run(r);
        return;
    case NBD_CMD_WRITE:
        ret = nbd_request_co_write(r, flags);
        break;
    case NBD_CMD_FLUSH:
        ret = blk_co_flush(blk);
        break;
    case NBD_CMD_TRIM:
        ret = blk_co_trim(blk, r->range, flags);
        break;
    case NBD_CMD_CACHE:
        ret = blk_co_prefetch(blk, r->range);
        break;
    case NBD_CMD_WRITE_ZEROES:
        ret = nbd_request_co_zero(r, flags);
        break;
    default:
        ash_unreachable();
    }
    nbd_reply_co_done(r, ret);
}

/* ---- receiving ---- */

static size_t
nbd_in_bytes(const NbdConn *conn)
{
    return conn->in_end - conn->in_pos;
}

/* Make sure that there is an input buffer with room behind in_end. */
static int coroutine_fn
nbd_in_co_prepare(NbdConn *conn)
{
    NbdBuf *old = conn->in;
    size_t left = nbd_in_bytes(conn);
    NbdBuf *buf;

    if (old && left == 0 && old->refs == 1) {
        conn->in_pos = 0;
        conn->in_end = 0;
        return 0;
    }
    if (old && conn->in_end < old->capacity) {
        return 0;
    }
    buf = nbd_conn_co_get_buf(conn, NBD_BUF_BYTES);
    if (!buf) {
        return -ENOMEM;
    }
    if (left > 0) {
        memcpy(buf->data, old->data + conn->in_pos, left);
    }
    nbd_buf_unref(old);
    conn->in = buf;
    conn->in_pos = 0;
    conn->in_end = left;
    return 0;
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
    return chan_co_wait(conn->chan, CHAN_READ, UINT64_MAX);
}

/* End the batch: the replies go out, later ones flush themselves. */
static void
nbd_request_end_batch(NbdConn *conn)
{
    conn->in_batch = false;
    nbd_reply_flush(conn);
    if (conn->closing) {
        nbd_conn_start_closing(conn);
    }
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
            nbd_request_end_batch(conn);
            continue; /* the client may have answered meanwhile */
        }
        ret = chan_co_wait(conn->chan, CHAN_READ, UINT64_MAX);
        if (ret < 0) {
            return ret;
        }
    }
}

/* Get more input: at least one byte. */
static int coroutine_fn
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
            nbd_request_end_batch(conn);
            continue;
        }
        ret = nbd_in_co_wait(conn);
        if (ret < 0) {
            return ret;
        }
    }
}

/* Drop @bytes of payload that nobody wants. */
static int coroutine_fn
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
        struct iovec v[2];
        ptrdiff_t got;
        int ret = nbd_in_co_prepare(conn);

        if (ret < 0) {
            return ret;
        }
        v[0].iov_base = dst + done;
        v[0].iov_len = bytes - done;
        v[1].iov_base = conn->in->data + conn->in_end;
        v[1].iov_len = conn->in->capacity - conn->in_end;
        got = nbd_in_co_recv(conn, v, 2);
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

/* Take the payload of a WRITE: pieces in r->v, references in r->buf, r->more.
 * Nothing is written before all of it has come. */
static int coroutine_fn
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
static int coroutine_fn
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

/* ---- dispatch ---- */

/* Bytes that follow the header on the wire. */
static uint64_t
nbd_request_payload(const NbdConn *conn, const NbdCall *call)
{
    if (conn->mode == NBD_MODE_EXTENDED) {
        return call->flags & NBD_CMD_FLAG_PAYLOAD_LEN ? call->len : 0;
    }
    return call->command == NBD_CMD_WRITE ? call->len : 0;
}

static void
nbd_request_log_invalid(const NbdConn *conn, const NbdCall *call, int ret)
{
    ash_log_limited(&((NbdConn *)(uintptr_t)conn)->log_limit, ASH_LOG_DEBUG,
                    "request refused: peer=%s export=%s cmd=%s flags=0x%x "
                    "offset=%" G_GUINT64_FORMAT " bytes=%" G_GUINT64_FORMAT
                    " errno=%d",
                    nbd_conn_peer(conn), export_id(conn->export),
                    nbd_command_name(call->command), call->flags,
                    call->offset, call->len, -ret);
}

/* Take what follows the header and run the request or answer its error.
 * 0, or -errno when the connection cannot go on. */
static int coroutine_fn
nbd_request_co_dispatch(NbdConn *conn, const NbdCall *call)
{
    NbdRequest *r = nbd_request_new(conn);
    uint64_t payload = nbd_request_payload(conn, call);
    uint64_t bytes = call->len;
    bool fatal = false;
    int ret = 0;

    r->call = *call;
    conn->in_flight++;
    if (payload > NBD_DRAIN_MAX) {
        fatal = true;
    } else if (payload > 0 && call->command == NBD_CMD_BLOCK_STATUS) {
        ret = nbd_in_co_status_filter(r, &bytes, &fatal);
        payload = 0;
    }
    if (ret == 0 && !fatal) {
        ret = nbd_request_validate(r, bytes);
    }
    if (ret < 0 && !fatal) {
        nbd_request_log_invalid(conn, call, ret);
        fatal = nbd_in_co_drop(conn, payload) < 0;
    } else if (!fatal && payload > 0) {
        fatal = nbd_in_co_payload(r) < 0;
    }
    if (fatal || conn->dead) {
        nbd_reply_flush(conn);
        nbd_conn_kill(conn);
        nbd_reply_end(r);
        return -EPROTO;
    }
    if (ret < 0) {
        nbd_reply_co_done(r, ret);
        return 0;
    }
    if (call->command == NBD_CMD_READ && r->range.bytes > 0) {
        if (nbd_read_co_try_splice(r)) {
            return 0;
        }
        if (!nbd_read_co_reserve(r)) {
            return -ENOMEM;
        }
    } else if (call->command == NBD_CMD_READ) {
        nbd_reply_co_done(r, 0);
        return 0;
    }
    coro_spawn(nbd_request_co_run, r);
    return 0;
}

/* Wait until one more request may be taken. */
static void coroutine_fn
nbd_request_co_wait_room(NbdConn *conn)
{
    if (ash_unlikely(conn->out.n + conn->in_flight >= NBD_IN_FLIGHT_MAX ||
                     conn->out.n_pipes > 2)) {
        nbd_reply_co_wait_room(conn, NBD_IN_FLIGHT_MAX / 2, 2);
    }
    while (conn->in_flight >= NBD_IN_FLIGHT_MAX && !conn->dead) {
        nbd_request_end_batch(conn);
        co_queue_co_wait(&conn->out_space);
        conn->in_batch = true;
    }
}

int coroutine_fn
nbd_request_co_receive(NbdConn *conn)
{
    size_t header = nbd_request_bytes(conn->mode);
    unsigned n = 0;
    int ret = 0;

    while (ret == 0) {
        NbdCall call;

        if (nbd_in_bytes(conn) < header) {
            ret = nbd_in_co_fill(conn);
            continue;
        }
        conn->in_batch = true;
        if (!nbd_decode_request(conn->mode, conn->in->data + conn->in_pos,
                                &call)) {
            ash_log_limited(&conn->log_limit, ASH_LOG_INFO,
                            "wrong request magic, closing: peer=%s export=%s",
                            nbd_conn_peer(conn), export_id(conn->export));
            nbd_request_end_batch(conn);
            return -EPROTO;
        }
        conn->in_pos += header;
        if (call.command == NBD_CMD_DISC) {
            nbd_request_end_batch(conn);
            return 0;
        }
        nbd_request_co_wait_room(conn);
        ret = nbd_request_co_dispatch(conn, &call);
        if (++n == NBD_BATCH_REQUESTS) {
            n = 0;
            nbd_reply_flush(conn);
            co_pause();
        }
    }
    nbd_request_end_batch(conn);
    return ret;
}
