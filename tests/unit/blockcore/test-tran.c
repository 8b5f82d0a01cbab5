/*
 * tests/unit/blockcore/test-tran.c - all changes are committed in order, or
 * all undone in reverse, and each is freed once.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>

#include "blockcore/tran.h"
#include "coro/loop.h"
#include "tests/unit/blockcore/test-blockcore.h"

static GString *text;

static void coroutine_fn
step_co_commit(void *data)
{
    co_pause();
    g_string_append_printf(text, "+%s", (const char *)data);
}

static void coroutine_fn
step_co_abort(void *data)
{
    co_pause();
    g_string_append_printf(text, "-%s", (const char *)data);
}

static void
step_free(void *data)
{
    g_string_append_printf(text, "~%s", (const char *)data);
}

static const BlkTranOps full_ops = { step_co_commit, step_co_abort, step_free };
static const BlkTranOps empty_ops = { NULL, NULL, NULL };

static char a[] = "a";
static char b[] = "b";
static char c[] = "c";

static BlkTran *
prepare(void)
{
    BlkTran *tran = blk_tran_new();

    blk_tran_add(tran, &full_ops, a);
    blk_tran_add(tran, &empty_ops, NULL);
    blk_tran_add(tran, &full_ops, b);
    blk_tran_add(tran, &full_ops, c);
    return tran;
}

static void coroutine_fn
co_test(void *arg)
{
    (void)arg;
    text = g_string_new(NULL);
    blk_tran_co_commit(blk_tran_new());
    blk_tran_co_abort(blk_tran_new());
    g_assert_cmpstr(text->str, ==, "");
    blk_tran_co_commit(prepare());
    g_assert_cmpstr(text->str, ==, "+a+b+c~a~b~c");
    g_string_truncate(text, 0);
    blk_tran_co_abort(prepare());
    g_assert_cmpstr(text->str, ==, "-c-b-a~a~b~c");
    g_string_free(text, TRUE);
}

static void
test_order(void)
{
    test_run(co_test, NULL);
}

void
test_tran_add(void)
{
    g_test_add_func("/blockcore/tran/order", test_order);
}
