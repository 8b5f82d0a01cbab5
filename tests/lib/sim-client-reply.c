/*
 * tests/lib/sim-client-reply.c - receive replies and check them; see
 * tests/lib/sim-client-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/lib/sim-client-priv.h"
#include "tests/lib/sim-event.h"

#define SIM_TEXT_MAX 4096U
#define SIM_EXTENTS_MAX ((uint64_t)1 << 20)

/* The header of a chunk. */
typedef struct SimChunk {
    SimRequest *request;
    uint16_t flags;
    uint16_t type;
    uint64_t len;
} SimChunk;

/* ---- bytes ---- */

static int coroutine_fn
sim_reply_co_read(SimClient *c, void *buf, size_t bytes)
{
    if (c->config.slow_ns > 0 && sim_rng_chance(&c->rng, 100)) {
        sim_co_delay(c->config.world,
                     sim_rng_skewed(&c->rng, 0, c->config.slow_ns));
    }
    return sim_peer_co_recv(c->peer, buf, bytes, c->config.timeout_ns);
}

static int coroutine_fn
sim_reply_co_read32(SimClient *c, uint32_t *ret)
{
    Be32 be;
    int r = sim_reply_co_read(c, &be, sizeof(be));

    *ret = r == 0 ? be32_get(be) : 0;
    return r;
}

static int coroutine_fn
sim_reply_co_read64(SimClient *c, uint64_t *ret)
{
    Be64 be;
    int r = sim_reply_co_read(c, &be, sizeof(be));

    *ret = r == 0 ? be64_get(be) : 0;
    return r;
}

/* The stream makes no sense any more. */
static int
sim_reply_bad(SimClient *c, const SimRequest *r, const char *what, uint64_t n)
{
    sim_client_complain(
        c,
        "%s: %#" G_GINT64_MODIFIER "x (command %d, offset "
        "%#" G_GINT64_MODIFIER "x, bytes %#" G_GINT64_MODIFIER "x)",
        what, n, r ? r->command : -1, r ? r->offset : 0, r ? r->bytes : 0);
    return -EPROTO;
}

static SimRequest *
sim_reply_find(const SimClient *c, uint64_t cookie)
{
    ash_list_foreach(link, &c->requests) {
        SimRequest *r = ash_container_of(link, SimRequest, link);

        if (r->cookie == cookie) {
            return r;
        }
    }
    return NULL;
}

/* ---- the end of a request ---- */

static bool
sim_error_is_known(uint32_t error)
{
    switch (error) {
    case SIM_EPERM:
    case SIM_EIO:
    case SIM_ENOMEM:
    case SIM_EINVAL:
    case SIM_ENOSPC:
    case SIM_EOVERFLOW:
    case SIM_ENOTSUP:
    case SIM_ESHUTDOWN:
        return true;
    default:
        return false;
    }
}

/* Is this what the request had to end with? */
static void
sim_reply_judge(SimClient *c, const SimRequest *r)
{
    const SimHealth *health = c->config.health;
    uint32_t error = r->error;

    if (error != 0 && !sim_error_is_known(error)) {
        sim_reply_bad(c, r, "no such error", error);
    } else if (health->server_stops && error == SIM_ESHUTDOWN) {
        return;
    } else if (r->must_fail) {
        if (error != r->must_fail) {
            sim_client_complain(c,
                                "error %u instead of %u (command %u, flags "
                                "%#x, offset %#" G_GINT64_MODIFIER
                                "x, bytes %#" G_GINT64_MODIFIER "x)",
                                error, r->must_fail, r->command, r->flags,
                                r->offset, r->bytes);
        }
    } else if (error == SIM_ENOTSUP) {
        if (!(r->flags & SIM_CMD_FAST_ZERO)) {
            sim_reply_bad(c, r, "ENOTSUP without FAST_ZERO", error);
        }
    } else if (error != 0 && !health->disk_fails && !health->server_stops) {
        sim_reply_bad(c, r, "an error out of the blue", error);
    } else if (error == SIM_EPERM || error == SIM_EINVAL) {
        sim_reply_bad(c, r, "a valid request is refused", error);
    }
}

static void
sim_reply_tell(SimClient *c, SimRequest *r)
{
    SimOracle *oracle = c->config.oracle;
    bool ok = r->error == 0;

    if (r->op) {
        sim_oracle_end(oracle, r->op, ok ? SIM_ENDED_OK : SIM_ENDED_ERROR,
                       r->flags & SIM_CMD_FUA);
    } else if (r->read) {
        sim_oracle_read_end(oracle, r->read, ok ? r->data : NULL);
    } else if (r->command == SIM_CMD_FLUSH && !r->must_fail &&
               (ok || r->error == SIM_EIO)) {
        sim_oracle_flush_end(oracle, r->stamp, ok);
    }
    r->op = NULL;
    r->read = NULL;
}

