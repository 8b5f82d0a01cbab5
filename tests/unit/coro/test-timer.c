/*
 * tests/unit/coro/test-timer.c - timers of a loop, on a clock of our own.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/loop-priv.h"

#include "tests/unit/coro/tests.h"

/* A loop of which only the clock and the alarm work. */
typedef struct FakeLoop {
    Loop loop;
    uint64_t now_ns;
    uint64_t alarm_ns;
} FakeLoop;

static uint64_t
fake_now_ns(Loop *loop)
{
    return ash_container_of(loop, FakeLoop, loop)->now_ns;
}

static void
fake_set_alarm(Loop *loop, uint64_t deadline_ns)
{
    ash_container_of(loop, FakeLoop, loop)->alarm_ns = deadline_ns;
}

static const LoopOps fake_ops = {
    .now_ns = fake_now_ns,
    .set_alarm = fake_set_alarm,
};

static void
fake_init(FakeLoop *f)
{
    *f = (FakeLoop){ .now_ns = 1000 };
    loop_init(&f->loop, &fake_ops, "fake");
    f->alarm_ns = UINT64_MAX;
}

/* ---- the order of expiry ---- */

typedef struct TestTimer {
    LoopTimer timer;
    unsigned id;
    uint64_t deadline_ns; /* 0: not armed */
    unsigned number;      /* of the arming */
} TestTimer;

#define N_TIMERS 200

static FakeLoop fake;
static TestTimer timers[N_TIMERS];
static unsigned n_fired;
static unsigned n_armings;

/* What has to fire next; the slow way. */
static TestTimer *
model_first(void)
{
    TestTimer *first = NULL;

    for (unsigned i = 0; i < N_TIMERS; i++) {
        TestTimer *t = &timers[i];

        if (t->deadline_ns == 0) {
            continue;
        }
        if (!first || t->deadline_ns < first->deadline_ns ||
            (t->deadline_ns == first->deadline_ns &&
             t->number < first->number)) {
            first = t;
        }
    }
    return first;
}

static void
model_check(void)
{
    const TestTimer *first = model_first();
    const Loop *loop = &fake.loop;

    g_assert_cmpuint(fake.alarm_ns, ==,
                     first ? first->deadline_ns : UINT64_MAX);
    for (size_t i = 0; i < loop->n_heap; i++) {
        g_assert_cmpuint(loop->heap[i]->heap_index, ==, i + 1);
    }
}

static void
test_timer_cb(LoopTimer *timer)
{
    TestTimer *t = ash_container_of(timer, TestTimer, timer);

    g_assert_true(model_first() == t);
    g_assert_cmpuint(t->deadline_ns, <=, fake.now_ns);
    t->deadline_ns = 0;
    n_fired++;
}

static void
test_timer_arm(TestTimer *t, uint64_t delay_ns)
{
    loop_timer_start(&t->timer, delay_ns);
    t->deadline_ns = fake.now_ns + delay_ns;
    t->number = n_armings++;
}

/* Random starts, restarts, stops and steps of the clock, against a model. */
static void
test_order(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(0, G_MAXINT32);
    GRand *rand = g_rand_new_with_seed(seed);
    unsigned n_steps = 20000;

    fake_init(&fake);
    n_fired = 0;
    for (unsigned i = 0; i < N_TIMERS; i++) {
        timers[i] = (TestTimer){ .id = i };
        loop_timer_init(&timers[i].timer, &fake.loop, test_timer_cb);
    }
    for (unsigned i = 0; i < n_steps; i++) {
        TestTimer *t = &timers[g_rand_int_range(rand, 0, N_TIMERS)];
        int action = g_rand_int_range(rand, 0, 8);

        if (action < 5) {
            test_timer_arm(t, (uint64_t)g_rand_int_range(rand, 0, 50));
        } else if (action < 6) {
            loop_timer_stop(&t->timer);
            t->deadline_ns = 0;
        } else {
            fake.now_ns += (uint64_t)g_rand_int_range(rand, 0, 4);
            loop_run_timers(&fake.loop);
            if (model_first()) {
                g_assert_cmpuint(model_first()->deadline_ns, >, fake.now_ns);
            }
        }
        model_check();
    }
    fake.now_ns += 1000;
    loop_run_timers(&fake.loop);
    g_assert_null(model_first());
    g_assert_cmpuint(fake.loop.n_heap, ==, 0);
    model_check();
    g_test_message("seed %u, %u steps, %u timers fired", seed, n_steps,
                   n_fired);
    g_assert_cmpuint(n_fired, >, n_steps / 10);
    loop_done(&fake.loop);
    g_rand_free(rand);
}

