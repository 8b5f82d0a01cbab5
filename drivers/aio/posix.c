/*
 * drivers/aio/posix.c - see drivers/aio/posix.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/parse.h"

/* Not in every <linux/magic.h>. */
#define POSIX_MAGIC_BCACHEFS 0xca451a4eUL
#define POSIX_MAGIC_XFS 0x58465342UL

/* ---- the pool ---- */

static unsigned
posix_pool_max(void)
{
    const char *text = g_getenv("UV_THREADPOOL_SIZE");
    uint64_t n = AIO_POOL_DEFAULT;

    if (text && !ash_parse_uint(text, 1024, &n, NULL)) {
        n = AIO_POOL_DEFAULT;
    }
    return (unsigned)ash_max(n / AIO_POOL_SHARE, AIO_POOL_MIN);
}

void coroutine_fn
aio_posix_co_idle(AioPosix *p)
{
    while (p->in_flight > 0) {
        co_queue_co_wait(&p->idle);
    }
}

void coroutine_fn
aio_posix_co_run(AioPosix *p, void (*fn)(void *arg), void *arg)
{
    aio_posix_begin(p);
    if (p->in_pool < p->in_pool_max) {
        p->in_pool++;
    } else {
        /* Whoever wakes us leaves us its place. */
        co_queue_co_wait(&p->pool);
    }
    co_work(fn, arg);
    if (!co_queue_wake_one(&p->pool)) {
        p->in_pool--;
    }
    aio_posix_end(p);
}

/* ---- open and close ---- */

typedef struct PosixOpen {
    const char *path;
    int open_flags;
    unsigned mode;
    int fd;
    int ret;
    bool is_block;
    uint64_t fs_magic;
    uint64_t page;
} PosixOpen;

/* Opening a character device may rewind a tape or start a watchdog, so look at
 * the name first. */
static int
posix_check_type(const struct stat *st)
{
    if (S_ISDIR(st->st_mode)) {
        return -EISDIR;
    }
    return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode) ? 0 : -ENOTBLK;
}

