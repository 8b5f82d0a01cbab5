/*
 * drivers/file-status.h - where a file has data and where holes.
 *
 * Asking the host costs two seeks, so the last stretch of data that was found
 * is remembered, as far as it goes.  Only data is: a hole may be filled by any
 * write, while data stays data until space is given back, and calling a hole
 * data is never wrong.
 *
 * Layer:   drivers.      Thread: the node's loop.
 * Yields:  file_status_co_find().
 * Tests:   tests/unit/drivers/test-file-race.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "blockcore/range.h"
#include "drivers/aio/engine.h"

typedef struct FileStatus {
    uint64_t data_start; /* known data, empty: none */
    uint64_t data_end;
    uint64_t gen;     /* moves when the cache is emptied */
    bool no_seek;     /* the file system has no SEEK_DATA: all is data */
    uint64_t n_seeks; /* for tests */
} FileStatus;

/* Space is given back or zeroed: call it before and after. */
void file_status_forget(FileStatus *status);

/**
 * file_status_co_find() - what is at @range.offset, and how far it goes.
 * @file:      the file
 * @range:     begins inside the file
 * @align:     of the answer
 * @ret_data:  data, else a hole
 * @ret_bytes: > 0, a multiple of @align, may pass the range
 *
 * Errors:  -EIO.
 */
int coroutine_fn file_status_co_find(FileStatus *status, AioFile *file,
                                     BlkRange range, uint32_t align,
                                     bool *ret_data, uint64_t *ret_bytes);
