/*
 * tests/unit/coro/test-lock.c - queue, mutex, readers/writer lock.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/co-lock.h"

#include "tests/unit/coro/tests.h"

/* ---- queue ---- */

static CoQueue queue;
static GString *trail;

static void coroutine_fn
test_co_stand_in_line(void *arg)
{
    co_queue_co_wait(&queue);
    g_string_append_c(trail, *(char *)arg);
}

static void coroutine_fn
test_co_queue(void *arg)
{
    static char letters[] = "abcdef";

    g_assert_null(arg);
    co_queue_init(&queue);
    g_assert_true(co_queue_is_empty(&queue));
    g_assert_false(co_queue_wake_one(&queue));
    co_queue_wake_all(&queue);

    for (unsigned i = 0; i < 6; i++) {
        coro_spawn(test_co_stand_in_line, &letters[i]);
    }
    g_assert_false(co_queue_is_empty(&queue));
    g_assert_true(co_queue_wake_one(&queue));
    co_pause();
    g_assert_cmpstr(trail->str, ==, "a");
    g_assert_true(co_queue_wake_one(&queue));
    g_assert_true(co_queue_wake_one(&queue));
    co_pause();
    g_assert_cmpstr(trail->str, ==, "abc");
    /* Whoever comes between the wake and the run is not woken with them. */
    co_queue_wake_all(&queue);
    coro_spawn(test_co_stand_in_line, &letters[0]);
    co_pause();
    g_assert_cmpstr(trail->str, ==, "abcdef");
    g_assert_true(co_queue_wake_one(&queue));
    g_assert_false(co_queue_wake_one(&queue));
    co_pause();
    g_assert_cmpstr(trail->str, ==, "abcdefa");
    g_assert_true(co_queue_is_empty(&queue));
}

static void
test_queue(void)
{
    trail = g_string_new(NULL);
    test_run(test_co_queue, NULL);
    g_string_free(trail, TRUE);
}

/* ---- mutex ---- */

typedef struct Mutexed {
    CoMutex mutex;
    GRand *rand;
    unsigned n_inside;
    unsigned n_left;
    unsigned next_ticket; /* given when they ask */
    unsigned next_served; /* checked when they get */
    unsigned n_contended;
    Coro *boss;
} Mutexed;

static void coroutine_fn
test_co_mutexed(void *arg)
{
    Mutexed *m = arg;

    for (unsigned i = 0; i < 50; i++) {
        unsigned ticket = m->next_ticket++;

        if (m->n_inside > 0) {
            m->n_contended++;
        }
        co_mutex_co_lock(&m->mutex);
        g_assert_cmpuint(ticket, ==, m->next_served);
        m->next_served++;
        m->n_inside++;
        g_assert_cmpuint(m->n_inside, ==, 1);
        for (int n = g_rand_int_range(m->rand, 0, 4); n > 0; n--) {
            co_pause();
            g_assert_cmpuint(m->n_inside, ==, 1);
        }
        m->n_inside--;
        co_mutex_unlock(&m->mutex);
        for (int n = g_rand_int_range(m->rand, 0, 20); n > 0; n--) {
            co_pause();
        }
    }
    if (--m->n_left == 0) {
        coro_wake(m->boss);
    }
}

static void coroutine_fn
test_co_mutex(void *arg)
{
    Mutexed *m = arg;

    m->boss = coro_self();
    co_mutex_init(&m->mutex);
    m->n_left = 20;
    for (unsigned i = 0; i < 20; i++) {
        coro_spawn_later(test_co_mutexed, m);
    }
    co_yield();
    g_assert_cmpuint(m->next_served, ==, 20 * 50);
}

/* One at a time, in the order of asking, with random pauses. */
static void
test_mutex(void)
{
    guint32 seed = (guint32)g_test_rand_int_range(0, G_MAXINT32);
    Mutexed m = { .rand = g_rand_new_with_seed(seed) };

    test_run(test_co_mutex, &m);
    g_test_message("seed %u, %u of 1000 had to wait", seed, m.n_contended);
    g_assert_cmpuint(m.n_contended, >, 100);
    g_rand_free(m.rand);
}

static void coroutine_fn
test_co_mutex_grab(void *arg)
{
    CoMutex *mutex = arg;

    co_mutex_co_lock(mutex);
    g_string_append_c(trail, 'w');
    co_mutex_unlock(mutex);
}

static void coroutine_fn
test_co_mutex_handover(void *arg)
{
    CoMutex mutex;

    g_assert_null(arg);
    co_mutex_init(&mutex);
    co_mutex_co_lock(&mutex);
    coro_spawn(test_co_mutex_grab, &mutex);
    co_mutex_unlock(&mutex);
    /* It belongs to the waiter although that has not run yet. */
    co_mutex_co_lock(&mutex);
    g_assert_cmpstr(trail->str, ==, "w");
    co_mutex_unlock(&mutex);
}

/* Who releases the mutex and wants it again at once stands in line too. */
static void
test_mutex_handover(void)
{
    trail = g_string_new(NULL);
    test_run(test_co_mutex_handover, NULL);
    g_string_free(trail, TRUE);
}

static void coroutine_fn
test_co_mutex_stolen(void *arg)
{
    co_mutex_unlock(arg);
}

