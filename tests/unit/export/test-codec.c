/*
 * tests/unit/export/test-codec.c - headers byte for byte, errors one by one.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "export/nbd-codec.h"
#include "export/nbd-errno.h"
#include "export/nbd-names.h"
#include "tests/unit/export/suites.h"

static void
test_codec_compact_request(void)
{
    static const uint8_t bytes[28] = {
        0x25, 0x60, 0x95, 0x13, 0x00, 0x03, 0x00, 0x06, 1,    2,
        3,    4,    5,    6,    7,    8,    0x11, 0x22, 0x33, 0x44,
        0x55, 0x66, 0x77, 0x88, 0xff, 0xfe, 0xfd, 0xfc,
    };
    NbdCall call;

    g_assert_cmpuint(nbd_request_bytes(NBD_MODE_SIMPLE), ==, 28);
    g_assert_true(nbd_decode_request(NBD_MODE_STRUCTURED, bytes, &call));
    g_assert_cmpuint(call.flags, ==, 3);
    g_assert_cmpuint(call.command, ==, NBD_CMD_WRITE_ZEROES);
    g_assert_cmphex(call.cookie, ==, 0x0102030405060708);
    g_assert_cmphex(call.offset, ==, 0x1122334455667788);
    g_assert_cmphex(call.len, ==, 0xfffefdfc);
}

static void
test_codec_extended_request(void)
{
    static const uint8_t bytes[32] = {
        0x21, 0xe4, 0x1c, 0x71, 0x00, 0x20, 0x00, 0x01, 1,    2,    3,
        4,    5,    6,    7,    8,    0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
        0x77, 0x88, 0x80, 0,    0,    0,    0xff, 0xfe, 0xfd, 0xfc,
    };
    NbdCall call;

    g_assert_cmpuint(nbd_request_bytes(NBD_MODE_EXTENDED), ==, 32);
    g_assert_true(nbd_decode_request(NBD_MODE_EXTENDED, bytes, &call));
    g_assert_cmphex(call.len, ==, 0x80000000fffefdfc);
    g_assert_cmpuint(call.flags, ==, NBD_CMD_FLAG_PAYLOAD_LEN);
}

/* Every single-bit error in either magic is refused. */
static void
test_codec_magic(void)
{
    for (unsigned bit = 0; bit < 32; bit++) {
        uint8_t bytes[32] = { 0 };
        Be32 compact = be32_put(NBD_REQUEST_MAGIC ^ (1U << bit));
        Be32 extended = be32_put(NBD_EXTENDED_REQUEST_MAGIC ^ (1U << bit));
        NbdCall call;

        memcpy(bytes, &compact, 4);
        g_assert_false(nbd_decode_request(NBD_MODE_SIMPLE, bytes, &call));
        memcpy(bytes, &extended, 4);
        g_assert_false(nbd_decode_request(NBD_MODE_EXTENDED, bytes, &call));
    }
}

static void
test_codec_simple_reply(void)
{
    static const uint8_t want[16] = {
        0x67, 0x44, 0x66, 0x98, 0, 0, 0, 5, 8, 7, 6, 5, 4, 3, 2, 1,
    };
    uint8_t out[NBD_REPLY_HEADER_MAX];

    g_assert_cmpuint(nbd_encode_simple_reply(out, 0x0807060504030201, 5), ==,
                     sizeof(want));
    g_assert_true(memcmp(out, want, sizeof(want)) == 0);
}

static void
test_codec_chunks(void)
{
    static const uint8_t structured[20] = {
        0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 2, 8,
    };
    static const uint8_t extended[32] = {
        0x6e, 0x8a, 0x27, 0x8c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9,
        0,    0,    0,    0,    0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 8,
    };
    NbdChunk chunk = { .flags = NBD_REPLY_FLAG_DONE,
                       .type = NBD_REPLY_TYPE_OFFSET_DATA,
                       .cookie = 9,
                       .offset = 1024,
                       .len = 520 };
    uint8_t out[NBD_REPLY_HEADER_MAX];

    g_assert_cmpuint(nbd_encode_chunk(NBD_MODE_STRUCTURED, out, &chunk), ==,
                     sizeof(structured));
    g_assert_true(memcmp(out, structured, sizeof(structured)) == 0);
    g_assert_cmpuint(nbd_encode_chunk(NBD_MODE_EXTENDED, out, &chunk), ==,
                     sizeof(extended));
    g_assert_true(memcmp(out, extended, sizeof(extended)) == 0);
    g_assert_cmpuint(nbd_read_header_bytes(NBD_MODE_SIMPLE), ==, 16);
    g_assert_cmpuint(nbd_read_header_bytes(NBD_MODE_STRUCTURED), ==, 28);
    g_assert_cmpuint(nbd_read_header_bytes(NBD_MODE_EXTENDED), ==, 40);
}

/* Every errno gives an error of NBD, and only 0 gives success. */
static void
test_codec_errno(void)
{
    static const struct {
        int err;
        uint32_t nbd;
    } rows[] = {
        { EPERM, NBD_EPERM },
        { EACCES, NBD_EPERM },
        { EROFS, NBD_EPERM },
        { ENOMEM, NBD_ENOMEM },
        { EINVAL, NBD_EINVAL },
        { ENOSPC, NBD_ENOSPC },
        { EFBIG, NBD_ENOSPC },
        { EDQUOT, NBD_ENOSPC },
        { EOVERFLOW, NBD_EOVERFLOW },
        { ENOTSUP, NBD_ENOTSUP },
        { ENOMEDIUM, NBD_ESHUTDOWN },
        { ESHUTDOWN, NBD_ESHUTDOWN },
        { EIO, NBD_EIO },
        { EBADF, NBD_EIO },
    };

    g_assert_cmpuint(nbd_errno(0), ==, NBD_SUCCESS);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpuint(nbd_errno(rows[i].err), ==, rows[i].nbd);
    }
    for (int err = 1; err < 4096; err++) {
        uint32_t nbd = nbd_errno(err);

        g_assert_cmpuint(nbd, !=, NBD_SUCCESS);
        g_assert_cmpuint(strlen(nbd_error_text(nbd)), >, 0);
        g_assert_cmpuint(strlen(nbd_error_text(nbd)), <, 80);
    }
}

static void
test_codec_names(void)
{
    g_assert_cmpstr(nbd_command_name(NBD_CMD_BLOCK_STATUS), ==, "BLOCK_STATUS");
    g_assert_cmpstr(nbd_command_name(8), ==, "unknown");
    g_assert_cmpstr(nbd_command_name(65535), ==, "unknown");
    g_assert_cmpstr(nbd_option_name(NBD_OPT_GO), ==, "GO");
    g_assert_cmpstr(nbd_option_name(NBD_OPT_EXTENDED_HEADERS), ==,
                    "EXTENDED_HEADERS");
    g_assert_cmpstr(nbd_option_name(12), ==, "unknown");
}

void
test_codec_add(void)
{
    g_test_add_func("/export/codec/compact-request",
                    test_codec_compact_request);
    g_test_add_func("/export/codec/extended-request",
                    test_codec_extended_request);
    g_test_add_func("/export/codec/wrong-magic-is-refused", test_codec_magic);
    g_test_add_func("/export/codec/simple-reply", test_codec_simple_reply);
    g_test_add_func("/export/codec/chunks", test_codec_chunks);
    g_test_add_func("/export/codec/errno", test_codec_errno);
    g_test_add_func("/export/codec/names", test_codec_names);
}
