/*
 * export/nbd-opt-meta.c - LIST_META_CONTEXT and SET_META_CONTEXT.
 *
 * Source: proto.md, "Metadata querying"; the qemu: namespace is that of QEMU's
 * docs/interop/nbd.txt.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "export/nbd-handshake-priv.h"

typedef struct NbdMeta {
    const char *name_space; /* "base:" */
    const char *name;       /* "base:allocation" */
} NbdMeta;

static const NbdMeta nbd_metas[NBD_N_META + 1] = {
    [NBD_META_BASE_ALLOCATION] = { "base:", "base:allocation" },
    [NBD_META_ALLOCATION_DEPTH] = { "qemu:", "qemu:allocation-depth" },
};

/* May clients of @export have context @id? */
static bool
nbd_meta_is_offered(const Export *export, uint32_t id)
{
    return id != NBD_META_ALLOCATION_DEPTH ||
           export_has_allocation_depth(export);
}

/* Mark what @query (NULL: everything) asks for.  A whole namespace counts
 * for LIST only. */
static void
nbd_meta_match(const Export *export, const char *query, bool list,
               bool selected[NBD_N_META + 1])
{
    for (uint32_t id = 1; id <= NBD_N_META; id++) {
        const NbdMeta *meta = &nbd_metas[id];

        if (nbd_meta_is_offered(export, id) &&
            (!query || strcmp(query, meta->name) == 0 ||
             (list && strcmp(query, meta->name_space) == 0))) {
            selected[id] = true;
        }
    }
}

/* The queries; one that is too long matches nothing. */
static int coroutine_fn
nbd_meta_co_read_queries(NbdOpt *opt, const Export *export,
                         bool selected[NBD_N_META + 1])
{
    bool list = opt->option == NBD_OPT_LIST_META_CONTEXT;
    Be32 be_n;
    uint32_t n;
    int ret = nbd_opt_co_read(opt, &be_n, sizeof(be_n));

    if (ret < 0) {
        return ret;
    }
    n = be32_get(be_n);
    if (n > opt->left / 4) {
        return -EBADMSG;
    }
    if (n > NBD_META_QUERIES_MAX) {
        return -E2BIG;
    }
    if (n == 0 && list && export) {
        nbd_meta_match(export, NULL, true, selected);
    }
    while (n-- > 0) {
        g_autofree char *query = NULL;
        size_t len;

        ret = nbd_opt_co_read_string(opt, &query, &len);
        if (ret == 0 && export) {
            nbd_meta_match(export, query, list, selected);
        } else if (ret < 0 && ret != -ENAMETOOLONG) {
            return ret;
        }
    }
    return opt->left > 0 ? -EBADMSG : 0;
}

static int coroutine_fn
nbd_meta_co_send(NbdOpt *opt, const bool selected[NBD_N_META + 1])
{
    bool list = opt->option == NBD_OPT_LIST_META_CONTEXT;

    for (uint32_t id = 1; id <= NBD_N_META; id++) {
        uint8_t data[64];
        size_t len;
        Be32 be_id = be32_put(list ? 0 : id);
        int ret;

        if (!selected[id]) {
            continue;
        }
        len = strlen(nbd_metas[id].name);
        memcpy(data, &be_id, sizeof(be_id));
        memcpy(data + 4, nbd_metas[id].name, len);
        ret = nbd_opt_co_reply(opt, NBD_REP_META_CONTEXT, data, 4 + len);
        if (ret < 0) {
            return ret;
        }
    }
    return nbd_opt_co_reply(opt, NBD_REP_ACK, NULL, 0);
}

/* A SET that fails leaves no context selected. */
static void
nbd_meta_forget(NbdNegotiated *n)
{
    memset(n->meta, 0, sizeof(n->meta));
    g_clear_pointer(&n->meta_export, g_free);
}

int coroutine_fn
nbd_opt_co_meta(NbdOpt *opt)
{
    NbdConn *conn = opt->hs->conn;
    NbdNegotiated *negotiated = &conn->negotiated;
    bool set = opt->option == NBD_OPT_SET_META_CONTEXT;
    bool selected[NBD_N_META + 1] = { false };
    g_autoptr(Export) export = NULL;
    g_autofree char *name = NULL;
    size_t len;
    int ret;

    if (set) {
        nbd_meta_forget(negotiated);
    }
    if (negotiated->mode == NBD_MODE_SIMPLE) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_INVALID,
                                "structured replies come first");
    }
    ret = nbd_opt_co_read_string(opt, &name, &len);
    if (ret == 0) {
        export = nbd_server_find_export(conn->server, name, len);
        ret = nbd_meta_co_read_queries(opt, export, selected);
    }
    if (ret == -E2BIG) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_TOO_BIG,
                                "more than %u queries", NBD_META_QUERIES_MAX);
    }
    if (ret < 0) {
        return nbd_opt_co_bad(opt, ret);
    }
    if (!export) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_UNKNOWN,
                                "no export has this name");
    }
    if (set) {
        memcpy(negotiated->meta, selected, sizeof(selected));
        negotiated->meta_export = g_steal_pointer(&name);
    }
    return nbd_meta_co_send(opt, selected);
}
