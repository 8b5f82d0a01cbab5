/*
 * base/iov.c - see base/iov.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/iov.h"

#include <string.h>

#include "base/assert.h"

void
iov_init_array(IoVec *iov, const struct iovec *v, unsigned n)
{
    iov->v = v;
    iov->n = n;
    iov->bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        iov->bytes += v[i].iov_len;
    }
}

void
iov_slice(const IoVec *src, size_t offset, size_t bytes, struct iovec *space,
          IoVec *ret)
{
    unsigned n = 0;
    size_t left = bytes;

    ash_assert(offset <= src->bytes);
    ash_assert(bytes <= src->bytes - offset);

    for (unsigned i = 0; i < src->n && left > 0; i++) {
        size_t len = src->v[i].iov_len;

        if (offset >= len) {
            offset -= len;
            continue;
        }
        len -= offset;
        if (len > left) {
            len = left;
        }
        space[n].iov_base = (char *)src->v[i].iov_base + offset;
        space[n].iov_len = len;
        n++;
        left -= len;
        offset = 0;
    }
    ret->v = space;
    ret->n = n;
    ret->bytes = bytes;
}

/* Call @step on each contiguous piece of [offset, offset + bytes). */
typedef void IovStep(void *piece, void *buf, size_t bytes);

static void
iov_walk(const IoVec *iov, size_t offset, void *buf, size_t bytes,
         IovStep *step)
{
    ash_assert(offset <= iov->bytes);
    ash_assert(bytes <= iov->bytes - offset);

    for (unsigned i = 0; bytes > 0; i++) {
        size_t len = iov->v[i].iov_len;

        if (offset >= len) {
            offset -= len;
            continue;
        }
        len -= offset;
        if (len > bytes) {
            len = bytes;
        }
        step((char *)iov->v[i].iov_base + offset, buf, len);
        buf = buf ? (char *)buf + len : NULL;
        bytes -= len;
        offset = 0;
    }
}

static void
iov_step_get(void *piece, void *buf, size_t bytes)
{
    memcpy(buf, piece, bytes);
}

static void
iov_step_put(void *piece, void *buf, size_t bytes)
{
    memcpy(piece, buf, bytes);
}

void
iov_to_buf(const IoVec *iov, size_t offset, void *buf, size_t bytes)
{
    iov_walk(iov, offset, buf, bytes, iov_step_get);
}

void
iov_from_buf(const IoVec *iov, size_t offset, const void *buf, size_t bytes)
{
    iov_walk(iov, offset, (void *)(uintptr_t)buf, bytes, iov_step_put);
}

void
iov_memset(const IoVec *iov, size_t offset, int byte, size_t bytes)
{
    ash_assert(offset <= iov->bytes);
    ash_assert(bytes <= iov->bytes - offset);

    for (unsigned i = 0; bytes > 0; i++) {
        size_t len = iov->v[i].iov_len;

        if (offset >= len) {
            offset -= len;
            continue;
        }
        len -= offset;
        if (len > bytes) {
            len = bytes;
        }
        memset((char *)iov->v[i].iov_base + offset, byte, len);
        bytes -= len;
        offset = 0;
    }
}

bool
ash_buf_is_zero(const void *buf, size_t bytes)
{
    const char *p = buf;

    /* The first bytes are zero and each byte equals the one 16 before it. */
    for (size_t i = 0; i < 16; i++) {
        if (i == bytes) {
            return true;
        }
        if (p[i] != 0) {
            return false;
        }
    }
    return memcmp(p, p + 16, bytes - 16) == 0;
}

bool
iov_is_zero(const IoVec *iov)
{
    for (unsigned i = 0; i < iov->n; i++) {
        if (!ash_buf_is_zero(iov->v[i].iov_base, iov->v[i].iov_len)) {
            return false;
        }
    }
    return true;
}

bool
iov_is_aligned(const IoVec *iov, size_t align)
{
    uintptr_t bits = 0;

    for (unsigned i = 0; i < iov->n; i++) {
        bits |= (uintptr_t)iov->v[i].iov_base | iov->v[i].iov_len;
    }
    return (bits & (align - 1)) == 0;
}