static int
posix_open_fd(const PosixOpen *o)
{
    /* O_NONBLOCK: should the name have become a FIFO just now. */
    int flags = o->open_flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd;

    do {
        fd = open(o->path, flags, (mode_t)o->mode);
        if (fd < 0 && errno == EWOULDBLOCK && (flags & O_NONBLOCK) != 0) {
            flags &= ~O_NONBLOCK; /* somebody has a lease on it: wait */
            errno = EINTR;
        }
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

/* The kernel lets a device that can't be written be opened for writing. */
static bool
posix_is_write_protected(const PosixOpen *o)
{
    int read_only = 0;

    return o->is_block && (o->open_flags & O_ACCMODE) != O_RDONLY &&
           ioctl(o->fd, BLKROGET, &read_only) == 0 && read_only != 0;
}

/* The fd is open: what is it? */
static int
posix_inspect(PosixOpen *o)
{
    struct stat st;
    struct statfs fs;
    int flags = fcntl(o->fd, F_GETFL);

    if (flags < 0 || fcntl(o->fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ||
        fstat(o->fd, &st) != 0 || fstatfs(o->fd, &fs) != 0) {
        return -errno;
    }
    o->is_block = S_ISBLK(st.st_mode);
    o->fs_magic = (uint64_t)(uint32_t)fs.f_type;
    o->page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (st.st_blksize > 0 && ash_is_pow2((uint64_t)st.st_blksize)) {
        o->page = ash_max(o->page, (uint64_t)st.st_blksize);
    }
    return posix_is_write_protected(o) ? -EROFS : posix_check_type(&st);
}

static void
posix_open_work(void *arg)
{
    PosixOpen *o = arg;
    struct stat st;

    o->fd = -1;
    if (stat(o->path, &st) == 0) {
        o->ret = posix_check_type(&st);
        if (o->ret < 0) {
            return;
        }
    }
    o->fd = posix_open_fd(o);
    if (o->fd < 0) {
        o->ret = o->fd;
        return;
    }
    o->ret = posix_inspect(o);
    if (o->ret < 0) {
        close(o->fd);
    }
}

/* Do writes end in this host's page cache?  Elsewhere (FUSE, NFS) they may
 * wait for somebody else, and must not be done inline. */
static bool
posix_is_local(const PosixOpen *o)
{
    static const uint64_t magics[] = {
        EXT4_SUPER_MAGIC,     POSIX_MAGIC_XFS,       BTRFS_SUPER_MAGIC,
        TMPFS_MAGIC,          RAMFS_MAGIC,           F2FS_SUPER_MAGIC,
        POSIX_MAGIC_BCACHEFS, OVERLAYFS_SUPER_MAGIC,
    };

    if (o->is_block) {
        return true;
    }
    for (size_t i = 0; i < ASH_N_ELEMENTS(magics); i++) {
        if (o->fs_magic == magics[i]) {
            return true;
        }
    }
    return false;
}

int coroutine_fn
aio_posix_co_open(AioEngine *engine, const char *path, int open_flags,
                  unsigned mode, AioFile **ret)
{
    PosixOpen o = { .path = path, .open_flags = open_flags, .mode = mode };
    bool direct = (open_flags & O_DIRECT) != 0;
    AioPosix *p;

    co_work(posix_open_work, &o);
    if (o.ret < 0) {
        return o.ret;
    }
    p = g_new0(AioPosix, 1);
    p->file.engine = engine;
    p->file.fd = o.fd;
    p->file.open_flags = open_flags;
    p->file.slot = -1;
    p->file.path = g_strdup(path);
    if (direct) {
        p->try_read = AIO_TRY_NEVER;
    } else if (!o.is_block && o.fs_magic == TMPFS_MAGIC) {
        p->try_read = AIO_TRY_PLAIN;
    } else {
        p->try_read = AIO_TRY_NOWAIT;
    }
    p->inline_write =
        !direct && (open_flags & (O_SYNC | O_DSYNC)) == 0 && posix_is_local(&o);
    p->page_mask = o.page - 1;
    p->in_pool_max = posix_pool_max();
    co_queue_init(&p->idle);
    co_queue_init(&p->pool);
    *ret = &p->file;
    return 0;
}

static void
posix_close_work(void *arg)
{
    close(*(int *)arg); /* errors come from co_flush, before */
}

void coroutine_fn
aio_posix_co_close(AioFile *file)
{
    AioPosix *p = aio_posix(file);

    aio_posix_co_idle(p);
    co_work(posix_close_work, &file->fd);
    g_free(file->path);
    g_free(p);
}

void
aio_posix_detach(AioFile *file)
{
    ash_assert(aio_posix(file)->in_flight == 0);
}

bool
aio_posix_attach(AioFile *file, AioEngine *engine, GError **error)
{
    (void)error;
    file->engine = engine;
    return true;
}

/* ---- size and space ---- */

typedef struct PosixSpace {
    int fd;
    AioSpaceOp op;
    uint64_t offset;
    uint64_t bytes;
    int whence;
    int ret;
} PosixSpace;

static void
posix_truncate_work(void *arg)
{
    PosixSpace *s = arg;

    do {
        s->ret = ftruncate(s->fd, (int64_t)s->bytes) == 0 ? 0 : -errno;
    } while (s->ret == -EINTR);
}

int coroutine_fn
aio_posix_co_truncate(AioFile *file, uint64_t size)
{
    AioPosix *p = aio_posix(file);
    PosixSpace s = { .fd = file->fd, .bytes = size };

    if (size > INT64_MAX) {
        return -EFBIG;
    }
    p->n_exclusive++;
    aio_posix_co_run(p, posix_truncate_work, &s);
    p->n_exclusive--;
    return s.ret;
}

int
aio_posix_space_mode(AioSpaceOp op)
{
    switch (op) {
    case AIO_SPACE_PUNCH:
    case AIO_SPACE_BLKPUNCH:
        return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    case AIO_SPACE_ZERO:
        return FALLOC_FL_ZERO_RANGE;
    case AIO_SPACE_ALLOCATE:
        return 0;
    case AIO_SPACE_BLKDISCARD:
    case AIO_SPACE_BLKZEROOUT:
        break;
    }
    return -1;
}

bool
aio_posix_space_is_device(AioSpaceOp op)
{
    return op == AIO_SPACE_BLKPUNCH || op == AIO_SPACE_BLKDISCARD ||
           op == AIO_SPACE_BLKZEROOUT;
}

int
aio_posix_space_result(int ret)
{
    switch (ret) {
    case -EOPNOTSUPP:
    case -ENOSYS:
    case -ENOTTY: /* a block device's ioctl */
    case -ENODEV: /* fallocate on what has no such thing */
        return -ENOTSUP;
    default:
        return ret;
    }
}

/* The kernel drops the pages of a part of a device and then zeroes the device,
 * or is killed in between: then it has what was there before the pages.  So
 * they are written first.  It tells of lost ones only once, here. */
static int
posix_space_write_back(const PosixSpace *s)
{
    const unsigned all = (unsigned)SYNC_FILE_RANGE_WAIT_BEFORE |
                         SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    int err = 0;

    while (sync_file_range(s->fd, (int64_t)s->offset, (int64_t)s->bytes, all) !=
           0) {
        err = errno;
        if (err != EINTR) {
            break;
        }
        err = 0;
    }
    return err == EIO || err == ENOSPC ? AIO_SPACE_LOST : -err;
}

static void
posix_space_work(void *arg)
{
    PosixSpace *s = arg;
    uint64_t range[2] = { s->offset, s->bytes };
    int mode = aio_posix_space_mode(s->op);
    int ret;

    if (aio_posix_space_is_device(s->op)) {
        s->ret = posix_space_write_back(s);
        if (s->ret != 0) {
            return;
        }
    }
    do {
        if (mode >= 0) {
            ret = fallocate(s->fd, mode, (int64_t)s->offset, (int64_t)s->bytes);
        } else if (s->op == AIO_SPACE_BLKDISCARD) {
            ret = ioctl(s->fd, BLKDISCARD, range);
        } else {
            ret = ioctl(s->fd, BLKZEROOUT, range);
        }
        s->ret = ret == 0 ? 0 : -errno;
    } while (s->ret == -EINTR);
    s->ret = aio_posix_space_result(s->ret);
}

int coroutine_fn
aio_posix_co_space(AioFile *file, AioSpaceOp op, uint64_t offset,
                   uint64_t bytes)
{
    AioPosix *p = aio_posix(file);
    PosixSpace s = {
        .fd = file->fd,
        .op = op,
        .offset = offset,
        .bytes = bytes,
    };

    p->n_exclusive++;
    aio_posix_co_run(p, posix_space_work, &s);
    p->n_exclusive--;
    return s.ret;
}

static void
posix_seek_work(void *arg)
{
    PosixSpace *s = arg;
    int64_t at = lseek(s->fd, (int64_t)s->offset, s->whence);

    if (at < 0) {
        s->ret = -errno;
    } else {
        s->offset = (uint64_t)at;
    }
}

int coroutine_fn
aio_posix_co_seek(AioFile *file, uint64_t offset, int whence, uint64_t *ret)
{
    PosixSpace s = { .fd = file->fd, .offset = offset, .whence = whence };

    aio_posix_co_run(aio_posix(file), posix_seek_work, &s);
    if (s.ret == 0) {
        *ret = s.offset;
    }
    return s.ret;
}
