/*
 * tests/fuzz/fuzz-transmission.c - requests of any kind.
 *
 * Input: one byte chooses mode and pieces, then each record of 8 bytes becomes
 * one request whose fields are drawn from interesting values, legal or not;
 * WRITEs carry the payload that their header announces.  A record may also be
 * sent as it is, in place of a header.
 * Oracle: every request gets exactly one final reply of a legal form, with an
 * error where the specification wants one; the stream stays in step.
 *
 * Source: NBD doc/proto.md, "Transmission phase".
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>
#include <string.h>

#include "export/nbd-codec.h"
#include "tests/fuzz/fuzz-world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FUZZ_REQUESTS_MAX 64
#define FUZZ_PAYLOAD_MAX 70000U

typedef struct FuzzRequest {
    NbdCall call;
    bool answered;
} FuzzRequest;

typedef struct TransmissionModel {
    NbdMode mode;
    GByteArray *sent;
    FuzzRequest requests[FUZZ_REQUESTS_MAX];
    unsigned n;
    bool broken; /* a header with a wrong magic ends the connection */
} TransmissionModel;

static const uint64_t fuzz_offsets[] = {
    0,
    1,
    511,
    512,
    4096,
    4097,
    FUZZ_DISK_BYTES - 1,
    FUZZ_DISK_BYTES,
    FUZZ_DISK_BYTES + 1,
    (uint64_t)1 << 63,
    UINT64_MAX,
    UINT64_MAX - 511,
    FUZZ_DISK_BYTES - 4096,
    65536,
    1000,
    77777,
};
static const uint64_t fuzz_lengths[] = {
    0,
    1,
    512,
    4096,
    4095,
    65536,
    65537,
    FUZZ_DISK_BYTES,
    FUZZ_DISK_BYTES + 1,
    UINT32_MAX,
    (uint64_t)1 << 32,
    INT64_MAX,
    UINT64_MAX,
    33554432,
    33554433,
    28,
};

/* ---- what the client sends ---- */

static void
fuzz_add(TransmissionModel *m, const void *data, size_t bytes)
{
    g_byte_array_append(m->sent, data, (guint)bytes);
}

static void
fuzz_add_option(TransmissionModel *m, uint32_t option, const void *data,
                uint32_t len)
{
    NbdOptionHeader head = { .magic = be64_put(NBD_OPT_MAGIC),
                             .option = be32_put(option),
                             .len = be32_put(len) };

    fuzz_add(m, &head, sizeof(head));
    if (len > 0) {
        fuzz_add(m, data, len);
    }
}

