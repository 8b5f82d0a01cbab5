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
    NbdAccount c;
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
    nbd_account_init(&f->c, &f->budget, limit);
    nbd_account_set_loop(&f->a, f->loop, &f->pool);
    nbd_account_set_loop(&f->b, f->loop, &f->pool);
    nbd_account_set_loop(&f->c, f->loop, &f->pool);
}

static void coroutine_fn
buf_co_done(void *arg)
{
    BufFixture *f = arg;

    nbd_account_co_done(&f->a);
    nbd_account_co_done(&f->b);
    nbd_account_co_done(&f->c);
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

/* One large buffer is always possible, and no second; next to it small ones
 * up to the floor. */
static void
buf_check_account(uint64_t budget, size_t limit)
{
    BufFixture f;
    NbdBuf *small[8];
    NbdBuf *large;
    unsigned n = 0;

    buf_set_up(&f, budget, limit);
    small[n++] = nbd_buf_try_get(&f.a, 1);
    large = nbd_buf_try_get(&f.a, 32 * ASH_MIB);
    g_assert_nonnull(small[0]);
    g_assert_nonnull(large);
    g_assert_null(nbd_buf_try_get(&f.a, 32 * ASH_MIB));
    while (n < 8 && (small[n] = nbd_buf_try_get(&f.a, 1))) {
        n++;
    }
    g_assert_cmpuint(n, ==, NBD_ACCOUNT_FLOOR / NBD_BUF_BYTES);
    while (n > 0) {
        nbd_buf_unref(small[--n]);
    }
    nbd_buf_unref(large);
    buf_tear_down(&f);
}

static void
test_buf_account_limit(void)
{
    buf_check_account(ASH_GIB, 4 * ASH_MIB);
    buf_check_account(ASH_GIB, 32 * ASH_MIB);
    /* The budget is used up by the large one. */
    buf_check_account(33 * ASH_MIB, 64 * ASH_MIB);
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

static void coroutine_fn
buf_co_take_small(void *arg)
{
    BufFixture *f = arg;
    NbdBuf *buf = nbd_buf_co_get(&f->c, 2 * ASH_MIB);

    g_assert_nonnull(buf);
    f->n_done++;
    nbd_buf_unref(buf);
}

static void coroutine_fn
buf_co_order_test(void *arg)
{
    BufFixture *f = arg;
    NbdBuf *large = nbd_buf_try_get(&f->a, 32 * ASH_MIB);
    NbdBuf *rest[8];

    for (unsigned i = 0; i < 8; i++) {
        rest[i] = nbd_buf_try_get(&f->a, 4 * ASH_MIB);
        g_assert_nonnull(rest[i]);
    }
    coro_spawn(buf_co_taker, f);
    coro_spawn(buf_co_take_small, f);
    nbd_buf_unref(rest[0]); /* enough for the second, not for the first */
    for (unsigned i = 0; f->n_done == 0; i++) {
        g_assert_cmpuint(i, <, 10000);
        co_sleep_ns(100000);
    }
    g_assert_cmpuint(f->n_done, ==, 1);
    nbd_buf_unref(large);
    for (unsigned i = 1; i < 8; i++) {
        nbd_buf_unref(rest[i]);
    }
    while (f->n_done < 2) {
        co_sleep_ns(100000);
    }
}

/* What comes back goes to the first that it is enough for. */
static void
test_buf_order(void)
{
    BufFixture f;

    buf_set_up(&f, 64 * ASH_MIB, 64 * ASH_MIB);
    loop_run_coroutine(f.loop, buf_co_order_test, &f);
    buf_tear_down(&f);
}

void
test_buf_add(void)
{
    g_test_add_func("/export/buf/capacity", test_buf_capacity);
    g_test_add_func("/export/buf/account-limit", test_buf_account_limit);
    g_test_add_func("/export/buf/floor", test_buf_floor);
    g_test_add_func("/export/buf/wait", test_buf_wait);
    g_test_add_func("/export/buf/order", test_buf_order);
}
