/*
 * export/nbd-handshake.c - greeting, client flags, the option loop.
 *
 * Method: bytes come through a small buffer of the handshake's own; nothing
 * that a client announces is allocated before it has been checked.  A time
 * limit, a number of options and a number of bytes bound what a stranger can
 * ask for.
 *
 * Source: proto.md, "Fixed newstyle negotiation".
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-handshake-priv.h"
#include "export/nbd-names.h"

/* ---- bytes ---- */

static uint64_t
nbd_hs_timeout(const NbdHandshake *hs)
{
    uint64_t now;

    if (hs->deadline_ns == UINT64_MAX) {
        return UINT64_MAX;
    }
    now = loop_now_ns(hs->conn->home->loop);
    return hs->deadline_ns > now ? hs->deadline_ns - now : 0;
}

static int coroutine_fn
nbd_hs_co_wait(NbdHandshake *hs, ChanEvent event)
{
    uint64_t timeout = nbd_hs_timeout(hs);

    if (timeout == 0) {
        return -ETIMEDOUT;
    }
    return chan_co_wait(hs->conn->chan, event, timeout);
}

/* At least one more byte in the buffer. */
static int coroutine_fn
nbd_hs_co_fill(NbdHandshake *hs)
{
    ash_assert(hs->pos == hs->end);
    for (;;) {
        struct iovec v = { hs->buf, sizeof(hs->buf) };
        ptrdiff_t n = chan_recv(hs->conn->chan, &v, 1);
        int ret;

        if (n > 0) {
            hs->pos = 0;
            hs->end = (size_t)n;
            return 0;
        }
        if (n != -EAGAIN) {
            return n == 0 ? -ECONNRESET : (int)n;
        }
        ret = nbd_hs_co_wait(hs, CHAN_READ);
        if (ret < 0) {
            return ret;
        }
    }
}

int coroutine_fn
nbd_hs_co_read(NbdHandshake *hs, void *buf, size_t bytes)
{
    uint8_t *p = buf;

    while (bytes > 0) {
        size_t n;

        if (hs->pos == hs->end) {
            int ret = nbd_hs_co_fill(hs);

            if (ret < 0) {
                return ret;
            }
        }
        n = ash_min(bytes, hs->end - hs->pos);
        if (p) {
            memcpy(p, hs->buf + hs->pos, n);
            p += n;
        }
        hs->pos += n;
        bytes -= n;
    }
    return 0;
}

int coroutine_fn
nbd_hs_co_send(NbdHandshake *hs, const void *data, size_t bytes)
{
    struct iovec v = { (void *)(uintptr_t)data, bytes };

    while (v.iov_len > 0) {
        ptrdiff_t n = chan_send(hs->conn->chan, &v, 1, false);

        if (n > 0) {
            v.iov_base = (uint8_t *)v.iov_base + n;
            v.iov_len -= (size_t)n;
        } else if (n == -EAGAIN) {
            int ret = nbd_hs_co_wait(hs, CHAN_WRITE);

            if (ret < 0) {
                return ret;
            }
        } else {
            return (int)n;
        }
    }
    return 0;
}

/* ---- one option ---- */

int coroutine_fn
nbd_opt_co_read(NbdOpt *opt, void *buf, size_t bytes)
{
    if (bytes > opt->left) {
        return -EBADMSG;
    }
    opt->left -= (uint32_t)bytes;
    return nbd_hs_co_read(opt->hs, buf, bytes);
}

int coroutine_fn
nbd_opt_co_read_string(NbdOpt *opt, char **ret, size_t *ret_len)
{
    g_autofree char *text = NULL;
    Be32 be_len;
    uint32_t len;
    int r = nbd_opt_co_read(opt, &be_len, sizeof(be_len));

    if (r < 0) {
        return r;
    }
    len = be32_get(be_len);
    if (len > opt->left) {
        return -EBADMSG;
    }
    if (len > NBD_STRING_MAX) {
        r = nbd_opt_co_read(opt, NULL, len);
        return r < 0 ? r : -ENAMETOOLONG;
    }
    text = g_malloc(len + 1);
    r = nbd_opt_co_read(opt, text, len);
    if (r < 0) {
        return r;
    }
    text[len] = '\0';
    if (memchr(text, '\0', len)) {
        return -EILSEQ;
    }
    *ret = g_steal_pointer(&text);
    *ret_len = len;
    return 0;
}

