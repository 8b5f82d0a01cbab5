/*
 * coro/coro-switch.c - see coro/coro-switch.h.
 *
 * Method: a new context looks as if it had been switched away from at the
 * first instruction of its entry function.  The switch leaves the context that
 * it goes to in the register of the first argument, so the entry function
 * receives its own context.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/coro-switch.h"

#include <string.h>

#include "base/assert.h"

#ifdef CORO_ASAN
#include <sanitizer/asan_interface.h>
#endif

#ifdef CORO_UCONTEXT
/* makecontext() passes ints; a pointer takes two. */
static void
coro_context_start(unsigned ctx_high, unsigned ctx_low, unsigned entry_high,
                   unsigned entry_low)
{
    uintptr_t ctx = (uintptr_t)((uint64_t)ctx_high << 32 | ctx_low);
    uintptr_t entry = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);

    ((CoroEntry *)entry)((CoroContext *)ctx);
    ash_unreachable();
}

static void
coro_context_prepare(CoroContext *ctx, void *low, void *top, CoroEntry *entry)
{
    uint64_t c = (uintptr_t)ctx;
    uint64_t e = (uintptr_t)entry;
    int r = getcontext(&ctx->uc);

    ash_assert(r == 0);
    ctx->uc.uc_link = NULL;
    ctx->uc.uc_stack.ss_sp = low;
    ctx->uc.uc_stack.ss_size = (size_t)((char *)top - (char *)low);
    makecontext(&ctx->uc, (void (*)(void))(uintptr_t)coro_context_start, 4,
                (unsigned)(c >> 32), (unsigned)c, (unsigned)(e >> 32),
                (unsigned)e);
}
#else
static void
coro_context_prepare(CoroContext *ctx, void *low, void *top, CoroEntry *entry)
{
    void **sp = top;

    ash_maybe(low != NULL);
#ifdef __x86_64__
    /* On entry a return address lies on the stack: none, for unwinders. */
    *--sp = NULL;
    __asm__("stmxcsr %0\n\tfnstcw %1"
            : "=m"(ctx->mxcsr), "=m"(ctx->x87_control));
#elif defined(__aarch64__)
    __asm__("mrs %0, fpcr" : "=r"(ctx->fpcr));
#endif
    ctx->sp = sp;
    ctx->fp = NULL;
    ctx->pc = (void *)(uintptr_t)entry;
}
#endif

void
coro_context_init(CoroContext *ctx, void *low, void *top, CoroEntry *entry)
{
    ash_assert(((uintptr_t)top & 63) == 0);

    memset(ctx, 0, sizeof(*ctx));
    coro_context_prepare(ctx, low, top, entry);
#ifdef CORO_ASAN
    ctx->stack_low = low;
    ctx->stack_bytes = (size_t)((char *)top - (char *)low);
#endif
#ifdef CORO_TSAN
    ctx->fiber = __tsan_create_fiber(0);
#endif
}

void
coro_context_done(CoroContext *ctx)
{
#ifdef CORO_ASAN
    __asan_unpoison_memory_region(ctx->stack_low, ctx->stack_bytes);
#endif
#ifdef CORO_TSAN
    __tsan_destroy_fiber(ctx->fiber);
#endif
    (void)ctx;
}
