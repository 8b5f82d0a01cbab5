/*
 * tests/lib/sim-client-request.c - draw requests and put them on the wire; see
 * tests/lib/sim-client-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>
#include <string.h>

#include "base/bits.h"
#include "tests/lib/sim-client-priv.h"

/* ---- the wire ---- */

static void
sim_put(SimClient *c, const void *data, size_t bytes)
{
    g_byte_array_append(c->out, data, (guint)bytes);
}

static void
sim_put16(SimClient *c, uint16_t n)
{
    Be16 be = be16_put(n);

    sim_put(c, &be, sizeof(be));
}

static void
sim_put32(SimClient *c, uint32_t n)
{
    Be32 be = be32_put(n);

    sim_put(c, &be, sizeof(be));
}

static void
sim_put64(SimClient *c, uint64_t n)
{
    Be64 be = be64_put(n);

    sim_put(c, &be, sizeof(be));
}

static void
sim_put_header(SimClient *c, const SimRequest *r)
{
    bool extended = c->config.mode == SIM_MODE_EXTENDED;

    sim_put32(c, extended ? SIM_REQUEST_EXT_MAGIC : SIM_REQUEST_MAGIC);
    sim_put16(c, r->flags);
    sim_put16(c, r->command);
    sim_put64(c, r->cookie);
    sim_put64(c, r->offset);
    if (extended) {
        sim_put64(c, r->bytes);
    } else {
        sim_put32(c, (uint32_t)r->bytes);
    }
}

/* ---- contents ---- */

/* Each sector of each write is unlike any other, but some are zero. */
static uint8_t *
sim_contents(SimClient *c, uint64_t offset, uint64_t bytes)
{
    uint8_t *data = g_malloc0(bytes);
    uint64_t number = ++c->next_write;
    uint64_t pos = 0;

    if (sim_rng_chance(&c->rng, 50)) {
        return data;
    }
    while (pos < bytes) {
        uint64_t n = ash_min(bytes - pos, 512 - (offset + pos) % 512);
        uint64_t seed = sim_mix64(number << 32 ^ (offset + pos) / 512) ^
                        sim_mix64((uint64_t)(uintptr_t)g_str_hash(c->name));

        for (uint64_t i = 0; i < n; i++) {
            data[pos + i] = (uint8_t)(seed >> (8 * (i % 8)));
            if (i % 8 == 7) {
                seed = sim_mix64(seed);
            }
        }
        pos += n;
    }
    return data;
}

/* ---- what to ask ---- */

static bool
sim_cookie_is_used(const SimClient *c, uint64_t cookie)
{
    ash_list_foreach(link, &c->requests) {
        if (ash_container_of(link, SimRequest, link)->cookie == cookie) {
            return true;
        }
    }
    return false;
}

static uint64_t
sim_draw_cookie(SimClient *c)
{
    uint64_t cookie;

    do {
        uint64_t kind = sim_rng_below(&c->rng, 10);

        cookie = kind == 0 ? 0 : kind == 1 ? UINT64_MAX : sim_rng_next(&c->rng);
    } while (sim_cookie_is_used(c, cookie));
    return cookie;
}

/* A command that the client is to use and the server offers. */
static uint16_t
sim_draw_command(SimClient *c)
{
    static const uint16_t weighted[] = {
        SIM_CMD_READ,   SIM_CMD_READ,   SIM_CMD_READ,  SIM_CMD_READ,
        SIM_CMD_WRITE,  SIM_CMD_WRITE,  SIM_CMD_WRITE, SIM_CMD_WRITE,
        SIM_CMD_WRITE,  SIM_CMD_FLUSH,  SIM_CMD_TRIM,  SIM_CMD_CACHE,
        SIM_CMD_ZEROES, SIM_CMD_STATUS,
    };
    uint16_t command =
        weighted[sim_rng_below(&c->rng, ASH_N_ELEMENTS(weighted))];
    bool offered = c->config.commands & 1U << command;

    switch (command) {
    case SIM_CMD_FLUSH:
        offered &= (c->flags & SIM_FLAG_SEND_FLUSH) != 0;
        break;
    case SIM_CMD_TRIM:
        offered &= (c->flags & SIM_FLAG_SEND_TRIM) != 0;
        break;
    case SIM_CMD_CACHE:
        offered &= (c->flags & SIM_FLAG_SEND_CACHE) != 0;
        break;
    case SIM_CMD_ZEROES:
        offered &= (c->flags & SIM_FLAG_SEND_ZEROES) != 0;
        break;
    case SIM_CMD_STATUS:
        offered &= c->has_meta;
        break;
    default:
        break;
    }
    return offered ? command : SIM_CMD_READ;
}

