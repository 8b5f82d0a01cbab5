/*
 * tests/unit/base/test-list.c - the intrusive list, against an array.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/list.h"

#include <string.h>

#include "tests/unit/base/tests.h"

#define N_ITEMS 3
#define N_LISTS 2
#define N_STEPS 4

typedef struct Item {
    unsigned id;
    AshList link;
} Item;

/* Two lists, and what should be in them. */
typedef struct Scene {
    AshList heads[N_LISTS];
    Item items[N_ITEMS];
    unsigned model[N_LISTS][N_ITEMS];
    unsigned n_model[N_LISTS];
} Scene;

static void
scene_init(Scene *s)
{
    memset(s, 0, sizeof(*s));
    for (unsigned i = 0; i < N_LISTS; i++) {
        ash_list_init(&s->heads[i]);
    }
    for (unsigned i = 0; i < N_ITEMS; i++) {
        s->items[i].id = i;
        ash_list_init(&s->items[i].link);
    }
}

static void
scene_check(Scene *s)
{
    unsigned n_linked = 0;

    for (unsigned l = 0; l < N_LISTS; l++) {
        AshList *head = &s->heads[l];
        unsigned n = 0;

        g_assert_cmpint(ash_list_is_empty(head), ==, s->n_model[l] == 0);
        if (s->n_model[l] > 0) {
            g_assert_cmpuint(ash_list_first(head, Item, link)->id, ==,
                             s->model[l][0]);
        }
        ash_list_foreach(link, head) {
            const Item *item = ash_container_of(link, Item, link);

            g_assert_cmpuint(n, <, s->n_model[l]);
            g_assert_cmpuint(item->id, ==, s->model[l][n]);
            g_assert_true(link->next->prev == link);
            g_assert_true(link->prev->next == link);
            n++;
        }
        g_assert_cmpuint(n, ==, s->n_model[l]);
        n_linked += n;
    }
    for (unsigned i = 0; i < N_ITEMS; i++) {
        n_linked += ash_list_is_empty(&s->items[i].link);
    }
    g_assert_cmpuint(n_linked, ==, N_ITEMS);
}

/* Where is item @id?  N_LISTS: nowhere. */
static unsigned
scene_find(const Scene *s, unsigned id, unsigned *ret_place)
{
    for (unsigned l = 0; l < N_LISTS; l++) {
        for (unsigned i = 0; i < s->n_model[l]; i++) {
            if (s->model[l][i] == id) {
                *ret_place = i;
                return l;
            }
        }
    }
    return N_LISTS;
}

static void
model_insert(Scene *s, unsigned list, unsigned place, unsigned id)
{
    unsigned *m = s->model[list];

    memmove(m + place + 1, m + place, (s->n_model[list] - place) * sizeof(*m));
    m[place] = id;
    s->n_model[list]++;
}

static void
model_remove(Scene *s, unsigned list, unsigned place)
{
    unsigned *m = s->model[list];

    s->n_model[list]--;
    memmove(m + place, m + place + 1, (s->n_model[list] - place) * sizeof(*m));
}

static void
scene_splice(Scene *s, unsigned dst, unsigned src)
{
    ash_list_splice(&s->heads[dst], &s->heads[src]);
    for (unsigned i = 0; i < s->n_model[src]; i++) {
        s->model[dst][s->n_model[dst]++] = s->model[src][i];
    }
    s->n_model[src] = 0;
}

/* Actions 0..n-1 in this scene; false: @action makes no sense here. */
#define N_ACTIONS (2 + N_ITEMS * (2 * N_LISTS + 1 + N_ITEMS))

static bool
scene_act(Scene *s, unsigned action)
{
    unsigned place = 0;
    unsigned id;
    unsigned list;
    AshList *link;

    if (action < 2) {
        scene_splice(s, action, 1 - action);
        return true;
    }
    action -= 2;
    id = action % N_ITEMS;
    action /= N_ITEMS;
    link = &s->items[id].link;
    list = scene_find(s, id, &place);
    if (action == 0) {
        /* Removing what is in no list is allowed. */
        ash_list_remove(link);
        if (list < N_LISTS) {
            model_remove(s, list, place);
        }
        return true;
    }
    if (list < N_LISTS) {
        return false;
    }
    action--;
    if (action < N_LISTS) {
        ash_list_append(&s->heads[action], link);
        model_insert(s, action, s->n_model[action], id);
        return true;
    }
    action -= N_LISTS;
    if (action < N_LISTS) {
        ash_list_prepend(&s->heads[action], link);
        model_insert(s, action, 0, id);
        return true;
    }
    action -= N_LISTS;
    list = scene_find(s, action, &place);
    if (list == N_LISTS) {
        return false;
    }
    ash_list_insert_before(&s->items[action].link, link);
    model_insert(s, list, place, id);
    return true;
}

/* Every sequence of N_STEPS actions on three items and two lists. */
static void
test_all(void)
{
    unsigned n_total = 1;
    unsigned n_sensible = 0;

    for (unsigned i = 0; i < N_STEPS; i++) {
        n_total *= N_ACTIONS;
    }
    for (unsigned sequence = 0; sequence < n_total; sequence++) {
        unsigned rest = sequence;
        Scene s;
        unsigned i;

        scene_init(&s);
        for (i = 0; i < N_STEPS; i++) {
            if (!scene_act(&s, rest % N_ACTIONS)) {
                break;
            }
            rest /= N_ACTIONS;
        }
        if (i == N_STEPS) {
            scene_check(&s);
            n_sensible++;
        }
    }
    g_test_message("%u sequences, %u of them sensible", n_total, n_sensible);
    g_assert_cmpuint(n_sensible, >, 10000);
}

/* The body of a _safe loop may take its own link away. */
static void
test_foreach_safe(void)
{
    for (unsigned taken = 0; taken < 1U << N_ITEMS; taken++) {
        Scene s;
        unsigned n = 0;

        scene_init(&s);
        for (unsigned i = 0; i < N_ITEMS; i++) {
            ash_list_append(&s.heads[0], &s.items[i].link);
        }
        ash_list_foreach_safe(link, next, &s.heads[0]) {
            const Item *item = ash_container_of(link, Item, link);

            g_assert_cmpuint(item->id, ==, n);
            n++;
            if (taken >> item->id & 1) {
                ash_list_remove(link);
            } else {
                s.model[0][s.n_model[0]++] = item->id;
            }
        }
        g_assert_cmpuint(n, ==, N_ITEMS);
        scene_check(&s);
    }
}

void
test_list_add(void)
{
    g_test_add_func("/base/list/all", test_all);
    g_test_add_func("/base/list/foreach-safe", test_foreach_safe);
}