int coroutine_fn
nbd_opt_co_reply(NbdOpt *opt, uint32_t type, const void *data, size_t bytes)
{
    bool is_last = type == NBD_REP_ACK || (type & NBD_REP_ERR(0U));
    NbdOptionReply head = {
        .magic = be64_put(NBD_REP_MAGIC),
        .option = be32_put(opt->option),
        .type = be32_put(type),
        .len = be32_put((uint32_t)bytes),
    };
    g_autofree uint8_t *all = NULL;
    int ret;

    if (is_last && opt->left > 0) {
        ret = nbd_opt_co_read(opt, NULL, opt->left);
        if (ret < 0) {
            return ret;
        }
    }
    all = g_malloc(sizeof(head) + bytes);
    memcpy(all, &head, sizeof(head));
    if (bytes > 0) {
        memcpy(all + sizeof(head), data, bytes);
    }
    return nbd_hs_co_send(opt->hs, all, sizeof(head) + bytes);
}

int coroutine_fn
nbd_opt_co_error(NbdOpt *opt, uint32_t type, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, fmt);
    text = g_strdup_vprintf(fmt, args);
    va_end(args);
    ash_log_limited(&opt->hs->conn->log_limit, ASH_LOG_DEBUG,
                    "option refused: peer=%s option=%s: %s",
                    nbd_conn_peer(opt->hs->conn), nbd_option_name(opt->option),
                    text);
    return nbd_opt_co_reply(opt, type, text,
                            ash_min(strlen(text), NBD_STRING_MAX));
}

int coroutine_fn
nbd_opt_co_bad(NbdOpt *opt, int ret)
{
    switch (ret) {
    case -EBADMSG:
        return nbd_opt_co_error(opt, NBD_REP_ERR_INVALID,
                                "the lengths inside the option do not fit "
                                "its own");
    case -ENAMETOOLONG:
        return nbd_opt_co_error(opt, NBD_REP_ERR_TOO_BIG,
                                "a string is longer than %u bytes",
                                NBD_STRING_MAX);
    case -EILSEQ:
        return nbd_opt_co_error(opt, NBD_REP_ERR_INVALID,
                                "a string has a NUL inside");
    default:
        return ret;
    }
}

/* STRUCTURED_REPLY and EXTENDED_HEADERS: no data, and they stay. */
static int coroutine_fn
nbd_opt_co_mode(NbdOpt *opt, NbdMode mode)
{
    NbdNegotiated *n = &opt->hs->conn->negotiated;

    if (opt->left > 0) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_INVALID,
                                "this option has no data");
    }
    if (mode == NBD_MODE_STRUCTURED && n->mode == NBD_MODE_EXTENDED) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_EXT_HEADER_REQD,
                                "extended headers are in use already");
    }
    n->mode = mode;
    return nbd_opt_co_reply(opt, NBD_REP_ACK, NULL, 0);
}

static int coroutine_fn
nbd_opt_co_run(NbdOpt *opt)
{
    int ret;

    switch (opt->option) {
    case NBD_OPT_EXPORT_NAME:
        return nbd_opt_co_export_name(opt);
    case NBD_OPT_ABORT:
        ret = nbd_opt_co_reply(opt, NBD_REP_ACK, NULL, 0);
        return ret < 0 ? ret : -ECANCELED;
    case NBD_OPT_LIST:
        return nbd_opt_co_list(opt);
    case NBD_OPT_STARTTLS:
        if (opt->left > 0) {
            return nbd_opt_co_error(opt, NBD_REP_ERR_INVALID,
                                    "STARTTLS has no data");
        }
        return nbd_opt_co_error(opt, NBD_REP_ERR_POLICY,
                                "TLS is not available on this server");
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return nbd_opt_co_go(opt);
    case NBD_OPT_STRUCTURED_REPLY:
        return nbd_opt_co_mode(opt, NBD_MODE_STRUCTURED);
    case NBD_OPT_EXTENDED_HEADERS:
        return nbd_opt_co_mode(opt, NBD_MODE_EXTENDED);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
        return nbd_opt_co_meta(opt);
    default:
        return nbd_opt_co_error(opt, NBD_REP_ERR_UNSUP,
                                "option %u is not supported", opt->option);
    }
}