static void
sim_draw_range(SimClient *c, SimRequest *r)
{
    bool hot = c->config.hot_bytes > 0 && sim_rng_chance(&c->rng, 800);
    uint64_t end =
        hot ? ash_min(c->config.hot_bytes, c->config.size) : c->config.size;
    uint64_t kind = sim_rng_below(&c->rng, 10);
    uint64_t align = kind < 5 ? 512 : kind < 8 ? 4096 : 1;
    uint64_t max = c->config.bytes_max;

    if (r->command != SIM_CMD_READ && r->command != SIM_CMD_WRITE &&
        sim_rng_chance(&c->rng, 100)) {
        max = end;
    }
    r->offset = ash_round_down(sim_rng_below(&c->rng, end), align);
    r->bytes = sim_rng_skewed(&c->rng, 1, ash_min(max, end - r->offset));
    r->bytes = ash_round_up(r->bytes, align);
    r->bytes = ash_min(r->bytes, c->config.size - r->offset);
}

static void
sim_draw_flags(SimClient *c, SimRequest *r)
{
    bool structured = c->config.mode != SIM_MODE_SIMPLE;

    if (sim_rng_chance(&c->rng, 200) && c->flags & SIM_FLAG_SEND_FUA) {
        r->flags |= SIM_CMD_FUA;
    }
    if (r->command == SIM_CMD_READ && structured &&
        sim_rng_chance(&c->rng, 300)) {
        r->flags |= SIM_CMD_DF;
    }
    if (r->command == SIM_CMD_ZEROES && sim_rng_chance(&c->rng, 300)) {
        r->flags |= SIM_CMD_NO_HOLE;
    }
    if (r->command == SIM_CMD_ZEROES && sim_rng_chance(&c->rng, 200) &&
        c->flags & SIM_FLAG_FAST_ZERO) {
        r->flags |= SIM_CMD_FAST_ZERO;
    }
    if (r->command == SIM_CMD_STATUS && sim_rng_chance(&c->rng, 300)) {
        r->flags |= SIM_CMD_REQ_ONE;
    }
    if (r->command == SIM_CMD_WRITE && c->config.mode == SIM_MODE_EXTENDED) {
        r->flags |= SIM_CMD_PAYLOAD_LEN;
    }
}

static bool
sim_modifies(uint16_t command)
{
    return command == SIM_CMD_WRITE || command == SIM_CMD_TRIM ||
           command == SIM_CMD_ZEROES;
}

/* Make it a request that has to fail. */
static void
sim_draw_mistake(SimClient *c, SimRequest *r)
{
    switch (sim_rng_below(&c->rng, 3)) {
    case 0:
        r->command = SIM_CMD_UNKNOWN;
        r->flags = 0;
        r->must_fail = SIM_EINVAL;
        break;
    case 1:
        r->flags |= 0x4000;
        r->must_fail = SIM_EINVAL;
        break;
    default:
        if (r->command == SIM_CMD_FLUSH) {
            break;
        }
        r->offset = sim_rng_chance(&c->rng, 500)
                        ? c->config.size - ash_min(r->bytes - 1, c->config.size)
                        : c->config.size + sim_rng_next(&c->rng) % UINT32_MAX;
        r->must_fail =
            r->command == SIM_CMD_WRITE || r->command == SIM_CMD_ZEROES
                ? SIM_ENOSPC
                : SIM_EINVAL;
    }
}

