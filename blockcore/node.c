/*
 * blockcore/node.c - BlkNode: making and freeing one, and what its driver and
 * others may ask of it.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "blockcore/node-priv.h"

#include <stdarg.h>
#include <string.h>

#include "blockcore/graph-priv.h"

/* ---- life ---- */

/* "#block000", "#block001", ...: no user can choose these. */
static void
node_make_name(BlkNode *node, BlkGraph *graph)
{
    g_snprintf(node->name, sizeof(node->name), "#block%03u",
               graph->n_anonymous++);
}

/* All fields that are not zero at first. */
static void
node_init(BlkNode *node)
{
    ash_list_init(&node->graph_link);
    ash_list_init(&node->children);
    ash_list_init(&node->parents);
    ash_list_init(&node->tracked);
    co_queue_init(&node->drained);
    co_queue_init(&node->flush_queue);
    node->shared = BLK_PERM_ALL;
    node->height = 1;
    node->limits.request_align = 1;
    node->limits.mem_align = 1;
}

BlkNode *
blk_node_new(BlkGraph *graph, const BlkDriver *driver, const char *name,
             GError **error)
{
    size_t bytes = sizeof(BlkNode) + driver->state_bytes;
    BlkNode *node;
    bool ok;

    if (name && !blk_graph_check_name(name, error)) {
        return NULL;
    }
    node = g_aligned_alloc0(1, bytes, _Alignof(BlkNode));
    node_init(node);
    node->driver = driver;
    node->graph = graph;
    node->loop = loop_current();
    node->named = name != NULL;
    g_mutex_lock(&graph->mutex);
    if (name) {
        g_strlcpy(node->name, name, sizeof(node->name));
    } else {
        node_make_name(node, graph);
    }
    ok = blk_graph_insert_name(graph, node->name, node, error);
    if (ok) {
        ash_list_append(&graph->nodes, &node->graph_link);
    }
    g_mutex_unlock(&graph->mutex);
    if (!ok) {
        g_aligned_free(node);
        return NULL;
    }
    return node;
}

void
blk_node_free(BlkNode *node)
{
    BlkGraph *graph = node->graph;

    ash_assert(node->n_refs == 0);
    ash_assert(node->in_flight == 0);
    ash_assert(ash_list_is_empty(&node->children));
    ash_assert(ash_list_is_empty(&node->parents));
    ash_assert(ash_list_is_empty(&node->tracked));
    g_mutex_lock(&graph->mutex);
    g_hash_table_remove(graph->names, node->name);
    ash_list_remove(&node->graph_link);
    g_mutex_unlock(&graph->mutex);
    g_free(node->note);
    g_aligned_free(node);
}

void
blk_node_set_open(BlkNode *node)
{
    g_mutex_lock(&node->graph->mutex);
    node->open = true;
    g_mutex_unlock(&node->graph->mutex);
}

/* ---- what a driver may ask ---- */

void *
blk_node_state(BlkNode *node)
{
    return node->state;
}

const char *
blk_node_name(const BlkNode *node)
{
    return node->name;
}

Loop *
blk_node_loop(const BlkNode *node)
{
    return node->loop;
}

uint64_t
blk_node_size(const BlkNode *node)
{
    return node->size;
}

const BlkLimits *
blk_node_limits(const BlkNode *node)
{
    return &node->limits;
}

bool
blk_node_is_read_only(const BlkNode *node)
{
    return node->read_only;
}

const BlkNodeOptions *
blk_node_options(const BlkNode *node)
{
    return &node->options;
}

void
blk_node_set_read_only(BlkNode *node)
{
    ash_assert((node->perm & BLK_PERM_WRITE) == 0);
    node->read_only = true;
}

void
blk_node_take_note(BlkNode *node, char *take_text)
{
    g_free(node->note);
    node->note = take_text;
}

const char *
blk_node_note(const BlkNode *node)
{
    return node->note;
}

const BlkDriver *
blk_node_driver(const BlkNode *node)
{
    return node->driver;
}

const char *
blk_node_state_dir(const BlkNode *node)
{
    return node->graph->state_dir;
}

void
blk_node_tell(const BlkNode *node, const char *fmt, ...)
{
    BlkGraphTellFn *tell = node->graph->tell;
    va_list args;

    if (tell) {
        g_autofree char *text = NULL;

        va_start(args, fmt);
        text = g_strdup_vprintf(fmt, args);
        va_end(args);
        tell(node->name, text);
    }
}

/* ---- lost data ---- */

void
blk_node_fail(BlkNode *node, int err)
{
    ash_assert(err < 0);
    if (node->failed == 0) {
        node->failed = err;
    }
}

int
blk_node_failed(const BlkNode *node)
{
    return node->failed;
}

void
blk_node_clear_failure(BlkNode *node)
{
    node->failed = 0;
}