/* ---- callbacks that change timers ---- */

static LoopTimer again;
static LoopTimer other;
static unsigned n_again;
static unsigned n_other;

static void
test_again_cb(LoopTimer *timer)
{
    n_again++;
    loop_timer_start(timer, 0);
    loop_timer_stop(&other);
}

static void
test_other_cb(LoopTimer *timer)
{
    g_assert_true(timer == &other);
    n_other++;
}

/* A timer without delay that arms itself fires once a turn, and a timer can
 * stop one that is due in the same turn. */
static void
test_rearm(void)
{
    fake_init(&fake);
    n_again = 0;
    n_other = 0;
    loop_timer_init(&again, &fake.loop, test_again_cb);
    loop_timer_init(&other, &fake.loop, test_other_cb);
    loop_timer_start(&again, 0);
    loop_timer_start(&other, 0);
    loop_run_timers(&fake.loop);
    g_assert_cmpuint(n_again, ==, 1);
    loop_run_timers(&fake.loop);
    g_assert_cmpuint(n_again, ==, 2);
    g_assert_cmpuint(n_other, ==, 0);
    loop_timer_stop(&again);
    loop_timer_stop(&again);
    g_assert_cmpuint(fake.alarm_ns, ==, UINT64_MAX);
    loop_done(&fake.loop);
}

/* A delay beyond the end of time is no delay of the past. */
static void
test_overflow(void)
{
    fake_init(&fake);
    n_other = 0;
    loop_timer_init(&other, &fake.loop, test_other_cb);
    loop_timer_start(&other, UINT64_MAX);
    loop_run_timers(&fake.loop);
    loop_timer_start(&other, UINT64_MAX - 1);
    loop_run_timers(&fake.loop);
    g_assert_cmpuint(n_other, ==, 0);
    loop_timer_stop(&other);
    loop_done(&fake.loop);
}

/* ---- the real clock ---- */

static void coroutine_fn
test_co_sleep(void *arg)
{
    Loop *loop = loop_current();

    g_assert_null(arg);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t delay_ns = 100000 + i * 37000;
        uint64_t begin_ns = loop_now_ns(loop);
        uint64_t end_ns;

        co_sleep_ns(delay_ns);
        end_ns = loop_now_ns(loop);
        g_assert_cmpuint(end_ns - begin_ns, >=, delay_ns);
    }
    co_sleep_ns(0);
}

/* Never too early, with and without polling. */
static void
test_sleep(void)
{
    test_run(test_co_sleep, NULL);
}

typedef struct Sleeper {
    uint64_t ns;
    GArray *order;
    unsigned *n_left;
    Coro *boss;
} Sleeper;

static void coroutine_fn
test_co_sleeper(void *arg)
{
    Sleeper *s = arg;

    uint64_t end_ns = loop_now_ns(loop_current()) + s->ns;

    co_sleep_ns(s->ns);
    g_array_append_val(s->order, end_ns);
    if (--*s->n_left == 0) {
        coro_wake(s->boss);
    }
}

static void coroutine_fn
test_co_sleepers(void *arg)
{
    GArray *order = arg;
    Sleeper sleepers[30];
    unsigned n_left = G_N_ELEMENTS(sleepers);

    for (unsigned i = 0; i < G_N_ELEMENTS(sleepers); i++) {
        sleepers[i] = (Sleeper){ .ns = (i * 7 % 30) * 1000000,
                                 .order = order,
                                 .n_left = &n_left,
                                 .boss = coro_self() };
        coro_spawn(test_co_sleeper, &sleepers[i]);
    }
    co_yield();
    for (unsigned i = 1; i < order->len; i++) {
        /* The sleep began a little after its end was noted. */
        g_assert_cmpuint(g_array_index(order, uint64_t, i - 1), <,
                         g_array_index(order, uint64_t, i) + 500000);
    }
}

static void
test_sleepers(void)
{
    GArray *order = g_array_new(FALSE, FALSE, sizeof(uint64_t));

    test_run(test_co_sleepers, order);
    g_array_free(order, TRUE);
}

void
test_timer_add(void)
{
    g_test_add_func("/loop/timer/order", test_order);
    g_test_add_func("/loop/timer/rearm", test_rearm);
    g_test_add_func("/loop/timer/overflow", test_overflow);
    g_test_add_func("/loop/timer/sleep", test_sleep);
    g_test_add_func("/loop/timer/sleepers", test_sleepers);
}
