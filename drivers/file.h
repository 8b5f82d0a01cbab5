/*
 * drivers/file.h - the drivers of what the host has: "file" for regular files,
 * "host_device" for block devices.
 *
 * Layer:   drivers.
 * Method:  file-common.c (open, read, write, flush), file.c and host-device.c
 *          (space, and the two tables), file-status.c, file-lock.c,
 *          file-failure.c.
 * Tests:   tests/unit/drivers/test-file*.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "blockcore/driver.h"

extern const BlkDriver blk_driver_file;
extern const BlkDriver blk_driver_host_device;

/**
 * file_failure_forget() - the operator's word that a file which lost data may
 * be used again (docs/durability.md, C7).  Blocks.
 * @state_dir: where the record is
 * @path:      the file
 *
 * Errors:  NOT_FOUND if nothing is recorded of the file, or it is not there;
 *          IO.
 */
bool file_failure_forget(const char *state_dir, const char *path,
                         GError **error);