/* The final reply has come. */
static void
sim_reply_finish(SimClient *c, SimRequest *r)
{
    SimReport *report = c->config.report;

    if (r->error == 0 && r->command == SIM_CMD_READ &&
        r->n_covered != r->bytes) {
        sim_reply_bad(c, r, "a READ succeeds and leaves bytes out",
                      r->n_covered);
    }
    if (r->error == 0 && r->command == SIM_CMD_STATUS && r->n_status != 1) {
        sim_reply_bad(c, r, "not one chunk for the one context", r->n_status);
    }
    report->n_ok += r->error == 0;
    report->n_errors += r->error != 0 && !r->must_fail;
    report->n_refused += r->error != 0 && r->must_fail;
    c->had_error |= r->error != 0 && !r->must_fail;
    sim_trace(c->config.world, "reply", r->command, r->offset, r->error);
    sim_reply_judge(c, r);
    sim_reply_tell(c, r);
    sim_request_free(c, r);
    co_queue_wake_all(&c->room);
}

/* ---- simple replies ---- */

static int coroutine_fn
sim_reply_co_simple(SimClient *c)
{
    uint32_t error;
    uint64_t cookie;
    SimRequest *r;
    int err = sim_reply_co_read32(c, &error);

    err = err < 0 ? err : sim_reply_co_read64(c, &cookie);
    if (err < 0) {
        return err;
    }
    r = sim_reply_find(c, cookie);
    if (!r) {
        return sim_reply_bad(c, NULL, "a reply that nobody waits for", cookie);
    }
    if (c->config.mode != SIM_MODE_SIMPLE &&
        (r->command == SIM_CMD_READ ||
         (r->command == SIM_CMD_STATUS && error == 0))) {
        return sim_reply_bad(c, r, "a simple reply", error);
    }
    if (r->n_chunks > 0) {
        return sim_reply_bad(c, r, "a simple reply after chunks", error);
    }
    r->error = error;
    if (error == 0 && r->command == SIM_CMD_READ && !r->must_fail) {
        err = sim_reply_co_read(c, r->data, r->bytes);
        if (err < 0) {
            return err;
        }
        r->n_covered = r->bytes;
    }
    sim_reply_finish(c, r);
    return c->broken ? -EPROTO : 0;
}

/* ---- chunks ---- */

/* Bytes [offset, offset + bytes) come now: for the first time, and inside? */
static int
sim_chunk_cover(SimClient *c, SimRequest *r, uint64_t offset, uint64_t bytes)
{
    if (offset < r->offset || bytes == 0 || bytes > r->bytes ||
        offset - r->offset > r->bytes - bytes) {
        return sim_reply_bad(c, r, "data from outside of the request", offset);
    }
    if (memchr(r->covered + (offset - r->offset), 1, bytes)) {
        return sim_reply_bad(c, r, "data twice", offset);
    }
    memset(r->covered + (offset - r->offset), 1, bytes);
    r->n_covered += bytes;
    return 0;
}

static int coroutine_fn
sim_chunk_co_data(SimClient *c, const SimChunk *chunk)
{
    SimRequest *r = chunk->request;
    uint64_t offset;
    int err;

    if (r->command != SIM_CMD_READ || r->must_fail || chunk->len <= 8) {
        return sim_reply_bad(c, r, "a chunk of data", chunk->len);
    }
    err = sim_reply_co_read64(c, &offset);
    err = err < 0 ? err : sim_chunk_cover(c, r, offset, chunk->len - 8);
    if (err < 0) {
        return err;
    }
    return sim_reply_co_read(c, r->data + (offset - r->offset), chunk->len - 8);
}

static int coroutine_fn
sim_chunk_co_hole(SimClient *c, const SimChunk *chunk)
{
    SimRequest *r = chunk->request;
    uint64_t offset;
    uint32_t bytes;
    int err;

    if (r->command != SIM_CMD_READ || r->must_fail || chunk->len != 12) {
        return sim_reply_bad(c, r, "a chunk for a hole", chunk->len);
    }
    err = sim_reply_co_read64(c, &offset);
    err = err < 0 ? err : sim_reply_co_read32(c, &bytes);
    return err < 0 ? err : sim_chunk_cover(c, r, offset, bytes);
}