static void coroutine_fn
test_co_mutex_misuse(void *arg)
{
    CoMutex mutex;

    g_assert_null(arg);
    co_mutex_init(&mutex);
    co_mutex_co_lock(&mutex);
    coro_spawn(test_co_mutex_stolen, &mutex);
}

static void
test_mutex_misuse(void)
{
    if (g_test_subprocess()) {
        test_run(test_co_mutex_misuse, NULL);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*assertion 'm->owner == coro_self()'*");
}

/* ---- readers/writer lock ---- */

#define RW_MAX 8

typedef enum {
    RW_WAITING,
    RW_HOLDING,
    RW_RELEASING,
    RW_GONE,
} RwState;

/* One scene: who comes as reader and who as writer, in what order. */
typedef struct RwScene {
    CoRwlock lock;
    unsigned n;
    unsigned next;
    bool writer[RW_MAX];
    RwState real[RW_MAX];
    RwState model[RW_MAX];
    Coro *co[RW_MAX];
} RwScene;

/* Independent of the implementation: the longest prefix of those who came and
 * have not gone that may hold together. */
static void
rw_model(RwScene *s, unsigned n_come)
{
    bool reader = false;
    bool writer = false;

    for (unsigned i = 0; i < n_come; i++) {
        if (s->model[i] == RW_GONE) {
            continue;
        }
        if (writer || (reader && s->writer[i])) {
            break;
        }
        s->model[i] = RW_HOLDING;
        writer = s->writer[i];
        reader = !writer;
    }
}

static void
rw_check(const RwScene *s, unsigned n_come)
{
    for (unsigned i = 0; i < n_come; i++) {
        g_assert_cmpint(s->real[i], ==, s->model[i]);
    }
}

static void coroutine_fn
test_co_rw_one(void *arg)
{
    RwScene *s = arg;
    unsigned i = s->next++;

    s->co[i] = coro_self();
    if (s->writer[i]) {
        co_rwlock_co_wrlock(&s->lock);
    } else {
        co_rwlock_co_rdlock(&s->lock);
    }
    s->real[i] = RW_HOLDING;
    co_yield();
    g_assert_cmpint(s->real[i], ==, RW_RELEASING);
    s->real[i] = RW_GONE;
    co_rwlock_unlock(&s->lock);
}

/* The first holder (@last: the last) goes. */
static bool coroutine_fn
test_co_rw_release(RwScene *s, unsigned n_come, bool last)
{
    unsigned found = RW_MAX;

    for (unsigned i = 0; i < n_come; i++) {
        if (s->model[i] == RW_HOLDING && (last || found == RW_MAX)) {
            found = i;
        }
    }
    if (found == RW_MAX) {
        return false;
    }
    s->model[found] = RW_GONE;
    s->real[found] = RW_RELEASING;
    coro_wake(s->co[found]);
    co_pause();
    co_pause();
    return true;
}

/* All that come: @kinds says reader or writer by bits.  After @n_first of them
 * one holder goes, then the others come, then all go. */
static void coroutine_fn
test_co_rw_scene(unsigned kinds, unsigned n_first, bool last)
{
    RwScene s = { .n = RW_MAX };
    unsigned n_come = 0;

    co_rwlock_init(&s.lock);
    for (unsigned i = 0; i < s.n; i++) {
        s.writer[i] = kinds >> i & 1;
    }
    while (n_come < s.n) {
        if (n_come == n_first) {
            test_co_rw_release(&s, n_come, last);
            rw_model(&s, n_come);
            rw_check(&s, n_come);
        }
        coro_spawn(test_co_rw_one, &s);
        n_come++;
        rw_model(&s, n_come);
        rw_check(&s, n_come);
    }
    while (test_co_rw_release(&s, n_come, last)) {
        rw_model(&s, n_come);
        rw_check(&s, n_come);
    }
    for (unsigned i = 0; i < s.n; i++) {
        g_assert_cmpint(s.real[i], ==, RW_GONE);
    }
    g_assert_true(co_queue_is_empty(&s.lock.queue));
}

static void coroutine_fn
test_co_rwlock(void *arg)
{
    unsigned *n_scenes = arg;

    for (unsigned kinds = 0; kinds < 1U << RW_MAX; kinds++) {
        for (unsigned n_first = 0; n_first <= RW_MAX; n_first++) {
            test_co_rw_scene(kinds, n_first, false);
            test_co_rw_scene(kinds, n_first, true);
            *n_scenes += 2;
        }
    }
}

/* Every sequence of eight readers and writers, against a model. */
static void
test_rwlock(void)
{
    unsigned n_scenes = 0;

    test_run(test_co_rwlock, &n_scenes);
    g_test_message("%u scenes", n_scenes);
}

void
test_lock_add(void)
{
    g_test_add_func("/coro/lock/queue", test_queue);
    g_test_add_func("/coro/lock/mutex/fair", test_mutex);
    g_test_add_func("/coro/lock/mutex/handover", test_mutex_handover);
    g_test_add_func("/coro/lock/mutex/misuse", test_mutex_misuse);
    g_test_add_func("/coro/lock/rwlock/all-sequences", test_rwlock);
}
