/*
 * export/nbd-codec.h - requests and replies: bytes to values and back.
 *
 * No I/O and no state; decoding validates the form only (magic), not sense.
 *
 * Layer:   export.      Pure.      Source: proto.md, "Transmission phase".
 * Tests:   tests/unit/export/test-codec.c, tests/fuzz
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export/nbd-wire.h"

/* How requests and replies look on a connection. */
typedef enum {
    NBD_MODE_SIMPLE,
    NBD_MODE_STRUCTURED,
    NBD_MODE_EXTENDED,
} NbdMode;

typedef struct NbdCall {
    uint16_t flags;
    uint16_t command;
    uint64_t cookie;
    uint64_t offset;
    uint64_t len; /* of the payload with PAYLOAD_LEN, else of the effect */
} NbdCall;

#define NBD_REPLY_HEADER_MAX (sizeof(NbdExtendedReply) + 8)

static inline size_t
nbd_request_bytes(NbdMode mode)
{
    return mode == NBD_MODE_EXTENDED ? sizeof(NbdExtendedRequestHeader)
                                     : sizeof(NbdRequestHeader);
}

/* Decode nbd_request_bytes(@mode) bytes; false: wrong magic, give up. */
static inline bool
nbd_decode_request(NbdMode mode, const void *bytes, NbdCall *ret)
{
    const NbdExtendedRequestHeader *h = bytes;

    ret->flags = be16_get(h->flags);
    ret->command = be16_get(h->command);
    ret->cookie = be64_get(h->cookie);
    ret->offset = be64_get(h->offset);
    if (mode == NBD_MODE_EXTENDED) {
        ret->len = be64_get(h->len);
        return be32_get(h->magic) == NBD_EXTENDED_REQUEST_MAGIC;
    }
    ret->len = be32_get(((const NbdRequestHeader *)bytes)->len);
    return be32_get(h->magic) == NBD_REQUEST_MAGIC;
}

static inline size_t
nbd_encode_simple_reply(void *out, uint64_t cookie, uint32_t error)
{
    NbdSimpleReply *r = out;

    r->magic = be32_put(NBD_SIMPLE_REPLY_MAGIC);
    r->error = be32_put(error);
    r->cookie = be64_put(cookie);
    return sizeof(*r);
}

/* One chunk of a structured or extended reply; @len: what follows. */
typedef struct NbdChunk {
    uint16_t flags;
    uint16_t type;
    uint64_t cookie;
    uint64_t offset; /* of the request; extended replies carry it */
    uint64_t len;
} NbdChunk;

static inline size_t
nbd_encode_chunk(NbdMode mode, void *out, const NbdChunk *c)
{
    if (mode == NBD_MODE_EXTENDED) {
        NbdExtendedReply *r = out;

        r->magic = be32_put(NBD_EXTENDED_REPLY_MAGIC);
        r->flags = be16_put(c->flags);
        r->type = be16_put(c->type);
        r->cookie = be64_put(c->cookie);
        r->offset = be64_put(c->offset);
        r->len = be64_put(c->len);
        return sizeof(*r);
    }
    NbdStructuredReply *r = out;

    r->magic = be32_put(NBD_STRUCTURED_REPLY_MAGIC);
    r->flags = be16_put(c->flags);
    r->type = be16_put(c->type);
    r->cookie = be64_put(c->cookie);
    r->len = be32_put((uint32_t)c->len);
    return sizeof(*r);
}

static inline size_t
nbd_chunk_bytes(NbdMode mode)
{
    return mode == NBD_MODE_EXTENDED ? sizeof(NbdExtendedReply)
                                     : sizeof(NbdStructuredReply);
}

/* Bytes before the data in a reply to READ. */
static inline size_t
nbd_read_header_bytes(NbdMode mode)
{
    return mode == NBD_MODE_SIMPLE ? sizeof(NbdSimpleReply)
                                   : nbd_chunk_bytes(mode) + sizeof(Be64);
}