/* DF: the data may not come in pieces. */
static int
sim_chunk_check_df(SimClient *c, const SimChunk *chunk)
{
    SimRequest *r = chunk->request;

    if (r->flags & SIM_CMD_DF && r->error == 0 && r->n_covered != r->bytes) {
        return sim_reply_bad(c, r, "a piece in spite of DF", r->n_covered);
    }
    return 0;
}

static int coroutine_fn
sim_chunk_co_error(SimClient *c, const SimChunk *chunk)
{
    SimRequest *r = chunk->request;
    bool at = chunk->type == SIM_CHUNK_ERROR_OFFSET;
    g_autofree char *text = NULL;
    uint32_t error;
    uint64_t offset;
    Be16 be_len;
    size_t len;
    int err;

    if (chunk->len < 6U + (at ? 8U : 0U)) {
        return sim_reply_bad(c, r, "an error chunk too short", chunk->len);
    }
    err = sim_reply_co_read32(c, &error);
    err = err < 0 ? err : sim_reply_co_read(c, &be_len, sizeof(be_len));
    if (err < 0) {
        return err;
    }
    len = be16_get(be_len);
    if (len > SIM_TEXT_MAX || chunk->len != 6 + len + (at ? 8 : 0)) {
        return sim_reply_bad(c, r, "the length of an error's text", len);
    }
    text = g_malloc(len + 1);
    text[len] = '\0';
    err = sim_reply_co_read(c, text, len);
    if (err == 0 && at) {
        err = sim_reply_co_read64(c, &offset);
        if (err == 0 &&
            (offset < r->offset || offset - r->offset >= r->bytes)) {
            return sim_reply_bad(c, r, "an error outside of the request",
                                 offset);
        }
    }
    if (err == 0 && (error == 0 || !g_utf8_validate(text, (gssize)len, NULL))) {
        return sim_reply_bad(c, r, "an error chunk without error", error);
    }
    r->error = r->error ? r->error : error;
    return err;
}

/* ---- block status ---- */

/* One extent; *pos moves on. */
static int coroutine_fn
sim_chunk_co_extent(SimClient *c, const SimChunk *chunk, uint64_t *pos,
                    bool last)
{
    SimRequest *r = chunk->request;
    bool extended = chunk->type == SIM_CHUNK_STATUS_EXT;
    uint64_t left = r->offset + r->bytes - *pos;
    uint64_t bytes, flags;
    uint32_t v[2] = { 0 };
    int err;

    if (extended) {
        err = sim_reply_co_read64(c, &bytes);
        err = err < 0 ? err : sim_reply_co_read64(c, &flags);
    } else {
        err = sim_reply_co_read32(c, &v[0]);
        err = err < 0 ? err : sim_reply_co_read32(c, &v[1]);
        bytes = v[0];
        flags = v[1];
    }
    if (err < 0) {
        return err;
    }
    if (bytes == 0 || flags & ~(uint64_t)(SIM_STATE_HOLE | SIM_STATE_ZERO)) {
        return sim_reply_bad(c, r, "an extent of length or flags", flags);
    }
    /* Only the last may say more than was asked, and not with REQ_ONE. */
    if (bytes > left && (!last || r->flags & SIM_CMD_REQ_ONE ||
                         bytes > c->config.size - *pos)) {
        return sim_reply_bad(c, r, "an extent too long", bytes);
    }
    if (flags & SIM_STATE_ZERO) {
        sim_oracle_check_zero(c->config.oracle, r->read, *pos,
                              ash_min(bytes, left));
    }
    *pos += bytes;
    return 0;
}

static int coroutine_fn
sim_chunk_co_status(SimClient *c, const SimChunk *chunk)
{
    SimRequest *r = chunk->request;
    bool extended = chunk->type == SIM_CHUNK_STATUS_EXT;
    uint64_t lead = extended ? 8 : 4, each = extended ? 16 : 8;
    uint64_t n = chunk->len < lead ? 0 : (chunk->len - lead) / each;
    uint64_t pos = r->offset;
    uint32_t id, count = 0;
    int err;

    if (r->command != SIM_CMD_STATUS || r->must_fail || n == 0 ||
        n > SIM_EXTENTS_MAX || chunk->len != lead + n * each ||
        extended != (c->config.mode == SIM_MODE_EXTENDED) ||
        (n > 1 && r->flags & SIM_CMD_REQ_ONE)) {
        return sim_reply_bad(c, r, "a chunk of status", chunk->len);
    }
    err = sim_reply_co_read32(c, &id);
    if (err == 0 && extended) {
        err = sim_reply_co_read32(c, &count);
    }
    if (err == 0 && (id != c->meta_id || (extended && count != n))) {
        return sim_reply_bad(c, r, "the context or count of a status", id);
    }
    for (uint64_t i = 0; err == 0 && i < n; i++) {
        if (pos >= r->offset + r->bytes) {
            return sim_reply_bad(c, r, "extents behind the request", pos);
        }
        err = sim_chunk_co_extent(c, chunk, &pos, i + 1 == n);
    }
    r->n_status++;
    return err;
}

