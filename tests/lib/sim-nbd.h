/*
 * tests/lib/sim-nbd.h - the NBD protocol, as the simulated clients see it.
 *
 * Written down a second time on purpose: a mistake in export/nbd-wire.h does
 * not go unnoticed because both sides share it.
 *
 * Layer:   tests/lib.
 * Source:  NBD doc/proto.md, "Values", "Reply packet", "Option negotiation".
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdint.h>

#define SIM_NBD_MAGIC 0x4e42444d41474943U /* "NBDMAGIC" */
#define SIM_NBD_OPT 0x49484156454f5054U   /* "IHAVEOPT" */
#define SIM_NBD_REP 0x0003e889045565a9U

/* greeting */
#define SIM_NBD_FIXED_NEWSTYLE 1U
#define SIM_NBD_NO_ZEROES 2U

typedef enum {
    SIM_OPT_EXPORT_NAME = 1,
    SIM_OPT_ABORT = 2,
    SIM_OPT_LIST = 3,
    SIM_OPT_STARTTLS = 5,
    SIM_OPT_INFO = 6,
    SIM_OPT_GO = 7,
    SIM_OPT_STRUCTURED = 8,
    SIM_OPT_LIST_META = 9,
    SIM_OPT_SET_META = 10,
    SIM_OPT_EXTENDED = 11,
} SimOption;

#define SIM_REP_ACK 1U
#define SIM_REP_SERVER 2U
#define SIM_REP_INFO 3U
#define SIM_REP_META 4U
#define SIM_REP_IS_ERROR(type) (((type) >> 31) != 0)
#define SIM_REP_ERR_UNKNOWN 0x80000006U
#define SIM_REP_ERR_SHUTDOWN 0x80000007U
#define SIM_REP_ERR_MAX 0x8000000aU

#define SIM_INFO_EXPORT 0U
#define SIM_INFO_NAME 1U
#define SIM_INFO_DESCRIPTION 2U
#define SIM_INFO_BLOCK_SIZE 3U

/* transmission flags */
#define SIM_FLAG_HAS_FLAGS 1U
#define SIM_FLAG_READ_ONLY 2U
#define SIM_FLAG_SEND_FLUSH 4U
#define SIM_FLAG_SEND_FUA 8U
#define SIM_FLAG_SEND_TRIM 32U
#define SIM_FLAG_SEND_ZEROES 64U
#define SIM_FLAG_SEND_DF 128U
#define SIM_FLAG_MULTI_CONN 256U
#define SIM_FLAG_SEND_CACHE 1024U
#define SIM_FLAG_FAST_ZERO 2048U

#define SIM_REQUEST_MAGIC 0x25609513U
#define SIM_REQUEST_EXT_MAGIC 0x21e41c71U
#define SIM_SIMPLE_MAGIC 0x67446698U
#define SIM_CHUNK_MAGIC 0x668e33efU
#define SIM_CHUNK_EXT_MAGIC 0x6e8a278cU

typedef enum {
    SIM_CMD_READ = 0,
    SIM_CMD_WRITE = 1,
    SIM_CMD_DISC = 2,
    SIM_CMD_FLUSH = 3,
    SIM_CMD_TRIM = 4,
    SIM_CMD_CACHE = 5,
    SIM_CMD_ZEROES = 6,
    SIM_CMD_STATUS = 7,
    SIM_CMD_UNKNOWN = 8, /* no command has this number */
} SimCommand;

#define SIM_CMD_FUA 1U
#define SIM_CMD_NO_HOLE 2U
#define SIM_CMD_DF 4U
#define SIM_CMD_REQ_ONE 8U
#define SIM_CMD_FAST_ZERO 16U
#define SIM_CMD_PAYLOAD_LEN 32U

#define SIM_CHUNK_DONE 1U
#define SIM_CHUNK_NONE 0U
#define SIM_CHUNK_DATA 1U
#define SIM_CHUNK_HOLE 2U
#define SIM_CHUNK_STATUS 5U
#define SIM_CHUNK_STATUS_EXT 6U
#define SIM_CHUNK_ERROR 0x8001U
#define SIM_CHUNK_ERROR_OFFSET 0x8002U

#define SIM_STATE_HOLE 1U
#define SIM_STATE_ZERO 2U

#define SIM_EPERM 1U
#define SIM_EIO 5U
#define SIM_ENOMEM 12U
#define SIM_EINVAL 22U
#define SIM_ENOSPC 28U
#define SIM_EOVERFLOW 75U
#define SIM_ENOTSUP 95U
#define SIM_ESHUTDOWN 108U
