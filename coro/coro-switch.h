/*
 * coro/coro-switch.h - the context switch, and what the tools must know of it.
 *
 * A CoroContext is a place where execution stopped: the head of a coroutine's
 * stack, or the caller that entered the coroutine.  coro_switch() stops here
 * and goes on there.  It is inline and jumps instead of returning, so that the
 * processor's prediction of returns stays right on both stacks.
 *
 * x86-64 and aarch64 have a switch of a few instructions, everything else (and
 * builds with CORO_UCONTEXT defined) uses <ucontext.h>.  AddressSanitizer and
 * ThreadSanitizer are told about each switch; without that their reports are
 * wrong.
 *
 * The floating-point control words (MXCSR and the x87 control word, FPCR),
 * which a C function must preserve, are switched when they differ.
 *
 * Layer:   coro, private to coro.c.      Thread: any.
 * Method:  this file and coro-switch.c.  Tests: tests/unit/coro/test-coro.c
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(CORO_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define CORO_UCONTEXT 1
#endif

#ifdef CORO_UCONTEXT
#include <ucontext.h>
#endif

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define CORO_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define CORO_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CORO_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define CORO_TSAN 1
#endif

#ifdef CORO_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CORO_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* The offsets of the first members are known to the assembly below. */
typedef struct CoroContext {
    void *sp;
    void *fp;
    void *pc;
#if defined(__x86_64__)
    uint32_t mxcsr;
    uint16_t x87_control;
#elif defined(__aarch64__)
    uint64_t fpcr;
#endif
#ifdef CORO_UCONTEXT
    ucontext_t uc;
#endif
#ifdef CORO_ASAN
    void *fake_stack; /* of detect_stack_use_after_return */
    const void *stack_low;
    size_t stack_bytes;
#endif
#ifdef CORO_TSAN
    void *fiber;
#endif
} CoroContext;

#if defined(__x86_64__)
_Static_assert(offsetof(CoroContext, fp) == 8, "known to the assembly");
_Static_assert(offsetof(CoroContext, pc) == 16, "known to the assembly");
_Static_assert(offsetof(CoroContext, mxcsr) == 24, "known to the assembly");
_Static_assert(offsetof(CoroContext, x87_control) == 28,
               "known to the assembly");
#elif defined(__aarch64__)
_Static_assert(offsetof(CoroContext, fp) == 8, "known to the assembly");
_Static_assert(offsetof(CoroContext, pc) == 16, "known to the assembly");
_Static_assert(offsetof(CoroContext, fpcr) == 24, "known to the assembly");
#endif

/* Where a new context starts; it never returns. */
typedef void CoroEntry(CoroContext *self);

/**
 * coro_context_init() - make a context that will start in a function.
 * @low, @top:  its stack; @top is aligned to 64 bytes
 * @entry:      receives @ctx
 */
void coro_context_init(CoroContext *ctx, void *low, void *top,
                       CoroEntry *entry);
/* The stack of @ctx, which is stopped for good, goes away. */
void coro_context_done(CoroContext *ctx);

/* coro_context_swap() is the innermost step: registers and stack pointer.  Only
 * the frame and stack pointers are saved by hand; the compiler saves what else
 * it needs of the registers that the assembly says it destroys. */
#if defined(CORO_UCONTEXT)
static inline void
coro_context_swap(CoroContext *from, CoroContext *to)
{
    swapcontext(&from->uc, &to->uc);
}
#elif defined(__x86_64__)
#ifdef __AVX512F__
#define CORO_DESTROYED_AVX512                                               \
    "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", \
        "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30",      \
        "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#else
#define CORO_DESTROYED_AVX512
#endif
#define CORO_DESTROYED                                                         \
    CORO_DESTROYED_AVX512                                                      \
    "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", \
        "r15", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", \
        "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",    \
        "xmm14", "xmm15", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)",   \
        "st(6)", "st(7)"

