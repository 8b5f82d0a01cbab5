/*
 * tests/unit/blockcore/test-graph-loops.c - commands that come at once take
 * turns; nodes move between loops.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <string.h>

#include "base/bits.h"
#include "blockcore/edge.h"
#include "blockcore/graph.h"
#include "tests/unit/blockcore/fake.h"
#include "tests/unit/blockcore/test-blockcore.h"
#include "tests/unit/blockcore/test-graph.h"

/* ---- turns ---- */

typedef struct Adder {
    const char *text;
    unsigned *n_running;
    Coro *waiter;
    bool ok;
} Adder;

static void coroutine_fn
co_adder(void *arg)
{
    Adder *adder = arg;
    BlkNode *node;

    adder->ok =
        blk_graph_co_add(test_graph, fake_options(adder->text), &node, NULL);
    if (--*adder->n_running == 0) {
        coro_wake(adder->waiter);
    }
}

/* Commands that come at once take turns: one of two with the same name
 * fails, and one may refer to what the one before adds. */
static void coroutine_fn
co_test_turns(void *arg)
{
    const char *const texts[] = {
        "driver=leaf,node-name=a",          "driver=leaf,node-name=a",
        "driver=filter,node-name=b,file=a", "driver=format,node-name=c,file=b",
        "driver=format,node-name=d,file=b",
    };
    const bool expected[] = { true, false, true, true, false };
    Adder adders[ASH_N_ELEMENTS(texts)];
    unsigned n_running = ASH_N_ELEMENTS(texts);

    (void)arg;
    test_graph_begin(0);
    fake.slow_open = true;
    fake.yield = true;
    for (size_t i = 0; i < ASH_N_ELEMENTS(texts); i++) {
        adders[i] = (Adder){
            .text = texts[i],
            .n_running = &n_running,
            .waiter = coro_self(),
        };
        coro_spawn(co_adder, &adders[i]);
    }
    co_yield();
    for (size_t i = 0; i < ASH_N_ELEMENTS(texts); i++) {
        g_assert_true(adders[i].ok == expected[i]);
    }
    test_graph_co_end();
}

/* ---- loops ---- */

static Loop *
start_loop(const char *name)
{
    g_autoptr(GError) error = NULL;
    Loop *loop = loop_new(name, &error);

    g_assert_no_error(error);
    g_assert_true(loop_thread_start(loop, &error));
    return loop;
}

static void
stop_loop(Loop *loop)
{
    loop_stop(loop);
    loop_thread_join(loop);
    loop_free(loop);
}

static bool coroutine_fn
co_set_home(BlkNode *node, Loop *loop, GError **error)
{
    Loop *origin = loop_current();
    bool ok;

    co_hop(blk_node_loop(node));
    ok = blk_node_co_set_home(node, loop, error);
    co_hop(origin);
    return ok;
}

/* A whole component moves, parents leaving first and arriving last; what
 * refers to it later is opened where it lives. */
static void coroutine_fn
co_test_home(void *arg)
{
    Loop *origin = loop_current();
    Loop *w1 = start_loop("w1");
    Loop *w2 = start_loop("w2");
    BlkNode *top;
    BlkNode *other;
    BlkNode *lone;

    (void)arg;
    test_graph_begin(FAKE_LOG_LOOP);
    fake_co_add(test_graph, "driver=leaf,node-name=disk");
    top = fake_co_add(test_graph, "driver=filter,node-name=top,file=disk");
    other = fake_co_add(test_graph, "driver=filter,node-name=other,"
                                    "file.driver=window,file.node-name=mid,"
                                    "file.file=disk");
    lone = fake_co_add(test_graph, "driver=leaf,node-name=lone");
    g_assert_true(co_set_home(other->primary->child, w1, NULL));
    {
        const char *text = fake.text->str;
        static const char *const words[] = { "detach:top",  "detach:other",
                                             "detach:mid",  "detach:disk",
                                             "attach:disk", "attach:mid",
                                             "attach:top",  "attach:other" };
        const char *at[8];

        for (int i = 0; i < 8; i++) {
            at[i] = strstr(text, words[i]);
            g_assert_nonnull(at[i]);
        }
        g_assert_true(at[0] < at[3] && at[1] < at[2] && at[2] < at[3]);
        g_assert_true(at[4] < at[5] && at[4] < at[6] && at[5] < at[7]);
    }
    g_assert_true(blk_node_loop(top) == w1);
    g_assert_true(blk_node_loop(other) == w1);
    g_assert_true(blk_node_loop(lone) == origin);
    g_string_truncate(fake.text, 0);
    g_assert_true(co_set_home(top, w1, NULL));
    fake_assert_log("");
    g_assert_true(co_set_home(lone, w2, NULL));
    g_string_truncate(fake.text, 0);
    fake_co_add_fails(test_graph,
                      "driver=format,node-name=x,file=top,backing=lone",
                      ASH_ERROR_CONFLICT,
                      "nodes 'top' and 'lone' live on different loops, 'w1' "
                      "and 'w2'");
    top =
        fake_co_add(test_graph, "driver=filter,node-name=x,file.driver=filter,"
                                "file.file=top");
    g_assert_true(blk_node_loop(top) == w1);
    g_assert_true(loop_current() == origin);
    test_graph_co_del("x");
    test_graph_co_end();
    stop_loop(w1);
    stop_loop(w2);
}

