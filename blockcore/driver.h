/*
 * blockcore/driver.h - BlkDriver: the contract for the authors of drivers.
 *
 * A driver is a const table of functions.  blockcore/driver-call.c is the only
 * caller of the I/O slots and checks what stands here before and after each
 * call, so a driver may rely on it.
 *
 * Layer:   blockcore.      Thread: the node's loop.
 * See:     drivers/null.c, the smallest driver.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "base/annotate.h"
#include "base/error.h"
#include "base/iov.h"
#include "blockcore/options.h"
#include "blockcore/range.h"
#include "blockcore/types.h"
#include "coro/loop.h"

typedef enum {
    BLK_PROTOCOL, /* a leaf: talks to the outside */
    BLK_FORMAT,   /* gives the data of its children a shape */
    BLK_FILTER,   /* presents exactly the data of its one child */
} BlkDriverKind;

struct BlkDriver {
    const char *name; /* "qcow2": unique, user-visible, exact match */
    BlkDriverKind kind;
    size_t state_bytes;           /* zeroed, one per node: blk_node_state() */
    const BlkOptionSpec *options; /* its own; ends with a NULL name */
    BlkReqFlags write_flags;      /* of co_write it honours itself: FUA */
    BlkReqFlags zero_flags;       /* of co_zero: FUA, MAY_UNMAP, NO_FALLBACK */
    bool variable_size;           /* ask co_size each time */
    bool flushes_children;        /* co_flush_disk does it, not the core */
    const char *help;             /* one line, no final period */

    /* ---- control path: no request is in flight; any -> GError ---- */

    /* Take own options out of @opts, open children, learn the size.  On
     * failure everything is released.  required */
    bool coroutine_fn (*co_open)(BlkNode *node, BlkOptions *opts,
                                 GError **error);
    void coroutine_fn (*co_close)(BlkNode *node); /* NULL: nothing to do */
    /* Size in bytes, exact.  required; a filter may leave it NULL. */
    int coroutine_fn (*co_size)(BlkNode *node, uint64_t *ret);
    /* @ret comes with the children's merged limits.  NULL: those. */
    void (*get_limits)(BlkNode *node, BlkLimits *ret);
    /* Which permissions on @edge follow from what the node's parents hold.
     * NULL: the default for the edge's role. */
    void (*child_perm)(BlkNode *node, const BlkEdge *edge, BlkPerm perm,
                       BlkPerm shared, BlkPerm *ret_perm, BlkPerm *ret_shared);
    /* The parents' combined permissions are about to change: take locks.
     * Then exactly one of set and abort follows, abort also after a failed
     * check.  NULL: nothing to do. */
    bool coroutine_fn (*co_check_perm)(BlkNode *node, BlkPerm perm,
                                       BlkPerm shared, GError **error);
    void coroutine_fn (*co_set_perm)(BlkNode *node, BlkPerm perm,
                                     BlkPerm shared);
    void coroutine_fn (*co_abort_perm)(BlkNode *node);
    /* Leave the old loop / settle on the node's new one.  NULL: nothing. */
    void (*detach_loop)(BlkNode *node);
    bool (*attach_loop)(BlkNode *node, Loop *loop, GError **error);

    /* ---- I/O path: 0 or -errno, never short.  Ranges are non-empty, inside
     * the size (rounded up to request_align), aligned to request_align and at
     * most max_transfer; iov->bytes == range.bytes.  Writes and zero writes
     * may pass the end when a parent has BLK_PERM_RESIZE. ---- */

