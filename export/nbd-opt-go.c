/*
 * export/nbd-opt-go.c - INFO, GO and EXPORT_NAME: facts about an export, and
 * choosing it.
 *
 * Source: proto.md, "NBD_OPT_GO", "NBD_OPT_EXPORT_NAME".
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "export/nbd-handshake-priv.h"

/* Which infos the client asked for, one bit each. */
#define NBD_INFO_BIT(info) (1U << (info))

/* The transmission flags of @export for this client. */
static uint16_t
nbd_go_flags(const NbdConn *conn, const Export *export)
{
    unsigned flags = export_nbd_flags(export);

    if (conn->negotiated.mode != NBD_MODE_SIMPLE) {
        flags |= NBD_FLAG_SEND_DF;
    }
    if (conn->negotiated.mode == NBD_MODE_EXTENDED) {
        flags |= NBD_FLAG_BLOCK_STATUS_PAYLOAD;
    }
    return (uint16_t)flags;
}

/* Contexts count for the export they were asked for. */
static void
nbd_go_check_meta(NbdConn *conn, const Export *export)
{
    NbdNegotiated *n = &conn->negotiated;

    if (!n->meta_export || strcmp(n->meta_export, export_name(export)) != 0) {
        memset(n->meta, 0, sizeof(n->meta));
    }
}

int coroutine_fn
nbd_opt_co_export_name(NbdOpt *opt)
{
    NbdConn *conn = opt->hs->conn;
    g_autofree char *name = NULL;
    NbdExportNameReply reply = { .zeroes = { 0 } };
    uint32_t len = opt->left;
    int ret;

    /* No error can be sent in answer to this option: close instead. */
    if (len > NBD_STRING_MAX || conn->negotiated.mode == NBD_MODE_EXTENDED) {
        return -EPROTO;
    }
    name = g_malloc(len + 1);
    ret = nbd_opt_co_read(opt, name, len);
    if (ret < 0) {
        return ret;
    }
    name[len] = '\0';
    conn->export = nbd_server_find_export(conn->server, name, len);
    if (!conn->export) {
        return -ENOENT;
    }
    nbd_go_check_meta(conn, conn->export);
    reply.size = be64_put(export_size(conn->export));
    reply.flags = be16_put(nbd_go_flags(conn, conn->export));
    ret =
        nbd_hs_co_send(opt->hs, &reply,
                       conn->negotiated.no_zeroes ? NBD_EXPORT_NAME_REPLY_BYTES
                                                  : sizeof(reply));
    return ret < 0 ? ret : NBD_OPT_DONE;
}

/* u16 count and as many u16. */
static int coroutine_fn
nbd_go_co_read_infos(NbdOpt *opt, unsigned *ret_infos)
{
    Be16 be;
    unsigned n;
    int ret = nbd_opt_co_read(opt, &be, sizeof(be));

    if (ret < 0) {
        return ret;
    }
    n = be16_get(be);
    if (opt->left != n * sizeof(be)) {
        return -EBADMSG;
    }
    *ret_infos = 0;
    while (n-- > 0) {
        ret = nbd_opt_co_read(opt, &be, sizeof(be));
        if (ret < 0) {
            return ret;
        }
        if (be16_get(be) <= NBD_INFO_BLOCK_SIZE) {
            *ret_infos |= NBD_INFO_BIT(be16_get(be));
        }
    }
    return 0;
}

/* One NBD_REP_INFO with a text. */
static int coroutine_fn
nbd_go_co_text(NbdOpt *opt, uint16_t info, const char *text)
{
    size_t len = strlen(text);
    g_autofree uint8_t *data = g_malloc(2 + len);
    Be16 be_info = be16_put(info);

    memcpy(data, &be_info, sizeof(be_info));
    memcpy(data + 2, text, len);
    return nbd_opt_co_reply(opt, NBD_REP_INFO, data, 2 + len);
}

static int coroutine_fn
nbd_go_co_send_infos(NbdOpt *opt, const Export *export, unsigned infos)
{
    NbdInfoExport info = {
        .info = be16_put(NBD_INFO_EXPORT),
        .size = be64_put(export_size(export)),
        .flags = be16_put(nbd_go_flags(opt->hs->conn, export)),
    };
    NbdInfoBlockSize block;
    uint32_t size[3];
    int ret = 0;

    if (infos & NBD_INFO_BIT(NBD_INFO_NAME)) {
        ret = nbd_go_co_text(opt, NBD_INFO_NAME, export_name(export));
    }
    if (ret == 0 && (infos & NBD_INFO_BIT(NBD_INFO_DESCRIPTION)) &&
        export_description(export)) {
        ret = nbd_go_co_text(opt, NBD_INFO_DESCRIPTION,
                             export_description(export));
    }
    if (ret == 0) {
        /* Who did not ask gets 1: it may not honour anything larger. */
        export_block_size(export, size);
        if (!(infos & NBD_INFO_BIT(NBD_INFO_BLOCK_SIZE))) {
            size[0] = 1;
        }
        block.info = be16_put(NBD_INFO_BLOCK_SIZE);
        block.minimum = be32_put(size[0]);
        block.preferred = be32_put(size[1]);
        block.payload_max = be32_put(size[2]);
        ret = nbd_opt_co_reply(opt, NBD_REP_INFO, &block, sizeof(block));
    }
    if (ret == 0) {
        ret = nbd_opt_co_reply(opt, NBD_REP_INFO, &info, sizeof(info));
    }
    if (ret == 0) {
        ret = nbd_opt_co_reply(opt, NBD_REP_ACK, NULL, 0);
    }
    return ret;
}

int coroutine_fn
nbd_opt_co_go(NbdOpt *opt)
{
    NbdConn *conn = opt->hs->conn;
    g_autofree char *name = NULL;
    g_autoptr(Export) export = NULL;
    unsigned infos = 0;
    size_t len;
    int ret = nbd_opt_co_read_string(opt, &name, &len);

    if (ret == 0) {
        ret = nbd_go_co_read_infos(opt, &infos);
    }
    if (ret == -EILSEQ) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_UNKNOWN,
                                "no export has this name");
    }
    if (ret < 0) {
        return nbd_opt_co_bad(opt, ret);
    }
    if (nbd_server_is_closing(conn->server)) {
        return nbd_opt_co_error(opt, NBD_REP_ERR_SHUTDOWN,
                                "the server is shutting down");
    }
    export = nbd_server_find_export(conn->server, name, len);
    if (!export) {
        char shown[128];

        ash_escape(shown, sizeof(shown), name, len);
        return nbd_opt_co_error(opt, NBD_REP_ERR_UNKNOWN,
                                "no export has the name \"%s\"", shown);
    }
    ret = nbd_go_co_send_infos(opt, export, infos);
    if (ret < 0 || opt->option == NBD_OPT_INFO) {
        return ret;
    }
    nbd_go_check_meta(conn, export);
    conn->export = g_steal_pointer(&export);
    return NBD_OPT_DONE;
}