/* When some node can't arrive, all go back. */
static void coroutine_fn
co_test_home_failure(void *arg)
{
    Loop *origin = loop_current();
    Loop *w1 = start_loop("w1");
    BlkNode *top;

    (void)arg;
    test_graph_begin(FAKE_LOG_LOOP);
    top = fake_co_add(test_graph,
                      "driver=filter,node-name=top,file.driver=window,"
                      "file.node-name=mid,file.file.driver=leaf,"
                      "file.file.node-name=disk");
    for (unsigned i = 1; i <= 3; i++) {
        static const char *const tried[] = {
            "",
            "attach:disk detach:disk ",
            "attach:disk attach:mid detach:mid detach:disk ",
        };
        static const char *const names[] = { "disk", "mid", "top" };
        static const char *const drivers[] = { "leaf", "window", "filter" };
        g_autofree char *log =
            g_strconcat("detach:top detach:mid detach:disk ", tried[i - 1],
                        "attach:disk attach:mid attach:top", NULL);
        g_autofree char *message = g_strdup_printf(
            "node '%s': %s: no room", names[i - 1], drivers[i - 1]);
        g_autoptr(GError) error = NULL;

        fake.fail_attach = i;
        g_assert_false(co_set_home(top, w1, &error));
        g_assert_error(error, ASH_ERROR, ASH_ERROR_IO);
        g_assert_cmpstr(error->message, ==, message);
        fake_assert_log(log);
        g_assert_true(blk_node_loop(top) == origin);
        g_assert_cmpint(blk_node_failed(top), ==, 0);
    }
    g_assert_true(co_set_home(top, w1, NULL));
    test_graph_co_end();
    stop_loop(w1);
}

typedef struct Racer {
    Loop *loop;
    unsigned id;
    unsigned *n_running;
    Coro *waiter;
    LoopMsg done;
} Racer;

static void
racer_done_cb(LoopMsg *msg)
{
    Racer *racer = ash_container_of(msg, Racer, done);

    if (--*racer->n_running == 0) {
        coro_wake(racer->waiter);
    }
}

/* On its own loop: hold the shared node and let it go, many times. */
static void coroutine_fn
co_racer(void *arg)
{
    Racer *racer = arg;
    Loop *origin = loop_current();
    g_autofree char *name = g_strdup_printf("n%u", racer->id);
    g_autofree char *text =
        g_strdup_printf("driver=filter,node-name=%s,file.driver=leaf", name);

    for (unsigned i = 0; i < 50; i++) {
        BlkNode *node = fake_co_add(test_graph, text);

        g_assert_true(co_set_home(node, racer->loop, NULL));
        test_graph_co_del(name);
        g_assert_true(loop_current() == origin);
    }
    racer->done.fn = racer_done_cb;
    loop_post(origin, &racer->done);
}

/* Commands on several loops at once take turns too. */
static void coroutine_fn
co_test_race(void *arg)
{
    Loop *loops[2] = { start_loop("w1"), start_loop("w2") };
    unsigned n_running = 4;
    Racer racers[4];

    (void)arg;
    test_graph_begin(0);
    for (unsigned i = 0; i < 4; i++) {
        racers[i] = (Racer){
            .loop = loops[i % 2],
            .id = i,
            .n_running = &n_running,
            .waiter = coro_self(),
        };
        coro_spawn(co_racer, &racers[i]);
    }
    co_yield();
    test_graph_co_end();
    stop_loop(loops[0]);
    stop_loop(loops[1]);
}

void
test_graph_loops_add(void)
{
    test_add_co("/blockcore/graph/turns", co_test_turns);
    test_add_co("/blockcore/graph/home", co_test_home);
    test_add_co("/blockcore/graph/home-failure", co_test_home_failure);
    test_add_co("/blockcore/graph/race", co_test_race);
}
