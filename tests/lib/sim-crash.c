/*
 * tests/lib/sim-crash.c - see tests/lib/sim-crash.h and, for the data
 * structure, sim-store-priv.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-crash.h"

#include <string.h>

#include "base/assert.h"
#include "tests/lib/sim-store-priv.h"

/* Fold the first k[s] records into the base, for each sector s. */
static void
sim_page_fold(SimPage *page, const unsigned k[SIM_SECTORS])
{
    unsigned i = 0;

    ash_list_foreach_safe(link, next, &page->records) {
        SimRecord *r = ash_container_of(link, SimRecord, link);
        uint8_t mask = 0;

        i++;
        for (unsigned s = 0; s < SIM_SECTORS; s++) {
            mask |= (uint8_t)(i <= k[s] ? 1U << s : 0);
        }
        mask &= r->mask;
        if (mask) {
            sim_record_apply(r, mask, &page->base);
            r->mask &= (uint8_t)~mask;
        }
        if (!r->mask) {
            ash_list_remove(&r->link);
            g_free(r);
        }
    }
    if (ash_list_is_empty(&page->records)) {
        ash_list_remove(&page->dirty_link);
    }
}

static unsigned
sim_page_n_records(const SimPage *page)
{
    unsigned n = 0;

    ash_list_foreach(link, &page->records) {
        n++;
    }
    return n;
}

/* Fold what was complete by @mark (or is @op), and what came before it: in the
 * same page, which is written as a whole, or in the same sector. */
static void
sim_page_flush(SimStore *store, SimPage *page, uint64_t mark, uint64_t op)
{
    unsigned k[SIM_SECTORS] = { 0 };
    unsigned i = 0;

    ash_list_foreach(link, &page->records) {
        SimRecord *r = ash_container_of(link, SimRecord, link);

        i++;
        if (r->op != op && (r->done == 0 || r->done > mark || r->lost)) {
            continue;
        }
        for (unsigned s = 0; s < SIM_SECTORS; s++) {
            if (store->model == SIM_BUFFERED || r->mask & 1U << s) {
                k[s] = i;
            }
        }
    }
    sim_page_fold(page, k);
}

/* ---- completion ---- */

void
sim_store_complete(SimStore *store, uint64_t op, uint64_t offset,
                   uint64_t bytes)
{
    uint64_t done = ++store->clock;
    SimPage *page = sim_page_first(store, offset / SIM_PAGE);

    while (page && page->index * SIM_PAGE < offset + bytes) {
        ash_list_foreach(link, &page->records) {
            SimRecord *r = ash_container_of(link, SimRecord, link);

            if (r->op == op) {
                r->done = done;
            }
        }
        page = sim_page_first(store, page->index + 1);
    }
    for (unsigned i = 0; i < store->sizes->len; i++) {
        SimSize *size = &g_array_index(store->sizes, SimSize, i);

        if (size->op == op) {
            size->done = done;
        }
    }
}

void
sim_store_complete_all(SimStore *store)
{
    uint64_t done = ++store->clock;

    ash_list_foreach(dirty, &store->dirty) {
        SimPage *page = ash_container_of(dirty, SimPage, dirty_link);

        ash_list_foreach(link, &page->records) {
            SimRecord *r = ash_container_of(link, SimRecord, link);

            r->done = r->done ? r->done : done;
        }
    }
    for (unsigned i = 0; i < store->sizes->len; i++) {
        SimSize *size = &g_array_index(store->sizes, SimSize, i);

        size->done = size->done ? size->done : done;
    }
}

/* ---- durability ---- */

uint64_t
sim_store_mark(const SimStore *store)
{
    return store->clock;
}

/* The last size that was complete by @mark (or is @op's) is durable. */
static void
sim_store_flush_size(SimStore *store, uint64_t mark, uint64_t op)
{
    unsigned n = 0;

    for (unsigned i = 0; i < store->sizes->len; i++) {
        const SimSize *size = &g_array_index(store->sizes, SimSize, i);

        if (size->op <= op || (size->done != 0 && size->done <= mark)) {
            n = i + 1;
            store->durable_size = size->size;
        }
    }
    g_array_remove_range(store->sizes, 0, n);
}

void
sim_store_flush(SimStore *store, uint64_t mark)
{
    ash_list_foreach_safe(link, next, &store->dirty) {
        sim_page_flush(store, ash_container_of(link, SimPage, dirty_link), mark,
                       0);
    }
    sim_store_flush_size(store, mark, 0);
}

void
sim_store_flush_op(SimStore *store, uint64_t op, uint64_t offset,
                   uint64_t bytes)
{
    SimPage *page = sim_page_first(store, offset / SIM_PAGE);

    while (page && page->index * SIM_PAGE < offset + bytes) {
        sim_page_flush(store, page, 0, op);
        page = sim_page_first(store, page->index + 1);
    }
    sim_store_flush_size(store, 0, op);
}

/* The page is clean: for good, or with its old contents. */
static void
sim_page_lose(SimStore *store, SimPage *page, bool old_back)
{
    bool was = page->now != NULL;

    ash_list_foreach_safe(link, next, &page->records) {
        SimRecord *r = ash_container_of(link, SimRecord, link);

        r->lost = true;
        if (old_back) {
            ash_list_remove(&r->link);
            g_free(r);
        }
    }
    if (old_back) {
        ash_list_remove(&page->dirty_link);
        g_free(page->now);
        page->now = page->base ? g_memdup2(page->base, SIM_PAGE) : NULL;
        store->n_allocated += (uint64_t)(page->now != NULL) - was;
    }
}

static bool
sim_page_can_lose(const SimPage *page)
{
    ash_list_foreach(link, &page->records) {
        const SimRecord *r = ash_container_of(link, SimRecord, link);

        if (!r->lost && r->done) {
            return true;
        }
    }
    return false;
}

