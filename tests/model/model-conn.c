/*
 * tests/model/model-conn.c - connections: handshake, bytes, the end; see
 * tests/model/model.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/model/model-priv.h"

/* Nothing happens for so long: it hangs. */
#define MODEL_PATIENCE_MS 60000
#define MODEL_RECV_BYTES ((size_t)256 << 10)
#define MODEL_EXPORT "disk"
#define MODEL_OPTION_MAX (NBD_STRING_MAX + 64)

void
model_conn_complain(ModelConn *c, const ModelRequest *r, const char *what,
                    uint64_t n)
{
    g_autofree char *request = NULL;

    if (r) {
        request = g_strdup_printf(", command %u flags %#x offset %" PRIu64
                                  " bytes %" PRIu64,
                                  r->command, r->flags, r->offset, r->effect);
    }
    c->broken = true;
    model_complain(c->run,
                   "connection %u mode %u: %s: %" PRIu64 " (%#" PRIx64 ")%s",
                   c->number, c->mode, what, n, n, request ? request : "");
}

/* ---- handshake: waits for every byte ---- */

static bool
model_conn_write(ModelConn *c, const void *buf, size_t bytes)
{
    return send(c->fd, buf, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

static bool
model_conn_read(ModelConn *c, void *buf, size_t bytes)
{
    uint8_t *p = buf;

    while (bytes > 0) {
        struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };
        ssize_t n = -1;

        if (poll(&poll_fd, 1, MODEL_PATIENCE_MS) == 1) {
            n = recv(c->fd, p, bytes, 0);
        }
        if (n <= 0) {
            return false;
        }
        p += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool
model_conn_connect(ModelConn *c)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    g_strlcpy(address.sun_path, c->run->socket, sizeof(address.sun_path));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return c->fd >= 0 && connect(c->fd, (const struct sockaddr *)&address,
                                 sizeof(address)) == 0;
}

static bool
model_conn_greet(ModelConn *c)
{
    Be32 flags = be32_put(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES);
    NbdGreeting greeting;

    return model_conn_read(c, &greeting, sizeof(greeting)) &&
           be64_get(greeting.magic) == NBD_MAGIC &&
           be64_get(greeting.opt_magic) == NBD_OPT_MAGIC &&
           be16_get(greeting.flags) ==
               (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES) &&
           model_conn_write(c, &flags, sizeof(flags));
}

static bool
model_option_send(ModelConn *c, uint32_t option, const GByteArray *data)
{
    NbdOptionHeader h = {
        .magic = be64_put(NBD_OPT_MAGIC),
        .option = be32_put(option),
        .len = be32_put(data->len),
    };

    return model_conn_write(c, &h, sizeof(h)) &&
           (data->len == 0 || model_conn_write(c, data->data, data->len));
}

/* What INFO and META_CONTEXT say. */
static bool
model_option_info(ModelConn *c, uint32_t type, const uint8_t *body,
                  uint32_t len)
{
    NbdInfoExport info;
    Be32 id;

    if (type == NBD_REP_INFO && len == sizeof(info)) {
        memcpy(&info, body, sizeof(info));
        if (be16_get(info.info) == NBD_INFO_EXPORT) {
            c->flags = be16_get(info.flags);
            return be64_get(info.size) == c->run->size;
        }
    } else if (type == NBD_REP_META_CONTEXT && len > sizeof(id)) {
        memcpy(&id, body, sizeof(id));
        c->meta_id = be32_get(id);
        c->has_meta = true;
    }
    return type == NBD_REP_INFO || type == NBD_REP_META_CONTEXT;
}

/* Send an option and take its replies; false unless the last is ACK. */
static bool
model_option_run(ModelConn *c, uint32_t option, const GByteArray *data)
{
    g_autofree uint8_t *body = g_malloc(MODEL_OPTION_MAX);
    NbdOptionReply rep;

    if (!model_option_send(c, option, data)) {
        return false;
    }
    while (model_conn_read(c, &rep, sizeof(rep)) &&
           be64_get(rep.magic) == NBD_REP_MAGIC &&
           be32_get(rep.option) == option &&
           be32_get(rep.len) <= MODEL_OPTION_MAX &&
           model_conn_read(c, body, be32_get(rep.len))) {
        if (be32_get(rep.type) == NBD_REP_ACK) {
            return be32_get(rep.len) == 0;
        }
        if (!model_option_info(c, be32_get(rep.type), body,
                               be32_get(rep.len))) {
            return false;
        }
    }
    return false;
}

static void
model_add_text(GByteArray *a, const char *text)
{
    Be32 len = be32_put((uint32_t)strlen(text));

    g_byte_array_append(a, len.b, sizeof(len));
    g_byte_array_append(a, (const guint8 *)text, (guint)strlen(text));
}

static bool
model_conn_shake_hands(ModelConn *c)
{
    g_autoptr(GByteArray) none = g_byte_array_new();
    g_autoptr(GByteArray) meta = g_byte_array_new();
    g_autoptr(GByteArray) go = g_byte_array_new();
    Be32 one = be32_put(1);
    Be16 no_infos = be16_put(0);

    model_add_text(meta, MODEL_EXPORT);
    g_byte_array_append(meta, one.b, sizeof(one));
    model_add_text(meta, "base:allocation");
    model_add_text(go, MODEL_EXPORT);
    g_byte_array_append(go, no_infos.b, sizeof(no_infos));
    if (c->mode != MODEL_SIMPLE &&
        !model_option_run(c,
                          c->mode == MODEL_EXTENDED ? NBD_OPT_EXTENDED_HEADERS
                                                    : NBD_OPT_STRUCTURED_REPLY,
                          none)) {
        return false;
    }
    if (c->mode != MODEL_SIMPLE && sim_rng_chance(&c->rng, 850) &&
        (!model_option_run(c, NBD_OPT_SET_META_CONTEXT, meta) ||
         !c->has_meta)) {
        return false;
    }
    return model_option_run(c, NBD_OPT_GO, go) &&
           c->flags & NBD_FLAG_HAS_FLAGS &&
           !(c->flags & NBD_FLAG_READ_ONLY) == !c->run->backend->read_only;
}

/* ---- requests and replies ---- */

static bool
model_conn_is_done(const ModelConn *c)
{
    return c->broken || (c->n_left == 0 && c->requests->len == 0 &&
                         (!c->verify || c->verified == c->run->size));
}

/* Draw as many requests as may be in flight. */
static void
model_conn_fill(ModelConn *c)
{
    while (c->requests->len < c->depth &&
           (c->verify ? c->verified < c->run->size : c->n_left > 0)) {
        c->n_left -= c->verify ? 0 : 1;
        model_request_add(c);
    }
}

static void
model_conn_send(ModelConn *c)
{
    ssize_t n = send(c->fd, c->out->data + c->sent, c->out->len - c->sent,
                     MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN) {
        model_conn_complain(c, NULL, "sending fails", (uint64_t)errno);
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == c->out->len) {
        g_byte_array_set_size(c->out, 0);
        c->sent = 0;
    }
}

static void
model_conn_recv(ModelConn *c)
{
    guint len;
    ssize_t n;

    if (c->taken > 0) {
        g_byte_array_remove_range(c->in, 0, (guint)c->taken);
        c->taken = 0;
    }
    len = c->in->len;
    g_byte_array_set_size(c->in, len + (guint)MODEL_RECV_BYTES);
    n = recv(c->fd, c->in->data + len, MODEL_RECV_BYTES, MSG_DONTWAIT);
    g_byte_array_set_size(c->in, len + (n > 0 ? (guint)n : 0));
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        model_conn_complain(c, NULL, "the connection ends",
                            n == 0 ? 0 : (uint64_t)errno);
        return;
    }
    while (model_reply_take(c)) {
    }
}

/* Wait for any of them and let it go on; false: they hang. */
static bool
model_conns_step(ModelConn *const *conns, unsigned n)
{
    struct pollfd fds[MODEL_CONNS_MAX] = { 0 };

    for (unsigned i = 0; i < n; i++) {
        ModelConn *c = conns[i];

        fds[i].fd = -1;
        if (!model_conn_is_done(c)) {
            model_conn_fill(c);
            fds[i].fd = c->fd;
            fds[i].events = (short)(POLLIN | (c->out->len > 0 ? POLLOUT : 0));
        }
    }
    if (poll(fds, n, MODEL_PATIENCE_MS) <= 0) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (fds[i].revents & POLLOUT && !conns[i]->broken) {
            model_conn_send(conns[i]);
        }
        if (fds[i].revents & (POLLIN | POLLHUP | POLLERR) &&
            !conns[i]->broken) {
            model_conn_recv(conns[i]);
        }
    }
    return true;
}