/* ---- requests ---- */

static void
sim_request_draw(SimClient *c, SimRequest *r)
{
    r->cookie = sim_draw_cookie(c);
    if (c->config.verify) {
        r->command = SIM_CMD_READ;
        r->offset = c->verified;
        r->bytes = ash_min(c->config.size - c->verified, c->config.bytes_max);
        c->verified += r->bytes;
        return;
    }
    r->command = sim_draw_command(c);
    if (r->command != SIM_CMD_FLUSH) {
        sim_draw_range(c, r);
    }
    if (sim_modifies(r->command) &&
        !sim_oracle_can_modify(c->config.oracle, r->offset, r->bytes)) {
        /* The oracle could not keep up; look instead. */
        r->command = SIM_CMD_READ;
        r->bytes = ash_min(r->bytes, c->config.bytes_max);
    }
    sim_draw_flags(c, r);
    if (sim_rng_chance(&c->rng, c->config.bad_permille)) {
        sim_draw_mistake(c, r);
    }
    if (sim_modifies(r->command) && c->config.read_only &&
        !(r->flags & 0x4000)) {
        r->must_fail = SIM_EPERM;
    }
}

/* Tell the oracle what is going to be sent. */
static void
sim_request_tell(SimClient *c, SimRequest *r, const uint8_t *data)
{
    SimOracle *oracle = c->config.oracle;

    if (r->must_fail) {
        return;
    }
    switch (r->command) {
    case SIM_CMD_READ:
        r->data = g_malloc0(r->bytes);
        r->covered = g_malloc0(r->bytes);
        r->read = sim_oracle_read_begin(oracle, r->offset, r->bytes);
        break;
    case SIM_CMD_STATUS:
        r->read = sim_oracle_read_begin(oracle, r->offset, r->bytes);
        break;
    case SIM_CMD_WRITE:
        r->op =
            sim_oracle_begin(oracle, SIM_MOD_WRITE, r->offset, r->bytes, data);
        break;
    case SIM_CMD_ZEROES:
        r->op =
            sim_oracle_begin(oracle, SIM_MOD_ZERO, r->offset, r->bytes, NULL);
        break;
    case SIM_CMD_TRIM:
        r->op =
            sim_oracle_begin(oracle, SIM_MOD_TRIM, r->offset, r->bytes, NULL);
        break;
    case SIM_CMD_FLUSH:
        r->stamp = sim_oracle_flush_begin(oracle);
        break;
    default:
        break;
    }
}

void
sim_client_add_request(SimClient *c)
{
    SimRequest *r = g_new0(SimRequest, 1);
    g_autofree uint8_t *data = NULL;

    sim_request_draw(c, r);
    if (r->command == SIM_CMD_WRITE) {
        data = sim_contents(c, r->offset, r->bytes);
    }
    sim_request_tell(c, r, data);
    ash_list_append(&c->requests, &r->link);
    c->n_requests++;
    c->config.report->n_requests[r->command]++;
    sim_trace(c->config.world, "request", (uint64_t)r->command << 16 | r->flags,
              r->offset, r->bytes);
    sim_put_header(c, r);
    if (data) {
        sim_put(c, data, r->bytes);
    }
}

void
sim_client_add_disc(SimClient *c)
{
    SimRequest r = { .command = SIM_CMD_DISC };

    r.cookie = sim_draw_cookie(c);
    sim_put_header(c, &r);
}

void
sim_request_free(SimClient *c, SimRequest *r)
{
    ash_list_remove(&r->link);
    c->n_requests--;
    g_free(r->data);
    g_free(r->covered);
    g_free(r);
}

void
sim_request_abandon(SimClient *c, SimRequest *r)
{
    c->config.report->n_lost++;
    if (r->op) {
        sim_oracle_end(c->config.oracle, r->op, SIM_ENDED_UNKNOWN, false);
    }
    if (r->read) {
        sim_oracle_read_end(c->config.oracle, r->read, NULL);
    }
    sim_request_free(c, r);
}