static inline __attribute__((always_inline)) void
coro_context_swap(CoroContext *from, CoroContext *to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rsp, (%%rsi)\n\t"
                     "movq %%rbp, 8(%%rsi)\n\t"
                     "movq %%rax, 16(%%rsi)\n\t"
                     "stmxcsr 24(%%rsi)\n\t"
                     "fnstcw 28(%%rsi)\n\t"
                     "movq (%%rdi), %%rsp\n\t"
                     "movq 8(%%rdi), %%rbp\n\t"
                     "movl 24(%%rsi), %%eax\n\t"
                     "xorl 24(%%rdi), %%eax\n\t"
                     "testl $0xffc0, %%eax\n\t" /* not the status flags */
                     "jnz 3f\n"
                     "2:\n\t"
                     "movzwl 28(%%rsi), %%eax\n\t"
                     "cmpw 28(%%rdi), %%ax\n\t"
                     "jnz 4f\n"
                     "5:\n\t"
                     "jmpq *16(%%rdi)\n"
                     "3:\n\t"
                     "ldmxcsr 24(%%rdi)\n\t"
                     "jmp 2b\n"
                     "4:\n\t"
                     "fldcw 28(%%rdi)\n\t"
                     "jmp 5b\n"
                     "1:\n\t"
                     "endbr64\n"
                     : "+S"(from), "+D"(to)
                     :
                     : CORO_DESTROYED);
}
#else
#define CORO_DESTROYED                                                         \
    "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12",       \
        "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22",  \
        "x23", "x24", "x25", "x26", "x27", "x28", "x30", "cc", "memory", "v0", \
        "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11",    \
        "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21",  \
        "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"

static inline __attribute__((always_inline)) void
coro_context_swap(CoroContext *from, CoroContext *to)
{
    register CoroContext *x0 __asm__("x0") = to;
    register CoroContext *x1 __asm__("x1") = from;

    __asm__ volatile("adr x9, 1f\n\t"
                     "mov x10, sp\n\t"
                     "stp x10, x29, [x1]\n\t"
                     "mrs x11, fpcr\n\t"
                     "stp x9, x11, [x1, #16]\n\t"
                     "ldp x10, x29, [x0]\n\t"
                     "ldp x16, x12, [x0, #16]\n\t"
                     "mov sp, x10\n\t"
                     "cmp x11, x12\n\t"
                     "b.ne 3f\n"
                     "2:\n\t"
                     "br x16\n"
                     "3:\n\t"
                     "msr fpcr, x12\n\t"
                     "b 2b\n"
                     "1:\n\t"
                     "hint #36\n" /* bti j */
                     : "+r"(x0), "+r"(x1)
                     :
                     : CORO_DESTROYED);
}
#endif

/* Before @ctx, a caller on whatever stack this is, is switched away from. */
static inline void
coro_context_init_here(CoroContext *ctx)
{
#ifdef CORO_TSAN
    ctx->fiber = __tsan_get_current_fiber();
#endif
    (void)ctx;
}

/* We are in a coroutine that @caller has just switched to. */
static inline void
coro_switch_arrived(CoroContext *self, CoroContext *caller)
{
#ifdef CORO_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, &caller->stack_low,
                                    &caller->stack_bytes);
#endif
    (void)self;
    (void)caller;
}

/* Stop the coroutine @self and go on in its caller.  @last: nothing on
 * @self's stack is needed any more. */
static inline __attribute__((always_inline)) void
coro_switch_out(CoroContext *self, CoroContext *caller, bool last)
{
#ifdef CORO_ASAN
    self->fake_stack = NULL;
    __sanitizer_start_switch_fiber(last ? NULL : &self->fake_stack,
                                   caller->stack_low, caller->stack_bytes);
#endif
#ifdef CORO_TSAN
    __tsan_switch_to_fiber(caller->fiber, 0);
#endif
    (void)last;
    coro_context_swap(self, caller);
}

/* Stop @caller and go on in the coroutine @to, until it switches out. */
static inline __attribute__((always_inline)) void
coro_switch_in(CoroContext *caller, CoroContext *to)
{
#ifdef CORO_ASAN
    __sanitizer_start_switch_fiber(&caller->fake_stack, to->stack_low,
                                   to->stack_bytes);
#endif
#ifdef CORO_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    coro_context_swap(caller, to);
#ifdef CORO_ASAN
    __sanitizer_finish_switch_fiber(caller->fake_stack, NULL, NULL);
#endif
}
