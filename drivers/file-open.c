/*
 * drivers/file-open.c - the control path of drivers/file-common.h: options,
 * open, alignment, permissions, loops.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>

#include "base/bits.h"
#include "drivers/file-common.h"
#include "drivers/file-failure.h"

#define FILE_NS_PER_MS ((uint64_t)1000000)
#define FILE_LOCK_WAIT_MAX_MS ((uint64_t)600000)
/* Tried one after the other where the host does not say. */
#define FILE_ALIGN_FIRST 512U
#define FILE_ALIGN_LAST 65536U
/* Of a file too short to try with. */
#define FILE_ALIGN_GUESS 4096U

const BlkOptionSpec file_option_specs[] = {
    {
        .name = "filename",
        .type = BLK_OPT_STRING,
        .required = true,
        .help = "path of the file; a plain name, never a protocol",
    },
    {
        .name = "aio",
        .type = BLK_OPT_ENUM,
        .values = aio_kind_names,
        .fallback = "auto",
        .help = "how to do I/O; auto takes the best that works here",
    },
    {
        .name = "locking",
        .type = BLK_OPT_ENUM,
        .values = file_locking_names,
        .fallback = "auto",
        .help = "whether to lock the image against other programs; auto: if "
                "the host has locks",
    },
    {
        .name = "lock-wait-ms",
        .type = BLK_OPT_UINT,
        .fallback = "1000",
        .help = "how long to wait for the locks of a program that was "
                "killed",
    },
    { .name = NULL },
};

/* ---- options ---- */

typedef struct FileOptions {
    char *filename;
    AioKind aio;
    FileLocking locking;
    uint64_t lock_wait_ms;
} FileOptions;

static const BlkOptionSpec *
file_spec(const char *name)
{
    return blk_option_find(file_option_specs, name);
}

static bool
file_take_options(BlkNode *node, BlkOptions *opts, FileOptions *ret,
                  GError **error)
{
    int aio = 0;
    int locking = 0;

    if (!blk_options_take_string(opts, file_spec("filename"), &ret->filename,
                                 error) ||
        !blk_options_take_enum(opts, file_spec("aio"), &aio, error) ||
        !blk_options_take_enum(opts, file_spec("locking"), &locking, error) ||
        !blk_options_take_uint(opts, file_spec("lock-wait-ms"),
                               &ret->lock_wait_ms, error)) {
        return false;
    }
    ret->aio = (AioKind)aio;
    ret->locking = (FileLocking)locking;
    if (ret->lock_wait_ms > FILE_LOCK_WAIT_MAX_MS) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "option 'lock-wait-ms': at most %" G_GUINT64_FORMAT,
                    FILE_LOCK_WAIT_MAX_MS);
        return false;
    }
    if (ret->aio == AIO_NATIVE && !blk_node_options(node)->cache_direct) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "option 'aio': 'native' needs cache.direct=on");
        return false;
    }
    return true;
}

/* ---- the file ---- */

static bool
file_set_open_error(GError **error, int ret, const File *f, bool block)
{
    if (ret == -ENOTBLK || ret == -EISDIR) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG, "'%s' is not a %s",
                    f->path, block ? "block device" : "regular file");
    } else if (ret == -EINVAL && f->direct) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "cache.direct=on: there is no direct I/O on '%s'", f->path);
    } else {
        ash_set_error_errno(error, -ret, "cannot open '%s'", f->path);
    }
    return false;
}

/* Open for writing too, unless the node is, or may become, read-only. */
static bool coroutine_fn
file_co_open_aio(BlkNode *node, AioEngine *engine, bool block, GError **error)
{
    File *f = blk_node_state(node);
    int flags = f->direct ? O_DIRECT : 0;
    int ret = -EACCES;

    if (!blk_node_is_read_only(node)) {
        ret = aio_file_co_open(engine, f->path, O_RDWR | flags, 0, &f->aio);
        if (!blk_node_options(node)->auto_read_only ||
            (ret != -EACCES && ret != -EPERM && ret != -EROFS)) {
            return ret == 0 || file_set_open_error(error, ret, f, block);
        }
        blk_node_set_read_only(node);
    }
    ret = aio_file_co_open(engine, f->path, O_RDONLY | flags, 0, &f->aio);
    return ret == 0 || file_set_open_error(error, ret, f, block);
}

