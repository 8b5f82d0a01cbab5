/*
 * tests/model/model-reply.c - what is answered; see tests/model/model.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "tests/model/model-priv.h"

/* A chunk that is there as a whole. */
typedef struct ModelChunk {
    ModelRequest *request;
    uint16_t flags;
    uint16_t type;
    uint64_t len;
    const uint8_t *body;
} ModelChunk;

/* ---- bytes ---- */

static uint16_t
model_get16(const uint8_t *p)
{
    Be16 be;

    memcpy(&be, p, sizeof(be));
    return be16_get(be);
}

static uint32_t
model_get32(const uint8_t *p)
{
    Be32 be;

    memcpy(&be, p, sizeof(be));
    return be32_get(be);
}

static uint64_t
model_get64(const uint8_t *p)
{
    Be64 be;

    memcpy(&be, p, sizeof(be));
    return be64_get(be);
}

static ModelRequest *
model_reply_find(ModelConn *c, uint64_t cookie)
{
    for (unsigned i = 0; i < c->requests->len; i++) {
        ModelRequest *r = g_ptr_array_index(c->requests, i);

        if (r->cookie == cookie) {
            return r;
        }
    }
    model_conn_complain(c, NULL, "a reply that nobody waits for", cookie);
    return NULL;
}

/* ---- the end of a request ---- */

/* Is this how the request had to end? */
static void
model_reply_judge(ModelConn *c, const ModelRequest *r)
{
    ModelStats *stats = c->run->stats;
    bool may_fail =
        c->run->backend->fails && r->command != NBD_CMD_FLUSH && r->effect > 0;

    if (r->must_fail != 0) {
        stats->n_refused++;
        if (r->error != r->must_fail) {
            model_conn_complain(c, r, "another error than due", r->error);
        }
    } else if (r->error == 0) {
        stats->n_ok++;
    } else if (r->error == NBD_ENOTSUP && r->flags & NBD_CMD_FLAG_FAST_ZERO &&
               r->command == NBD_CMD_WRITE_ZEROES) {
        stats->n_slow++;
    } else if (r->error == NBD_EIO && may_fail) {
        stats->n_injected++;
    } else {
        model_conn_complain(c, r, "a valid request fails", r->error);
    }
}

/* What came of the data, whatever came of the rest. */
static void
model_reply_check_data(ModelConn *c, const ModelRequest *r)
{
    uint64_t i = 0, bad;

    while (i < r->effect) {
        uint64_t begin = i;

        while (i < r->effect && r->covered[i] == r->covered[begin]) {
            i++;
        }
        if (r->covered[begin] &&
            !model_shadow_check(c->run->shadow, r->offset + begin, i - begin,
                                r->data + begin, r->since, &bad)) {
            model_conn_complain(c, r, "data that can't be there, at", bad);
            return;
        }
    }
    if (r->error == 0 && r->n_covered != r->effect) {
        model_conn_complain(c, r, "data that do not come", r->n_covered);
    }
}

static void
model_reply_finish(ModelConn *c, ModelRequest *r)
{
    model_reply_judge(c, r);
    if (r->data) {
        model_reply_check_data(c, r);
    }
    if (c->verify && r->error == 0) {
        memcpy(c->verify + r->offset, r->data, r->effect);
    }
    c->verify_failed |= r->error != 0;
    if (r->command == NBD_CMD_BLOCK_STATUS && r->error == 0 &&
        r->n_status != 1) {
        model_conn_complain(c, r, "not one status for one context",
                            r->n_status);
    }
    if (r->version) {
        model_shadow_end(c->run->shadow, r->version, r->error == 0);
    }
    g_ptr_array_remove(c->requests, r);
}

/* ---- simple replies ---- */

/* How many bytes of the input it takes; 0: not all of them are there. */
static size_t
model_reply_simple(ModelConn *c, const uint8_t *p, size_t bytes)
{
    size_t need = sizeof(NbdSimpleReply);
    ModelRequest *r;
    bool has_data;

    if (bytes < need) {
        return 0;
    }
    r = model_reply_find(c, model_get64(p + 8));
    if (!r) {
        return 0;
    }
    r->error = model_get32(p + 4);
    has_data = r->command == NBD_CMD_READ && r->error == 0;
    if (c->mode != MODEL_SIMPLE &&
        (r->command == NBD_CMD_READ || r->n_chunks > 0 ||
         (r->command == NBD_CMD_BLOCK_STATUS && r->error == 0))) {
        model_conn_complain(c, r, "a simple reply", r->error);
        return 0;
    }
    if (has_data && r->data) {
        need += r->effect;
    }
    if (bytes < need) {
        return 0;
    }
    if (has_data && r->data) {
        memcpy(r->data, p + sizeof(NbdSimpleReply), r->effect);
        memset(r->covered, 1, r->effect);
        r->n_covered = r->effect;
    }
    model_reply_finish(c, r);
    return need;
}

