/*
 * export/nbd-errno.c - see export/nbd-errno.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "export/nbd-errno.h"

#include <errno.h>

#include "export/nbd-wire.h"

uint32_t
nbd_errno(int err)
{
    switch (err) {
    case 0:
        return NBD_SUCCESS;
    case EPERM:
    case EACCES:
    case EROFS:
        return NBD_EPERM;
    case ENOMEM:
        return NBD_ENOMEM;
    case EINVAL:
        return NBD_EINVAL;
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return NBD_ENOSPC;
    case EOVERFLOW:
        return NBD_EOVERFLOW;
    case ENOTSUP:
        return NBD_ENOTSUP;
    case ENOMEDIUM:
    case ESHUTDOWN:
        return NBD_ESHUTDOWN;
    default:
        return NBD_EIO;
    }
}

const char *
nbd_error_text(uint32_t nbd_error)
{
    switch (nbd_error) {
    case NBD_EPERM:
        return "the export is read-only";
    case NBD_ENOMEM:
        return "the server is out of memory";
    case NBD_EINVAL:
        return "the request is not valid for this export";
    case NBD_ENOSPC:
        return "past the end of the export, or no space is left";
    case NBD_EOVERFLOW:
        return "the request is too large";
    case NBD_ENOTSUP:
        return "there is no fast way to do this";
    case NBD_ESHUTDOWN:
        return "the server is shutting down";
    default:
        return "the disk of the server failed";
    }
}
