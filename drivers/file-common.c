/*
 * drivers/file-common.c - the I/O path of drivers/file-common.h.
 *
 * Errors of durable writes.  RWF_DSYNC writes and then syncs, and says with one
 * errno that either failed.  If the sync did, acknowledged data may be lost,
 * the kernel will not say so again, and the node has failed for good
 * (docs/durability.md, C7).  If the write did, nothing is lost and only this
 * request fails.  The two are told apart for a full disk, and for direct I/O,
 * by writing once more without the sync: had that part worked the first time,
 * then its space is there and it works again.  The host has told us of the
 * loss, if it is one, and tells nobody else: until we know, no other sync
 * succeeds.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file-common.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>

#include "base/bits.h"
#include "drivers/file-failure.h"

/* ---- failure ---- */

void
file_tell_failure(BlkNode *node, const char *more)
{
    const File *f = blk_node_state(node);
    const char *state_dir = blk_node_state_dir(node);
    g_autofree char *path = g_shell_quote(f->path);
    g_autofree char *dir = g_shell_quote(state_dir ? state_dir : "");

    blk_node_tell(node,
                  "'%s' lost acknowledged data: %s: it is only read from now "
                  "on%s%s; check or restore it, stop the daemon, run ashlard "
                  "--forget-failure %s%s%s; then start the daemon",
                  f->path, g_strerror(-blk_node_failed(node)),
                  more ? ", and that could not be recorded: " : "",
                  more ? more : "", path, state_dir ? " --state-dir " : "",
                  state_dir ? dir : "");
}

/* The file lost data, or may have: say so for ever.  Clients get EIO, also of
 * a full disk: who makes room and tries again gets nothing back. */
static ASH_COLD int coroutine_fn
file_co_fail(BlkNode *node, int err)
{
    File *f = blk_node_state(node);
    const char *state_dir = blk_node_state_dir(node);
    bool is_known = blk_node_failed(node) != 0;
    g_autoptr(GError) error = NULL;
    AioStat st;

    blk_node_fail(node, err);
    if (is_known) {
        return -EIO;
    }
    /* The time of the last change is that of now. */
    if (aio_file_co_stat(f->aio, &st) != 0) {
        st = f->st;
    }
    if (!state_dir) {
        file_tell_failure(node, "there is no state directory");
    } else if (file_failure_co_record(state_dir, &st, f->path, err, &error)) {
        file_tell_failure(node, NULL);
    } else {
        file_tell_failure(node, error->message);
    }
    return -EIO;
}

/* ---- read ---- */

static int coroutine_fn
file_co_read_slow(BlkNode *node, BlkRange range, const IoVec *iov)
{
    File *f = blk_node_state(node);
    uint64_t size = blk_node_size(node);
    uint64_t inside = size > range.offset ? size - range.offset : 0;
    size_t n = 0;
    int ret = aio_file_co_read(f->aio, range.offset, iov, &n);

    if (ret != 0 || n == iov->bytes) {
        return ret;
    }
    if (n < inside) {
        return -EIO; /* somebody made the file shorter */
    }
    iov_memset(iov, n, 0, iov->bytes - n);
    return 0;
}

int coroutine_fn
file_co_read(BlkNode *node, BlkRange range, const IoVec *iov, BlkReqFlags flags)
{
    File *f = blk_node_state(node);
    int ret = aio_file_try_read(f->aio, range.offset, iov);

    (void)flags;
    if (ash_likely(ret != -EAGAIN)) {
        return ret;
    }
    return file_co_read_slow(node, range, iov);
}

int
file_try_read(BlkNode *node, BlkRange range, const IoVec *iov)
{
    File *f = blk_node_state(node);

    return aio_file_try_read(f->aio, range.offset, iov);
}

int
file_map(BlkNode *node, BlkRange range, BlkFileRange *ret)
{
    File *f = blk_node_state(node);

    if (f->direct || f->aio->fd < 0 ||
        !blk_range_is_inside(range, blk_node_size(node)) ||
        !aio_file_is_resident(f->aio, range.offset, range.bytes)) {
        return -ENOTSUP;
    }
    ret->fd = f->aio->fd;
    ret->offset = range.offset;
    return 0;
}

/* ---- write ---- */

static bool
file_is_full(int err)
{
    return err == -ENOSPC || err == -EDQUOT || err == -EFBIG;
}

/* A durable write failed with @err: was it the write or the sync? */
static ASH_COLD int coroutine_fn
file_co_judge_fua(BlkNode *node, AioFile *aio, uint64_t offset,
                  const IoVec *iov, int err)
{
    File *f = blk_node_state(node);
    bool direct = (aio->open_flags & O_DIRECT) != 0;

    f->n_judged++;
    if ((!direct && !file_is_full(err)) ||
        aio_file_co_write(aio, offset, iov, 0) != err) {
        err = file_co_fail(node, err);
    }
    f->n_judged--;
    co_queue_wake_all(&f->judged);
    return err;
}

