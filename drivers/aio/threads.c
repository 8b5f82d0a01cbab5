/*
 * drivers/aio/threads.c - the portable engine: what blocks runs on the pool.
 *
 * Nothing here is its own: the other engines use the same functions for what
 * their kernel interface does not do.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/engine-priv.h"
#include "drivers/aio/posix-io.h"
#include "drivers/aio/posix.h"

static void
threads_free(AioEngine *engine)
{
    g_free(engine);
}

static const AioEngineOps threads_ops = {
    .name = "threads",
    .free = threads_free,
    .co_open = aio_posix_co_open,
    .co_close = aio_posix_co_close,
    .co_stat = aio_posix_co_stat,
    .co_truncate = aio_posix_co_truncate,
    .co_space = aio_posix_co_space,
    .co_seek = aio_posix_co_seek,
    .lock = aio_posix_lock,
    .co_lock_owner = aio_posix_co_lock_owner,
    .co_readv = aio_posix_co_readv,
    .co_writev = aio_posix_co_writev,
    .co_flush = aio_posix_co_flush,
    .try_readv = aio_posix_try_readv,
    .try_writev = aio_posix_try_writev,
    .is_resident = aio_posix_is_resident,
    .detach = aio_posix_detach,
    .attach = aio_posix_attach,
};

AioEngine *
aio_threads_new(Loop *loop)
{
    AioEngine *engine = g_new0(AioEngine, 1);

    engine->ops = &threads_ops;
    engine->loop = loop;
    return engine;
}
