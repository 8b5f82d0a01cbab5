/*
 * tests/unit/sim/test-sim-store.c - what a power cut may leave behind.
 *
 * The store is compared with a model that keeps every state of a small file
 * since it was created, and knows nothing of pages or records.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "tests/lib/sim-store.h"

#include <glib.h>
#include <string.h>

#include "tests/lib/sim-crash.h"
#include "tests/unit/sim/tests.h"

#define FILE_BYTES ((size_t)3 * 4096)
#define STATES_MAX 64

/* All states of a file of a fixed size, in order. */
typedef struct Model {
    uint8_t states[STATES_MAX][FILE_BYTES];
    unsigned n_states;
    unsigned durable; /* all from here on may survive */
} Model;

static uint8_t *
model_now(Model *m)
{
    return m->states[m->n_states - 1];
}

static uint8_t *
model_next(Model *m)
{
    g_assert_cmpuint(m->n_states, <, STATES_MAX);
    memcpy(m->states[m->n_states], model_now(m), FILE_BYTES);
    m->n_states++;
    return model_now(m);
}

static bool
model_sector_in(const Model *m, size_t sector, const uint8_t *buf,
                unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        if (memcmp(m->states[i] + sector * 512, buf, 512) == 0) {
            return true;
        }
    }
    return false;
}