/* Something was synced; the core asks next whether the node has failed. */
static void coroutine_fn
file_co_wait_judged(File *f)
{
    while (ash_unlikely(f->n_judged > 0)) {
        co_queue_co_wait(&f->judged);
    }
}

static int coroutine_fn
file_co_write_to(BlkNode *node, AioFile *aio, uint64_t offset, const IoVec *iov,
                 bool fua)
{
    int ret;

    if (!fua) {
        ret = aio_file_try_write(aio, offset, iov);
        if (ash_likely(ret != -EAGAIN)) {
            return ret;
        }
    }
    ret = aio_file_co_write(aio, offset, iov, fua ? AIO_WRITE_FUA : 0);
    if (ret != 0 && fua) {
        ret = file_co_judge_fua(node, aio, offset, iov, ret);
    } else if (fua) {
        file_co_wait_judged(blk_node_state(node));
    }
    return ret;
}

/* A direct write that touches the tail of a file of odd size: what lies before
 * the tail directly, the rest, at most to the end, through the page cache. */
static int coroutine_fn
file_co_write_tail(BlkNode *node, BlkRange range, const IoVec *iov, bool fua)
{
    File *f = blk_node_state(node);
    uint64_t size = blk_node_size(node);
    uint64_t tail = ash_round_down(size, FILE_TAIL_BYTES);
    uint64_t start = ash_max(range.offset, tail);
    uint64_t end = ash_min(blk_range_end(range), size);
    size_t n_direct = start - range.offset;
    g_autofree struct iovec *space = g_try_new(struct iovec, iov->n);
    int ret = 0;
    IoVec part;

    if (!space) {
        return -ENOMEM;
    }
    if (n_direct > 0) {
        iov_slice(iov, 0, n_direct, space, &part);
        ret = file_co_write_to(node, f->aio, range.offset, &part, fua);
    }
    if (ret == 0) {
        iov_slice(iov, n_direct, end - start, space, &part);
        ret = file_co_write_to(node, f->tail, start, &part, fua);
    }
    return ret;
}

/* Does the tail have to be written by itself? */
static inline bool
file_touches_tail(BlkNode *node, const File *f, BlkRange range)
{
    uint64_t size = blk_node_size(node);

    return f->tail && !f->may_resize && !ash_is_aligned(size, f->align) &&
           range.offset < size &&
           blk_range_end(range) > ash_round_down(size, FILE_TAIL_BYTES);
}

int coroutine_fn
file_co_write(BlkNode *node, BlkRange range, const IoVec *iov,
              BlkReqFlags flags)
{
    File *f = blk_node_state(node);
    bool fua = (flags & BLK_REQ_FUA) != 0;

    if (ash_unlikely(file_touches_tail(node, f, range))) {
        return file_co_write_tail(node, range, iov, fua);
    }
    return file_co_write_to(node, f->aio, range.offset, iov, fua);
}

int coroutine_fn
file_co_flush_disk(BlkNode *node)
{
    File *f = blk_node_state(node);
    int ret;

    if (blk_node_failed(node) != 0) {
        return -EIO;
    }
    if (blk_node_options(node)->cache_no_flush) {
        return 0;
    }
    /* All open files of an inode: the tail's pages too. */
    ret = aio_file_co_flush(f->aio);
    if (ret != 0) {
        ret = file_co_fail(node, ret);
    }
    file_co_wait_judged(f);
    return ret;
}

/* ---- space ---- */

int coroutine_fn
file_co_space(BlkNode *node, AioSpaceOp op, BlkRange range)
{
    File *f = blk_node_state(node);
    uint64_t size = blk_node_size(node);
    uint64_t bytes;
    int ret;

    if (range.offset >= size) {
        return -ENOTSUP;
    }
    bytes = ash_min(range.bytes, size - range.offset);
    file_status_forget(&f->status);
    ret = aio_file_co_space(f->aio, op, range.offset, bytes);
    file_status_forget(&f->status);
    return ret == AIO_SPACE_LOST ? file_co_fail(node, -EIO) : ret;
}

int coroutine_fn
file_co_status(BlkNode *node, BlkRange range, BlkExtent *ret)
{
    File *f = blk_node_state(node);
    bool data = true;
    uint64_t bytes = 0;
    int err =
        file_status_co_find(&f->status, f->aio, range, f->align, &data, &bytes);

    if (err == 0) {
        ret->bytes = bytes;
        ret->status = BLK_STATUS_OFFSET_VALID |
                      (data ? BLK_STATUS_DATA : BLK_STATUS_ZERO);
        ret->host_offset = range.offset;
        ret->file = node;
    }
    return err;
}
