/*
 * drivers/file-status.c - see drivers/file-status.h.
 *
 * A question that began before the cache was emptied must not fill it: what it
 * saw may be gone.  So it compares gen before and after.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/file-status.h"

#include <errno.h>
#include <unistd.h>

#define FILE_STATUS_SECTOR ((uint64_t)512)

void
file_status_forget(FileStatus *status)
{
    status->data_start = 0;
    status->data_end = 0;
    status->gen++;
}

/* Ask for the next data or hole from @offset on; UINT64_MAX: none. */
static int coroutine_fn
file_status_co_seek(FileStatus *status, AioFile *file, uint64_t offset,
                    int whence, uint64_t *ret)
{
    int err;

    status->n_seeks++;
    err = aio_file_co_seek(file, offset, whence, ret);
    if (err == -ENXIO) {
        *ret = UINT64_MAX;
        return 0;
    }
    if (err == 0 && *ret < offset) {
        return -ENOTSUP; /* nonsense */
    }
    return err;
}

/* Where the stretch that begins at @offset ends, and what it is. */
static int coroutine_fn
file_status_co_ask(FileStatus *status, AioFile *file, uint64_t offset,
                   bool *ret_data, uint64_t *ret_end)
{
    uint64_t gen = status->gen;
    uint64_t at = 0;
    int err = file_status_co_seek(status, file, offset, SEEK_DATA, &at);

    if (err != 0) {
        return err;
    }
    *ret_data = at == offset;
    *ret_end = at;
    if (!*ret_data) {
        return 0;
    }
    err = file_status_co_seek(status, file, offset, SEEK_HOLE, &at);
    if (err != 0) {
        return err;
    }
    if (at == UINT64_MAX || at == offset) {
        /* Between the questions it has become a hole, or shorter.  A reader
         * must not be led to take a sector in parts. */
        at = ash_round_up(offset + 1, FILE_STATUS_SECTOR);
    }
    *ret_end = at;
    if (gen == status->gen) {
        status->data_start = offset;
        status->data_end = *ret_end;
    }
    return 0;
}

/* No data from @offset on: is that a hole, or has somebody made the file
 * shorter than the node?  What is missing counts as data, so that it is read,
 * and the reader gets an error and not zeros. */
static int coroutine_fn
file_status_co_ask_end(AioFile *file, BlkRange range, uint32_t align,
                       bool *ret_data, uint64_t *ret_end)
{
    AioStat st;
    int err = aio_file_co_stat(file, &st);

    if (err != 0 || ash_round_up(st.size, align) >= blk_range_end(range)) {
        return err;
    }
    *ret_data = st.size <= range.offset;
    *ret_end = *ret_data ? blk_range_end(range) : st.size;
    return 0;
}

/* Data up to any byte of a block makes the block data. */
static void
file_status_align(uint64_t offset, uint64_t end, uint32_t align, bool *ret_data,
                  uint64_t *ret_bytes)
{
    uint64_t most = ((uint64_t)1 << 63) - offset; /* aligned, as offset is */
    uint64_t bytes = ash_min(end - offset, most);

    if (*ret_data) {
        *ret_bytes = ash_round_up(bytes, align);
    } else {
        *ret_bytes = ash_round_down(bytes, align);
        if (*ret_bytes == 0) {
            *ret_data = true;
            *ret_bytes = align;
        }
    }
}

int coroutine_fn
file_status_co_find(FileStatus *status, AioFile *file, BlkRange range,
                    uint32_t align, bool *ret_data, uint64_t *ret_bytes)
{
    uint64_t offset = range.offset;
    uint64_t end = 0;
    int err = 0;

    *ret_data = true;
    if (offset >= status->data_start && offset < status->data_end) {
        end = status->data_end;
    } else if (status->no_seek) {
        end = blk_range_end(range);
    } else {
        err = file_status_co_ask(status, file, offset, ret_data, &end);
        if (err == 0 && end == UINT64_MAX) {
            err = file_status_co_ask_end(file, range, align, ret_data, &end);
        }
    }
    if (err == -EINVAL || err == -ENOTSUP || err == -ENOSYS) {
        status->no_seek = true;
        *ret_data = true;
        end = blk_range_end(range);
        err = 0;
    }
    if (err == 0) {
        file_status_align(offset, end, align, ret_data, ret_bytes);
    }
    return err;
}
