/*
 * blockcore/types.h - the vocabulary of the block core: request flags, status,
 * limits, permissions.
 *
 * Layer:   blockcore.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Blk Blk;
typedef struct BlkNode BlkNode;
typedef struct BlkEdge BlkEdge;
typedef struct BlkGraph BlkGraph;
typedef struct BlkDriver BlkDriver;
typedef struct BlkOptions BlkOptions;

/* Flags of one request. */
typedef enum {
    BLK_REQ_FUA = 1 << 0,         /* durable before it returns (writes) */
    BLK_REQ_MAY_UNMAP = 1 << 1,   /* zero writes: may deallocate */
    BLK_REQ_NO_FALLBACK = 1 << 2, /* zero writes: -ENOTSUP rather than slow */
    BLK_REQ_UNCHANGED = 1 << 3,   /* the guest-visible data stays the same */
    BLK_REQ_SERIALISING = 1 << 4, /* writes: overlap with nothing */
    BLK_REQ_NO_WAIT = 1 << 5,     /* reads: don't wait for serialising ones */
    BLK_REQ_COMPRESSED = 1 << 6,  /* writes: store compressed */
} BlkReqFlag;
typedef unsigned BlkReqFlags;

/*
 * What a status answer says of an extent.
 *
 *   DATA ZERO OFFSET_VALID
 *    t    t    t   reads zero, and the file is zero at the offset
 *    t    f    t   valid data at the offset
 *    f    t    t   preallocated, reads zero; the file there may be anything
 *    f    f    t   preallocated, reads from the backing node; garbage there
 *    t    t    f   preallocated zero at an unknown offset
 *    t    f    f   data somewhere (compressed, encrypted)
 *    f    t    f   reads zero; unallocated or unknown
 *    f    f    f   reads from the backing node
 */
typedef enum {
    BLK_STATUS_DATA = 1 << 0,
    BLK_STATUS_ZERO = 1 << 1,
    BLK_STATUS_OFFSET_VALID = 1 << 2,
    BLK_STATUS_RAW = 1 << 3,       /* ask the child at host_offset instead */
    BLK_STATUS_ALLOCATED = 1 << 4, /* this layer decides; set by the core */
    BLK_STATUS_EOF = 1 << 5,       /* reaches the node's end; by the core */
} BlkStatusFlag;

typedef struct BlkExtent {
    uint64_t bytes;       /* > 0 except at or after the end */
    unsigned status;      /* BLK_STATUS_* */
    uint64_t host_offset; /* with OFFSET_VALID: in @file */
    BlkNode *file;        /* with OFFSET_VALID; borrowed */
} BlkExtent;

/* What a node wants of requests; filled once after open and after reopen.
 * Zero means no limit, unless said otherwise. */
typedef struct BlkLimits {
    uint32_t request_align; /* power of two, 1..64 KiB; set by the core to 1 */
    uint32_t mem_align;     /* power of two; buffers of direct I/O; 1 */
    uint32_t opt_transfer;  /* preferred size, multiple of request_align */
    uint64_t max_transfer;  /* multiple of request_align */
    uint32_t max_iov;
    uint32_t trim_align; /* power of two, multiple of request_align */
    uint64_t max_trim;   /* multiple of trim_align */
    uint32_t zero_align; /* power of two, multiple of request_align */
    uint64_t max_zero;   /* multiple of zero_align */
    bool rotational;
    bool fast_zero; /* co_zero is never slower than a write of data */
    bool zero_init; /* a newly created one reads zero; not above a backing */
    /* FUA is a write and a flush: one sync at a time can be trusted, or is
     * better; the driver's native FUA is not used */
    bool fua_by_flush;
} BlkLimits;

#define BLK_ALIGN_MAX ((uint32_t)64 << 10)
/* The largest request of data; zero, trim and status may be larger. */
#define BLK_TRANSFER_MAX ((uint64_t)2147483136)
/* One step of a zero write or discard without a driver limit. */
#define BLK_ZERO_STEP ((uint64_t)16 << 20)
/* What a prefetch reads at a time, into memory of its own. */
#define BLK_PREFETCH_BYTES ((size_t)256 << 10)
#define BLK_NODE_NAME_MAX 31
#define BLK_DEPTH_MAX 256

/* What a parent does with a child, and what it lets others do. */
typedef enum {
    BLK_PERM_CONSISTENT_READ = 1 << 0,
    BLK_PERM_WRITE = 1 << 1,
    BLK_PERM_WRITE_UNCHANGED = 1 << 2,
    BLK_PERM_RESIZE = 1 << 3,
    BLK_PERM_GRAPH_MOD = 1 << 4,
} BlkPermFlag;
typedef unsigned BlkPerm;
#define BLK_PERM_ALL 0x1fU

/* What a child is to its parent. */
typedef enum {
    BLK_ROLE_DATA = 1 << 0,     /* guest data */
    BLK_ROLE_METADATA = 1 << 1, /* the format's own */
    BLK_ROLE_FILTERED = 1 << 2, /* exactly the parent's data */
    BLK_ROLE_BACKING = 1 << 3,  /* what shows through */
    BLK_ROLE_PRIMARY = 1 << 4,  /* the one that most calls forward to */
} BlkRoleFlag;
typedef unsigned BlkRole;

/* A piece of a plain host file that holds exactly a range's data. */
typedef struct BlkFileRange {
    int fd;          /* borrowed; valid while the request is in flight */
    uint64_t offset; /* in the file */
} BlkFileRange;

/* Requests by kind, for statistics. */
typedef enum {
    BLK_OP_READ,
    BLK_OP_WRITE,
    BLK_OP_ZERO,
    BLK_OP_TRIM,
    BLK_OP_FLUSH,
    BLK_OP_CACHE,
    BLK_OP_STATUS,
    BLK_N_OPS,
} BlkOp;