unsigned
sim_store_lose(SimStore *store, SimRng *rng, bool old_back,
               void (*lost)(void *arg, uint64_t offset, uint64_t bytes),
               void *arg)
{
    unsigned n = 0, chosen;
    unsigned permille = (unsigned)sim_rng_skewed(rng, 1, 1000);

    ash_list_foreach(link, &store->dirty) {
        n += sim_page_can_lose(ash_container_of(link, SimPage, dirty_link));
    }
    if (n == 0) {
        return 0;
    }
    chosen = (unsigned)sim_rng_below(rng, n);
    n = 0;
    ash_list_foreach_safe(link, next, &store->dirty) {
        SimPage *page = ash_container_of(link, SimPage, dirty_link);

        if (!sim_page_can_lose(page)) {
            continue;
        }
        if (chosen-- == 0 || sim_rng_chance(rng, permille)) {
            sim_page_lose(store, page, old_back);
            lost(arg, page->index * SIM_PAGE, SIM_PAGE);
            n++;
        }
    }
    return n;
}

static bool
sim_page_is_lost(const SimPage *page)
{
    ash_list_foreach(link, &page->records) {
        if (!ash_container_of(link, SimRecord, link)->lost) {
            return false;
        }
    }
    return true;
}

void
sim_store_drop_lost(SimStore *store,
                    void (*lost)(void *arg, uint64_t offset, uint64_t bytes),
                    void *arg)
{
    ash_list_foreach_safe(link, next, &store->dirty) {
        SimPage *page = ash_container_of(link, SimPage, dirty_link);

        if (sim_page_is_lost(page)) {
            sim_page_lose(store, page, true);
            lost(arg, page->index * SIM_PAGE, SIM_PAGE);
        }
    }
}

/* How a power cut treats the pages: extremes find more than averages. */
typedef enum {
    SIM_CUT_RANDOM,
    SIM_CUT_ALL_LOST,
    SIM_CUT_ALL_KEPT,
    SIM_CUT_MOST_LOST,
    SIM_CUT_MOST_KEPT,
    SIM_N_CUTS,
} SimCut;

/* Draw how many of @n records survive. */
static unsigned
sim_cut_draw(SimCut cut, unsigned n, SimRng *rng)
{
    if (cut == SIM_CUT_ALL_LOST ||
        (cut == SIM_CUT_MOST_LOST && !sim_rng_chance(rng, 100))) {
        return 0;
    }
    if (cut == SIM_CUT_ALL_KEPT ||
        (cut == SIM_CUT_MOST_KEPT && !sim_rng_chance(rng, 100))) {
        return n;
    }
    return (unsigned)sim_rng_between(rng, 0, n);
}

static void
sim_page_crash(SimStore *store, SimPage *page, SimCut cut, SimRng *rng,
               SimCrash *stats)
{
    unsigned k[SIM_SECTORS];
    unsigned n = sim_page_n_records(page);
    unsigned new = sim_cut_draw(cut, n, rng), old = new;
    unsigned torn_at = 0, sum = 0;
    bool was = page->now != NULL, torn = false;

    if (store->model == SIM_BUFFERED && new > 0 && sim_rng_chance(rng, 300)) {
        old = (unsigned)sim_rng_below(rng, new);
        torn_at = (unsigned)sim_rng_between(rng, 1, SIM_SECTORS - 1);
    }
    for (unsigned s = 0; s < SIM_SECTORS; s++) {
        k[s] = store->model == SIM_DIRECT ? sim_cut_draw(cut, n, rng)
               : s < torn_at              ? new
                                          : old;
        torn |= k[s] != k[0];
        sum += k[s];
    }
    stats->n_pages++;
    stats->n_pages_lost += sum == 0;
    stats->n_pages_torn += torn;
    sim_page_fold(page, k);
    ash_list_foreach_safe(link, next, &page->records) {
        SimRecord *r = ash_container_of(link, SimRecord, link);

        ash_list_remove(&r->link);
        g_free(r);
    }
    ash_list_remove(&page->dirty_link);
    g_free(page->now);
    page->now = page->base ? g_memdup2(page->base, SIM_PAGE) : NULL;
    store->n_allocated += (uint64_t)(page->now != NULL) - was;
}

/* Nothing may show up behind the end of the file (S4). */
static void
sim_store_cut_tail(SimStore *store)
{
    SimPage *page = sim_page_first(store, store->size / SIM_PAGE);

    while (page) {
        uint64_t index = page->index;
        uint64_t start = index * SIM_PAGE;

        if (start >= store->size) {
            store->n_allocated -= page->now != NULL;
            g_tree_remove(store->pages, &index);
        } else if (page->now) {
            uint64_t keep = store->size - start;

            memset(page->now + keep, 0, (size_t)(SIM_PAGE - keep));
            memset(page->base + keep, 0, (size_t)(SIM_PAGE - keep));
        }
        page = sim_page_first(store, index + 1);
    }
}

void
sim_store_crash(SimStore *store, SimRng *rng, SimCrash *stats)
{
    SimCut cut = (SimCut)sim_rng_below(rng, SIM_N_CUTS);
    uint64_t size = store->durable_size;
    uint64_t k = sim_rng_between(rng, 0, store->sizes->len);

    while (!ash_list_is_empty(&store->dirty)) {
        sim_page_crash(store,
                       ash_list_first(&store->dirty, SimPage, dirty_link), cut,
                       rng, stats);
    }
    if (k > 0) {
        size = g_array_index(store->sizes, SimSize, k - 1).size;
    }
    g_array_set_size(store->sizes, 0);
    store->size = size;
    store->durable_size = size;
    sim_store_cut_tail(store);
}
