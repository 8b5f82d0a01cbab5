/*
 * coro/coro-stack.c - see coro/coro-stack.h.
 *
 * Method: the guard is made with MADV_GUARD_INSTALL where the kernel has it
 * (Linux 6.13), because that does not split the mapping: neighbouring stacks
 * then share one, and vm.max_map_count is no limit on their number.  Older
 * kernels get PROT_NONE.
 *
 * Fresh memory is zero, so the stack's high-water mark needs no painting: the
 * deepest resident page is looked through for its first byte that is not.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "coro/coro-stack.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"
#include "coro/coro.h"

#ifdef __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/memcheck.h>
#include <valgrind/valgrind.h>
#define CORO_VALGRIND 1
#endif
#endif

/* From <asm-generic/mman-common.h> of Linux 6.13. */
#define CORO_MADV_GUARD_INSTALL 102

#define CORO_LINE 64U

static size_t
coro_stack_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* How far below the end of @area, which is to hold @head_bytes, the head ends:
 * a multiple of the cache line that spreads heads over the area. */
static size_t
coro_stack_colour(size_t area, size_t head_bytes, unsigned number)
{
    size_t n_places = (area - head_bytes) / CORO_LINE;

    return (size_t)number * 11 % n_places * CORO_LINE;
}

void
coro_stack_init(CoroStack *stack, size_t head_bytes, unsigned number)
{
    size_t page = coro_stack_page_bytes();
    size_t area = ash_round_up(head_bytes + page / 2, page);
    size_t bytes = page + CORO_STACK_BYTES + area;
    char *map =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    uintptr_t head;

    ash_assert(ash_is_aligned(head_bytes, CORO_LINE));
    ash_assert(map != MAP_FAILED);
    if (madvise(map, page, CORO_MADV_GUARD_INSTALL) < 0) {
        int r = mprotect(map, page, PROT_NONE);

        ash_assert(r == 0);
    }
    /* A huge page would make the first byte of a stack cost 2 MiB. */
    (void)madvise(map, bytes, MADV_NOHUGEPAGE);

    head = (uintptr_t)map + bytes - head_bytes -
           coro_stack_colour(area, head_bytes, number);
    stack->map = map;
    stack->map_bytes = bytes;
    stack->low = map + page;
    stack->head = (void *)head;
    stack->valgrind_id = 0;
#ifdef CORO_VALGRIND
    stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->low, stack->head);
#endif
}

void
coro_stack_done(const CoroStack *stack)
{
    int r;

#ifdef CORO_VALGRIND
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
    r = munmap(stack->map, stack->map_bytes);
    ash_assert(r == 0);
}

/* Reads what frames that are gone have left. */
__attribute__((no_sanitize_address)) size_t
coro_stack_high_bytes(const CoroStack *stack)
{
    unsigned char resident[CORO_STACK_BYTES / 4096 + 1];
    size_t page = coro_stack_page_bytes();
    char *low = stack->low;
    char *top = stack->head;
    int r = mincore(low, CORO_STACK_BYTES, resident);

    ash_assert(r == 0);
    for (size_t i = 0; i < CORO_STACK_BYTES / page; i++) {
        const char *p = low + i * page;

        if (!(resident[i] & 1)) {
            continue;
        }
#ifdef CORO_VALGRIND
        (void)VALGRIND_MAKE_MEM_DEFINED(p, page);
#endif
        for (size_t at = 0; at < page; at++) {
            if (p[at] != 0) {
                return (size_t)(top - (p + at));
            }
        }
    }
    return (size_t)(top - (low + CORO_STACK_BYTES));
}
