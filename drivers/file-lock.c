/*
 * drivers/file-lock.c - see drivers/file-lock.h.
 *
 * Method.  All locks are shared ones, so taking them never fails; afterwards
 * each side looks whether the other holds what is in its way.  Since both lock
 * before they look, at least one of two sees the other.  If both do, the one
 * with the higher process id lets go while it waits.  Where the other is not
 * known, both let go: the waits differ at random, so that one goes first.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/bits.h"
#include "coro/loop.h"

#define LOCK_PERM_BASE 100U
#define LOCK_SHARED_BASE 200U
/* The permissions that both programs know. */
#define LOCK_N_PERMS 4U
#define LOCK_PERMS ((BlkPerm)(1U << LOCK_N_PERMS) - 1)

/* Between two looks: 10 to 50 ms, as fine as the clock is. */
#define LOCK_PAUSE_NS ((uint64_t)10000000)
#define LOCK_PAUSE_SPREAD_NS ((uint64_t)40000000)
/* Looks at the locks of a living process: it may be about to let go. */
#define LOCK_LOOKS_LIVING 4U

const char *const file_locking_names[] = {
    [FILE_LOCKING_ON] = "on",
    [FILE_LOCKING_OFF] = "off",
    [FILE_LOCKING_AUTO] = "auto",
    NULL,
};

static const char *const lock_perm_names[LOCK_N_PERMS] = {
    "consistent read",
    "write",
    "write unchanged",
    "resize",
};

void
file_lock_init(FileLock *lock, FileLocking mode, uint64_t wait_ns)
{
    *lock = (FileLock){ .mode = mode, .wait_ns = wait_ns };
}

static int
lock_byte(AioFile *file, uint64_t byte, short type, bool test)
{
    return file->engine->ops->lock(file, byte, 1, type, test);
}

/* Lock the bytes of @want that are not in *held yet.  -EAGAIN: somebody, who
 * does not know the rules, has byte *ret_i to himself. */
static int
lock_take(AioFile *file, unsigned base, BlkPerm want, BlkPerm *held,
          unsigned *ret_i)
{
    for (unsigned i = 0; i < LOCK_N_PERMS; i++) {
        BlkPerm bit = 1U << i;
        int ret;

        if ((want & ~*held & bit) == 0) {
            continue;
        }
        ret = lock_byte(file, base + i, F_RDLCK, false);
        if (ret != 0) {
            *ret_i = i;
            return ret;
        }
        *held |= bit;
    }
    return 0;
}

/* Unlock the bytes of *held that are not in @keep. */
static void
lock_drop(AioFile *file, unsigned base, BlkPerm keep, BlkPerm *held)
{
    for (unsigned i = 0; i < LOCK_N_PERMS; i++) {
        BlkPerm bit = 1U << i;

        if ((*held & ~keep & bit) != 0) {
            lock_byte(file, base + i, F_UNLCK, false);
        }
    }
    *held &= keep;
}

/* Does somebody else hold one of the bytes?  -EAGAIN and *ret_i if so. */
static int
lock_look(AioFile *file, unsigned base, BlkPerm want, unsigned *ret_i)
{
    for (unsigned i = 0; i < LOCK_N_PERMS; i++) {
        int ret = 0;

        if ((want >> i & 1) != 0) {
            ret = lock_byte(file, base + i, F_WRLCK, true);
        }
        if (ret != 0) {
            *ret_i = i;
            return ret;
        }
    }
    return 0;
}

/* What is in the way. */
typedef struct LockConflict {
    bool shared;       /* it has what we do not share, else the reverse */
    unsigned i;        /* bit of the permission */
    int owner;         /* a living process, 0: unknown */
    unsigned n_living; /* how often it was another that lives */
} LockConflict;

static int
lock_look_all(AioFile *file, BlkPerm perm, BlkPerm unshared,
              LockConflict *conflict)
{
    int ret;

    conflict->shared = false;
    ret = lock_look(file, LOCK_SHARED_BASE, perm, &conflict->i);
    if (ret == 0) {
        conflict->shared = true;
        ret = lock_look(file, LOCK_PERM_BASE, unshared, &conflict->i);
    }
    return ret;
}