/* ---- chunks ---- */

/* Bytes of a read come: for the first time, and inside?  NULL: complained. */
static uint8_t *
model_chunk_cover(ModelConn *c, ModelRequest *r, uint64_t offset,
                  uint64_t bytes)
{
    if (!r->data || bytes == 0 || offset < r->offset || bytes > r->effect ||
        offset - r->offset > r->effect - bytes ||
        memchr(r->covered + (offset - r->offset), 1, bytes)) {
        model_conn_complain(c, r, "data twice, or of something else", offset);
        return NULL;
    }
    memset(r->covered + (offset - r->offset), 1, bytes);
    r->n_covered += bytes;
    if (r->flags & NBD_CMD_FLAG_DF && r->n_covered != r->effect) {
        model_conn_complain(c, r, "a fragment in spite of DF", bytes);
        return NULL;
    }
    return r->data + (offset - r->offset);
}

static void
model_chunk_data(ModelConn *c, const ModelChunk *chunk)
{
    uint8_t *data;

    if (chunk->len <= 8) {
        model_conn_complain(c, chunk->request, "an empty chunk", chunk->len);
        return;
    }
    data = model_chunk_cover(c, chunk->request, model_get64(chunk->body),
                             chunk->len - 8);
    if (data) {
        memcpy(data, chunk->body + 8, chunk->len - 8);
    }
}

static void
model_chunk_hole(ModelConn *c, const ModelChunk *chunk)
{
    if (chunk->len != 12) {
        model_conn_complain(c, chunk->request, "the length of a hole",
                            chunk->len);
        return;
    }
    (void)model_chunk_cover(c, chunk->request, model_get64(chunk->body),
                            model_get32(chunk->body + 8));
}

static void
model_chunk_error(ModelConn *c, const ModelChunk *chunk)
{
    ModelRequest *r = chunk->request;
    uint64_t tail = chunk->type == NBD_REPLY_TYPE_ERROR_OFFSET ? 8 : 0, len;
    const char *text = (const char *)chunk->body + 6;
    uint32_t error;

    if (chunk->len < 6 + tail) {
        model_conn_complain(c, r, "a short error", chunk->len);
        return;
    }
    error = model_get32(chunk->body);
    len = model_get16(chunk->body + 4);
    if (error == 0 || chunk->len != 6 + len + tail || len > NBD_STRING_MAX ||
        !g_utf8_validate(text, (gssize)len, NULL)) {
        model_conn_complain(c, r, "an error chunk", error);
        return;
    }
    if (tail && model_get64(chunk->body + 6 + len) - r->offset >= r->effect) {
        model_conn_complain(c, r, "an error somewhere else",
                            model_get64(chunk->body + 6 + len));
        return;
    }
    r->error = r->error ? r->error : error;
}

/* ---- block status ---- */

/* Of the extent at @pos; false: complained. */
static bool
model_extent_check(ModelConn *c, const ModelRequest *r, uint64_t pos,
                   uint64_t bytes, uint64_t flags, bool last)
{
    uint64_t left = r->offset + r->effect - pos, bad;

    c->run->stats->n_extents++;
    if (bytes == 0 || flags & ~(uint64_t)(NBD_STATE_HOLE | NBD_STATE_ZERO)) {
        model_conn_complain(c, r, "an extent of flags", flags);
        return false;
    }
    /* Only the last may say more than it was asked, and not with REQ_ONE. */
    if (bytes > left && (!last || r->flags & NBD_CMD_FLAG_REQ_ONE ||
                         bytes > c->run->size - pos)) {
        model_conn_complain(c, r, "an extent too long", bytes);
        return false;
    }
    if (flags & NBD_STATE_ZERO) {
        c->run->stats->n_extents_zero++;
        if (!model_shadow_check(c->run->shadow, pos, ash_min(bytes, left), NULL,
                                r->since, &bad)) {
            model_conn_complain(c, r, "said to be zeros, and is not, at", bad);
            return false;
        }
    }
    return true;
}

