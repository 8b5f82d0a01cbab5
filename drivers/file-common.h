/*
 * drivers/file-common.h - what "file" and "host_device" have in common.
 *
 * Layer:   drivers; these two only.      Thread: the node's loop.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "blockcore/driver.h"
#include "coro/co-lock.h"
#include "drivers/aio/engine.h"
#include "drivers/file-lock.h"
#include "drivers/file-status.h"

/*
 * With O_DIRECT a file whose size is no multiple of the alignment has an end
 * that direct I/O can't write without making the file larger.  The last
 * FILE_TAIL_BYTES of such a file are written through a second, buffered, open
 * file.  Direct writes stay out of them: the page cache might hold an older
 * copy of what they write, and write that back.
 */
#define FILE_TAIL_BYTES ((uint64_t)64 << 10)

typedef struct File {
    AioFile *aio;
    AioFile *tail; /* buffered; NULL: not needed */
    char *path;
    bool direct;
    bool may_resize; /* a parent may write past the end */
    bool no_punch;   /* the host said that it can't */
    bool no_zero;
    unsigned n_judged;  /* failed durable writes, not understood yet */
    CoQueue judged;     /* syncs that wait for these */
    uint32_t align;     /* of requests */
    uint32_t mem_align; /* of memory */
    AioStat st;         /* as of open */
    FileStatus status;
    FileLock lock;
} File;

/* The options of both. */
extern const BlkOptionSpec file_option_specs[];

/* @block: a block device, else a regular file. */
bool coroutine_fn file_co_open(BlkNode *node, BlkOptions *opts, bool block,
                               GError **error);
void coroutine_fn file_co_close(BlkNode *node);
int coroutine_fn file_co_size(BlkNode *node, uint64_t *ret);
bool coroutine_fn file_co_check_perm(BlkNode *node, BlkPerm perm,
                                     BlkPerm shared, GError **error);
void coroutine_fn file_co_set_perm(BlkNode *node, BlkPerm perm, BlkPerm shared);
void coroutine_fn file_co_abort_perm(BlkNode *node);
bool file_attach_loop(BlkNode *node, Loop *loop, GError **error);

int coroutine_fn file_co_read(BlkNode *node, BlkRange range, const IoVec *iov,
                              BlkReqFlags flags);
int coroutine_fn file_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
                               BlkReqFlags flags);
int coroutine_fn file_co_flush_disk(BlkNode *node);
int coroutine_fn file_co_status(BlkNode *node, BlkRange range, BlkExtent *ret);
int file_map(BlkNode *node, BlkRange range, BlkFileRange *ret);
int file_try_read(BlkNode *node, BlkRange range, const IoVec *iov);

/* Tell the operator that the file of this failed node lost data, and how to go
 * on.  @more: why the failure could not be recorded, NULL: it is. */
void file_tell_failure(BlkNode *node, const char *more);

/* Zero or give back [range.offset, ...) up to the end: aio_file_co_space()
 * with the status forgotten around it. */
int coroutine_fn file_co_space(BlkNode *node, AioSpaceOp op, BlkRange range);
