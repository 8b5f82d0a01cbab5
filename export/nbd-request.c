/*
 * export/nbd-request.c - receive requests, validate them, run them.
 *
 * Method: each complete request is validated against one table, gets its
 * memory and becomes a coroutine, which usually ends without having waited.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-names.h"
#include "export/nbd-reply-priv.h"

/* Work before others on the loop get a turn; a request is one unit, and one
 * more for each NBD_BATCH_UNIT bytes. */
#define NBD_BATCH_UNITS 128U
#define NBD_BATCH_UNIT ((uint64_t)32 << 10)
#define NBD_FREE_REQUESTS_MAX 2048U

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
    r->charged = 0;
    r->n_ids = 0;
    return r;
}

void
nbd_request_free(NbdRequest *r)
{
    NbdHome *home = r->conn->home;

    nbd_buf_unref(r->buf);
    nbd_buf_unref(r->more);
    if (r->charged > 0) {
        nbd_account_discharge(&r->conn->account, r->charged);
    }
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

void
nbd_request_pool_done(NbdHome *home)
{
    while (home->free_requests) {
        NbdRequest *r = home->free_requests;

        home->free_requests = r->next;
        g_free(r);
    }
    home->n_free_requests = 0;
}

/* ---- validation ---- */

typedef struct NbdRule {
    uint16_t flags; /* allowed besides FUA */
    bool writes;    /* refused on a read-only export */
    bool has_range;
    bool has_data; /* moves payload either way */
    int past_end;  /* errno when the range passes the end */
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
    [NBD_CMD_BLOCK_STATUS] = { NBD_CMD_FLAG_REQ_ONE | NBD_CMD_FLAG_PAYLOAD_LEN,
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
    return (call->flags & ~allowed) == 0;
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
    nbd_reply_done(r, ret);
}

/* ---- dispatch ---- */

/* Bytes that follow the header on the wire.  With extended headers WRITE must
 * say PAYLOAD_LEN (proto.md); QEMU's client does not, and sends them too. */
static uint64_t
nbd_request_payload(const NbdConn *conn, const NbdCall *call)
{
    if (conn->mode == NBD_MODE_EXTENDED &&
        (call->flags & NBD_CMD_FLAG_PAYLOAD_LEN)) {
        return call->len;
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
                    nbd_command_name(call->command), call->flags, call->offset,
                    call->len, -ret);
}

/* Bound what CACHE does, and count what its data are read into. */
static void coroutine_fn
nbd_request_co_prepare_cache(NbdRequest *r)
{
    NbdConn *conn = r->conn;
    size_t bytes = BLK_PREFETCH_BYTES;

    r->range.bytes = ash_min(r->range.bytes, NBD_CACHE_MAX);
    nbd_reply_end_batch(conn);
    nbd_account_co_charge(&conn->account, bytes);
    r->charged = bytes;
    conn->in_batch = true;
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
    conn->in_request = true;
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
    conn->in_request = false;
    if (fatal || conn->dead) {
        nbd_reply_flush(conn);
        nbd_conn_kill(conn);
        nbd_reply_end(r);
        return -EPROTO;
    }
    if (ret < 0) {
        nbd_reply_done(r, ret);
        return 0;
    }
    if (call->command == NBD_CMD_READ && r->range.bytes > 0) {
        if (nbd_read_try_splice(r)) {
            return 0;
        }
        if (!nbd_read_co_reserve(r)) {
            return -ENOMEM;
        }
    } else if (call->command == NBD_CMD_READ) {
        nbd_reply_done(r, 0);
        return 0;
    } else if (call->command == NBD_CMD_CACHE) {
        nbd_request_co_prepare_cache(r);
    }
    coro_spawn(nbd_request_co_run, r);
    return 0;
}

/* The stacks of waiting requests are memory, too. */
static void coroutine_fn
nbd_request_co_charge(NbdConn *conn)
{
    nbd_reply_end_batch(conn);
    nbd_account_co_charge(&conn->account,
                          NBD_REQUESTS_STEP * NBD_REQUEST_BYTES);
    conn->n_charged += NBD_REQUESTS_STEP;
    conn->in_batch = true;
}

/* Wait until one more request may be taken. */
static void coroutine_fn
nbd_request_co_wait_room(NbdConn *conn)
{
    if (ash_unlikely(conn->out.n >= NBD_IN_FLIGHT_MAX ||
                     conn->out.n_pipes > NBD_PIPES_MAX)) {
        nbd_reply_co_wait_room(conn, NBD_IN_FLIGHT_MAX / 2, NBD_PIPES_MAX);
    }
    while (ash_unlikely(conn->in_flight >= NBD_IN_FLIGHT_MAX) && !conn->dead) {
        nbd_reply_end_batch(conn);
        co_queue_co_wait(&conn->out_space);
        conn->in_batch = true;
    }
    if (ash_unlikely(!nbd_reply_has_room(conn))) {
        nbd_reply_co_make_room(conn);
    }
    if (ash_unlikely(conn->in_flight == conn->n_charged + NBD_REQUESTS_FREE)) {
        nbd_request_co_charge(conn);
    }
}

int coroutine_fn
nbd_request_co_receive(NbdConn *conn)
{
    size_t header = nbd_request_bytes(conn->mode);
    uint64_t units = 0;
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
            nbd_reply_end_batch(conn);
            return -EPROTO;
        }
        conn->in_pos += header;
        if (call.command == NBD_CMD_DISC) {
            nbd_reply_end_batch(conn);
            return 0;
        }
        nbd_request_co_wait_room(conn);
        if (!nbd_read_try_at_once(conn, &call)) {
            ret = nbd_request_co_dispatch(conn, &call);
        }
        units += 1 + ash_min(call.len, NBD_PAYLOAD_MAX) / NBD_BATCH_UNIT;
        if (units >= NBD_BATCH_UNITS) {
            units = 0;
            nbd_reply_flush(conn);
            co_pause();
        }
    }
    nbd_reply_end_batch(conn);
    return ret;
}
