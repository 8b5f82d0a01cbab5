/*
 * export/nbd-opt-list.c - LIST: names and descriptions of all exports.
 *
 * Source: proto.md, "NBD_OPT_LIST", "NBD_REP_SERVER".
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "export/nbd-handshake-priv.h"

static int coroutine_fn
nbd_list_co_one(NbdOpt *opt, const Export *export)
{
    const char *name = export_name(export);
    const char *description = export_description(export);
    size_t name_len = strlen(name);
    size_t description_len = description ? strlen(description) : 0;
    g_autofree uint8_t *data = g_malloc(4 + name_len + description_len);
    Be32 be_len = be32_put((uint32_t)name_len);

    memcpy(data, &be_len, sizeof(be_len));
    memcpy(data + 4, name, name_len);
    if (description) {
        memcpy(data + 4 + name_len, description, description_len);
    }
    return nbd_opt_co_reply(opt, NBD_REP_SERVER, data,
                            4 + name_len + description_len);
}

int coroutine_fn
nbd_opt_co_list(NbdOpt *opt)
{
    g_autoptr(GPtrArray) exports = NULL;

    if (opt->left > 0) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_INVALID, "LIST has no data");
    }
    exports = nbd_server_get_exports(opt->hs->conn->server);
    for (guint i = 0; i < exports->len; i++) {
        int ret = nbd_list_co_one(opt, g_ptr_array_index(exports, i));

        if (ret < 0) {
            return ret;
        }
    }
    return nbd_opt_co_reply(opt, NBD_REP_ACK, NULL, 0);
}