/* Read one option and answer it. */
static int coroutine_fn
nbd_hs_co_option(NbdHandshake *hs)
{
    NbdOpt opt = { .hs = hs };
    NbdOptionHeader head;
    int ret = nbd_hs_co_read(hs, &head, sizeof(head));

    if (ret < 0) {
        return ret;
    }
    opt.option = be32_get(head.option);
    opt.left = be32_get(head.len);
    if (be64_get(head.magic) != NBD_OPT_MAGIC ||
        opt.left > NBD_OPTION_BYTES_MAX ||
        ++hs->n_options > hs->n_options_max) {
        return -EPROTO;
    }
    return nbd_opt_co_run(&opt);
}

/* ---- the whole ---- */

static int coroutine_fn
nbd_hs_co_greet(NbdHandshake *hs)
{
    NbdGreeting greeting = {
        .magic = be64_put(NBD_MAGIC),
        .opt_magic = be64_put(NBD_OPT_MAGIC),
        .flags = be16_put(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES),
    };
    uint32_t flags;
    Be32 be_flags;
    int ret = nbd_hs_co_send(hs, &greeting, sizeof(greeting));

    if (ret == 0) {
        ret = nbd_hs_co_read(hs, &be_flags, sizeof(be_flags));
    }
    if (ret < 0) {
        return ret;
    }
    flags = be32_get(be_flags);
    if (flags & ~(NBD_FLAG_C_FIXED_NEWSTYLE | NBD_FLAG_C_NO_ZEROES)) {
        return -EPROTO;
    }
    hs->conn->negotiated.no_zeroes = flags & NBD_FLAG_C_NO_ZEROES;
    return 0;
}

/* Hand what was received beyond the handshake to the request phase. */
static int coroutine_fn
nbd_hs_co_give_rest(NbdHandshake *hs)
{
    NbdConn *conn = hs->conn;
    size_t bytes = hs->end - hs->pos;

    if (bytes == 0) {
        return 0;
    }
    conn->in = nbd_conn_co_get_buf(conn, NBD_BUF_BYTES);
    if (!conn->in) {
        return -ENOMEM;
    }
    memcpy(conn->in->data, hs->buf + hs->pos, bytes);
    conn->in_end = bytes;
    return 0;
}

static unsigned
nbd_hs_options_max(NbdServer *server)
{
    g_autoptr(GPtrArray) exports = nbd_server_get_exports(server);

    return NBD_OPTIONS_MAX + 4 * exports->len;
}

int coroutine_fn
nbd_handshake_co_run(NbdConn *conn)
{
    g_autofree NbdHandshake *hs = g_new(NbdHandshake, 1);
    uint64_t limit_ns = conn->client.handshake_ns;
    int ret;

    hs->conn = conn;
    hs->deadline_ns =
        limit_ns == 0 ? UINT64_MAX : loop_now_ns(conn->home->loop) + limit_ns;
    hs->n_options = 0;
    hs->n_options_max = nbd_hs_options_max(conn->server);
    hs->pos = 0;
    hs->end = 0;
    ret = nbd_hs_co_greet(hs);
    while (ret == NBD_OPT_NEXT) {
        ret = nbd_hs_co_option(hs);
    }
    if (ret == NBD_OPT_DONE) {
        ret = nbd_hs_co_give_rest(hs);
    }
    return ret;
}