bool
model_conns_run(ModelRun *run, ModelConn *const *conns, unsigned n)
{
    for (;;) {
        bool done = true, broken = false;

        for (unsigned i = 0; i < n; i++) {
            done &= model_conn_is_done(conns[i]);
            broken |= conns[i]->broken;
        }
        if (done || broken) {
            return !broken;
        }
        if (!model_conns_step(conns, n)) {
            model_complain(run, "no answer for %d s", MODEL_PATIENCE_MS / 1000);
            return false;
        }
    }
}

/* ---- life ---- */

ModelConn *
model_conn_new(ModelRun *run, unsigned number)
{
    ModelConn *c = g_new0(ModelConn, 1);

    c->run = run;
    c->number = number;
    c->fd = -1;
    c->requests = g_ptr_array_new_with_free_func(model_request_free);
    c->out = g_byte_array_new();
    c->in = g_byte_array_new();
    sim_rng_init(&c->rng, run->seed, (uint64_t)run->round << 16 | number);
    /* All modes at once, whatever is drawn. */
    c->mode = number < MODEL_N_MODES
                  ? (ModelMode)number
                  : (ModelMode)sim_rng_below(&c->rng, MODEL_N_MODES);
    if (!model_conn_connect(c) || !model_conn_greet(c) ||
        !model_conn_shake_hands(c)) {
        model_conn_complain(c, NULL, "the handshake fails", (uint64_t)errno);
        model_conn_free(c);
        return NULL;
    }
    run->stats->n_conns[c->mode]++;
    return c;
}

