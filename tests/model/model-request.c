/*
 * tests/model/model-request.c - what is asked; see tests/model/model.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "base/bits.h"
#include "tests/model/model-priv.h"

/* ---- the wire ---- */

static void
model_put_request(ModelConn *c, const ModelRequest *r)
{
    if (c->mode == MODEL_EXTENDED) {
        NbdExtendedRequestHeader h = {
            .magic = be32_put(NBD_EXTENDED_REQUEST_MAGIC),
            .flags = be16_put(r->flags),
            .command = be16_put(r->command),
            .cookie = be64_put(r->cookie),
            .offset = be64_put(r->offset),
            .len = be64_put(r->len),
        };

        g_byte_array_append(c->out, (const guint8 *)&h, sizeof(h));
    } else {
        NbdRequestHeader h = {
            .magic = be32_put(NBD_REQUEST_MAGIC),
            .flags = be16_put(r->flags),
            .command = be16_put(r->command),
            .cookie = be64_put(r->cookie),
            .offset = be64_put(r->offset),
            .len = be32_put((uint32_t)r->len),
        };

        g_byte_array_append(c->out, (const guint8 *)&h, sizeof(h));
    }
}

/* Contents that nobody else writes, in pieces; some are zeros. */
static uint8_t *
model_draw_contents(ModelConn *c, uint64_t bytes)
{
    uint8_t *data = g_malloc0(bytes);
    uint64_t seed = sim_mix64(++c->n_written << 8 | c->number) ^ c->run->round;

    if (sim_rng_chance(&c->rng, 60)) {
        return data;
    }
    for (uint64_t i = 0; i < bytes; i++) {
        if (i % 8 == 0) {
            seed = sim_mix64(seed);
        }
        data[i] = (uint8_t)(seed >> (8 * (i % 8)));
    }
    if (sim_rng_chance(&c->rng, 100)) {
        memset(data + bytes / 3, 0, bytes / 3);
    }
    return data;
}

static void
model_put_filter(ModelConn *c, const ModelRequest *r)
{
    Be64 bytes = be64_put(r->effect);
    Be32 id = be32_put(c->meta_id);

    g_byte_array_append(c->out, bytes.b, sizeof(bytes));
    g_byte_array_append(c->out, id.b, sizeof(id));
}

/* What follows the header; of a valid WRITE, owned by the caller. */
static uint8_t *
model_put_payload(ModelConn *c, const ModelRequest *r)
{
    g_autofree uint8_t *data = NULL;

    if (r->filter) {
        model_put_filter(c, r);
    } else if (r->payload > 0) {
        data = r->payload_is_junk ? g_malloc0(r->payload)
                                  : model_draw_contents(c, r->payload);
        g_byte_array_append(c->out, data, (guint)r->payload);
    }
    return g_steal_pointer(&data);
}

/* ---- valid requests ---- */

static uint16_t
model_draw_command(ModelConn *c)
{
    static const uint8_t weighted[] = {
        NBD_CMD_READ,         NBD_CMD_READ,         NBD_CMD_READ,
        NBD_CMD_READ,         NBD_CMD_READ,         NBD_CMD_READ,
        NBD_CMD_WRITE,        NBD_CMD_WRITE,        NBD_CMD_WRITE,
        NBD_CMD_WRITE,        NBD_CMD_WRITE,        NBD_CMD_WRITE,
        NBD_CMD_WRITE_ZEROES, NBD_CMD_WRITE_ZEROES, NBD_CMD_TRIM,
        NBD_CMD_TRIM,         NBD_CMD_FLUSH,        NBD_CMD_CACHE,
        NBD_CMD_BLOCK_STATUS, NBD_CMD_BLOCK_STATUS,
    };
    static const uint16_t needs[] = {
        [NBD_CMD_FLUSH] = NBD_FLAG_SEND_FLUSH,
        [NBD_CMD_TRIM] = NBD_FLAG_SEND_TRIM,
        [NBD_CMD_CACHE] = NBD_FLAG_SEND_CACHE,
        [NBD_CMD_WRITE_ZEROES] = NBD_FLAG_SEND_WRITE_ZEROES,
        [NBD_CMD_BLOCK_STATUS] = 0,
    };
    uint16_t command =
        weighted[sim_rng_below(&c->rng, ASH_N_ELEMENTS(weighted))];

    if ((needs[command] & ~c->flags) ||
        (command == NBD_CMD_BLOCK_STATUS && !c->has_meta)) {
        return NBD_CMD_READ;
    }
    return command;
}