static bool coroutine_fn
file_co_identify(File *f, bool block, GError **error)
{
    int ret = aio_file_co_stat(f->aio, &f->st);

    if (ret < 0) {
        ash_set_error_errno(error, -ret, "cannot look at '%s'", f->path);
        return false;
    }
    if (block && !f->st.is_block) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' is not a block device; use driver 'file'", f->path);
        return false;
    }
    if (!block && !f->st.is_regular) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "'%s' is not a regular file; use driver 'host_device'",
                    f->path);
        return false;
    }
    return true;
}

/* ---- alignment of direct I/O ---- */

/* Does a read of @bytes at 0 into memory at @buf work? */
static bool coroutine_fn
file_co_try_align(File *f, void *buf, size_t bytes)
{
    size_t n = 0;
    IoVec iov;

    iov_init_one(&iov, buf, bytes);
    return aio_file_co_read(f->aio, 0, &iov, &n) == 0;
}

/* The host does not say: find the smallest that a read works with. */
static bool coroutine_fn
file_co_probe_align(File *f, GError **error)
{
    g_autofree char *mem = g_malloc(3 * (size_t)FILE_ALIGN_LAST);
    char *buf =
        mem + FILE_ALIGN_LAST - ((uintptr_t)mem & (FILE_ALIGN_LAST - 1));
    uint32_t align = FILE_ALIGN_FIRST;
    uint32_t mem_align = FILE_ALIGN_FIRST;

    if (f->st.size < FILE_ALIGN_LAST) {
        f->align = FILE_ALIGN_GUESS;
        f->mem_align = FILE_ALIGN_GUESS;
        return true;
    }
    while (align <= FILE_ALIGN_LAST && !file_co_try_align(f, buf, align)) {
        align *= 2;
    }
    if (align > FILE_ALIGN_LAST) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "cache.direct=on: cannot find out the alignment of '%s'",
                    f->path);
        return false;
    }
    while (mem_align < FILE_ALIGN_LAST &&
           !file_co_try_align(f, buf + mem_align, align)) {
        mem_align *= 2;
    }
    f->align = align;
    f->mem_align = mem_align;
    return true;
}

static bool coroutine_fn
file_co_find_align(File *f, GError **error)
{
    f->align = 1;
    f->mem_align = 1;
    if (!f->direct) {
        return true;
    }
    if (f->st.dio_offset_align != 0 && f->st.dio_mem_align != 0) {
        f->align = f->st.dio_offset_align;
        f->mem_align = f->st.dio_mem_align;
    } else if (f->st.is_block) {
        f->align = f->st.logical_block;
        f->mem_align = f->st.logical_block;
    } else {
        return file_co_probe_align(f, error);
    }
    if (!ash_is_pow2(f->align) || f->align > BLK_ALIGN_MAX ||
        !ash_is_pow2(f->mem_align) || f->mem_align > BLK_ALIGN_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "cache.direct=on: direct I/O on '%s' needs an alignment "
                    "of %u bytes, of memory %u",
                    f->path, f->align, f->mem_align);
        return false;
    }
    return true;
}

/* The second open file, if the end needs one.  The name may stand for another
 * file by now. */
static bool coroutine_fn
file_co_open_tail(BlkNode *node, AioEngine *engine, GError **error)
{
    File *f = blk_node_state(node);
    AioStat st;
    int ret;

    if (blk_node_is_read_only(node) || ash_is_aligned(f->st.size, f->align)) {
        return true;
    }
    ret = aio_file_co_open(engine, f->path, O_RDWR, 0, &f->tail);
    if (ret == 0) {
        ret = aio_file_co_stat(f->tail, &st);
    }
    if (ret == 0 && (st.dev != f->st.dev || st.ino != f->st.ino)) {
        ret = -ESTALE;
    }
    if (ret < 0) {
        ash_set_error_errno(error, -ret, "cannot open '%s' again", f->path);
        return false;
    }
    return true;
}

