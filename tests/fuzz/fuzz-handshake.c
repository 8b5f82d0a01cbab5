/*
 * tests/fuzz/fuzz-handshake.c - any bytes instead of a handshake.
 *
 * Input: the first byte chooses how the bytes are cut into pieces, the rest is
 * what the client sends.
 * Oracle: the greeting is right; each reply is well formed and answers the
 * options in their order, at most one final reply each; nothing comes after
 * the connection's end; all memory is given back.
 *
 * Source: NBD doc/proto.md, "Fixed newstyle negotiation".
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "export/nbd-wire.h"
#include "tests/fuzz/fuzz-world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct HandshakeModel {
    const uint8_t *data;
    size_t bytes;
    size_t pos; /* of the option that the next reply answers */
} HandshakeModel;

/* The next option in the input; false when there is none whole. */
static bool
handshake_next_option(HandshakeModel *m, uint32_t *ret_option)
{
    NbdOptionHeader head;

    if (m->bytes - m->pos < sizeof(head)) {
        return false;
    }
    memcpy(&head, m->data + m->pos, sizeof(head));
    if (be64_get(head.magic) != NBD_OPT_MAGIC ||
        be32_get(head.len) > m->bytes - m->pos - sizeof(head)) {
        return false;
    }
    *ret_option = be32_get(head.option);
    m->pos += sizeof(head) + be32_get(head.len);
    return true;
}

/* Replies to one option; true: it was the last of the handshake. */
static bool coroutine_fn
handshake_co_check_option(FuzzTalk *talk, uint32_t option, bool *ret_closed)
{
    for (;;) {
        NbdOptionReply reply;
        uint32_t type;
        uint8_t byte;

        if (!fuzz_co_take(talk, &reply, sizeof(reply))) {
            *ret_closed = true;
            return true;
        }
        type = be32_get(reply.type);
        FUZZ_CHECK(be64_get(reply.magic) == NBD_REP_MAGIC,
                   be64_get(reply.magic), NBD_REP_MAGIC);
        FUZZ_CHECK(be32_get(reply.option) == option, be32_get(reply.option),
                   option);
        FUZZ_CHECK(be32_get(reply.len) <= 16384, be32_get(reply.len), 16384);
        for (uint32_t i = 0; i < be32_get(reply.len); i++) {
            if (!fuzz_co_take(talk, &byte, 1)) {
                *ret_closed = true; /* it gave up on what came next */
                return true;
            }
        }
        if (type & NBD_REP_ERR(0U)) {
            return false;
        }
        if (type == NBD_REP_ACK) {
            FUZZ_CHECK(be32_get(reply.len) == 0, be32_get(reply.len), 0);
            return option == NBD_OPT_GO || option == NBD_OPT_ABORT;
        }
    }
}

static void coroutine_fn
handshake_co_check(FuzzTalk *talk, void *arg)
{
    HandshakeModel *m = arg;
    NbdGreeting greeting;
    uint32_t option;
    bool closed = false;

    if (!fuzz_co_take(talk, &greeting, sizeof(greeting))) {
        return; /* it gave up on what had come already */
    }
    FUZZ_CHECK(be64_get(greeting.magic) == NBD_MAGIC, 0, NBD_MAGIC);
    FUZZ_CHECK(be64_get(greeting.opt_magic) == NBD_OPT_MAGIC, 0, 1);
    FUZZ_CHECK(be16_get(greeting.flags) == 3, be16_get(greeting.flags), 3);
    m->pos = 4; /* client flags */
    while (m->bytes >= m->pos && handshake_next_option(m, &option)) {
        /* The answer to EXPORT_NAME has another form. */
        if (option == NBD_OPT_EXPORT_NAME ||
            handshake_co_check_option(talk, option, &closed)) {
            return;
        }
    }
    if (!closed) {
        uint8_t byte;

        FUZZ_CHECK(!fuzz_co_take(talk, &byte, 1), byte, 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    HandshakeModel m = { .data = data + 1 };

    if (bytes < 1 || bytes > 1 << 16) {
        return 0;
    }
    m.bytes = bytes - 1;
    fuzz_run(m.data, m.bytes, data[0] ? data[0] : 4096, handshake_co_check, &m);
    return 0;
}
