/*
 * tests/lib/sim-store.c - what is visible and what changes it; see
 * tests/lib/sim-store.h and, for the data structure, sim-store-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-store.h"

#include <string.h>

#include "base/assert.h"
#include "base/bits.h"
#include "tests/lib/sim-store-priv.h"

/* ---- pages ---- */

static int
sim_page_compare(const void *a, const void *b, void *arg)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    (void)arg;
    return x < y ? -1 : x > y;
}

static void
sim_page_free(void *arg)
{
    SimPage *page = arg;

    ash_list_foreach_safe(link, next, &page->records) {
        g_free(ash_container_of(link, SimRecord, link));
    }
    g_free(page->base);
    g_free(page->now);
    g_free(page);
}

static SimPage *
sim_page_find(const SimStore *store, uint64_t index)
{
    return g_tree_lookup(store->pages, &index);
}

static SimPage *
sim_page_get(SimStore *store, uint64_t index)
{
    SimPage *page = sim_page_find(store, index);

    if (!page) {
        page = g_new0(SimPage, 1);
        page->index = index;
        ash_list_init(&page->records);
        ash_list_init(&page->dirty_link);
        g_tree_insert(store->pages, &page->index, page);
    }
    return page;
}

SimPage *
sim_page_first(const SimStore *store, uint64_t index)
{
    GTreeNode *node = g_tree_lower_bound(store->pages, &index);

    return node ? g_tree_node_value(node) : NULL;
}

/* Which sectors of a page do @bytes at @offset touch? */
static uint8_t
sim_sector_mask(unsigned offset, unsigned bytes)
{
    unsigned first = offset / SIM_SECTOR;
    unsigned end = (unsigned)((offset + bytes + SIM_SECTOR - 1) / SIM_SECTOR);

    return (uint8_t)(((1U << end) - 1) & ~((1U << first) - 1));
}

void
sim_record_apply(const SimRecord *r, uint8_t mask, uint8_t **buf)
{
    if (r->punch && mask == SIM_ALL_SECTORS && r->bytes == SIM_PAGE) {
        g_free(*buf);
        *buf = NULL;
        return;
    }
    if (!*buf && r->punch) {
        return;
    }
    if (!*buf) {
        *buf = g_malloc0(SIM_PAGE);
    }
    for (unsigned s = 0; s < SIM_SECTORS; s++) {
        unsigned start = s * (unsigned)SIM_SECTOR;
        unsigned end = start + (unsigned)SIM_SECTOR;

        start = start < r->offset ? r->offset : start;
        end = end > (unsigned)(r->offset + r->bytes)
                  ? (unsigned)(r->offset + r->bytes)
                  : end;
        if (!(mask & 1U << s) || start >= end) {
            continue;
        }
        if (r->zero) {
            memset(*buf + start, 0, end - start);
        } else {
            memcpy(*buf + start, r->data + (start - r->offset), end - start);
        }
    }
}

/* ---- visible state ---- */

uint64_t
sim_store_size(const SimStore *store)
{
    return store->size;
}

uint64_t
sim_store_n_allocated(const SimStore *store)
{
    return store->n_allocated;
}

void
sim_store_read(const SimStore *store, uint64_t offset, void *buf, size_t bytes)
{
    uint8_t *out = buf;

    ash_assert(offset <= store->size && bytes <= store->size - offset);
    while (bytes > 0) {
        uint64_t in_page = offset % SIM_PAGE;
        size_t n = (size_t)ash_min(SIM_PAGE - in_page, bytes);
        SimPage *page = sim_page_find(store, offset / SIM_PAGE);

        if (page && page->now) {
            memcpy(out, page->now + in_page, n);
        } else {
            memset(out, 0, n);
        }
        out += n;
        offset += n;
        bytes -= n;
    }
}

uint64_t
sim_store_n_missing(const SimStore *store, uint64_t offset, uint64_t bytes)
{
    uint64_t n = 0;

    if (bytes == 0) {
        return 0;
    }
    for (uint64_t i = offset / SIM_PAGE; i <= (offset + bytes - 1) / SIM_PAGE;
         i++) {
        SimPage *page = sim_page_find(store, i);

        n += !page || !page->now;
    }
    return n;
}

bool
sim_store_seek(const SimStore *store, uint64_t offset, bool data, uint64_t *ret)
{
    uint64_t i = offset / SIM_PAGE;

    for (;;) {
        SimPage *page = sim_page_first(store, i);

        if (data) {
            while (page && !page->now) {
                page = sim_page_first(store, page->index + 1);
            }
            if (!page || page->index * SIM_PAGE >= store->size) {
                return false;
            }
            *ret = ash_max(offset, page->index * SIM_PAGE);
            return true;
        }
        if (!page || page->index != i || !page->now ||
            i * SIM_PAGE >= store->size) {
            *ret = ash_min(ash_max(offset, i * SIM_PAGE), store->size);
            return offset < store->size;
        }
        i++;
    }
}

