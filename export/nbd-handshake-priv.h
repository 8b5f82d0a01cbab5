/*
 * export/nbd-handshake-priv.h - what the option files share; export only.
 *
 * An option's data are read piece by piece through NbdOpt, which never reads
 * past the option's end; whatever a handler leaves is dropped before the next
 * option, so that each option consumes exactly its header and its length.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include "export/nbd-conn.h"

#define NBD_HANDSHAKE_BUF 2048

typedef struct NbdHandshake {
    NbdConn *conn;
    uint64_t deadline_ns; /* on the loop's clock; UINT64_MAX: none */
    unsigned n_options;
    unsigned n_options_max;
    size_t pos; /* received and not taken: [pos, end) */
    size_t end;
    uint8_t buf[NBD_HANDSHAKE_BUF];
} NbdHandshake;

typedef struct NbdOpt {
    NbdHandshake *hs;
    uint32_t option;
    uint32_t left; /* bytes of data not read yet */
} NbdOpt;

/* How an option ended: these, or -errno to close the connection. */
enum {
    NBD_OPT_NEXT = 0,
    NBD_OPT_DONE = 1, /* an export was chosen: transmission begins */
};

/* ---- nbd-handshake.c ---- */

/* Exactly @bytes, into @buf or, if that is NULL, nowhere.  -errno: the
 * connection is over. */
int coroutine_fn nbd_hs_co_read(NbdHandshake *hs, void *buf, size_t bytes);
int coroutine_fn nbd_hs_co_send(NbdHandshake *hs, const void *data,
                                size_t bytes);

/* @bytes of the option's data; -EBADMSG when it has fewer. */
int coroutine_fn nbd_opt_co_read(NbdOpt *opt, void *buf, size_t bytes);
/* u32 length and as many bytes: a NUL-terminated copy in *ret.  -EBADMSG:
 * longer than the option; -ENAMETOOLONG: over NBD_STRING_MAX (then it was
 * skipped); -EILSEQ: has a NUL. */
int coroutine_fn nbd_opt_co_read_string(NbdOpt *opt, char **ret,
                                        size_t *ret_len);
/* Drop the rest and send a reply of @type with data or with a text. */
int coroutine_fn nbd_opt_co_reply(NbdOpt *opt, uint32_t type, const void *data,
                                  size_t bytes);
int coroutine_fn nbd_opt_co_error(NbdOpt *opt, uint32_t type, const char *fmt,
                                  ...) ASH_PRINTF(3, 4);
/* What a failed read of the data means: an error reply, or the end. */
int coroutine_fn nbd_opt_co_bad(NbdOpt *opt, int ret);

/* ---- nbd-opt-go.c, nbd-opt-list.c, nbd-opt-meta.c ---- */

int coroutine_fn nbd_opt_co_export_name(NbdOpt *opt);
int coroutine_fn nbd_opt_co_go(NbdOpt *opt); /* INFO and GO */
int coroutine_fn nbd_opt_co_list(NbdOpt *opt);
int coroutine_fn nbd_opt_co_meta(NbdOpt *opt); /* LIST and SET */
