/*
 * export/nbd-wire.h - the numbers and structures of the NBD protocol.
 *
 * In the order of the specification; names as there.
 *
 * Layer:   export.      Source: NBD doc/proto.md.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/be.h"

/* ---- handshake ---- */

#define NBD_MAGIC ((uint64_t)0x4e42444d41474943)     /* "NBDMAGIC" */
#define NBD_OPT_MAGIC ((uint64_t)0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_REP_MAGIC ((uint64_t)0x0003e889045565a9)

#define NBD_FLAG_FIXED_NEWSTYLE 0x0001U
#define NBD_FLAG_NO_ZEROES 0x0002U
#define NBD_FLAG_C_FIXED_NEWSTYLE 0x00000001U
#define NBD_FLAG_C_NO_ZEROES 0x00000002U

typedef struct NbdGreeting {
    Be64 magic;
    Be64 opt_magic;
    Be16 flags;
} NbdGreeting;

typedef struct NbdOptionHeader {
    Be64 magic;
    Be32 option;
    Be32 len;
} NbdOptionHeader;

typedef struct NbdOptionReply {
    Be64 magic;
    Be32 option;
    Be32 type;
    Be32 len;
} NbdOptionReply;

/* After NBD_OPT_EXPORT_NAME; the zeroes unless NO_ZEROES. */
typedef struct NbdExportNameReply {
    Be64 size;
    Be16 flags;
    uint8_t zeroes[124];
} NbdExportNameReply;
#define NBD_EXPORT_NAME_REPLY_BYTES 10U

_Static_assert(sizeof(NbdGreeting) == 18, "proto.md");
_Static_assert(sizeof(NbdOptionHeader) == 16, "proto.md");
_Static_assert(sizeof(NbdOptionReply) == 20, "proto.md");
_Static_assert(sizeof(NbdExportNameReply) == 134, "proto.md");

typedef enum {
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_PEEK_EXPORT = 4, /* withdrawn */
    NBD_OPT_STARTTLS = 5,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META_CONTEXT = 9,
    NBD_OPT_SET_META_CONTEXT = 10,
    NBD_OPT_EXTENDED_HEADERS = 11,
} NbdOption;

#define NBD_REP_ERR(n) (0x80000000U | (n))
enum {
    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META_CONTEXT = 4,
};
#define NBD_REP_ERR_UNSUP NBD_REP_ERR(1U)
#define NBD_REP_ERR_POLICY NBD_REP_ERR(2U)
#define NBD_REP_ERR_INVALID NBD_REP_ERR(3U)
#define NBD_REP_ERR_PLATFORM NBD_REP_ERR(4U)
#define NBD_REP_ERR_TLS_REQD NBD_REP_ERR(5U)
#define NBD_REP_ERR_UNKNOWN NBD_REP_ERR(6U)
#define NBD_REP_ERR_SHUTDOWN NBD_REP_ERR(7U)
#define NBD_REP_ERR_BLOCK_SIZE_REQD NBD_REP_ERR(8U)
#define NBD_REP_ERR_TOO_BIG NBD_REP_ERR(9U)
#define NBD_REP_ERR_EXT_HEADER_REQD NBD_REP_ERR(10U)

enum {
    NBD_INFO_EXPORT = 0,
    NBD_INFO_NAME = 1,
    NBD_INFO_DESCRIPTION = 2,
    NBD_INFO_BLOCK_SIZE = 3,
};

typedef struct NbdInfoExport {
    Be16 info;
    Be64 size;
    Be16 flags;
} NbdInfoExport;

typedef struct NbdInfoBlockSize {
    Be16 info;
    Be32 minimum;
    Be32 preferred;
    Be32 payload_max;
} NbdInfoBlockSize;

_Static_assert(sizeof(NbdInfoExport) == 12, "proto.md");
_Static_assert(sizeof(NbdInfoBlockSize) == 14, "proto.md");

/* ---- transmission ---- */

#define NBD_FLAG_HAS_FLAGS (1U << 0)
#define NBD_FLAG_READ_ONLY (1U << 1)
#define NBD_FLAG_SEND_FLUSH (1U << 2)
#define NBD_FLAG_SEND_FUA (1U << 3)
#define NBD_FLAG_ROTATIONAL (1U << 4)
#define NBD_FLAG_SEND_TRIM (1U << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1U << 6)
#define NBD_FLAG_SEND_DF (1U << 7)
#define NBD_FLAG_CAN_MULTI_CONN (1U << 8)
#define NBD_FLAG_SEND_RESIZE (1U << 9)
#define NBD_FLAG_SEND_CACHE (1U << 10)
#define NBD_FLAG_SEND_FAST_ZERO (1U << 11)
#define NBD_FLAG_BLOCK_STATUS_PAYLOAD (1U << 12)