/* ---- changes ---- */

/* Add a record of operation @op; @buf NULL: zeros. */
static void
sim_page_record(SimStore *store, SimPage *page, uint64_t op, unsigned offset,
                unsigned bytes, const uint8_t *buf, bool punch)
{
    SimRecord *r = g_malloc0(sizeof(*r) + (buf ? bytes : 0));
    bool was = page->now != NULL;

    r->op = op;
    r->zero = !buf;
    r->punch = punch;
    r->offset = (uint16_t)offset;
    r->bytes = (uint16_t)bytes;
    r->mask = sim_sector_mask(offset, bytes);
    if (buf) {
        memcpy(r->data, buf, bytes);
    }
    if (ash_list_is_empty(&page->records)) {
        ash_list_append(&store->dirty, &page->dirty_link);
    }
    ash_list_append(&page->records, &r->link);
    sim_record_apply(r, r->mask, &page->now);
    store->n_allocated += (uint64_t)(page->now != NULL) - was;
}

static void
sim_store_set_size(SimStore *store, uint64_t op, uint64_t size)
{
    SimSize record = { .size = size, .op = op };

    if (size != store->size) {
        g_array_append_val(store->sizes, record);
        store->size = size;
    }
}

uint64_t
sim_store_write(SimStore *store, uint64_t offset, const void *buf, size_t bytes)
{
    const uint8_t *in = buf;
    uint64_t op = ++store->n_ops;

    sim_store_set_size(store, op, ash_max(store->size, offset + bytes));
    while (bytes > 0) {
        unsigned in_page = (unsigned)(offset % SIM_PAGE);
        size_t n = (size_t)ash_min(SIM_PAGE - in_page, bytes);

        sim_page_record(store, sim_page_get(store, offset / SIM_PAGE), op,
                        in_page, (unsigned)n, in, false);
        in += n;
        offset += n;
        bytes -= n;
    }
    return op;
}

/* Zeros in [start, end), holes as far as whole pages; existing pages only. */
static void
sim_store_punch(SimStore *store, uint64_t op, uint64_t start, uint64_t end)
{
    SimPage *page = sim_page_first(store, start / SIM_PAGE);

    while (page && page->index * SIM_PAGE < end) {
        uint64_t from = ash_max(start, page->index * SIM_PAGE);
        uint64_t to = ash_min(end, (page->index + 1) * SIM_PAGE);

        if (page->now) {
            sim_page_record(store, page, op, (unsigned)(from % SIM_PAGE),
                            (unsigned)(to - from), NULL, true);
        }
        page = sim_page_first(store, page->index + 1);
    }
}

uint64_t
sim_store_space(SimStore *store, SimStoreSpace what, uint64_t offset,
                uint64_t bytes)
{
    uint64_t op = ++store->n_ops;
    uint64_t end = offset + bytes;

    ash_assert(end <= store->size);
    if (what == SIM_STORE_PUNCH) {
        sim_store_punch(store, op, offset, end);
        return op;
    }
    while (offset < end) {
        uint64_t next = ash_min(end, (offset / SIM_PAGE + 1) * SIM_PAGE);
        SimPage *page = sim_page_get(store, offset / SIM_PAGE);

        if (what == SIM_STORE_ZERO || !page->now) {
            sim_page_record(store, page, op, (unsigned)(offset % SIM_PAGE),
                            (unsigned)(next - offset), NULL, false);
        }
        offset = next;
    }
    return op;
}

uint64_t
sim_store_truncate(SimStore *store, uint64_t size)
{
    uint64_t op = ++store->n_ops;

    if (size < store->size) {
        sim_store_punch(store, op, size, ash_round_up(store->size, SIM_PAGE));
    }
    sim_store_set_size(store, op, size);
    return op;
}

/* ---- life ---- */

SimStore *
sim_store_new(SimModel model)
{
    SimStore *store = g_new0(SimStore, 1);

    store->model = model;
    store->pages = g_tree_new_full(sim_page_compare, NULL, NULL, sim_page_free);
    ash_list_init(&store->dirty);
    store->sizes = g_array_new(FALSE, TRUE, sizeof(SimSize));
    return store;
}

void
sim_store_free(SimStore *store)
{
    g_tree_destroy(store->pages);
    g_array_free(store->sizes, TRUE);
    g_free(store);
}
