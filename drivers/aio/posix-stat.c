/*
 * drivers/aio/posix-stat.c - identity, size and geometry of an open file; see
 * drivers/aio/posix.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

typedef struct PosixStat {
    int fd;
    int ret;
    AioStat st;
} PosixStat;

/* '1', '0', or 0 when there is no such file. */
static char
posix_read_digit(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char digit = 0;

    if (fd < 0) {
        return 0;
    }
    if (read(fd, &digit, 1) != 1) {
        digit = '0';
    }
    close(fd);
    return digit;
}

/* Does the queue of the device say that it rotates?  A partition has no queue
 * of its own: that of the disk is one folder up. */
static bool
posix_is_rotational(uint32_t dev_major, uint32_t dev_minor)
{
    g_autofree char *folder =
        g_strdup_printf("/sys/dev/block/%u:%u", dev_major, dev_minor);
    g_autofree char *own = g_strconcat(folder, "/queue/rotational", NULL);
    g_autofree char *disk = g_strconcat(folder, "/../queue/rotational", NULL);
    char digit = posix_read_digit(own);

    if (digit == 0) {
        digit = posix_read_digit(disk);
    }
    return digit == '1';
}

static int
posix_stat_block(int fd, const struct statx *stx, AioStat *ret)
{
    uint64_t size = 0;
    int logical = 0;
    unsigned physical = 0;

    if (ioctl(fd, BLKGETSIZE64, &size) != 0 ||
        ioctl(fd, BLKSSZGET, &logical) != 0 || logical <= 0) {
        return errno != 0 ? -errno : -EIO;
    }
    if (ioctl(fd, BLKPBSZGET, &physical) != 0) {
        physical = (unsigned)logical;
    }
    ret->is_block = true;
    ret->size = size;
    ret->allocated = size;
    ret->dev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor);
    ret->logical_block = (uint32_t)logical;
    ret->physical_block = physical;
    ret->rotational =
        posix_is_rotational(stx->stx_rdev_major, stx->stx_rdev_minor);
    return 0;
}

/* btrfs (seen with Linux 6.18): fdatasync() finds that another one is writing
 * the inode to the log, and returns without waiting for it. */
static bool
posix_must_sync_alone(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) != 0 ||
           (uint64_t)(uint32_t)fs.f_type == BTRFS_SUPER_MAGIC;
}

static int64_t
posix_time_ns(struct statx_timestamp t)
{
    return t.tv_sec * 1000000000 + (int64_t)t.tv_nsec;
}

static void
posix_stat_work(void *arg)
{
    PosixStat *s = arg;
    struct statx stx = { 0 };
    AioStat *st = &s->st;

    errno = 0;
    if (statx(s->fd, "", AT_EMPTY_PATH,
              STATX_BASIC_STATS | STATX_BTIME | STATX_DIOALIGN, &stx) != 0) {
        s->ret = -errno;
        return;
    }
    st->ino = stx.stx_ino;
    st->ctime_ns = posix_time_ns(stx.stx_ctime);
    if ((stx.stx_mask & STATX_BTIME) != 0) {
        st->btime_ns = posix_time_ns(stx.stx_btime);
    }
    if ((stx.stx_mask & STATX_DIOALIGN) != 0) {
        st->dio_mem_align = stx.stx_dio_mem_align;
        st->dio_offset_align = stx.stx_dio_offset_align;
    }
    if (S_ISBLK(stx.stx_mode)) {
        s->ret = posix_stat_block(s->fd, &stx, st);
        return;
    }
    st->is_regular = S_ISREG(stx.stx_mode);
    st->sync_alone = posix_must_sync_alone(s->fd);
    st->size = stx.stx_size;
    st->allocated = stx.stx_blocks * 512;
    st->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
}

int coroutine_fn
aio_posix_co_stat(AioFile *file, AioStat *ret)
{
    PosixStat s = { .fd = file->fd };

    aio_posix_co_run(aio_posix(file), posix_stat_work, &s);
    if (s.ret == 0) {
        *ret = s.st;
    }
    return s.ret;
}