/* Anywhere, or where others are: at the start, or around the end. */
static void
model_draw_range(ModelConn *c, ModelRequest *r)
{
    static const uint64_t aligns[] = { 1, 1, 512, 512, 4096, 4096, 65536 };
    uint64_t size = c->run->size, hot = ash_min(size, 96 * ASH_KIB);
    uint64_t align = aligns[sim_rng_below(&c->rng, ASH_N_ELEMENTS(aligns))];
    uint64_t at = sim_rng_below(&c->rng, size), max = 64 * ASH_KIB;
    uint64_t kind = sim_rng_below(&c->rng, 10);

    if (kind < 4) {
        at = sim_rng_below(&c->rng, hot);
    } else if (kind < 6) {
        at = size - 1 - sim_rng_below(&c->rng, hot);
    }
    if (sim_rng_chance(&c->rng, 60)) {
        max = 512 * ASH_KIB;
    }
    r->offset = ash_round_down(at, align);
    r->effect = ash_round_up(sim_rng_skewed(&c->rng, 1, max), align);
    r->effect = ash_min(r->effect, size - r->offset);
    if (sim_rng_chance(&c->rng, 10)) {
        r->effect = 0;
    }
}

static void
model_draw_flags(ModelConn *c, ModelRequest *r)
{
    SimRng *rng = &c->rng;

    if (c->flags & NBD_FLAG_SEND_FUA && sim_rng_chance(rng, 120)) {
        r->flags |= NBD_CMD_FLAG_FUA;
    }
    switch (r->command) {
    case NBD_CMD_READ:
        if (c->mode != MODEL_SIMPLE && sim_rng_chance(rng, 300)) {
            r->flags |= NBD_CMD_FLAG_DF;
        }
        break;
    case NBD_CMD_WRITE_ZEROES:
        if (sim_rng_chance(rng, 300)) {
            r->flags |= NBD_CMD_FLAG_NO_HOLE;
        }
        if (c->flags & NBD_FLAG_SEND_FAST_ZERO && sim_rng_chance(rng, 300)) {
            r->flags |= NBD_CMD_FLAG_FAST_ZERO;
        }
        break;
    case NBD_CMD_BLOCK_STATUS:
        if (sim_rng_chance(rng, 300)) {
            r->flags |= NBD_CMD_FLAG_REQ_ONE;
        }
        break;
    default:
        break;
    }
}

/* Where the command says where its length goes: header or payload. */
static void
model_request_lay_out(ModelConn *c, ModelRequest *r)
{
    bool extended = c->mode == MODEL_EXTENDED;

    r->len = r->effect;
    r->payload = 0;
    r->filter = false;
    r->flags &= (uint16_t)~NBD_CMD_FLAG_PAYLOAD_LEN;
    if (r->command == NBD_CMD_WRITE) {
        r->payload = r->effect;
        /* Some clients leave it out. */
        if (extended && sim_rng_chance(&c->rng, 850)) {
            r->flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
        }
    }
    if (r->command == NBD_CMD_BLOCK_STATUS && extended &&
        c->flags & NBD_FLAG_BLOCK_STATUS_PAYLOAD &&
        sim_rng_chance(&c->rng, 300)) {
        r->filter = true;
        r->flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
        r->payload = 12;
        r->len = 12;
    }
    if (r->command == NBD_CMD_BLOCK_STATUS && r->effect == 0) {
        r->must_fail = NBD_EINVAL;
    }
}

/* ---- requests that must fail ---- */