/* Could the page at @page be old state @a up to a sector, state @b after? */
static bool
model_page_is(const Model *m, size_t page, const uint8_t *buf)
{
    for (unsigned new = m->durable; new < m->n_states; new ++) {
        for (unsigned old = m->durable; old <= new; old++) {
            for (size_t cut = 0; cut <= 4096; cut += 512) {
                if (memcmp(m->states[new] + page * 4096, buf, cut) == 0 &&
                    memcmp(m->states[old] + page * 4096 + cut, buf + cut,
                           4096 - cut) == 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

static void
model_random_op(Model *m, SimStore *store, SimRng *rng)
{
    uint64_t offset = sim_rng_below(rng, FILE_BYTES);
    uint64_t bytes = sim_rng_between(rng, 1, FILE_BYTES - offset);
    uint8_t *now = model_next(m);
    uint64_t op;

    if (sim_rng_chance(rng, 700)) {
        g_autofree uint8_t *buf = g_malloc(bytes);

        for (size_t i = 0; i < bytes; i++) {
            buf[i] = (uint8_t)(sim_rng_next(rng) | 1);
        }
        memcpy(now + offset, buf, bytes);
        op = sim_store_write(store, offset, buf, bytes);
    } else {
        memset(now + offset, 0, bytes);
        op = sim_store_space(
            store, sim_rng_chance(rng, 500) ? SIM_STORE_PUNCH : SIM_STORE_ZERO,
            offset, bytes);
    }
    sim_store_complete(store, op, offset, bytes);
}

static void
model_check_visible(Model *m, const SimStore *store)
{
    g_autofree uint8_t *buf = g_malloc(FILE_BYTES);

    sim_store_read(store, 0, buf, FILE_BYTES);
    g_assert_true(memcmp(buf, model_now(m), FILE_BYTES) == 0);
}

static void
model_check_crashed(Model *m, const SimStore *store, SimModel model)
{
    g_autofree uint8_t *buf = g_malloc(FILE_BYTES);

    sim_store_read(store, 0, buf, FILE_BYTES);
    for (size_t s = 0; s < FILE_BYTES / 512; s++) {
        g_assert_true(
            model_sector_in(m, s, buf + s * 512, m->durable, m->n_states));
    }
    for (size_t p = 0; model == SIM_BUFFERED && p < FILE_BYTES / 4096; p++) {
        g_assert_true(model_page_is(m, p, buf + p * 4096));
    }
    /* It goes on from here. */
    memcpy(m->states[0], buf, FILE_BYTES);
    m->n_states = 1;
    m->durable = 0;
}

static void
crash_run(uint64_t seed, SimModel model, SimCrash *stats)
{
    g_autofree Model *m = g_new0(Model, 1);
    SimStore *store = sim_store_new(model);
    SimRng rng;

    sim_rng_init(&rng, seed, model);
    m->n_states = 1;
    sim_store_truncate(store, FILE_BYTES);
    sim_store_complete_all(store);
    sim_store_flush(store, sim_store_mark(store));
    for (unsigned i = 0; i < 200; i++) {
        uint64_t what = sim_rng_below(&rng, 10);

        if (what == 0 || m->n_states == STATES_MAX) {
            sim_store_crash(store, &rng, stats);
            model_check_crashed(m, store, model);
        } else if (what == 1) {
            sim_store_flush(store, sim_store_mark(store));
            m->durable = m->n_states - 1;
        } else {
            model_random_op(m, store, &rng);
        }
        model_check_visible(m, store);
    }
    sim_store_free(store);
}

static void
test_power_cut_states_are_legal(void)
{
    SimCrash stats[2] = { 0 };

    for (unsigned seed = 0; seed < 60; seed++) {
        crash_run(seed, SIM_BUFFERED, &stats[0]);
        crash_run(seed, SIM_DIRECT, &stats[1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        g_test_message("model %u: %u pages, %u lost, %u torn", i,
                       (unsigned)stats[i].n_pages,
                       (unsigned)stats[i].n_pages_lost,
                       (unsigned)stats[i].n_pages_torn);
        g_assert_cmpuint(stats[i].n_pages_lost, >, 100);
        g_assert_cmpuint(stats[i].n_pages_torn, >, 100);
    }
}

/* Which of the states of one sector with two volatile writes survive? */
static void
test_every_legal_state_is_reached(void)
{
    for (unsigned model = 0; model < 2; model++) {
        unsigned seen[9] = { 0 }, n_seen = 0;
        SimCrash stats = { 0 };

        for (unsigned seed = 0; seed < 400; seed++) {
            SimStore *store = sim_store_new((SimModel)model);
            static uint8_t a[4096], b[4096], buf[4096];
            SimRng rng;

            memset(a, 1, sizeof(a));
            memset(b, 2, sizeof(b));
            sim_rng_init(&rng, seed, 0);
            sim_store_write(store, 0, b, sizeof(b));
            sim_store_truncate(store, 0);
            sim_store_truncate(store, 4096);
            sim_store_complete_all(store);
            sim_store_flush(store, sim_store_mark(store));
            sim_store_write(store, 0, a, sizeof(a));
            sim_store_write(store, 0, b, sizeof(b));
            sim_store_complete_all(store);
            sim_store_crash(store, &rng, &stats);
            g_assert_cmpuint(sim_store_size(store), ==, 4096);
            sim_store_read(store, 0, buf, sizeof(buf));
            n_seen += seen[buf[0] * 3 + buf[4095]]++ == 0;
            sim_store_free(store);
        }
        /* Buffered: a torn page has the newer state first. */
        g_assert_cmpuint(n_seen, ==, model == SIM_DIRECT ? 9 : 6);
    }
}

static void
test_flush_covers_what_was_complete_before(void)
{
    for (unsigned seed = 0; seed < 50; seed++) {
        SimStore *store = sim_store_new(SIM_DIRECT);
        uint8_t a = 1, b = 2, buf[2];
        SimCrash stats = { 0 };
        uint64_t first, second, mark;
        SimRng rng;

        sim_rng_init(&rng, seed, 0);
        sim_store_truncate(store, 8192);
        first = sim_store_write(store, 0, &a, 1);
        second = sim_store_write(store, 4096, &b, 1);
        sim_store_complete(store, first, 0, 1);
        sim_store_complete(store, first - 1, 0, INT64_MAX);
        mark = sim_store_mark(store);
        sim_store_complete(store, second, 4096, 1);
        sim_store_flush(store, mark);
        sim_store_crash(store, &rng, &stats);
        sim_store_read(store, 0, &buf[0], 1);
        sim_store_read(store, 4096, &buf[1], 1);
        g_assert_cmpuint(buf[0], ==, 1);
        g_assert_true(buf[1] == 2 || buf[1] == 0);
        g_assert_cmpuint(stats.n_pages, ==, 1);
        sim_store_free(store);
    }
}

static void
test_size_survives_a_flush_only(void)
{
    unsigned n_short = 0, n_long = 0;

    for (unsigned seed = 0; seed < 100; seed++) {
        SimStore *store = sim_store_new(SIM_BUFFERED);
        SimCrash stats = { 0 };
        uint8_t buf[100] = { 7 };
        SimRng rng;

        sim_rng_init(&rng, seed, 0);
        sim_store_write(store, 0, buf, sizeof(buf));
        sim_store_complete_all(store);
        sim_store_flush(store, sim_store_mark(store));
        sim_store_write(store, 10000, buf, sizeof(buf));
        sim_store_complete_all(store);
        sim_store_crash(store, &rng, &stats);
        n_short += sim_store_size(store) == 100;
        n_long += sim_store_size(store) == 10100;
        /* What comes into view by growing is zero. */
        sim_store_truncate(store, 20000);
        if (n_short + n_long != seed + 1) {
            g_assert_not_reached();
        }
        sim_store_read(store, 100, buf, 100);
        for (unsigned i = 0; i < 100; i++) {
            g_assert_cmpuint(buf[i], ==, 0);
        }
        sim_store_free(store);
    }
    g_assert_cmpuint(n_short, >, 10);
    g_assert_cmpuint(n_long, >, 10);
}

static void
test_holes_are_found(void)
{
    SimStore *store = sim_store_new(SIM_BUFFERED);
    static const uint8_t buf[4096] = { 1 };
    uint64_t at;

    sim_store_truncate(store, 10 * SIM_PAGE);
    g_assert_false(sim_store_seek(store, 0, true, &at));
    g_assert_true(sim_store_seek(store, 5, false, &at));
    g_assert_cmpuint(at, ==, 5);
    sim_store_write(store, 2 * SIM_PAGE, buf, sizeof(buf));
    sim_store_write(store, 3 * SIM_PAGE, buf, 1);
    g_assert_cmpuint(sim_store_n_allocated(store), ==, 2);
    g_assert_cmpuint(sim_store_n_missing(store, 0, 4 * SIM_PAGE), ==, 2);
    g_assert_true(sim_store_seek(store, 0, true, &at));
    g_assert_cmpuint(at, ==, 2 * SIM_PAGE);
    g_assert_true(sim_store_seek(store, at + 1, false, &at));
    g_assert_cmpuint(at, ==, 4 * SIM_PAGE);
    sim_store_space(store, SIM_STORE_PUNCH, 100, 3 * SIM_PAGE);
    g_assert_cmpuint(sim_store_n_allocated(store), ==, 1);
    sim_store_space(store, SIM_STORE_ALLOCATE, 0, 10 * SIM_PAGE);
    g_assert_cmpuint(sim_store_n_allocated(store), ==, 10);
    g_assert_true(sim_store_seek(store, 0, false, &at));
    g_assert_cmpuint(at, ==, 10 * SIM_PAGE);
    sim_store_truncate(store, 0);
    g_assert_cmpuint(sim_store_n_allocated(store), ==, 0);
    sim_store_free(store);
}

static void
lost_count(void *arg, uint64_t offset, uint64_t bytes)
{
    g_assert_cmpuint(offset % SIM_PAGE, ==, 0);
    g_assert_cmpuint(bytes, ==, SIM_PAGE);
    (*(unsigned *)arg)++;
}

static void
test_lost_pages_stay_lost(void)
{
    for (unsigned i = 0; i < 200; i++) {
        SimStore *store = sim_store_new(i & 1 ? SIM_DIRECT : SIM_BUFFERED);
        bool old_back = i & 2;
        static const uint8_t buf[4096] = { 1 };
        uint8_t got;
        SimCrash stats = { 0 };
        unsigned n = 0;
        SimRng rng;

        sim_rng_init(&rng, i, 0);
        sim_store_write(store, 0, buf, sizeof(buf));
        sim_store_complete_all(store);
        g_assert_cmpuint(sim_store_lose(store, &rng, old_back, lost_count, &n),
                         ==, 1);
        g_assert_cmpuint(n, ==, 1);
        sim_store_read(store, 0, &got, 1);
        g_assert_cmpuint(got, ==, old_back ? 0 : 1);
        /* A flush that says success does not help. */
        sim_store_flush(store, sim_store_mark(store));
        sim_store_crash(store, &rng, &stats);
        g_assert_cmpuint(stats.n_pages, ==, old_back ? 0 : 1);
        sim_store_free(store);
    }
}

void
test_sim_store_add(void)
{
    g_test_add_func("/sim/store/power-cut-states-are-legal",
                    test_power_cut_states_are_legal);
    g_test_add_func("/sim/store/every-legal-state-is-reached",
                    test_every_legal_state_is_reached);
    g_test_add_func("/sim/store/flush-covers-what-was-complete-before",
                    test_flush_covers_what_was_complete_before);
    g_test_add_func("/sim/store/size-survives-a-flush-only",
                    test_size_survives_a_flush_only);
    g_test_add_func("/sim/store/holes-are-found", test_holes_are_found);
    g_test_add_func("/sim/store/lost-pages-stay-lost",
                    test_lost_pages_stay_lost);
}
