/*
 * export/nbd-read.c - READ: four ways to answer.
 *
 *  at once  Small, and in memory already: a plain function call, no request
 *           object and no coroutine.
 *  splice   The data are pages of a plain file, in memory: they go from the
 *           file to the socket through a pipe and are never copied by us.
 *           The pipe is filled before the header is queued, so an error of
 *           the file is an error reply and costs no connection.
 *  inline   Up to NBD_READ_INLINE_MAX bytes: header and data lie next to each
 *           other in the connection's reply buffer, and a batch of them leaves
 *           as one piece.
 *  apart    More: the data have a buffer of their own.
 *
 * Structured replies tell holes from data where the node knows them without
 * reading (proto.md, NBD_REPLY_TYPE_OFFSET_HOLE), unless the client says DF.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-reply-priv.h"

#define NBD_READ_SPLICE_MIN ((uint64_t)32 << 10)
#define NBD_READ_INLINE_MAX ((uint64_t)64 << 10)
#define NBD_REPLY_HOLE_MAX (NBD_REPLY_HEADER_MAX + sizeof(Be32))
/* A pipe of n bytes takes n / 4096 pages, whole or not. */
#define NBD_PAGE_BYTES ((uint64_t)4096)
/* Shorter zeros are sent as they are. */
#define NBD_READ_HOLE_MIN ((uint64_t)64)
/* Chunks of one sparse reply; what is left then is sent as data. */
#define NBD_READ_CHUNKS_MAX 64

/* The header of a data reply that carries @bytes at @offset; its length. */
static size_t
nbd_read_encode(NbdMode mode, const NbdCall *call, uint8_t *out,
                uint64_t offset, uint64_t bytes, uint16_t flags)
{
    Be64 be_offset = be64_put(offset);
    size_t n;

    if (mode == NBD_MODE_SIMPLE) {
        return nbd_encode_simple_reply(out, call->cookie, 0);
    }
    n = nbd_encode_chunk(mode, out,
                         &(NbdChunk){ .flags = flags,
                                      .type = NBD_REPLY_TYPE_OFFSET_DATA,
                                      .cookie = call->cookie,
                                      .offset = call->offset,
                                      .len = bytes + sizeof(Be64) });
    memcpy(out + n, &be_offset, sizeof(be_offset));
    return n + sizeof(be_offset);
}

/* The whole chunk of a hole; its length, up to NBD_REPLY_HOLE_MAX. */
static size_t
nbd_read_encode_hole(NbdMode mode, const NbdCall *call, uint8_t *out,
                     BlkRange range, uint16_t flags)
{
    Be64 be_offset = be64_put(range.offset);
    Be32 be_bytes = be32_put((uint32_t)range.bytes);
    size_t n;

    n = nbd_encode_chunk(
        mode, out,
        &(NbdChunk){ .flags = flags,
                     .type = NBD_REPLY_TYPE_OFFSET_HOLE,
                     .cookie = call->cookie,
                     .offset = call->offset,
                     .len = sizeof(be_offset) + sizeof(be_bytes) });
    memcpy(out + n, &be_offset, sizeof(be_offset));
    n += sizeof(be_offset);
    memcpy(out + n, &be_bytes, sizeof(be_bytes));
    return n + sizeof(be_bytes);
}

/* ---- splice ---- */

/* Fill @pipe with the file's pages; false and an empty or spoilt pipe if not
 * all of them came. */
