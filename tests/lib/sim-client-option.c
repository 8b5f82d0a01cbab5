/*
 * tests/lib/sim-client-option.c - the handshake, checked; see
 * tests/lib/sim-client-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/lib/sim-client-priv.h"

#define SIM_REPLY_MAX 8192U

/* A reply to an option. */
typedef struct SimOptionReply {
    uint32_t type;
    uint32_t len;
    uint8_t data[SIM_REPLY_MAX];
} SimOptionReply;

static int coroutine_fn
sim_option_co_read(SimClient *c, void *buf, size_t bytes)
{
    return sim_peer_co_recv(c->peer, buf, bytes, c->config.timeout_ns);
}

static int
sim_option_bad(SimClient *c, uint32_t option, const char *what, uint64_t n)
{
    sim_client_complain(c, "option %u: %s: %#" G_GINT64_MODIFIER "x", option,
                        what, n);
    return -EPROTO;
}

static uint16_t
sim_get16(const uint8_t *p)
{
    Be16 be;

    memcpy(&be, p, sizeof(be));
    return be16_get(be);
}

static uint32_t
sim_get32(const uint8_t *p)
{
    Be32 be;

    memcpy(&be, p, sizeof(be));
    return be32_get(be);
}

static uint64_t
sim_get64(const uint8_t *p)
{
    Be64 be;

    memcpy(&be, p, sizeof(be));
    return be64_get(be);
}

/* ---- options ---- */

static int coroutine_fn
sim_option_co_send(SimClient *c, uint32_t option, const GByteArray *data)
{
    uint32_t len = data ? data->len : 0;
    g_autofree uint8_t *buf = g_malloc(16 + len);
    Be64 magic = be64_put(SIM_NBD_OPT);
    Be32 words[2] = { be32_put(option), be32_put(len) };

    c->config.report->n_options++;
    memcpy(buf, &magic, sizeof(magic));
    memcpy(buf + 8, words, sizeof(words));
    if (len > 0) {
        memcpy(buf + 16, data->data, len);
    }
    sim_trace(c->config.world, "option", option, len, 0);
    return sim_peer_co_send(c->peer, buf, 16 + len, c->config.timeout_ns);
}

static int coroutine_fn
sim_option_co_reply(SimClient *c, uint32_t option, SimOptionReply *ret)
{
    uint8_t head[20];
    int r = sim_option_co_read(c, head, sizeof(head));

    if (r < 0) {
        return r;
    }
    ret->type = sim_get32(head + 12);
    ret->len = sim_get32(head + 16);
    if (sim_get64(head) != SIM_NBD_REP || sim_get32(head + 8) != option) {
        return sim_option_bad(c, option, "a reply to another option",
                              sim_get32(head + 8));
    }
    if (ret->len > SIM_REPLY_MAX ||
        (ret->type == SIM_REP_ACK && ret->len > 0) ||
        (SIM_REP_IS_ERROR(ret->type) && ret->type > SIM_REP_ERR_MAX)) {
        return sim_option_bad(c, option, "the length or type of a reply",
                              ret->type);
    }
    return sim_option_co_read(c, ret->data, ret->len);
}

/* ---- what GO and INFO say ---- */

static int
sim_option_check_info(SimClient *c, uint32_t option, const SimOptionReply *rep,
                      bool *seen)
{
    uint16_t info = rep->len >= 2 ? sim_get16(rep->data) : UINT16_MAX;

    switch (info) {
    case SIM_INFO_EXPORT:
        if (rep->len != 12 || sim_get64(rep->data + 2) != c->config.size) {
            return sim_option_bad(c, option, "the size of the export",
                                  sim_get64(rep->data + 2));
        }
        c->flags = sim_get16(rep->data + 10);
        *seen = true;
        return 0;
    case SIM_INFO_NAME:
    case SIM_INFO_DESCRIPTION:
        return g_utf8_validate((const char *)rep->data + 2,
                               (gssize)rep->len - 2, NULL)
                   ? 0
                   : sim_option_bad(c, option, "a name", rep->len);
    case SIM_INFO_BLOCK_SIZE:
        if (rep->len != 14 || !ash_is_pow2(sim_get32(rep->data + 2)) ||
            sim_get32(rep->data + 2) > sim_get32(rep->data + 6) ||
            sim_get32(rep->data + 6) > sim_get32(rep->data + 10)) {
            return sim_option_bad(c, option, "the block size", rep->len);
        }
        return 0;
    default:
        return sim_option_bad(c, option, "an info", info);
    }
}

