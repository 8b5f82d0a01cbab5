/*
 * tests/unit/coro/test-loop.c - turns, deferred calls, messages, offload,
 * threads.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "tests/unit/coro/tests.h"

static GString *trail;

static void
trail_check(const char *expected)
{
    g_assert_cmpstr(trail->str, ==, expected);
    g_string_set_size(trail, 0);
}

/* ---- deferred calls ---- */

static LoopDefer defer_a;
static LoopDefer defer_b;
static Coro *woken_by_a;

static void
test_defer_a_cb(LoopDefer *defer)
{
    g_assert_true(defer == &defer_a);
    g_string_append_c(trail, 'a');
    if (woken_by_a) {
        coro_wake(g_steal_pointer(&woken_by_a));
    }
}

static void
test_defer_b_cb(LoopDefer *defer)
{
    g_string_append_c(trail, 'b');
    if (trail->len < 3) {
        loop_defer(loop_current(), defer); /* comes next turn */
    }
}

static void coroutine_fn
test_co_sleeps_for_a(void *arg)
{
    g_assert_null(arg);
    woken_by_a = coro_self();
    loop_defer(loop_current(), &defer_a);
    loop_defer(loop_current(), &defer_a);
    co_yield();
    g_string_append_c(trail, '1');
}

static void coroutine_fn
test_co_defer(void *arg)
{
    Loop *loop = loop_current();

    g_assert_null(arg);
    loop_defer_init(&defer_a, test_defer_a_cb);
    loop_defer_init(&defer_b, test_defer_b_cb);
    coro_spawn(test_co_sleeps_for_a, NULL);
    co_sleep_ns(1000);
    trail_check("a1");

    loop_defer(loop, &defer_b);
    while (trail->len < 3) {
        co_sleep_ns(1000);
    }
    co_sleep_ns(1000);
    trail_check("bbb");

    loop_defer(loop, &defer_a);
    loop_defer_cancel(&defer_a);
    loop_defer_cancel(&defer_a);
    co_sleep_ns(1000);
    trail_check("");

    /* Not before everything that is ready has run. */
    loop_defer(loop, &defer_a);
    for (unsigned i = 0; i < 10; i++) {
        co_pause();
        trail_check("");
    }
    co_sleep_ns(1000);
    trail_check("a");
}

static void
test_defer(void)
{
    trail = g_string_new(NULL);
    test_run(test_co_defer, NULL);
    g_string_free(trail, TRUE);
}

/* ---- messages ---- */

#define N_SENDERS 8
#define N_MESSAGES 5000

typedef struct TestMsg {
    LoopMsg msg;
    unsigned sender;
    unsigned number;
} TestMsg;

typedef struct Receiver {
    Loop *loop;
    unsigned next[N_SENDERS];
    unsigned n_left;
    Coro *co;
} Receiver;

static Receiver receiver;

static void
test_msg_cb(LoopMsg *msg)
{
    TestMsg *m = ash_container_of(msg, TestMsg, msg);

    g_assert_true(loop_current() == receiver.loop);
    g_assert_cmpuint(m->number, ==, receiver.next[m->sender]);
    receiver.next[m->sender]++;
    if (--receiver.n_left == 0) {
        coro_wake(receiver.co);
    }
    g_free(m);
}

static void *
test_sender(void *arg)
{
    unsigned sender = GPOINTER_TO_UINT(arg);

    for (unsigned i = 0; i < N_MESSAGES; i++) {
        TestMsg *m = g_new0(TestMsg, 1);

        m->msg.fn = test_msg_cb;
        m->sender = sender;
        m->number = i;
        loop_post(receiver.loop, &m->msg);
        if (i % 1000 == 0) {
            g_thread_yield();
        }
    }
    return NULL;
}

static void coroutine_fn
test_co_receive(void *arg)
{
    GThread *threads[N_SENDERS];

    g_assert_null(arg);
    receiver = (Receiver){ .loop = loop_current(),
                           .n_left = N_SENDERS * N_MESSAGES,
                           .co = coro_self() };
    for (unsigned i = 0; i < N_SENDERS; i++) {
        threads[i] = g_thread_new("sender", test_sender, GUINT_TO_POINTER(i));
    }
    co_yield();
    for (unsigned i = 0; i < N_SENDERS; i++) {
        g_thread_join(threads[i]);
    }
}

/* Every message comes, once, and those of one sender in order. */
static void
test_post(void)
{
    test_run(test_co_receive, NULL);
}

/* Two loops that send one message to and fro: no wakeup is ever lost. */
typedef struct Pong {
    LoopMsg msg;
    Loop *loops[2];
    unsigned n_left;
} Pong;