/* ---- open and close ---- */

/* Also half-open. */
static void coroutine_fn
file_co_release(File *f)
{
    aio_file_co_close(f->tail);
    aio_file_co_close(f->aio);
    g_free(f->path);
    f->tail = NULL;
    f->aio = NULL;
    f->path = NULL;
}

static bool coroutine_fn
file_co_open_all(BlkNode *node, AioEngine *engine, bool block, GError **error)
{
    File *f = blk_node_state(node);
    const char *state_dir = blk_node_state_dir(node);
    int failed;

    if (!file_co_open_aio(node, engine, block, error) ||
        !file_co_identify(f, block, error) || !file_co_find_align(f, error) ||
        !file_co_open_tail(node, engine, error)) {
        return false;
    }
    failed = state_dir ? file_failure_co_find(state_dir, &f->st) : 0;
    if (failed != 0) {
        blk_node_fail(node, failed);
        file_tell_failure(node, NULL);
    }
    return true;
}

bool coroutine_fn
file_co_open(BlkNode *node, BlkOptions *opts, bool block, GError **error)
{
    File *f = blk_node_state(node);
    FileOptions o = { 0 };
    const char *why = NULL;
    AioEngine *engine;

    f->direct = blk_node_options(node)->cache_direct;
    co_queue_init(&f->judged);
    if (!file_take_options(node, opts, &o, error)) {
        g_free(o.filename);
        return false;
    }
    f->path = o.filename;
    file_lock_init(&f->lock, o.locking, o.lock_wait_ms * FILE_NS_PER_MS);
    engine = aio_engine_get(blk_node_loop(node), o.aio, f->direct, &why, error);
    if (!engine || !file_co_open_all(node, engine, block, error)) {
        file_co_release(f);
        return false;
    }
    if (why) {
        blk_node_take_note(node, g_strdup_printf("aio=auto: %s", why));
    }
    return true;
}

void coroutine_fn
file_co_close(BlkNode *node)
{
    File *f = blk_node_state(node);

    /* Closing does it too, but the ring may hold the file a little longer. */
    file_lock_set(&f->lock, f->aio, 0, BLK_PERM_ALL);
    file_co_release(f);
}

/* ---- facts ---- */

int coroutine_fn
file_co_size(BlkNode *node, uint64_t *ret)
{
    File *f = blk_node_state(node);
    AioStat st;
    int err = aio_file_co_stat(f->aio, &st);

    if (err == 0) {
        *ret = st.size;
    }
    return err;
}

/* ---- permissions and loops ---- */

/* What users outside this node may do: parents of one node may share writing,
 * for the node keeps them coherent; two programs, or two nodes, can't. */
static BlkPerm
file_shared_outside(const BlkNode *node, BlkPerm perm, BlkPerm shared)
{
    if (blk_node_options(node)->force_share) {
        return BLK_PERM_ALL;
    }
    if (perm & BLK_PERM_WRITE) {
        shared &= ~(BlkPerm)(BLK_PERM_WRITE | BLK_PERM_RESIZE);
    }
    return shared;
}

bool coroutine_fn
file_co_check_perm(BlkNode *node, BlkPerm perm, BlkPerm shared, GError **error)
{
    File *f = blk_node_state(node);

    shared = file_shared_outside(node, perm, shared);
    return file_lock_co_check(&f->lock, f->aio, perm, shared, error);
}

void coroutine_fn
file_co_set_perm(BlkNode *node, BlkPerm perm, BlkPerm shared)
{
    File *f = blk_node_state(node);

    shared = file_shared_outside(node, perm, shared);
    f->may_resize = (perm & BLK_PERM_RESIZE) != 0;
    file_lock_set(&f->lock, f->aio, perm, shared);
}

void coroutine_fn
file_co_abort_perm(BlkNode *node)
{
    File *f = blk_node_state(node);

    file_lock_abort(&f->lock, f->aio);
}

bool
file_attach_loop(BlkNode *node, Loop *loop, GError **error)
{
    File *f = blk_node_state(node);

    return aio_file_move(f->aio, loop, error) &&
           (!f->tail || aio_file_move(f->tail, loop, error));
}
