/*
 * export/nbd-status.c - BLOCK_STATUS: extents of each context in one reply.
 *
 * Method: the extents of one context are gathered in a buffer of their own,
 * neighbours of equal state become one, and each context is one chunk.  Long
 * walks let others run.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-reply-priv.h"

/* Answers of the node before others on the loop get a turn. */
#define NBD_STATUS_STEP 64U
/* Replies that do not keep a buffer to themselves. */
#define NBD_STATUS_COPY_MAX ((size_t)4096)

/* Extents in the form of one mode, at @data. */
typedef struct NbdExtents {
    NbdMode mode;
    uint8_t *data;
    size_t n;
    size_t n_max;
    uint64_t last_bytes;
    uint32_t last_flags;
} NbdExtents;

static size_t
nbd_extent_bytes(NbdMode mode)
{
    return mode == NBD_MODE_EXTENDED ? 16 : 8;
}

static void
nbd_extents_store_last(NbdExtents *e)
{
    uint8_t *p = e->data + (e->n - 1) * nbd_extent_bytes(e->mode);

    if (e->mode == NBD_MODE_EXTENDED) {
        Be64 v[2] = { be64_put(e->last_bytes), be64_put(e->last_flags) };

        memcpy(p, v, sizeof(v));
    } else {
        Be32 v[2] = { be32_put((uint32_t)e->last_bytes),
                      be32_put(e->last_flags) };

        memcpy(p, v, sizeof(v));
    }
}

/* False when it does not fit any more. */
static bool
nbd_extents_add(NbdExtents *e, uint64_t bytes, uint32_t flags)
{
    /* A 32-bit length stays a multiple of every block size. */
    uint64_t max =
        e->mode == NBD_MODE_EXTENDED ? INT64_MAX : UINT32_MAX & ~0xffffU;

    if (e->n > 0 && e->last_flags == flags && bytes <= max &&
        e->last_bytes <= max - bytes) {
        e->last_bytes += bytes;
        nbd_extents_store_last(e);
        return true;
    }
    if (e->n == e->n_max) {
        return false;
    }
    e->n++;
    e->last_bytes = ash_min(bytes, max);
    e->last_flags = flags;
    nbd_extents_store_last(e);
    return bytes <= max;
}

/* State and length at the start of @range in context @id. */
static int coroutine_fn
nbd_status_co_ask(Blk *blk, uint32_t id, BlkRange range, uint64_t *ret_bytes,
                  uint32_t *ret_flags)
{
    BlkExtent extent;
    int ret;

    if (id == NBD_META_ALLOCATION_DEPTH) {
        return blk_co_allocation_depth(blk, range, ret_bytes, ret_flags);
    }
    ret = blk_co_status(blk, range, &extent);
    if (ret < 0) {
        return ret;
    }
    *ret_bytes = extent.bytes;
    *ret_flags = (extent.status & BLK_STATUS_DATA ? 0 : NBD_STATE_HOLE) |
                 (extent.status & BLK_STATUS_ZERO ? NBD_STATE_ZERO : 0);
    return 0;
}

static int coroutine_fn
nbd_status_co_gather(NbdRequest *r, uint32_t id, NbdExtents *e)
{
    Blk *blk = r->conn->blk;
    BlkRange left = r->range;

    for (unsigned n = 1; left.bytes > 0; n++) {
        uint64_t bytes = 0;
        uint32_t flags = 0;
        int ret = nbd_status_co_ask(blk, id, left, &bytes, &flags);

        if (ret < 0) {
            return e->n > 0 ? 0 : ret; /* what is known is an answer */
        }
        bytes = ash_min(bytes, left.bytes);
        if (bytes == 0) {
            return e->n > 0 ? 0 : -EIO;
        }
        if (!nbd_extents_add(e, bytes, flags)) {
            return 0;
        }
        left = blk_range_skip(left, bytes);
        if (n % NBD_STATUS_STEP == 0) {
            co_pause();
        }
    }
    return 0;
}

/* Queue @bytes of @take_buf; few go to the common reply buffer instead. */
static int
nbd_status_queue(NbdConn *conn, NbdBuf *take_buf, size_t bytes)
{
    NbdBuf *common;
    uint8_t *copy;

    if (bytes > NBD_STATUS_COPY_MAX) {
        nbd_reply_add(conn, take_buf, take_buf->data, bytes);
        return 0;
    }
    copy = nbd_reply_reserve(conn, bytes, &common);
    if (copy) {
        memcpy(copy, take_buf->data, bytes);
        nbd_reply_add(conn, common, copy, bytes);
    }
    nbd_buf_unref(take_buf);
    return copy ? 0 : -ENOMEM;
}

/* One chunk for context @id; -errno if there is nothing to say. */
static int coroutine_fn
nbd_status_co_chunk(NbdRequest *r, uint32_t id, uint16_t flags)
{
    NbdConn *conn = r->conn;
    bool extended = conn->mode == NBD_MODE_EXTENDED;
    size_t lead = nbd_chunk_bytes(conn->mode) + (extended ? 8 : 4);
    bool one = r->call.flags & NBD_CMD_FLAG_REQ_ONE;
    NbdExtents e = { .mode = conn->mode };
    NbdBuf *buf = nbd_conn_co_get_buf(conn, NBD_BUF_BYTES);
    Be32 v[2];
    int ret;

    if (!buf) {
        return -ENOMEM;
    }
    e.data = buf->data + lead;
    e.n_max = one ? 1 : (buf->capacity - lead) / nbd_extent_bytes(e.mode);
    ret = nbd_status_co_gather(r, id, &e);
    if (ret < 0) {
        nbd_buf_unref(buf);
        return ret;
    }
    size_t body = e.n * nbd_extent_bytes(e.mode);
    size_t n = nbd_encode_chunk(
        conn->mode, buf->data,
        &(NbdChunk){ .flags = flags,
                     .type = extended ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT
                                      : NBD_REPLY_TYPE_BLOCK_STATUS,
                     .cookie = r->call.cookie,
                     .offset = r->call.offset,
                     .len = body + (extended ? 8 : 4) });
    v[0] = be32_put(id);
    v[1] = be32_put((uint32_t)e.n);
    memcpy(buf->data + n, v, extended ? 8 : 4);
    return nbd_status_queue(conn, buf, lead + body);
}

/* The contexts that this request is about. */
static unsigned
nbd_status_ids(NbdRequest *r, uint32_t *ids)
{
    unsigned n = 0;

    if (r->n_ids > 0) {
        memcpy(ids, r->ids, sizeof(r->ids));
        return r->n_ids;
    }
    for (uint32_t id = 1; id <= NBD_N_META; id++) {
        if (r->conn->negotiated.meta[id]) {
            ids[n++] = id;
        }
    }
    return n;
}

void coroutine_fn
nbd_status_co_run(NbdRequest *r)
{
    uint32_t ids[NBD_N_META];
    unsigned n = nbd_status_ids(r, ids);

    for (unsigned i = 0; i < n; i++) {
        uint16_t flags = i + 1 == n ? NBD_REPLY_FLAG_DONE : 0;
        int ret = nbd_status_co_chunk(r, ids[i], flags);

        if (ret < 0) {
            nbd_reply_done(r, ret);
            return;
        }
    }
    nbd_reply_end(r);
}
