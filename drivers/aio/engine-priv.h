/*
 * drivers/aio/engine-priv.h - how engine.c makes the real engines.
 *
 * Layer:   drivers/aio and its tests.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "drivers/aio/engine.h"

/* Requests that wait in the kernel at a time; more wait in line. */
#define AIO_URING_ENTRIES 256U /* of the submission queue, twice completions */
#define AIO_NATIVE_EVENTS 256U

AioEngine *aio_threads_new(Loop *loop);
/* Both: NULL and UNSUPPORTED with the kernel's reason. */
AioEngine *aio_uring_new(Loop *loop, unsigned n_entries, GError **error);
AioEngine *aio_native_new(Loop *loop, unsigned n_events, GError **error);