static void
fuzz_add_handshake(TransmissionModel *m, bool read_only)
{
    static const uint8_t meta[] = "\0\0\0\0\0\0\0\2"
                                  "\0\0\0\017base:allocation"
                                  "\0\0\0\025qemu:allocation-depth";
    static const uint8_t go[] = "\0\0\0\0\0\0";
    static const uint8_t go_ro[] = "\0\0\0\2ro\0\0";
    Be32 flags = be32_put(3);

    fuzz_add(m, &flags, sizeof(flags));
    if (m->mode == NBD_MODE_STRUCTURED) {
        fuzz_add_option(m, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
    } else if (m->mode == NBD_MODE_EXTENDED) {
        fuzz_add_option(m, NBD_OPT_EXTENDED_HEADERS, NULL, 0);
    }
    if (m->mode != NBD_MODE_SIMPLE) {
        fuzz_add_option(m, NBD_OPT_SET_META_CONTEXT, meta, sizeof(meta) - 1);
    }
    if (read_only) {
        fuzz_add_option(m, NBD_OPT_GO, go_ro, sizeof(go_ro) - 1);
    } else {
        fuzz_add_option(m, NBD_OPT_GO, go, sizeof(go) - 1);
    }
}

static void
fuzz_add_header(TransmissionModel *m, const NbdCall *c)
{
    NbdExtendedRequestHeader h = {
        .magic =
            be32_put(m->mode == NBD_MODE_EXTENDED ? NBD_EXTENDED_REQUEST_MAGIC
                                                  : NBD_REQUEST_MAGIC),
        .flags = be16_put(c->flags),
        .command = be16_put(c->command),
        .cookie = be64_put(c->cookie),
        .offset = be64_put(c->offset),
        .len = be64_put(c->len),
    };

    if (m->mode == NBD_MODE_EXTENDED) {
        fuzz_add(m, &h, sizeof(h));
    } else {
        Be32 len = be32_put((uint32_t)c->len);

        fuzz_add(m, &h, sizeof(NbdRequestHeader) - sizeof(len));
        fuzz_add(m, &len, sizeof(len));
    }
}

/* Bytes that have to follow @c's header. */
static uint64_t
fuzz_payload(const TransmissionModel *m, const NbdCall *c)
{
    bool says_so =
        m->mode == NBD_MODE_EXTENDED && (c->flags & NBD_CMD_FLAG_PAYLOAD_LEN);

    return says_so || c->command == NBD_CMD_WRITE ? c->len : 0;
}

static void
fuzz_add_request(TransmissionModel *m, const uint8_t *rec)
{
    NbdCall c = {
        .flags = rec[0] & 0xc0 ? (uint16_t)(rec[0] & 0x3f)
                               : (uint16_t)(rec[0] << 8 | rec[1]),
        .command = rec[2] < 240 ? rec[2] % 8 : rec[2],
        .cookie = m->n,
        .offset = rec[3] < 16 ? fuzz_offsets[rec[3]]
                              : (uint64_t)rec[3] << 12 | rec[4],
        .len =
            rec[5] < 16 ? fuzz_lengths[rec[5]] : (uint64_t)rec[5] << 8 | rec[6],
    };
    uint64_t payload;

    if (c.command == NBD_CMD_DISC) {
        c.command = NBD_CMD_FLUSH; /* the end of the input is the end */
    }
    if (m->mode != NBD_MODE_EXTENDED) {
        c.len = (uint32_t)c.len;
    }
    payload = fuzz_payload(m, &c);
    if (payload > FUZZ_PAYLOAD_MAX) {
        c.len = payload % FUZZ_PAYLOAD_MAX;
        payload = c.len;
    }
    m->requests[m->n++].call = c;
    fuzz_add_header(m, &c);
    for (uint64_t i = 0; i < payload; i++) {
        uint8_t byte = (uint8_t)(rec[7] + (i < 12 ? 0 : i));

        fuzz_add(m, &byte, 1);
    }
}

/* ---- what the server must answer ---- */

static FuzzRequest *
fuzz_find(TransmissionModel *m, uint64_t cookie)
{
    FUZZ_CHECK(cookie < m->n, cookie, m->n);
    FUZZ_CHECK(!m->requests[cookie].answered, cookie, 0);
    return &m->requests[cookie];
}

static void
fuzz_check_error(const TransmissionModel *m, const NbdCall *c, uint32_t error)
{
    uint64_t last = c->offset + c->len;
    bool past = last < c->offset || last > FUZZ_DISK_BYTES;

    (void)m;
    if (c->command > NBD_CMD_BLOCK_STATUS) {
        FUZZ_CHECK(error == NBD_EINVAL, error, NBD_EINVAL);
    }
    if (past && c->command != NBD_CMD_FLUSH &&
        !(c->flags & NBD_CMD_FLAG_PAYLOAD_LEN)) {
        FUZZ_CHECK(error != 0, error, NBD_EINVAL);
    }
    if (c->command == NBD_CMD_READ && past) {
        FUZZ_CHECK(error == NBD_EINVAL, error, NBD_EINVAL);
    }
}

static bool coroutine_fn
fuzz_co_drop(FuzzTalk *talk, uint64_t bytes)
{
    uint8_t drop[1024];

    while (bytes > 0) {
        size_t n = MIN(bytes, sizeof(drop));

        if (!fuzz_co_take(talk, drop, n)) {
            return false;
        }
        bytes -= n;
    }
    return true;
}

static bool coroutine_fn
fuzz_co_simple(FuzzTalk *talk, TransmissionModel *m, uint8_t *head)
{
    NbdSimpleReply r;
    FuzzRequest *q;
    uint32_t error;

    if (!fuzz_co_take(talk, head + 4, sizeof(r) - 4)) {
        return false;
    }
    memcpy(&r, head, sizeof(r));
    FUZZ_CHECK(m->mode != NBD_MODE_EXTENDED, m->mode, 0);
    q = fuzz_find(m, be64_get(r.cookie));
    if (m->mode == NBD_MODE_STRUCTURED) {
        FUZZ_CHECK(q->call.command != NBD_CMD_READ, 0, 1);
    }
    error = be32_get(r.error);
    fuzz_check_error(m, &q->call, error);
    q->answered = true;
    return q->call.command != NBD_CMD_READ || error != 0 ||
           fuzz_co_drop(talk, q->call.len);
}

static bool coroutine_fn
fuzz_co_chunk(FuzzTalk *talk, TransmissionModel *m, uint8_t *head)
{
    bool extended = m->mode == NBD_MODE_EXTENDED;
    size_t size = nbd_chunk_bytes(m->mode);
    const NbdExtendedReply *r = (const void *)head;
    FuzzRequest *q;
    uint64_t len;
    Be32 error;

    if (!fuzz_co_take(talk, head + 4, size - 4)) {
        return false;
    }
    FUZZ_CHECK(be32_get(r->magic) == (extended ? NBD_EXTENDED_REPLY_MAGIC
                                               : NBD_STRUCTURED_REPLY_MAGIC),
               be32_get(r->magic), 0);
    q = fuzz_find(m, be64_get(r->cookie));
    len = extended ? be64_get(r->len)
                   : be32_get(((const NbdStructuredReply *)r)->len);
    FUZZ_CHECK(len <= NBD_PAYLOAD_MAX + 8, len, 0);
    if (extended) {
        FUZZ_CHECK(be64_get(r->offset) == q->call.offset, be64_get(r->offset),
                   q->call.offset);
    }
    q->answered = be16_get(r->flags) & NBD_REPLY_FLAG_DONE;
    if (be16_get(r->type) & NBD_REPLY_ERROR_BIT) {
        FUZZ_CHECK(len >= 6, len, 6);
        if (!fuzz_co_take(talk, &error, sizeof(error))) {
            return false;
        }
        FUZZ_CHECK(be32_get(error) != 0, 0, 1);
        fuzz_check_error(m, &q->call, be32_get(error));
        len -= sizeof(error);
    }
    return fuzz_co_drop(talk, len);
}

static bool coroutine_fn
fuzz_co_skip_handshake(FuzzTalk *talk)
{
    NbdOptionReply reply;

    if (!fuzz_co_drop(talk, sizeof(NbdGreeting))) {
        return false;
    }
    for (;;) {
        if (!fuzz_co_take(talk, &reply, sizeof(reply)) ||
            !fuzz_co_drop(talk, be32_get(reply.len))) {
            return false;
        }
        FUZZ_CHECK(!(be32_get(reply.type) & NBD_REP_ERR(0U)),
                   be32_get(reply.type), NBD_REP_ACK);
        if (be32_get(reply.type) == NBD_REP_ACK &&
            be32_get(reply.option) == NBD_OPT_GO) {
            return true;
        }
    }
}

static void coroutine_fn
transmission_co_check(FuzzTalk *talk, void *arg)
{
    TransmissionModel *m = arg;
    unsigned n_left = m->n;

    FUZZ_CHECK(fuzz_co_skip_handshake(talk), 0, 1);
    while (n_left > 0) {
        uint8_t head[sizeof(NbdExtendedReply)];
        Be32 magic;
        bool more;

        if (!fuzz_co_take(talk, head, sizeof(magic))) {
            break;
        }
        memcpy(&magic, head, sizeof(magic));
        if (be32_get(magic) == NBD_SIMPLE_REPLY_MAGIC) {
            more = fuzz_co_simple(talk, m, head);
        } else {
            FUZZ_CHECK(m->mode != NBD_MODE_SIMPLE, be32_get(magic), 0);
            more = fuzz_co_chunk(talk, m, head);
        }
        if (!more) {
            break;
        }
        n_left = 0;
        for (unsigned i = 0; i < m->n; i++) {
            n_left += !m->requests[i].answered;
        }
    }
    /* DISC comes last, so everything before it is answered. */
    FUZZ_CHECK(n_left == 0 || m->broken, n_left, 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static TransmissionModel m; /* too large for a stack */
    NbdCall disc = { .command = NBD_CMD_DISC, .cookie = UINT64_MAX };

    if (bytes < 1 || bytes > 4096) {
        return 0;
    }
    memset(&m, 0, sizeof(m));
    m.mode = (NbdMode)(data[0] % 3);
    m.sent = g_byte_array_new();
    fuzz_add_handshake(&m, data[0] & 0x80);
    for (size_t i = 1; i + 8 <= bytes && m.n < FUZZ_REQUESTS_MAX; i += 8) {
        if (data[i] == 0xff && data[i + 1] == 0xff) {
            fuzz_add(&m, data + i, 8); /* not a header */
            m.broken = true;
            break;
        }
        fuzz_add_request(&m, data + i);
    }
    fuzz_add_header(&m, &disc);
    fuzz_run(m.sent->data, m.sent->len, 1U << (data[0] >> 2 & 15),
             transmission_co_check, &m);
    g_byte_array_unref(m.sent);
    return 0;
}