static int
sim_option_check_meta(SimClient *c, uint32_t option, const SimOptionReply *rep)
{
    static const char base[] = "base:allocation";

    if (rep->len < 4) {
        return sim_option_bad(c, option, "a context", rep->len);
    }
    if (option == SIM_OPT_SET_META && rep->len == 4 + strlen(base) &&
        memcmp(rep->data + 4, base, strlen(base)) == 0) {
        c->has_meta = true;
        c->meta_id = sim_get32(rep->data);
    }
    return 0;
}

/* Send an option and take all replies: 0 after ACK, 1 after an error. */
static int coroutine_fn
sim_option_co_run(SimClient *c, uint32_t option, const GByteArray *data)
{
    g_autofree SimOptionReply *rep = g_new(SimOptionReply, 1);
    bool seen = false;
    int r = sim_option_co_send(c, option, data);

    while (r == 0) {
        r = sim_option_co_reply(c, option, rep);
        if (r < 0) {
            break;
        }
        if (rep->type == SIM_REP_ACK) {
            if (option == SIM_OPT_GO && !seen) {
                return sim_option_bad(c, option, "no size of the export", 0);
            }
            return 0;
        }
        if (SIM_REP_IS_ERROR(rep->type)) {
            return rep->type == SIM_REP_ERR_SHUTDOWN &&
                           c->config.health->server_stops
                       ? -ESHUTDOWN
                       : 1;
        }
        if (rep->type == SIM_REP_INFO &&
            (option == SIM_OPT_GO || option == SIM_OPT_INFO)) {
            r = sim_option_check_info(c, option, rep, &seen);
        } else if (rep->type == SIM_REP_META && (option == SIM_OPT_SET_META ||
                                                 option == SIM_OPT_LIST_META)) {
            r = sim_option_check_meta(c, option, rep);
        } else if (rep->type != SIM_REP_SERVER || option != SIM_OPT_LIST) {
            r = sim_option_bad(c, option, "a reply of type", rep->type);
        }
    }
    return r;
}

/* ---- the data of options ---- */

static void
sim_add32(GByteArray *a, uint32_t n)
{
    Be32 be = be32_put(n);

    g_byte_array_append(a, be.b, sizeof(be));
}

static void
sim_add_text(GByteArray *a, const char *text)
{
    sim_add32(a, (uint32_t)strlen(text));
    g_byte_array_append(a, (const guint8 *)text, (guint)strlen(text));
}

static int coroutine_fn
sim_option_co_go(SimClient *c, uint32_t option, const char *name)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    unsigned n = (unsigned)sim_rng_below(&c->rng, 4);
    Be16 be = be16_put((uint16_t)n);

    sim_add_text(data, name);
    g_byte_array_append(data, be.b, sizeof(be));
    for (unsigned i = 0; i < n; i++) {
        be = be16_put((uint16_t)(i + 1));
        g_byte_array_append(data, be.b, sizeof(be));
    }
    return sim_option_co_run(c, option, data);
}

static int coroutine_fn
sim_option_co_meta(SimClient *c, uint32_t option, const char *query)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    sim_add_text(data, c->config.export_name);
    sim_add32(data, query ? 1 : 0);
    if (query) {
        sim_add_text(data, query);
    }
    return sim_option_co_run(c, option, data);
}

/* An option that changes nothing. */
static int coroutine_fn
sim_option_co_noise(SimClient *c)
{
    int r;

    switch (sim_rng_below(&c->rng, 6)) {
    case 0:
        return sim_option_co_run(c, SIM_OPT_LIST, NULL);
    case 1:
        r = sim_option_co_go(c, SIM_OPT_INFO, c->config.export_name);
        return r == 1 ? sim_option_bad(c, SIM_OPT_INFO, "an error", 0) : r;
    case 2:
        r = sim_option_co_go(c, SIM_OPT_GO, "no such export");
        return r == 0 ? sim_option_bad(c, SIM_OPT_GO, "success", 0) : r;
    case 3:
        r = sim_option_co_run(c, 4711, NULL);
        return r == 0 ? sim_option_bad(c, 4711, "success", 0) : r;
    case 4:
        return c->config.mode == SIM_MODE_SIMPLE
                   ? 0
                   : sim_option_co_meta(c, SIM_OPT_LIST_META, NULL);
    default:
        r = sim_option_co_run(c, SIM_OPT_STARTTLS, NULL);
        return r == 0 ? sim_option_bad(c, SIM_OPT_STARTTLS, "success", 0) : r;
    }
}

