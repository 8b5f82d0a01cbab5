/*
 * export/export.h - Export: a disk by name, as clients see it.
 *
 * An Export holds a Blk on its root node and the facts that a handshake tells
 * about it.  The facts are fixed when the export is made, so any thread may
 * read them; requests run on the export's home, the loop of its node.
 *
 * Layer:   export.      Thread: facts and references any; requests the home.
 * Tests:   tests/unit/export/, tests/scenario/
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/annotate.h"
#include "base/error.h"
#include "blockcore/blk.h"
#include "blockcore/types.h"
#include "coro/loop.h"

typedef struct Export Export;

typedef struct ExportConfig {
    const char *id;          /* unique among exports and nodes */
    const char *name;        /* what clients ask for, 0..4096 bytes UTF-8 */
    const char *description; /* NULL: none; at most 4096 bytes */
    bool writable;
    bool writethrough;     /* flush after each write */
    bool allocation_depth; /* offer qemu:allocation-depth */
    bool multi_conn;       /* may several connections share it; default on */
} ExportConfig;

#define EXPORT_NAME_MAX 4096

/**
 * export_co_new() - make an export of @node.
 * @config: copied
 * @ret:    with one reference
 *
 * Needs:   the thread of the node's loop.      Yields: yes.
 * Errors:  CONFIG (name too long or not UTF-8, writable on a read-only node),
 *          CONFLICT (permissions, image locks).
 */
bool coroutine_fn export_co_new(const ExportConfig *config, BlkNode *node,
                                Export **ret, GError **error);

/* Let the node go; requests get -ENOMEDIUM.  On the export's home. */
void coroutine_fn export_co_close(Export *export);

Export *export_ref(Export *export);
void export_unref(Export *export); /* closed before the last one */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Export, export_unref)

/* ---- facts ---- */
const char *export_id(const Export *export);
const char *export_name(const Export *export);
const char *export_description(const Export *export); /* NULL: none */
Loop *export_home(const Export *export);
uint64_t export_size(const Export *export);
bool export_is_writable(const Export *export);
bool export_has_allocation_depth(const Export *export);
/* NBD_FLAG_* without the bits that depend on what the client negotiated. */
uint16_t export_nbd_flags(const Export *export);
/* What BLOCK_SIZE says: minimum (1 when the size is no multiple), preferred,
 * largest payload. */
void export_block_size(const Export *export, uint32_t ret[3]);

/* ---- on the home ---- */
Blk *export_blk(const Export *export);