static bool
nbd_read_fill_pipe(NbdPipe *pipe, const BlkFileRange *file, uint64_t bytes)
{
    loff_t offset = (loff_t)file->offset;
    size_t left = bytes;

    while (left > 0) {
        ssize_t n = splice(file->fd, &offset, pipe->write_fd, NULL, left,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

        if (n <= 0) {
            return false;
        }
        left -= (size_t)n;
    }
    return true;
}

/* The pages of @range in a pipe, NULL: read it. */
static NbdPipe *
nbd_read_map(NbdConn *conn, BlkRange range)
{
    BlkFileRange file;
    NbdPipe *pipe;

    if (blk_map_file(conn->blk, range, &file) < 0) {
        return NULL;
    }
    pipe = nbd_pipe_get(&conn->home->pipes);
    if (pipe && !nbd_read_fill_pipe(pipe, &file, range.bytes)) {
        nbd_pipe_put(&conn->home->pipes, pipe, false);
        return NULL;
    }
    return pipe;
}

bool
nbd_read_try_splice(NbdRequest *r)
{
    NbdConn *conn = r->conn;
    BlkRange pages = blk_range_align_out(r->range, NBD_PAGE_BYTES);
    NbdPipe *pipe;
    NbdBuf *buf;
    uint8_t *head;
    size_t n;

    if (r->range.bytes < NBD_READ_SPLICE_MIN || !conn->chan->ops->splice ||
        pages.bytes > NBD_PIPE_BYTES) {
        return false;
    }
    head = nbd_reply_reserve(conn, NBD_REPLY_HEADER_MAX, &buf);
    if (!head) {
        return false;
    }
    pipe = nbd_read_map(conn, r->range);
    if (!pipe) {
        buf->used = (size_t)(head - buf->data);
        nbd_buf_unref(buf);
        return false;
    }
    n = nbd_read_encode(conn->mode, &r->call, head, r->range.offset,
                        r->range.bytes, NBD_REPLY_FLAG_DONE);
    buf->used = (size_t)(head - buf->data) + n;
    nbd_reply_add(conn, buf, head, n);
    if (conn->dead) {
        nbd_pipe_put(&conn->home->pipes, pipe, false);
    } else {
        nbd_out_add_pipe(&conn->out, pipe, r->range.bytes);
    }
    nbd_reply_end(r);
    nbd_reply_flush(conn);
    return true;
}

/* ---- at once ---- */

bool
nbd_read_try_at_once(NbdConn *conn, const NbdCall *call)
{
    size_t lead = nbd_read_header_bytes(conn->mode);
    size_t room = lead + call->len;
    uint8_t *head;
    BlkRange range;
    IoVec iov;

    if (call->command != NBD_CMD_READ || call->flags != 0 ||
        call->len >= NBD_READ_SPLICE_MIN || call->len == 0 || conn->closing ||
        !blk_range_validate(call->offset, call->len, &range)) {
        return false;
    }
    head = nbd_reply_try_reserve(conn, room);
    if (!head) {
        return false;
    }
    iov_init_one(&iov, head + lead, range.bytes);
    if (blk_try_read(conn->blk, range, &iov) != 0) {
        conn->out_buf->used -= room;
        return false;
    }
    if (conn->mode != NBD_MODE_SIMPLE && range.bytes >= NBD_READ_HOLE_MIN &&
        ash_buf_is_zero(head + lead, range.bytes)) {
        size_t n = nbd_read_encode_hole(conn->mode, call, head, range,
                                        NBD_REPLY_FLAG_DONE);

        conn->out_buf->used -= room - n;
        nbd_reply_add(conn, nbd_buf_ref(conn->out_buf), head, n);
        return true;
    }
    ash_maybe(nbd_read_encode(conn->mode, call, head, range.offset, range.bytes,
                              NBD_REPLY_FLAG_DONE));
    nbd_reply_add(conn, nbd_buf_ref(conn->out_buf), head, room);
    return true;
}

/* ---- room for the reply ---- */

bool coroutine_fn
nbd_read_co_reserve(NbdRequest *r)
{
    NbdConn *conn = r->conn;
    size_t lead = nbd_read_header_bytes(conn->mode);
    size_t bytes = r->range.bytes;
    bool apart = bytes > NBD_READ_INLINE_MAX;
    size_t room =
        apart ? NBD_REPLY_DONE_MAX : ash_max(lead + bytes, NBD_REPLY_DONE_MAX);

    r->head = nbd_reply_co_reserve(conn, room, lead,
                                   apart ? 1 : conn->mem_align, &r->buf);
    if (r->head && apart) {
        r->more = nbd_conn_co_get_buf(conn, bytes);
    }
    if (!r->head || (apart && !r->more)) {
        nbd_conn_kill(conn);
        nbd_reply_end(r);
        return false;
    }
    r->v[0].iov_base = apart ? r->more->data : r->head + lead;
    r->v[0].iov_len = bytes;
    return true;
}

/* Queue header and data of the whole range. */
static void
nbd_read_finish(NbdRequest *r)
{
    NbdConn *conn = r->conn;
    NbdBuf *buf = r->buf;
    size_t n = nbd_read_encode(conn->mode, &r->call, r->head, r->range.offset,
                               r->range.bytes, NBD_REPLY_FLAG_DONE);

    r->buf = NULL;
    if (r->more) {
        NbdBuf *more = r->more;

        r->more = NULL;
        nbd_reply_add(conn, buf, r->head, n);
        nbd_reply_add(conn, more, more->data, r->range.bytes);
    } else {
        nbd_reply_add(conn, buf, r->head, n + r->range.bytes);
    }
    nbd_reply_end(r);
}

/* ---- sparse ---- */

/* What is known of the start of @range without reading it. */
static BlkExtent coroutine_fn
nbd_read_co_status(NbdRequest *r, BlkRange range)
{
    BlkExtent extent = { .bytes = 0 };

    if (blk_co_status(r->conn->blk, range, &extent) < 0 || extent.bytes == 0) {
        extent = (BlkExtent){ .bytes = range.bytes, .status = BLK_STATUS_DATA };
    }
    return extent;
}

/* Queue the chunk that says @range reads as zeros. */
static void
nbd_read_hole(NbdRequest *r, BlkRange range, uint16_t flags)
{
    NbdConn *conn = r->conn;
    NbdBuf *buf;
    uint8_t *head = nbd_reply_reserve(conn, NBD_REPLY_HOLE_MAX, &buf);

    if (!head) {
        nbd_conn_kill(conn);
        return;
    }
    nbd_reply_add(
        conn, buf, head,
        nbd_read_encode_hole(conn->mode, &r->call, head, range, flags));
}

/* Queue the data of @range, which are in place at r->v; the error otherwise,
 * with the offset it happened at. */
static void
nbd_read_chunk(NbdRequest *r, BlkRange range, uint16_t flags)
{
    NbdConn *conn = r->conn;
    NbdBuf *buf;
    uint8_t *head = nbd_reply_reserve(conn, NBD_REPLY_HEADER_MAX, &buf);
    uint8_t *data =
        (uint8_t *)r->v[0].iov_base + (range.offset - r->range.offset);

    if (!head) {
        nbd_conn_kill(conn);
        return;
    }
    nbd_reply_add(conn, buf, head,
                  nbd_read_encode(conn->mode, &r->call, head, range.offset,
                                  range.bytes, flags));
    nbd_reply_add(conn, nbd_buf_ref(r->more ? r->more : r->buf), data,
                  range.bytes);
}

/* The final chunk of a read that failed at @offset. */
static void
nbd_read_error_at(NbdRequest *r, uint64_t offset, int ret)
{
    NbdConn *conn = r->conn;
    NbdBuf *buf;
    uint8_t *head = nbd_reply_reserve(conn, NBD_REPLY_DONE_MAX, &buf);

    if (!head) {
        nbd_conn_kill(conn);
        return;
    }
    nbd_reply_add(conn, buf, head,
                  nbd_reply_encode_error_at(conn, &r->call, offset, ret, head));
}

/* Go through the extents; data are read and sent one by one.  @first is the
 * answer for the start. */
static void coroutine_fn
nbd_read_co_sparse(NbdRequest *r, BlkExtent first)
{
    BlkRange left = r->range;
    BlkExtent extent = first;

    for (unsigned n = 1; left.bytes > 0; n++) {
        uint64_t bytes = ash_min(extent.bytes, left.bytes);
        BlkRange part;
        uint16_t flags;

        if (n == NBD_READ_CHUNKS_MAX) {
            bytes = left.bytes;
            extent.status = BLK_STATUS_DATA;
        }
        part = blk_range_head(left, bytes);
        left = blk_range_skip(left, bytes);
        flags = left.bytes == 0 ? NBD_REPLY_FLAG_DONE : 0;
        if (extent.status & BLK_STATUS_ZERO) {
            nbd_read_hole(r, part, flags);
        } else {
            IoVec iov;
            int ret;

            iov_init_one(&iov,
                         (uint8_t *)r->v[0].iov_base +
                             (part.offset - r->range.offset),
                         part.bytes);
            ret = blk_co_read(r->conn->blk, part, &iov, 0);
            if (ret < 0) {
                nbd_read_error_at(r, part.offset, ret);
                break;
            }
            nbd_read_chunk(r, part, flags);
        }
        if (left.bytes > 0) {
            extent = nbd_read_co_status(r, left);
        }
    }
    nbd_reply_end(r);
}

void coroutine_fn
nbd_read_co_run(NbdRequest *r)
{
    NbdConn *conn = r->conn;
    IoVec iov;
    int ret;

    if (conn->mode != NBD_MODE_SIMPLE && !(r->call.flags & NBD_CMD_FLAG_DF)) {
        BlkExtent extent = nbd_read_co_status(r, r->range);

        if (extent.bytes < r->range.bytes ||
            (extent.status & BLK_STATUS_ZERO)) {
            nbd_read_co_sparse(r, extent);
            return;
        }
    }
    iov_init_one(&iov, r->v[0].iov_base, r->v[0].iov_len);
    ret = blk_co_read(conn->blk, r->range, &iov, 0);
    if (ret < 0) {
        NbdBuf *buf = r->buf;

        r->buf = NULL;
        nbd_reply_done_into(r, ret, buf, r->head);
        return;
    }
    nbd_read_finish(r);
}
