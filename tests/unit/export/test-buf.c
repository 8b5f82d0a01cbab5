/*
 * tests/unit/export/test-buf.c - memory is counted, bounded, and waited for.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "base/bits.h"
#include "coro/loop.h"
#include "export/nbd-buf.h"
#include "tests/unit/export/suites.h"

typedef struct BufFixture {
    Loop *loop;
    NbdBudget budget;
    NbdPool pool;
    NbdAccount a;
    NbdAccount b;
    unsigned n_done;
} BufFixture;

static void
buf_set_up(BufFixture *f, uint64_t total, size_t limit)
{
    *f = (BufFixture){ .loop = loop_new("test", NULL) };
    g_assert_nonnull(f->loop);
    nbd_budget_init(&f->budget, total);
    nbd_account_init(&f->a, &f->budget, limit);
    nbd_account_init(&f->b, &f->budget, limit);
    nbd_account_set_loop(&f->a, f->loop, &f->pool);
    nbd_account_set_loop(&f->b, f->loop, &f->pool);
}

static void coroutine_fn
buf_co_done(void *arg)
{
    BufFixture *f = arg;

    nbd_account_co_done(&f->a);
    nbd_account_co_done(&f->b);
}

static void
buf_tear_down(BufFixture *f)
{
    loop_run_coroutine(f->loop, buf_co_done, f);
    g_assert_cmpuint(nbd_budget_used(&f->budget), ==, 0);
    nbd_pool_done(&f->pool);
    nbd_budget_done(&f->budget);
    coro_pool_drain();
    loop_free(f->loop);
}

static void
test_buf_capacity(void)
{
    BufFixture f;

    buf_set_up(&f, ASH_GIB, 512 * ASH_MIB);
    for (size_t bytes = 1; bytes <= 33 * ASH_MIB; bytes = bytes * 2 + 1) {
        NbdBuf *buf = nbd_buf_try_get(&f.a, bytes);

        g_assert_nonnull(buf);
        g_assert_cmpuint(buf->capacity, >=, bytes);
        g_assert_cmpuint((uintptr_t)buf->data % 4096, ==, 0);
        g_assert_cmpuint(f.a.used, ==, buf->capacity);
        nbd_buf_unref(buf);
        g_assert_cmpuint(f.a.used, ==, 0);
    }
    buf_tear_down(&f);
}

/* One large buffer is always possible for who holds little; no second. */
static void
test_buf_account_limit(void)
{
    BufFixture f;
    NbdBuf *small;
    NbdBuf *large;

    buf_set_up(&f, ASH_GIB, 4 * ASH_MIB);
    small = nbd_buf_try_get(&f.a, 1);
    large = nbd_buf_try_get(&f.a, 32 * ASH_MIB);
    g_assert_nonnull(small);
    g_assert_nonnull(large);
    g_assert_null(nbd_buf_try_get(&f.a, 1));
    nbd_buf_unref(large);
    nbd_buf_unref(small);
    buf_tear_down(&f);
}

/* The whole budget of 64 MiB, for account a. */
static void
buf_take_all(BufFixture *f, NbdBuf *ret[2])
{
    for (unsigned i = 0; i < 2; i++) {
        ret[i] = nbd_buf_try_get(&f->a, 32 * ASH_MIB);
        g_assert_nonnull(ret[i]);
    }
}

/* When others hold everything, the floor is still there. */
static void
test_buf_floor(void)
{
    BufFixture f;
    NbdBuf *all[2];
    NbdBuf *mine[8];
    unsigned n = 0;

    buf_set_up(&f, 64 * ASH_MIB, 64 * ASH_MIB);
    buf_take_all(&f, all);
    while (n < 8 && (mine[n] = nbd_buf_try_get(&f.b, 1))) {
        n++;
    }
    g_assert_cmpuint(n, ==, NBD_ACCOUNT_FLOOR / NBD_BUF_BYTES);
    while (n > 0) {
        nbd_buf_unref(mine[--n]);
    }
    nbd_buf_unref(all[0]);
    nbd_buf_unref(all[1]);
    buf_tear_down(&f);
}

static void coroutine_fn
buf_co_taker(void *arg)
{
    BufFixture *f = arg;
    NbdBuf *buf = nbd_buf_co_get(&f->b, 32 * ASH_MIB);

    g_assert_nonnull(buf);
    f->n_done++;
    nbd_buf_unref(buf);
}

static void coroutine_fn
buf_co_wait_test(void *arg)
{
    BufFixture *f = arg;
    NbdBuf *all[2];

    buf_take_all(f, all);
    for (unsigned i = 0; i < 3; i++) {
        coro_spawn(buf_co_taker, f);
    }
    co_pause();
    g_assert_cmpuint(f->n_done, ==, 0);
    nbd_buf_unref(all[0]);
    nbd_buf_unref(all[1]);
    while (f->n_done < 3) {
        co_sleep_ns(100000);
    }
}

/* Who waits for the total is served when another account gives back. */
static void
test_buf_wait(void)
{
    BufFixture f;

    buf_set_up(&f, 64 * ASH_MIB, 64 * ASH_MIB);
    loop_run_coroutine(f.loop, buf_co_wait_test, &f);
    buf_tear_down(&f);
}

void
test_buf_add(void)
{
    g_test_add_func("/export/buf/capacity", test_buf_capacity);
    g_test_add_func("/export/buf/account-limit", test_buf_account_limit);
    g_test_add_func("/export/buf/floor", test_buf_floor);
    g_test_add_func("/export/buf/wait", test_buf_wait);
}
