/*
 * base/iov.h - IoVec: a borrowed vector of memory pieces.
 *
 * An IoVec owns nothing: neither the memory nor the array of pieces.  It lives
 * at least as long as the call that it is given to.
 *
 * Layer:   base.      Tests: tests/unit/base/test-iov.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

typedef struct IoVec {
    const struct iovec *v; /* @n pieces, none of them empty */
    unsigned n;
    size_t bytes;     /* sum of the pieces */
    struct iovec one; /* storage for the common case of one piece */
} IoVec;

/* One piece; the IoVec points into itself, so it must not be copied. */
static inline void
iov_init_one(IoVec *iov, void *base, size_t bytes)
{
    iov->one.iov_base = base;
    iov->one.iov_len = bytes;
    iov->v = &iov->one;
    iov->n = 1;
    iov->bytes = bytes;
}

/* @n pieces of a borrowed array. */
void iov_init_array(IoVec *iov, const struct iovec *v, unsigned n);

/**
 * iov_slice() - the part of @src that begins @offset bytes in.
 * @src:    borrowed
 * @offset: where the slice begins
 * @bytes:  how long it is
 * @space:  room for the pieces of the slice, at least @src->n of them;
 *          borrowed by @ret
 * @ret:    the slice; may not be @src
 *
 * Bounds:  offset + bytes <= src->bytes.
 */
void iov_slice(const IoVec *src, size_t offset, size_t bytes,
               struct iovec *space, IoVec *ret);

/* Copy between flat memory and the vector, from @offset on. */
void iov_to_buf(const IoVec *iov, size_t offset, void *buf, size_t bytes);
void iov_from_buf(const IoVec *iov, size_t offset, const void *buf,
                  size_t bytes);
void iov_memset(const IoVec *iov, size_t offset, int byte, size_t bytes);

/* Are all bytes zero?  Reads each byte at most once. */
bool iov_is_zero(const IoVec *iov);

/* Is every base and every length a multiple of @align (power of two)? */
bool iov_is_aligned(const IoVec *iov, size_t align);

/* Are @bytes at @buf all zero? */
bool ash_buf_is_zero(const void *buf, size_t bytes);