static void
model_fail_command(ModelConn *c, ModelRequest *r)
{
    r->command =
        (uint16_t)(sim_rng_chance(&c->rng, 500)
                       ? MODEL_UNKNOWN
                       : sim_rng_between(&c->rng, MODEL_UNKNOWN, UINT16_MAX));
    r->flags = 0;
    r->payload = 0;
    r->filter = false;
    r->must_fail = NBD_EINVAL;
    r->malformed = true;
}

/* A flag that the command does not have, or nobody knows. */
static void
model_fail_flags(ModelConn *c, ModelRequest *r)
{
    static const uint16_t wrong[] = {
        [NBD_CMD_READ] = NBD_CMD_FLAG_FAST_ZERO,
        [NBD_CMD_WRITE] = NBD_CMD_FLAG_DF,
        [NBD_CMD_FLUSH] = NBD_CMD_FLAG_REQ_ONE,
        [NBD_CMD_TRIM] = NBD_CMD_FLAG_NO_HOLE,
        [NBD_CMD_CACHE] = NBD_CMD_FLAG_REQ_ONE,
        [NBD_CMD_WRITE_ZEROES] = NBD_CMD_FLAG_DF,
        [NBD_CMD_BLOCK_STATUS] = NBD_CMD_FLAG_NO_HOLE,
    };

    r->flags |= sim_rng_chance(&c->rng, 300)
                    ? (uint16_t)(1U << sim_rng_between(&c->rng, 6, 15))
                    : wrong[r->command];
    r->must_fail = NBD_EINVAL;
    r->malformed = true;
}

/* A payload where there should be none, or a flag that says so. */
static void
model_fail_payload(ModelConn *c, ModelRequest *r)
{
    bool extended = c->mode == MODEL_EXTENDED;

    r->must_fail = NBD_EINVAL;
    r->malformed = true;
    if (r->command == NBD_CMD_BLOCK_STATUS ||
        (extended && r->command == NBD_CMD_WRITE)) {
        model_fail_flags(c, r);
    } else {
        r->flags |= NBD_CMD_FLAG_PAYLOAD_LEN;
        r->payload = extended || r->command == NBD_CMD_WRITE ? r->len : 0;
        r->payload_is_junk = true;
    }
}

/* Past the end by a byte, or by very much. */
static void
model_fail_range(ModelConn *c, ModelRequest *r)
{
    uint64_t size = c->run->size;

    if (r->command == NBD_CMD_FLUSH) {
        model_fail_flags(c, r);
        return;
    }
    r->effect = ash_max(r->effect, 1);
    switch (sim_rng_below(&c->rng, 3)) {
    case 0:
        r->offset = size - ash_min(size, r->effect - 1);
        r->effect = size - r->offset + 1;
        break;
    case 1:
        r->offset = size + sim_rng_below(&c->rng, UINT32_MAX);
        break;
    default:
        r->offset = UINT64_MAX - sim_rng_below(&c->rng, 2 * r->effect);
    }
    model_request_lay_out(c, r);
    r->must_fail =
        r->command == NBD_CMD_WRITE || r->command == NBD_CMD_WRITE_ZEROES
            ? NBD_ENOSPC
            : NBD_EINVAL;
}

/* More data than a request may move. */
static void
model_fail_length(ModelConn *c, ModelRequest *r)
{
    if (r->command != NBD_CMD_READ &&
        (r->command != NBD_CMD_WRITE || !sim_rng_chance(&c->rng, 30))) {
        model_fail_range(c, r);
        return;
    }
    r->offset = 0;
    r->effect = NBD_PAYLOAD_MAX + sim_rng_between(&c->rng, 1, 4096);
    r->payload_is_junk = true;
    model_request_lay_out(c, r);
    r->must_fail = NBD_EINVAL;
}

/* A status without a context to tell of; or else the flags. */
static void
model_fail_status(ModelConn *c, ModelRequest *r)
{
    if (c->has_meta) {
        model_fail_flags(c, r);
        return;
    }
    r->command = NBD_CMD_BLOCK_STATUS;
    r->flags = 0;
    r->effect = ash_max(r->effect, 1);
    model_request_lay_out(c, r);
    r->must_fail = NBD_EINVAL;
}