static void
model_chunk_status(ModelConn *c, const ModelChunk *chunk)
{
    ModelRequest *r = chunk->request;
    bool extended = c->mode == MODEL_EXTENDED;
    uint64_t lead = extended ? 8 : 4, each = extended ? 16 : 8;
    uint64_t n = chunk->len < lead ? 0 : (chunk->len - lead) / each;
    uint64_t pos = r->offset;

    if (r->command != NBD_CMD_BLOCK_STATUS || r->must_fail != 0 || n == 0 ||
        chunk->len != lead + n * each ||
        (n > 1 && r->flags & NBD_CMD_FLAG_REQ_ONE) ||
        model_get32(chunk->body) != c->meta_id ||
        (extended && model_get32(chunk->body + 4) != n)) {
        model_conn_complain(c, r, "a chunk of status", chunk->len);
        return;
    }
    r->n_status++;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *p = chunk->body + lead + i * each;
        uint64_t bytes = extended ? model_get64(p) : model_get32(p);
        uint64_t flags = extended ? model_get64(p + 8) : model_get32(p + 4);

        if (pos >= r->offset + r->effect) {
            model_conn_complain(c, r, "an extent too many", pos);
            return;
        }
        if (!model_extent_check(c, r, pos, bytes, flags, i + 1 == n)) {
            return;
        }
        pos += bytes;
    }
}

/* ---- one chunk ---- */

static void
model_chunk_take(ModelConn *c, const ModelChunk *chunk)
{
    bool extended = c->mode == MODEL_EXTENDED;

    switch (chunk->type) {
    case NBD_REPLY_TYPE_NONE:
        if (chunk->len != 0 || !(chunk->flags & NBD_REPLY_FLAG_DONE)) {
            model_conn_complain(c, chunk->request, "a chunk of nothing",
                                chunk->len);
        }
        break;
    case NBD_REPLY_TYPE_OFFSET_DATA:
        model_chunk_data(c, chunk);
        break;
    case NBD_REPLY_TYPE_OFFSET_HOLE:
        model_chunk_hole(c, chunk);
        break;
    case NBD_REPLY_TYPE_ERROR:
    case NBD_REPLY_TYPE_ERROR_OFFSET:
        model_chunk_error(c, chunk);
        break;
    default:
        if (chunk->type == (extended ? NBD_REPLY_TYPE_BLOCK_STATUS_EXT
                                     : NBD_REPLY_TYPE_BLOCK_STATUS)) {
            model_chunk_status(c, chunk);
        } else {
            model_conn_complain(c, chunk->request, "a chunk of type",
                                chunk->type);
        }
    }
}

/* As model_reply_simple(). */
static size_t
model_reply_chunk(ModelConn *c, const uint8_t *p, size_t bytes)
{
    bool extended = c->mode == MODEL_EXTENDED;
    size_t lead =
        extended ? sizeof(NbdExtendedReply) : sizeof(NbdStructuredReply);
    ModelChunk chunk;

    if (bytes < lead) {
        return 0;
    }
    chunk.request = model_reply_find(c, model_get64(p + 8));
    if (!chunk.request) {
        return 0;
    }
    chunk.flags = model_get16(p + 4);
    chunk.type = model_get16(p + 6);
    chunk.len = extended ? model_get64(p + 24) : model_get32(p + 16);
    chunk.body = p + lead;
    if (chunk.len > ASH_MIB * 64 || chunk.flags & ~NBD_REPLY_FLAG_DONE ||
        (extended && model_get64(p + 16) != chunk.request->offset)) {
        model_conn_complain(c, chunk.request, "the header of a chunk",
                            chunk.len);
        return 0;
    }
    if (bytes - lead < chunk.len) {
        return 0;
    }
    chunk.request->n_chunks++;
    model_chunk_take(c, &chunk);
    if (chunk.flags & NBD_REPLY_FLAG_DONE && !c->broken) {
        model_reply_finish(c, chunk.request);
    }
    return lead + chunk.len;
}

bool
model_reply_take(ModelConn *c)
{
    const uint8_t *p = c->in->data + c->taken;
    size_t bytes = c->in->len - c->taken, n = 0;
    uint32_t magic;

    if (c->broken || bytes < 4) {
        return false;
    }
    magic = model_get32(p);
    if (magic == NBD_SIMPLE_REPLY_MAGIC && c->mode != MODEL_EXTENDED) {
        n = model_reply_simple(c, p, bytes);
    } else if (magic == (c->mode == MODEL_EXTENDED
                             ? NBD_EXTENDED_REPLY_MAGIC
                             : NBD_STRUCTURED_REPLY_MAGIC) &&
               c->mode != MODEL_SIMPLE) {
        n = model_reply_chunk(c, p, bytes);
    } else {
        model_conn_complain(c, NULL, "the magic of a reply", magic);
    }
    c->taken += n;
    return n > 0 && !c->broken;
}