    int coroutine_fn (*co_read)(BlkNode *node, BlkRange range, const IoVec *iov,
                                BlkReqFlags flags); /* required */
    /* @flags within write_flags.  NULL: read-only */
    int coroutine_fn (*co_write)(BlkNode *node, BlkRange range,
                                 const IoVec *iov, BlkReqFlags flags);
    /* Aligned to zero_align, at most max_zero; -ENOTSUP: the core writes
     * zeros.  NULL: it always does. */
    int coroutine_fn (*co_zero)(BlkNode *node, BlkRange range,
                                BlkReqFlags flags);
    /* Aligned to trim_align; -ENOTSUP is taken for success.  NULL: no-op */
    int coroutine_fn (*co_trim)(BlkNode *node, BlkRange range);
    /* Everything buffered in the process reaches the OS.  NULL: nothing */
    int coroutine_fn (*co_flush_os)(BlkNode *node);
    /* ... and the disk.  NULL: nothing of its own; the children follow */
    int coroutine_fn (*co_flush_disk)(BlkNode *node);
    /* The state at range.offset; ret->bytes aligned, may pass the range.
     * Only for this layer.  NULL: all data; of a filter, what its child
     * says */
    int coroutine_fn (*co_status)(BlkNode *node, BlkRange range,
                                  BlkExtent *ret);
    /* Which plain file range holds exactly this data, in memory already.
     * -ENOTSUP: read it instead.  NULL: never.  Must not yield. */
    int (*map_file)(BlkNode *node, BlkRange range, BlkFileRange *ret);
    /* co_read, but only if nothing has to be waited for: -EAGAIN otherwise,
     * and for every other reason to go the long way.  NULL: never.  Must not
     * yield. */
    int (*try_read)(BlkNode *node, BlkRange range, const IoVec *iov);
    /* Bring into the cache.  NULL: the core reads and drops. */
    int coroutine_fn (*co_prefetch)(BlkNode *node, BlkRange range);

    /* ---- debugging ---- */

    /* A named event ("pwritev_rmw_head") happened above; may wait.  NULL:
     * the primary child is told. */
    void coroutine_fn (*co_debug_event)(BlkNode *node, const char *event);
};

/* ---- work that a driver starts by itself ---- */

/**
 * blk_node_co_work_begin() - count what no request asked for (a timer that
 * writes metadata back) as in flight on the node; waits while it is drained.
 *
 * No request may wait for work that has not begun, or a drain never ends.
 */
void coroutine_fn blk_node_co_work_begin(BlkNode *node);
void blk_node_work_end(BlkNode *node);

/* ---- what a driver may ask of its node ---- */

void *blk_node_state(BlkNode *node);
const char *blk_node_name(const BlkNode *node);
Loop *blk_node_loop(const BlkNode *node);
uint64_t blk_node_size(const BlkNode *node); /* as of open or resize */
const BlkLimits *blk_node_limits(const BlkNode *node);
bool blk_node_is_read_only(const BlkNode *node);

/* The options that every node has, parsed before co_open; as a table for help
 * and schema. */
extern const BlkOptionSpec blk_node_option_specs[];

typedef enum {
    BLK_DETECT_ZEROES_OFF,
    BLK_DETECT_ZEROES_ON,
    BLK_DETECT_ZEROES_UNMAP,
} BlkDetectZeroes;

typedef struct BlkNodeOptions {
    bool read_only;
    bool auto_read_only;
    bool force_share;
    bool discard_unmap; /* discard=unmap; default here: unmap */
    bool cache_direct;
    bool cache_no_flush;
    BlkDetectZeroes detect_zeroes;
} BlkNodeOptions;
const BlkNodeOptions *blk_node_options(const BlkNode *node);
/* auto-read-only: the driver found that it can only read. */
void blk_node_set_read_only(BlkNode *node);

/* Free text that *_open gives for the log ("aio=io_uring: ..."); taken. */
void blk_node_take_note(BlkNode *node, char *take_text);

/**
 * blk_node_co_open_child() - open or reference the child that the options
 * name: "NAME": "node", or "NAME.driver", "NAME.filename", ...
 * @opts:   the node's options; the child's are taken out
 * @name:   "file", "backing"
 * @role:   what the child is to the node
 * @required: else an absent child gives true and *ret NULL
 *
 * Errors:  CONFIG, NOT_FOUND, CONFLICT, and the child's own.
 * Owns:    the node owns the edge until it is closed.
 */
bool coroutine_fn blk_node_co_open_child(BlkNode *node, BlkOptions *opts,
                                         const char *name, BlkRole role,
                                         bool required, BlkEdge **ret,
                                         GError **error);

/* The directory for state that outlives the process, NULL: none. */
const char *blk_node_state_dir(const BlkNode *node);

/**
 * blk_node_fail() - the node lost acknowledged data (a failed flush): every
 * later flush and modifying request fails with @err; reads go on.
 * The first call counts.  Source: docs/durability.md, C7.
 */
void blk_node_fail(BlkNode *node, int err);
int blk_node_failed(const BlkNode *node); /* 0 or -errno */

/* Say what the operator has to know or do; the owner of the graph passes it
 * on.  For what no error carries: a file that failed. */
void blk_node_tell(const BlkNode *node, const char *fmt, ...) ASH_PRINTF(2, 3);