static int
lock_try(FileLock *lock, AioFile *file, BlkPerm perm, BlkPerm unshared,
         LockConflict *conflict)
{
    int ret = 0;

    if (lock->held_perm == 0 && lock->held_unshared == 0) {
        ret = lock_look_all(file, perm, unshared, conflict);
    }
    if (ret != 0) {
        return ret; /* without showing ours, not even for a moment */
    }
    conflict->shared = true;
    ret = lock_take(file, LOCK_PERM_BASE, perm, &lock->held_perm, &conflict->i);
    if (ret == 0) {
        conflict->shared = false;
        ret = lock_take(file, LOCK_SHARED_BASE, unshared, &lock->held_unshared,
                        &conflict->i);
    }
    /* This time with all of ours in place. */
    return ret == 0 ? lock_look_all(file, perm, unshared, conflict) : ret;
}

static uint64_t
lock_conflict_byte(const LockConflict *conflict)
{
    return conflict->i + (conflict->shared ? LOCK_PERM_BASE : LOCK_SHARED_BASE);
}

static void
lock_set_conflict(GError **error, const LockConflict *conflict,
                  const char *path)
{
    g_autofree char *who = NULL;

    if (conflict->owner == 0) {
        who = g_strdup("another process");
    } else if (conflict->owner == getpid()) {
        who = g_strdup("another node of this process");
    } else {
        who = g_strdup_printf("process %d", conflict->owner);
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                "failed to get %s\"%s\" lock: %s uses the image '%s'",
                conflict->shared ? "shared " : "", lock_perm_names[conflict->i],
                who, path);
}

/* Locks are refused as such. */
static bool
lock_is_missing(FileLock *lock, AioFile *file, int ret, GError **error)
{
    if (ret == -ENOTSUP && lock->mode == FILE_LOCKING_AUTO) {
        lock->mode = FILE_LOCKING_OFF;
        lock->held_perm = 0;
        lock->held_unshared = 0;
        return true;
    }
    if (ret == -ENOTSUP) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "locking=on: the host has no locks for '%s'", file->path);
    } else {
        ash_set_error_errno(error, -ret, "cannot lock '%s'", file->path);
    }
    return false;
}

/* Wait a little before the next try; false: no more tries. */
static bool coroutine_fn
lock_co_wait(FileLock *lock, AioFile *file, uint64_t deadline_ns,
             LockConflict *conflict)
{
    const AioEngineOps *ops = file->engine->ops;
    Loop *loop = file->engine->loop;

    conflict->owner = 0;
    if (ops->co_lock_owner) {
        conflict->owner =
            ops->co_lock_owner(file, lock_conflict_byte(conflict), 1);
    }
    if (conflict->owner == getpid() || loop_now_ns(loop) >= deadline_ns) {
        return false;
    }
    if (conflict->owner != 0 && ++conflict->n_living >= LOCK_LOOKS_LIVING) {
        return false;
    }
    if (conflict->owner < getpid()) {
        file_lock_abort(lock, file);
    }
    co_sleep_ns(LOCK_PAUSE_NS + loop_random(loop) % LOCK_PAUSE_SPREAD_NS);
    return true;
}

bool coroutine_fn
file_lock_co_check(FileLock *lock, AioFile *file, BlkPerm perm, BlkPerm shared,
                   GError **error)
{
    BlkPerm unshared = ~shared & LOCK_PERMS;
    uint64_t deadline_ns = 0;
    LockConflict conflict = { 0 };

    if (lock->mode == FILE_LOCKING_OFF) {
        return true;
    }
    perm &= LOCK_PERMS;
    for (;;) {
        int ret = lock_try(lock, file, perm, unshared, &conflict);

        if (ret == 0) {
            return true;
        }
        if (ret != -EAGAIN) {
            return lock_is_missing(lock, file, ret, error);
        }
        if (deadline_ns == 0) {
            deadline_ns = loop_now_ns(file->engine->loop) + lock->wait_ns;
        }
        if (!lock_co_wait(lock, file, deadline_ns, &conflict)) {
            lock_set_conflict(error, &conflict, file->path);
            return false;
        }
    }
}

void
file_lock_set(FileLock *lock, AioFile *file, BlkPerm perm, BlkPerm shared)
{
    lock->perm = perm & LOCK_PERMS;
    lock->unshared = ~shared & LOCK_PERMS;
    file_lock_abort(lock, file);
}

void
file_lock_abort(FileLock *lock, AioFile *file)
{
    lock_drop(file, LOCK_PERM_BASE, lock->perm, &lock->held_perm);
    lock_drop(file, LOCK_SHARED_BASE, lock->unshared, &lock->held_unshared);
}