/* ---- the whole ---- */

static int coroutine_fn
sim_handshake_co_greet(SimClient *c)
{
    uint8_t head[18];
    unsigned flags = SIM_NBD_FIXED_NEWSTYLE;
    Be32 be;
    int r = sim_option_co_read(c, head, sizeof(head));

    if (r < 0) {
        return r;
    }
    if (sim_get64(head) != SIM_NBD_MAGIC ||
        sim_get64(head + 8) != SIM_NBD_OPT ||
        !(sim_get16(head + 16) & SIM_NBD_FIXED_NEWSTYLE)) {
        return sim_option_bad(c, 0, "the greeting", sim_get64(head));
    }
    if (c->config.no_zeroes && sim_get16(head + 16) & SIM_NBD_NO_ZEROES) {
        flags |= SIM_NBD_NO_ZEROES;
    } else {
        c->config.no_zeroes = false;
    }
    be = be32_put(flags);
    return sim_peer_co_send(c->peer, &be, sizeof(be), c->config.timeout_ns);
}

static int coroutine_fn
sim_handshake_co_export_name(SimClient *c)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    uint8_t reply[134];
    size_t len = c->config.no_zeroes ? 10 : 134;
    int r;

    g_byte_array_append(data, (const guint8 *)c->config.export_name,
                        (guint)strlen(c->config.export_name));
    r = sim_option_co_send(c, SIM_OPT_EXPORT_NAME, data);
    r = r < 0 ? r : sim_option_co_read(c, reply, len);
    if (r < 0) {
        return r;
    }
    if (sim_get64(reply) != c->config.size) {
        return sim_option_bad(c, SIM_OPT_EXPORT_NAME, "the size of the export",
                              sim_get64(reply));
    }
    c->flags = sim_get16(reply + 8);
    for (size_t i = 10; i < len; i++) {
        if (reply[i] != 0) {
            return sim_option_bad(c, SIM_OPT_EXPORT_NAME, "no zero", i);
        }
    }
    return 0;
}

static int coroutine_fn
sim_handshake_co_mode(SimClient *c)
{
    int r = 0;

    if (c->config.mode == SIM_MODE_STRUCTURED ||
        (c->config.mode == SIM_MODE_EXTENDED && sim_rng_chance(&c->rng, 300))) {
        r = sim_option_co_run(c, SIM_OPT_STRUCTURED, NULL);
    }
    if (r == 0 && c->config.mode == SIM_MODE_EXTENDED) {
        r = sim_option_co_run(c, SIM_OPT_EXTENDED, NULL);
    }
    if (r == 0 && c->config.want_meta && c->config.mode != SIM_MODE_SIMPLE) {
        r = sim_option_co_meta(c, SIM_OPT_SET_META, "base:allocation");
        if (r == 0 && !c->has_meta) {
            return sim_option_bad(c, SIM_OPT_SET_META, "no context", 0);
        }
    }
    return r == 1 ? sim_option_bad(c, SIM_OPT_EXTENDED, "an error", 0) : r;
}

static int
sim_handshake_check(SimClient *c)
{
    bool ro = c->flags & SIM_FLAG_READ_ONLY;

    if (!(c->flags & SIM_FLAG_HAS_FLAGS) || ro != c->config.read_only) {
        return sim_option_bad(c, SIM_OPT_GO, "the flags of the export",
                              c->flags);
    }
    return 0;
}

int coroutine_fn
sim_client_co_handshake(SimClient *c)
{
    int r = sim_handshake_co_greet(c);

    for (unsigned i = 0; r >= 0 && i < c->config.n_noise; i++) {
        r = sim_option_co_noise(c);
    }
    r = r < 0 ? r : sim_handshake_co_mode(c);
    if (r < 0) {
        return r;
    }
    if (c->config.abort) {
        c->leaving = true;
        r = sim_option_co_run(c, SIM_OPT_ABORT, NULL);
        return -ECANCELED;
    }
    /* EXPORT_NAME does not go with extended headers. */
    if (c->config.use_go || c->config.mode == SIM_MODE_EXTENDED) {
        r = sim_option_co_go(c, SIM_OPT_GO, c->config.export_name);
        if (r == 1) {
            return sim_option_bad(c, SIM_OPT_GO, "an error", 0);
        }
    } else {
        r = sim_handshake_co_export_name(c);
    }
    return r < 0 ? r : sim_handshake_check(c);
}
