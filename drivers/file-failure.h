/*
 * drivers/file-failure.h - what is remembered of a file that lost acknowledged
 * data, over the end of the process.
 *
 * The kernel tells of a failed write-back once, and forgets it when the file
 * is closed: whoever opens it then flushes "successfully".  So the failure is
 * recorded in the state directory, one small file for each file that failed,
 * named after its identity: device, inode and time of birth (of the last
 * change of the inode, where the file system knows no birth), or the number of
 * a block device.
 *
 * Source:  docs/durability.md, C7.
 * Layer:   drivers.      Any thread; the plain functions block.
 * Tests:   tests/unit/drivers/test-file*.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/annotate.h"
#include "base/error.h"
#include "drivers/aio/engine.h"

/* Record that the file of this identity failed with @err (-errno), durably.
 * Error: IO. */
bool coroutine_fn file_failure_co_record(const char *state_dir,
                                         const AioStat *st, const char *path,
                                         int err, GError **error);

/* What is recorded: 0 nothing, else -errno.  A record that can't be read
 * counts as -EIO. */
int coroutine_fn file_failure_co_find(const char *state_dir, const AioStat *st);