void
model_conn_begin(ModelConn *c, uint64_t stream, unsigned n_requests)
{
    sim_rng_init(&c->rng, c->run->seed, stream << 16 | c->number);
    c->depth = (unsigned)sim_rng_skewed(&c->rng, 1, 64);
    c->n_left = n_requests;
    c->verify = NULL;
}

void
model_conn_begin_verify(ModelConn *c, uint8_t *contents)
{
    c->depth = 8;
    c->verify = contents;
    c->verified = 0;
    c->verify_failed = false;
}

bool
model_conn_has_verified(const ModelConn *c)
{
    return c->verified == c->run->size && !c->verify_failed && !c->broken;
}

/* Does the stream end here, with nothing left in it? */
static void
model_conn_expect_end(ModelConn *c)
{
    struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };
    uint8_t byte = 0;
    ssize_t n = -1;

    if (c->in->len > c->taken) {
        model_conn_complain(c, NULL, "bytes after the last reply",
                            c->in->len - c->taken);
        return;
    }
    if (poll(&poll_fd, 1, MODEL_PATIENCE_MS) == 1) {
        n = recv(c->fd, &byte, 1, 0);
    }
    if (n > 0) {
        model_conn_complain(c, NULL, "a byte after the end", byte);
    } else if (n < 0) {
        model_conn_complain(c, NULL, "no end of the stream", (uint64_t)errno);
    }
}

void
model_conn_end(ModelConn *c)
{
    if (c->run->n_complaints > 0) {
        return;
    }
    if (sim_rng_chance(&c->rng, 800)) {
        model_request_add_disc(c);
        model_conn_send(c);
    } else {
        shutdown(c->fd, SHUT_WR);
    }
    model_conn_expect_end(c);
}

void
model_conn_free(ModelConn *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    g_ptr_array_unref(c->requests);
    g_byte_array_unref(c->out);
    g_byte_array_unref(c->in);
    g_free(c);
}
