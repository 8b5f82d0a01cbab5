/*
 * drivers/aio/engine.c - which engine a file gets; see drivers/aio/engine.h.
 *
 * Method.  A set makes an engine when it is first asked for, by trying; a
 * refusal is remembered with its reason, so the machine is asked once a loop.
 * The lock is for aio_file_move(): a file may come from another loop's thread.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/engine.h"

#include <fcntl.h>

#include "base/bits.h"
#include "drivers/aio/engine-priv.h"

#define AIO_N_KINDS 4

const char *const aio_kind_names[] = {
    [AIO_AUTO] = "auto",     [AIO_THREADS] = "threads",
    [AIO_NATIVE] = "native", [AIO_IO_URING] = "io_uring",
    [AIO_N_KINDS] = NULL,
};

struct AioEngineSet {
    Loop *loop;
    GMutex lock;
    AioEngine *single; /* answers to every kind, or NULL */
    AioEngine *engines[AIO_N_KINDS];
    char *refused[AIO_N_KINDS]; /* why not */
    char *why[2];               /* of AIO_AUTO, by @direct */
};

AioEngineSet *
aio_engine_set_new(Loop *loop)
{
    AioEngineSet *set = g_new0(AioEngineSet, 1);

    set->loop = loop;
    g_mutex_init(&set->lock);
    return set;
}

AioEngineSet *
aio_engine_set_new_single(AioEngine *take_engine)
{
    AioEngineSet *set = aio_engine_set_new(take_engine->loop);

    set->single = take_engine;
    return set;
}

void
aio_engine_set_free(AioEngineSet *set)
{
    if (!set) {
        return;
    }
    if (set->single) {
        set->single->ops->free(set->single);
    }
    for (size_t i = 0; i < AIO_N_KINDS; i++) {
        if (set->engines[i]) {
            set->engines[i]->ops->free(set->engines[i]);
        }
        g_free(set->refused[i]);
    }
    g_free(set->why[0]);
    g_free(set->why[1]);
    g_mutex_clear(&set->lock);
    g_free(set);
}

/* The engine of one of the three real kinds, made if need be; NULL: refused,
 * and set->refused says why. */
static AioEngine *
aio_set_start(AioEngineSet *set, AioKind kind)
{
    g_autoptr(GError) error = NULL;
    AioEngine *engine = NULL;

    if (set->engines[kind] || set->refused[kind]) {
        return set->engines[kind];
    }
    switch (kind) {
    case AIO_THREADS:
        engine = aio_threads_new(set->loop);
        break;
    case AIO_NATIVE:
        engine = aio_native_new(set->loop, AIO_NATIVE_EVENTS, &error);
        break;
    case AIO_IO_URING:
        engine = aio_uring_new(set->loop, AIO_URING_ENTRIES, &error);
        break;
    case AIO_AUTO:
        ash_unreachable();
    }
    if (!engine) {
        set->refused[kind] = g_strdup(error->message);
    }
    set->engines[kind] = engine;
    return engine;
}

/* io_uring, else native (direct I/O only), else threads. */
static AioEngine *
aio_set_choose(AioEngineSet *set, bool direct)
{
    char **why = &set->why[direct];
    AioEngine *engine = aio_set_start(set, AIO_IO_URING);

    if (engine) {
        if (!*why) {
            *why = g_strdup("io_uring, which works here");
        }
        return engine;
    }
    engine = direct ? aio_set_start(set, AIO_NATIVE) : NULL;
    if (engine) {
        if (!*why) {
            *why = g_strdup_printf("native, since io_uring is not usable (%s)",
                                   set->refused[AIO_IO_URING]);
        }
        return engine;
    }
    if (!*why) {
        *why = g_strdup_printf(
            "threads, since io_uring is not usable (%s) and native is not "
            "either (%s)",
            set->refused[AIO_IO_URING],
            direct ? set->refused[AIO_NATIVE] : "it needs cache.direct=on");
    }
    return aio_set_start(set, AIO_THREADS);
}

static AioEngine *
aio_set_get(AioEngineSet *set, AioKind kind, bool direct, const char **ret_why,
            GError **error)
{
    AioEngine *engine;

    if (set->single) {
        return set->single;
    }
    if (kind == AIO_AUTO) {
        engine = aio_set_choose(set, direct);
        if (ret_why) {
            *ret_why = set->why[direct];
        }
        return engine;
    }
    if (kind == AIO_NATIVE && !direct) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "aio=native needs cache.direct=on");
        return NULL;
    }
    engine = aio_set_start(set, kind);
    if (!engine) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "aio=%s is not usable: %s", aio_kind_names[kind],
                    set->refused[kind]);
    }
    return engine;
}

AioEngine *
aio_engine_get(Loop *loop, AioKind kind, bool direct, const char **ret_why,
               GError **error)
{
    AioEngineSet *set = loop_engines(loop);
    AioEngine *engine;

    ash_assert(set);
    if (ret_why) {
        *ret_why = NULL;
    }
    g_mutex_lock(&set->lock);
    engine = aio_set_get(set, kind, direct, ret_why, error);
    g_mutex_unlock(&set->lock);
    return engine;
}

/* The kind that @engine is of; the kinds differ in their names. */
static AioKind
aio_engine_kind(const AioEngine *engine)
{
    for (int i = AIO_THREADS; i < AIO_N_KINDS; i++) {
        if (g_str_equal(engine->ops->name, aio_kind_names[i])) {
            return (AioKind)i;
        }
    }
    return AIO_AUTO;
}

bool
aio_file_move(AioFile *file, Loop *loop, GError **error)
{
    AioEngine *from = file->engine;
    bool direct = (file->open_flags & O_DIRECT) != 0;
    AioKind kind = aio_engine_kind(from);
    AioEngine *to;

    /* A file without O_DIRECT beside one with it stays beside it. */
    to = aio_engine_get(loop, kind, direct || kind == AIO_NATIVE, NULL, error);
    if (!to) {
        return false;
    }
    from->ops->detach(file);
    if (!to->ops->attach(file, to, error)) {
        bool ok = from->ops->attach(file, from, NULL);

        ash_assert(ok);
        return false;
    }
    return true;
}
