/*
 * tests/unit/export/test-out.c - what is queued arrives once, in order,
 * however little the channel takes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "base/bits.h"
#include "export/nbd-out.h"
#include "tests/unit/export/suites.h"

/* A channel that takes up to @step bytes a call, then is full once. */
typedef struct FakeChan {
    Channel chan;
    GByteArray *got;
    size_t step;
    bool full;
    int fail;
} FakeChan;

static ptrdiff_t
fake_send(Channel *chan, const struct iovec *v, unsigned n, bool more)
{
    FakeChan *f = ash_container_of(chan, FakeChan, chan);
    size_t left = f->step;

    (void)more;
    if (f->fail) {
        return f->fail;
    }
    f->full = !f->full;
    if (f->full) {
        return -EAGAIN;
    }
    for (unsigned i = 0; i < n && left > 0; i++) {
        size_t take = ash_min(v[i].iov_len, left);

        g_byte_array_append(f->got, v[i].iov_base, (guint)take);
        left -= take;
    }
    return (ptrdiff_t)(f->step - left);
}

static const ChannelOps fake_ops = { .send = fake_send };

typedef struct OutFixture {
    FakeChan chan;
    NbdBudget budget;
    NbdPool pool;
    NbdPipePool pipes;
    NbdAccount account;
    NbdOut out;
} OutFixture;

static void
out_set_up(OutFixture *f, size_t step)
{
    memset(f, 0, sizeof(*f));
    f->chan = (FakeChan){ .chan = { .ops = &fake_ops },
                          .got = g_byte_array_new(),
                          .step = step };
    nbd_budget_init(&f->budget, ASH_GIB);
    nbd_account_init(&f->account, &f->budget, 64 * ASH_MIB);
    nbd_account_set_loop(&f->account, NULL, &f->pool);
    nbd_out_init(&f->out);
}

static void
out_tear_down(OutFixture *f)
{
    nbd_out_done(&f->out);
    g_assert_cmpuint(f->account.used, ==, 0);
    g_assert_cmpuint(nbd_budget_used(&f->budget), ==, 0);
    nbd_pool_done(&f->pool);
    nbd_budget_done(&f->budget);
    g_byte_array_unref(f->chan.got);
}

/* Queue pieces of random length from two buffers; all bytes arrive. */
static void
test_out_order(void)
{
    uint32_t seed = (uint32_t)g_test_rand_int();
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    g_test_message("seed %u", seed);
    for (size_t step = 1; step < 3000; step = step * 3 + 1) {
        g_autoptr(GByteArray) want = g_byte_array_new();
        OutFixture f;
        NbdBuf *buf[2];
        int ret;

        out_set_up(&f, step);
        for (unsigned b = 0; b < 2; b++) {
            buf[b] = nbd_buf_try_get(&f.account, NBD_BUF_BYTES);
            g_assert_nonnull(buf[b]);
        }
        for (unsigned i = 0; i < 300; i++) {
            NbdBuf *b = buf[g_rand_boolean(rand)];
            size_t n = (size_t)g_rand_int_range(rand, 1, 100);

            memset(b->data + b->used, (int)(i & 0xff), n);
            g_byte_array_append(want, b->data + b->used, (guint)n);
            nbd_out_add(&f.out, nbd_buf_ref(b), b->data + b->used, n);
            b->used += n;
        }
        nbd_buf_unref(buf[0]);
        nbd_buf_unref(buf[1]);
        do {
            ret = nbd_out_push(&f.out, &f.chan.chan, &f.pipes);
        } while (ret == -EAGAIN);
        g_assert_cmpint(ret, ==, 0);
        g_assert_cmpuint(f.chan.got->len, ==, want->len);
        g_assert_true(memcmp(f.chan.got->data, want->data, want->len) == 0);
        out_tear_down(&f);
    }
}

static void
test_out_neighbours_merge(void)
{
    OutFixture f;
    NbdBuf *buf;

    out_set_up(&f, 100);
    buf = nbd_buf_try_get(&f.account, 1);
    for (unsigned i = 0; i < 32; i++) {
        nbd_out_add(&f.out, nbd_buf_ref(buf), buf->data + i * 16, 16);
    }
    g_assert_cmpuint(f.out.n, ==, 1);
    g_assert_cmpuint(buf->refs, ==, 2);
    nbd_buf_unref(buf);
    nbd_out_clear(&f.out, &f.pipes);
    out_tear_down(&f);
}

static void
test_out_error(void)
{
    OutFixture f;
    NbdBuf *buf;

    out_set_up(&f, 100);
    f.chan.fail = -EPIPE;
    buf = nbd_buf_try_get(&f.account, 1);
    nbd_out_add(&f.out, buf, buf->data, 16);
    g_assert_cmpint(nbd_out_push(&f.out, &f.chan.chan, &f.pipes), ==, -EPIPE);
    g_assert_false(nbd_out_is_empty(&f.out));
    nbd_out_clear(&f.out, &f.pipes);
    out_tear_down(&f);
}

static void
test_out_pipes(void)
{
    NbdPipePool pool = { .free = NULL };
    NbdPipe *pipe = nbd_pipe_get(&pool);

    g_assert_nonnull(pipe);
    g_assert_cmpuint(pipe->capacity, >=, NBD_PIPE_BYTES);
    nbd_pipe_put(&pool, pipe, true);
    g_assert_true(nbd_pipe_get(&pool) == pipe);
    nbd_pipe_put(&pool, pipe, false);
    g_assert_cmpuint(pool.n_free, ==, 0);
    nbd_pipe_pool_done(&pool);
}

void
test_out_add(void)
{
    g_test_add_func("/export/out/order", test_out_order);
    g_test_add_func("/export/out/neighbours-merge", test_out_neighbours_merge);
    g_test_add_func("/export/out/error", test_out_error);
    g_test_add_func("/export/out/pipes", test_out_pipes);
}