static void
test_pong_cb(LoopMsg *msg)
{
    Pong *p = ash_container_of(msg, Pong, msg);

    if (p->n_left == 0) {
        loop_stop(p->loops[0]);
        loop_stop(p->loops[1]);
        return;
    }
    p->n_left--;
    loop_post(p->loops[p->n_left % 2], msg);
}

static void
test_pong(const void *arg)
{
    bool spin = *(const bool *)arg;
    Pong p = { .msg.fn = test_pong_cb,
               .n_left = test_is_slow() ? 5000 : 20000 };

    for (unsigned i = 0; i < 2; i++) {
        p.loops[i] = loop_new(i ? "pong" : "ping", NULL);
        g_assert_nonnull(p.loops[i]);
        if (!spin) {
            loop_set_spin_ns(p.loops[i], 0);
        }
    }
    loop_post(p.loops[0], &p.msg);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_true(loop_thread_start(p.loops[i], NULL));
    }
    for (unsigned i = 0; i < 2; i++) {
        loop_thread_join(p.loops[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        loop_free(p.loops[i]);
    }
    g_assert_cmpuint(p.n_left, ==, 0);
}

/* ---- fairness ---- */

static bool fair_done;

static void coroutine_fn
test_co_hog(void *arg)
{
    g_assert_null(arg);
    while (!fair_done) {
        co_pause();
    }
}

static void
test_fair_timer_cb(LoopTimer *timer)
{
    (void)timer;
    g_string_append_c(trail, 't');
}

static void
test_fair_msg_cb(LoopMsg *msg)
{
    (void)msg;
    g_string_append_c(trail, 'm');
}

static void
test_fair_defer_cb(LoopDefer *defer)
{
    (void)defer;
    g_string_append_c(trail, 'd');
}

static void
test_fair_work(void *arg)
{
    *(bool *)arg = true;
}

static void coroutine_fn
test_co_fair(void *arg)
{
    LoopTimer timer;
    LoopDefer defer;
    LoopMsg msg = { .fn = test_fair_msg_cb };
    bool worked = false;

    g_assert_null(arg);
    fair_done = false;
    coro_spawn(test_co_hog, NULL);
    coro_spawn(test_co_hog, NULL);
    loop_timer_init(&timer, loop_current(), test_fair_timer_cb);
    loop_timer_start(&timer, 0);
    loop_defer_init(&defer, test_fair_defer_cb);
    loop_defer(loop_current(), &defer);
    loop_post(loop_current(), &msg);
    co_work(test_fair_work, &worked);
    g_assert_true(worked);
    g_assert_nonnull(strchr(trail->str, 't'));
    g_assert_nonnull(strchr(trail->str, 'm'));
    g_assert_nonnull(strchr(trail->str, 'd'));
    fair_done = true;
    co_pause();
}

/* Coroutines that are always ready starve nobody. */
static void
test_fair(void)
{
    trail = g_string_new(NULL);
    test_run(test_co_fair, NULL);
    g_string_free(trail, TRUE);
}

/* ---- offload ---- */

typedef struct WorkDone {
    pthread_t thread;
    unsigned value;
} WorkDone;

static void
test_work_fn(void *arg)
{
    WorkDone *w = arg;

    g_assert_null(loop_current());
    g_assert_false(coro_is_inside());
    w->thread = pthread_self();
    w->value++;
}

static unsigned n_workers;
static Coro *work_boss;

static void coroutine_fn
test_co_worker(void *arg)
{
    WorkDone w = { .value = GPOINTER_TO_UINT(arg) };

    for (unsigned i = 0; i < 10; i++) {
        co_work(test_work_fn, &w);
        g_assert_cmpuint(w.value, ==, GPOINTER_TO_UINT(arg) + i + 1);
        g_assert_false(pthread_equal(w.thread, pthread_self()));
    }
    if (--n_workers == 0) {
        coro_wake(work_boss);
    }
}

static void coroutine_fn
test_co_works(void *arg)
{
    unsigned n = 200;

    g_assert_null(arg);
    work_boss = coro_self();
    n_workers = n;
    for (unsigned i = 0; i < n; i++) {
        coro_spawn(test_co_worker, GUINT_TO_POINTER(i));
    }
    co_yield();
}

static void
test_work(void)
{
    test_run(test_co_works, NULL);
}

/* ---- threads, stop ---- */

typedef struct ThreadFacts {
    LoopMsg msg;
    char name[32];
    sigset_t blocked;
    Loop *loop;
    bool spawned;
} ThreadFacts;

static ThreadFacts facts;

static void coroutine_fn
test_co_facts(void *arg)
{
    g_assert_true(arg == &facts);
    co_pause();
    facts.spawned = true;
}

static void
test_facts_cb(LoopMsg *msg)
{
    g_assert_true(msg == &facts.msg);
    pthread_getname_np(pthread_self(), facts.name, sizeof(facts.name));
    pthread_sigmask(SIG_SETMASK, NULL, &facts.blocked);
    facts.loop = loop_current();
    coro_spawn(test_co_facts, &facts);
}

/* What is posted before loop_stop() still runs. */
static void
test_thread(void)
{
    GError *error = NULL;
    Loop *loop = loop_new("a-loop-with-a-long-name", &error);

    g_assert_no_error(error);
    g_assert_cmpstr(loop_name(loop), ==, "a-loop-with-a-long-name");
    g_assert_true(loop_thread_start(loop, &error));
    facts = (ThreadFacts){ .msg.fn = test_facts_cb };
    loop_post(loop, &facts.msg);
    loop_stop(loop);
    loop_stop(loop);
    loop_thread_join(loop);
    g_assert_cmpstr(facts.name, ==, "a-loop-with-a-l");
    g_assert_true(facts.loop == loop);
    g_assert_true(facts.spawned);
    g_assert_true(sigismember(&facts.blocked, SIGTERM));
    g_assert_true(sigismember(&facts.blocked, SIGHUP));
    g_assert_false(sigismember(&facts.blocked, SIGSEGV));

    /* It can run again, on this thread. */
    facts = (ThreadFacts){ .msg.fn = test_facts_cb };
    loop_post(loop, &facts.msg);
    loop_stop(loop);
    loop_run(loop);
    g_assert_true(facts.spawned);
    g_assert_null(loop_current());
    loop_free(loop);
}

/* loop_stop() does not end loop_run_coroutine(), but the next loop_run(). */
static void coroutine_fn
test_co_stop(void *arg)
{
    loop_stop(arg);
    co_sleep_ns(2000000);
}

static void
test_stop_later(void)
{
    Loop *loop = loop_new("stop", NULL);

    loop_run_coroutine(loop, test_co_stop, loop);
    loop_run(loop);
    loop_free(loop);
}

static void
test_left_timer_cb(LoopTimer *timer)
{
    (void)timer;
}

static void
test_free_asserts(void)
{
    if (g_test_subprocess()) {
        Loop *loop = loop_new("left", NULL);
        LoopTimer timer;

        loop_timer_init(&timer, loop, test_left_timer_cb);
        loop_timer_start(&timer, 1000);
        loop_free(loop);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*assertion 'loop->n_heap == 0' failed*");
}

/* ---- rest ---- */

static uint64_t
test_cpu_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void coroutine_fn
test_co_idle(void *arg)
{
    uint64_t cpu_ns;

    g_assert_null(arg);
    /* Some events first, so that the loop would like to poll. */
    for (unsigned i = 0; i < 10; i++) {
        WorkDone w = { .value = 0 };

        co_work(test_work_fn, &w);
    }
    cpu_ns = test_cpu_ns(CLOCK_THREAD_CPUTIME_ID);
    co_sleep_ns(100 * 1000000);
    cpu_ns = test_cpu_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    g_test_message("100 ms of rest took %" G_GUINT64_FORMAT " us of CPU",
                   cpu_ns / 1000);
    g_assert_cmpuint(cpu_ns, <, 20 * 1000000);
}

/* Who has nothing to do uses no CPU. */
static void
test_idle(void)
{
    test_run(test_co_idle, NULL);
}

static void
test_random(void)
{
    Loop *a = loop_new("a", NULL);
    Loop *b = loop_new("b", NULL);
    unsigned n_same = 0;
    uint64_t all_or = 0;
    uint64_t all_and = UINT64_MAX;

    for (unsigned i = 0; i < 1000; i++) {
        uint64_t n = loop_random(a);

        n_same += n == loop_random(b);
        all_or |= n;
        all_and &= n;
    }
    g_assert_cmpuint(n_same, ==, 0);
    g_assert_true(all_or == UINT64_MAX);
    g_assert_true(all_and == 0);
    loop_free(a);
    loop_free(b);
}

void
test_loop_add(void)
{
    static const bool yes = true;
    static const bool no = false;

    g_test_add_func("/loop/defer", test_defer);
    g_test_add_func("/loop/post/many-senders", test_post);
    g_test_add_data_func("/loop/post/pong-polling", &yes, test_pong);
    g_test_add_data_func("/loop/post/pong-sleeping", &no, test_pong);
    g_test_add_func("/loop/fair", test_fair);
    g_test_add_func("/loop/work", test_work);
    g_test_add_func("/loop/thread", test_thread);
    g_test_add_func("/loop/stop-later", test_stop_later);
    g_test_add_func("/loop/free-asserts", test_free_asserts);
    g_test_add_func("/loop/idle", test_idle);
    g_test_add_func("/loop/random", test_random);
}
