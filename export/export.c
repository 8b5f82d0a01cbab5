/*
 * export/export.c - see export/export.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "export/export.h"

#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "export/nbd-wire.h"

/* The block size that suits most clients when the node has no wish. */
#define EXPORT_PREFERRED_BYTES 4096U

struct Export {
    gatomicrefcount refs;
    char *id;
    char *name;
    char *description;
    Blk *blk;
    Loop *home;
    uint64_t size;
    bool writable;
    bool allocation_depth;
    uint16_t flags;
    uint32_t block_size[3];
};

static bool
export_check_text(const char *what, const char *text, GError **error)
{
    if (strlen(text) > EXPORT_NAME_MAX) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "the %s is longer than %d bytes", what, EXPORT_NAME_MAX);
        return false;
    }
    if (!g_utf8_validate(text, -1, NULL)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "the %s is not valid UTF-8", what);
        return false;
    }
    return true;
}

static void
export_learn_flags(Export *export, const ExportConfig *config)
{
    const BlkLimits *limits = blk_limits(export->blk);
    unsigned flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH |
                     NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;

    if (config->multi_conn) {
        flags |= NBD_FLAG_CAN_MULTI_CONN;
    }
    if (limits->rotational) {
        flags |= NBD_FLAG_ROTATIONAL;
    }
    if (!config->writable) {
        flags |= NBD_FLAG_READ_ONLY;
    } else {
        flags |= NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
        if (blk_can_trim(export->blk)) {
            flags |= NBD_FLAG_SEND_TRIM;
        }
    }
    export->flags = (uint16_t)flags;
}

static void
export_learn_block_size(Export *export)
{
    const BlkLimits *limits = blk_limits(export->blk);
    uint32_t minimum = limits->request_align;
    uint32_t preferred = EXPORT_PREFERRED_BYTES;

    if (export->size % minimum != 0) {
        minimum = 1; /* the last bytes must stay reachable */
    }
    if (ash_is_pow2(limits->opt_transfer) && limits->opt_transfer > preferred &&
        limits->opt_transfer <= NBD_PAYLOAD_MAX) {
        preferred = limits->opt_transfer;
    }
    export->block_size[0] = minimum;
    export->block_size[1] = (uint32_t)ash_max(preferred, minimum);
    export->block_size[2] = NBD_PAYLOAD_MAX;
}

bool coroutine_fn
export_co_new(const ExportConfig *config, BlkNode *node, Export **ret,
              GError **error)
{
    g_autofree char *who = g_strdup_printf("export '%s'", config->id);
    BlkPerm perm =
        BLK_PERM_CONSISTENT_READ | (config->writable ? BLK_PERM_WRITE : 0);
    Export *export;

    if (!export_check_text("name", config->name, error) ||
        (config->description &&
         !export_check_text("description", config->description, error))) {
        g_prefix_error(error, "%s: ", who);
        return false;
    }
    export = g_new0(Export, 1);
    export->blk = blk_new(who);
    if (!blk_co_attach(export->blk, node, perm,
                       BLK_PERM_ALL & ~(BlkPerm)BLK_PERM_RESIZE, error)) {
        g_prefix_error(error, "%s: ", who);
        blk_free(export->blk);
        g_free(export);
        return false;
    }
    blk_set_write_cache(export->blk, !config->writethrough);
    g_atomic_ref_count_init(&export->refs);
    export->id = g_strdup(config->id);
    export->name = g_strdup(config->name);
    export->description = g_strdup(config->description);
    export->home = blk_loop(export->blk);
    export->size = blk_size(export->blk);
    export->writable = config->writable;
    export->allocation_depth = config->allocation_depth;
    export_learn_flags(export, config);
    export_learn_block_size(export);
    *ret = export;
    return true;
}

void coroutine_fn
export_co_close(Export *export)
{
    blk_co_detach(export->blk);
}

Export *
export_ref(Export *export)
{
    g_atomic_ref_count_inc(&export->refs);
    return export;
}

void
export_unref(Export *export)
{
    if (export && g_atomic_ref_count_dec(&export->refs)) {
        blk_free(export->blk);
        g_free(export->id);
        g_free(export->name);
        g_free(export->description);
        g_free(export);
    }
}

const char *
export_id(const Export *export)
{
    return export->id;
}

const char *
export_name(const Export *export)
{
    return export->name;
}

const char *
export_description(const Export *export)
{
    return export->description;
}

Loop *
export_home(const Export *export)
{
    return export->home;
}

uint64_t
export_size(const Export *export)
{
    return export->size;
}

bool
export_is_writable(const Export *export)
{
    return export->writable;
}

bool
export_has_allocation_depth(const Export *export)
{
    return export->allocation_depth;
}

uint16_t
export_nbd_flags(const Export *export)
{
    return export->flags;
}

void
export_block_size(const Export *export, uint32_t ret[3])
{
    memcpy(ret, export->block_size, sizeof(export->block_size));
}

Blk *
export_blk(const Export *export)
{
    return export->blk;
}