static void
model_draw_mistake(ModelConn *c, ModelRequest *r)
{
    static void (*const mistakes[])(ModelConn * c, ModelRequest * r) = {
        model_fail_command, model_fail_flags,  model_fail_payload,
        model_fail_range,   model_fail_length, model_fail_status,
    };

    mistakes[sim_rng_below(&c->rng, ASH_N_ELEMENTS(mistakes))](c, r);
}

/* ---- requests ---- */

static void
model_request_draw(ModelConn *c, ModelRequest *r)
{
    bool modifies;

    if (c->verify) {
        r->command = NBD_CMD_READ;
        r->offset = c->verified;
        r->effect = ash_min(c->run->size - c->verified, 256 * ASH_KIB);
        c->verified += r->effect;
        model_request_lay_out(c, r);
        return;
    }
    r->command = model_draw_command(c);
    if (r->command != NBD_CMD_FLUSH) {
        model_draw_range(c, r);
    }
    model_draw_flags(c, r);
    model_request_lay_out(c, r);
    if (r->must_fail == 0 && sim_rng_chance(&c->rng, 60)) {
        model_draw_mistake(c, r);
    }
    modifies = r->command == NBD_CMD_WRITE || r->command == NBD_CMD_TRIM ||
               r->command == NBD_CMD_WRITE_ZEROES;
    if (modifies && c->run->backend->read_only && !r->malformed) {
        r->must_fail = NBD_EPERM;
    }
}

/* Tell the model what is going to be sent. */
static void
model_request_tell(ModelConn *c, ModelRequest *r, uint8_t *take_data)
{
    g_autofree uint8_t *data = take_data;
    ModelShadow *shadow = c->run->shadow;
    ModelKind kind = r->command == NBD_CMD_WRITE  ? MODEL_WRITE
                     : r->command == NBD_CMD_TRIM ? MODEL_TRIM
                                                  : MODEL_ZERO;

    if (r->must_fail != 0 || r->effect == 0) {
        return;
    }
    switch (r->command) {
    case NBD_CMD_READ:
        r->data = g_malloc0(r->effect);
        r->covered = g_malloc0(r->effect);
        r->since = model_shadow_now(shadow);
        break;
    case NBD_CMD_BLOCK_STATUS:
        r->since = model_shadow_now(shadow);
        break;
    case NBD_CMD_WRITE:
    case NBD_CMD_TRIM:
    case NBD_CMD_WRITE_ZEROES:
        if (!c->run->backend->forgets) {
            r->version = model_shadow_begin(shadow, kind, r->offset, r->effect,
                                            g_steal_pointer(&data));
        }
        break;
    default:
        break;
    }
}

static uint64_t
model_draw_cookie(ModelConn *c)
{
    uint64_t cookie = sim_rng_next(&c->rng);

    for (unsigned i = 0; i < c->requests->len; i++) {
        const ModelRequest *r = g_ptr_array_index(c->requests, i);

        if (r->cookie == cookie) {
            return model_draw_cookie(c);
        }
    }
    return cookie;
}

void
model_request_add(ModelConn *c)
{
    ModelRequest *r = g_new0(ModelRequest, 1);

    r->cookie = model_draw_cookie(c);
    model_request_draw(c, r);
    model_put_request(c, r);
    model_request_tell(c, r, model_put_payload(c, r));
    g_ptr_array_add(c->requests, r);
    c->run->stats->n_requests[ash_min(r->command, MODEL_UNKNOWN)]++;
}

void
model_request_add_disc(ModelConn *c)
{
    ModelRequest r = { .command = NBD_CMD_DISC };

    r.cookie = model_draw_cookie(c);
    model_put_request(c, &r);
    c->run->stats->n_requests[NBD_CMD_DISC]++;
}

void
model_request_free(gpointer p)
{
    ModelRequest *r = p;

    g_free(r->data);
    g_free(r->covered);
    g_free(r);
}
