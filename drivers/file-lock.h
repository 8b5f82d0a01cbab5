/*
 * drivers/file-lock.h - one image, one writer: permissions as locks.
 *
 * Each permission is two bytes of the file, far inside it and never read.  Who
 * has a permission holds a shared lock on byte 100 + bit; who does not let
 * others have it holds one on byte 200 + bit.  Two users conflict if one has
 * what the other does not share.  QEMU uses the same bytes, so the two exclude
 * each other.  The locks belong to the open file (OFD locks), so they go with
 * it, whichever way the process ends.
 *
 * After SIGKILL the predecessor's locks may last until the host has finished
 * its I/O.  A conflict is therefore looked at again for a while.  If a living
 * process is known to hold the lock, that is only a few times: it may have come
 * at the same moment, have seen ours, and be letting go.
 *
 * Source:  docs/durability.md, C15; docs/decisions/0002-locks-of-qemu.md.
 * Layer:   drivers.      Thread: the node's loop.
 * Yields:  file_lock_co_check().
 * Tests:   tests/unit/drivers/test-file*.c, tests/scenario/
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/error.h"
#include "blockcore/types.h"
#include "drivers/aio/engine.h"

/* The values of the option "locking". */
typedef enum {
    FILE_LOCKING_ON,
    FILE_LOCKING_OFF,
    FILE_LOCKING_AUTO, /* off where the host has no such locks */
} FileLocking;
extern const char *const file_locking_names[];

typedef struct FileLock {
    FileLocking mode;
    uint64_t wait_ns; /* how long to look again */
    BlkPerm perm;     /* in force */
    BlkPerm unshared;
    BlkPerm held_perm; /* bytes locked */
    BlkPerm held_unshared;
} FileLock;

void file_lock_init(FileLock *lock, FileLocking mode, uint64_t wait_ns);

/**
 * file_lock_co_check() - lock what @perm and @shared need in addition to what
 * is in force.
 * @file:   whose bytes are locked
 *
 * Errors:  CONFLICT, naming the permission; UNSUPPORTED with locking=on; IO.
 *          Then file_lock_abort() puts back what was.
 */
bool coroutine_fn file_lock_co_check(FileLock *lock, AioFile *file,
                                     BlkPerm perm, BlkPerm shared,
                                     GError **error);
/* They are in force: unlock what they do not need. */
void file_lock_set(FileLock *lock, AioFile *file, BlkPerm perm, BlkPerm shared);
/* They will not be: unlock what was locked for them. */
void file_lock_abort(FileLock *lock, AioFile *file);