/* ---- one chunk ---- */

static int coroutine_fn
sim_chunk_co_header(SimClient *c, SimChunk *chunk)
{
    bool extended = c->config.mode == SIM_MODE_EXTENDED;
    uint32_t flags_type, len32 = 0;
    uint64_t cookie, offset = 0;
    int err = sim_reply_co_read32(c, &flags_type);

    err = err < 0 ? err : sim_reply_co_read64(c, &cookie);
    if (err == 0 && extended) {
        err = sim_reply_co_read64(c, &offset);
        err = err < 0 ? err : sim_reply_co_read64(c, &chunk->len);
    } else if (err == 0) {
        err = sim_reply_co_read32(c, &len32);
        chunk->len = len32;
    }
    if (err < 0) {
        return err;
    }
    chunk->flags = (uint16_t)(flags_type >> 16);
    chunk->type = (uint16_t)flags_type;
    chunk->request = sim_reply_find(c, cookie);
    if (!chunk->request) {
        return sim_reply_bad(c, NULL, "a chunk that nobody waits for", cookie);
    }
    if (extended && offset != chunk->request->offset) {
        return sim_reply_bad(c, chunk->request, "a reply with another offset",
                             offset);
    }
    if (chunk->flags & ~SIM_CHUNK_DONE) {
        return sim_reply_bad(c, chunk->request, "chunk flags", chunk->flags);
    }
    chunk->request->n_chunks++;
    return 0;
}

static int coroutine_fn
sim_chunk_co_body(SimClient *c, const SimChunk *chunk)
{
    int err;

    switch (chunk->type) {
    case SIM_CHUNK_NONE:
        if (chunk->len != 0 || !(chunk->flags & SIM_CHUNK_DONE)) {
            return sim_reply_bad(c, chunk->request, "a chunk of nothing",
                                 chunk->len);
        }
        return 0;
    case SIM_CHUNK_DATA:
        err = sim_chunk_co_data(c, chunk);
        return err < 0 ? err : sim_chunk_check_df(c, chunk);
    case SIM_CHUNK_HOLE:
        err = sim_chunk_co_hole(c, chunk);
        return err < 0 ? err : sim_chunk_check_df(c, chunk);
    case SIM_CHUNK_STATUS:
    case SIM_CHUNK_STATUS_EXT:
        return sim_chunk_co_status(c, chunk);
    case SIM_CHUNK_ERROR:
    case SIM_CHUNK_ERROR_OFFSET:
        return sim_chunk_co_error(c, chunk);
    default:
        return sim_reply_bad(c, chunk->request, "a chunk of type", chunk->type);
    }
}

static int coroutine_fn
sim_reply_co_chunk(SimClient *c)
{
    SimChunk chunk = { .request = NULL };
    int err = sim_chunk_co_header(c, &chunk);

    err = err < 0 ? err : sim_chunk_co_body(c, &chunk);
    if (err < 0) {
        return err;
    }
    if (chunk.flags & SIM_CHUNK_DONE) {
        sim_reply_finish(c, chunk.request);
    }
    return c->broken ? -EPROTO : 0;
}

static int coroutine_fn
sim_reply_co_next(SimClient *c)
{
    SimMode mode = c->config.mode;
    uint32_t magic;
    int err = sim_reply_co_read32(c, &magic);

    if (err == -ETIMEDOUT && c->n_requests == 0 && !c->leaving) {
        return 0; /* nothing to wait for */
    }
    if (err < 0) {
        return err;
    }
    if (magic == SIM_SIMPLE_MAGIC && mode != SIM_MODE_EXTENDED) {
        return sim_reply_co_simple(c);
    }
    if ((magic == SIM_CHUNK_MAGIC && mode == SIM_MODE_STRUCTURED) ||
        (magic == SIM_CHUNK_EXT_MAGIC && mode == SIM_MODE_EXTENDED)) {
        return sim_reply_co_chunk(c);
    }
    return sim_reply_bad(c, NULL, "the magic of a reply", magic);
}

void coroutine_fn
sim_client_co_receive(void *arg)
{
    SimClient *c = arg;
    int err = 0;

    while (err == 0) {
        err = sim_reply_co_next(c);
    }
    sim_client_broken(c, err);
    c->receiving = false;
    co_queue_wake_all(&c->room);
    co_queue_wake_all(&c->ended);
}
