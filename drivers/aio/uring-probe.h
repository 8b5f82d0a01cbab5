/*
 * drivers/aio/uring-probe.h - what this machine's io_uring can do, by trying.
 *
 * Layer:   drivers/aio.      Any thread.
 * Tests:   tests/unit/aio/test-uring.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

struct io_uring;

typedef struct AioUringTraits {
    unsigned setup_flags; /* IORING_SETUP_* to make a ring with */
    bool restrict_ops;    /* the ring can be told what it may do */
    bool fallocate;       /* IORING_OP_FALLOCATE works */
} AioUringTraits;

/* Files that one ring can know. */
#define AIO_URING_SLOTS_MAX 1024U
#define AIO_URING_SLOTS_MIN 16U

/**
 * aio_uring_probe() - make a ring, restrict it, read with it, drop it.
 *
 * Errors:  UNSUPPORTED, with the kernel's reason as far as it is known.
 */
bool aio_uring_probe(AioUringTraits *ret, GError **error);

/**
 * aio_uring_setup() - a ring with an empty table of files, not enabled yet if
 * setup_flags say so.
 * @n_entries:    of the submission queue
 * @traits:       what aio_uring_probe() found
 * @ret_n_slots:  size of the table
 *
 * Errors:  UNSUPPORTED, as above.
 */
bool aio_uring_setup(struct io_uring *ring, unsigned n_entries,
                     const AioUringTraits *traits, unsigned *ret_n_slots,
                     GError **error);

/* Let it run; the calling thread is the only one to submit from now on.
 * 0 or -errno. */
int aio_uring_enable(struct io_uring *ring, const AioUringTraits *traits);