#define NBD_REQUEST_MAGIC 0x25609513U
#define NBD_EXTENDED_REQUEST_MAGIC 0x21e41c71U
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698U
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efU
#define NBD_EXTENDED_REPLY_MAGIC 0x6e8a278cU

typedef enum {
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_CACHE = 5,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7,
} NbdCommand;

#define NBD_CMD_FLAG_FUA (1U << 0)
#define NBD_CMD_FLAG_NO_HOLE (1U << 1)
#define NBD_CMD_FLAG_DF (1U << 2)
#define NBD_CMD_FLAG_REQ_ONE (1U << 3)
#define NBD_CMD_FLAG_FAST_ZERO (1U << 4)
#define NBD_CMD_FLAG_PAYLOAD_LEN (1U << 5)

typedef struct NbdRequestHeader {
    Be32 magic;
    Be16 flags;
    Be16 command;
    Be64 cookie;
    Be64 offset;
    Be32 len;
} NbdRequestHeader;

typedef struct NbdExtendedRequestHeader {
    Be32 magic;
    Be16 flags;
    Be16 command;
    Be64 cookie;
    Be64 offset;
    Be64 len;
} NbdExtendedRequestHeader;

typedef struct NbdSimpleReply {
    Be32 magic;
    Be32 error;
    Be64 cookie;
} NbdSimpleReply;

typedef struct NbdStructuredReply {
    Be32 magic;
    Be16 flags;
    Be16 type;
    Be64 cookie;
    Be32 len;
} NbdStructuredReply;

typedef struct NbdExtendedReply {
    Be32 magic;
    Be16 flags;
    Be16 type;
    Be64 cookie;
    Be64 offset;
    Be64 len;
} NbdExtendedReply;

_Static_assert(sizeof(NbdRequestHeader) == 28, "proto.md");
_Static_assert(sizeof(NbdExtendedRequestHeader) == 32, "proto.md");
_Static_assert(sizeof(NbdSimpleReply) == 16, "proto.md");
_Static_assert(sizeof(NbdStructuredReply) == 20, "proto.md");
_Static_assert(sizeof(NbdExtendedReply) == 32, "proto.md");

#define NBD_REPLY_FLAG_DONE (1U << 0)

#define NBD_REPLY_ERROR_BIT (1U << 15)
enum {
    NBD_REPLY_TYPE_NONE = 0,
    NBD_REPLY_TYPE_OFFSET_DATA = 1,
    NBD_REPLY_TYPE_OFFSET_HOLE = 2,
    NBD_REPLY_TYPE_BLOCK_STATUS = 5,
    NBD_REPLY_TYPE_BLOCK_STATUS_EXT = 6,
    NBD_REPLY_TYPE_ERROR = (1 << 15) + 1,
    NBD_REPLY_TYPE_ERROR_OFFSET = (1 << 15) + 2,
};

#define NBD_STATE_HOLE (1U << 0)
#define NBD_STATE_ZERO (1U << 1)

#define NBD_SUCCESS 0U
#define NBD_EPERM 1U
#define NBD_EIO 5U
#define NBD_ENOMEM 12U
#define NBD_EINVAL 22U
#define NBD_ENOSPC 28U
#define NBD_EOVERFLOW 75U
#define NBD_ENOTSUP 95U
#define NBD_ESHUTDOWN 108U

/* ---- limits ---- */

/* Strings of the protocol. */
#define NBD_STRING_MAX 4096U
/* The payload that every client may rely on. */
#define NBD_PAYLOAD_MAX ((uint32_t)32 << 20)
/* CACHE is advice: of a longer range the start is fetched. */
#define NBD_CACHE_MAX NBD_PAYLOAD_MAX
/* A payload that is not wanted is read and dropped up to here; beyond, the
 * connection ends. */
#define NBD_DRAIN_MAX ((uint64_t)64 << 20)
/* Data of one option, and options of one handshake besides 4 an export. */
#define NBD_OPTION_BYTES_MAX ((uint32_t)1 << 20)
#define NBD_OPTIONS_MAX 64U
#define NBD_META_QUERIES_MAX 1024U
/* Extents of one block status reply. */
#define NBD_EXTENTS_MAX 65536U
/* Requests of one connection that are being worked on or answered. */
#define NBD_IN_FLIGHT_MAX 1024U
/* What a waiting request keeps on its stack; counted in steps, beyond a few
 * that every connection may have. */
#define NBD_REQUEST_BYTES ((size_t)16 << 10)
#define NBD_REQUESTS_FREE 16U
#define NBD_REQUESTS_STEP 16U
/* Filled pipes that one connection keeps waiting to be sent. */
#define NBD_PIPES_MAX 2U

/* Ids of our metadata contexts. */
enum {
    NBD_META_BASE_ALLOCATION = 1,
    NBD_META_ALLOCATION_DEPTH = 2,
    NBD_N_META = 2,
};
