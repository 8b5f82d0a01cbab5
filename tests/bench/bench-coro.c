/*
 * tests/bench/bench-coro.c - nanoseconds per coroutine operation.
 *
 * Prints the best of several rounds for each operation.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <glib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coro/coro.h"
#include "coro/loop.h"

#define ROUNDS 15
#define N 1000000U

static Loop *loop;
static unsigned n_run;

static void coroutine_fn
bench_co_nothing(void *arg)
{
    (void)arg;
    n_run++;
}

static void
bench_spawn(void)
{
    for (unsigned i = 0; i < N; i++) {
        coro_spawn(bench_co_nothing, NULL);
    }
}

static void coroutine_fn
bench_co_pause(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < N / 32; i++) {
        co_pause();
    }
}

static void coroutine_fn
bench_co_pauses(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 31; i++) {
        coro_spawn(bench_co_pause, NULL);
    }
    bench_co_pause(NULL);
    co_pause();
}

static void
bench_wake(void)
{
    loop_run_coroutine(loop, bench_co_pauses, NULL);
}

static void
bench_timer(void)
{
    LoopTimer timer;

    loop_timer_init(&timer, loop, NULL);
    for (unsigned i = 0; i < N; i++) {
        loop_timer_start(&timer, 1000000000);
        loop_timer_stop(&timer);
    }
}

#define PING (N / 20)

static void coroutine_fn
bench_co_echo(void *arg)
{
    int fd = *(int *)arg;
    LoopFd *watch = loop_fd_new(loop, fd, NULL);
    char c = 0;

    for (unsigned i = 0; i < PING; i++) {
        while (read(fd, &c, 1) != 1) {
            (void)co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX);
        }
        if (write(fd, &c, 1) != 1) {
            break;
        }
    }
    loop_fd_free(watch);
}

static void coroutine_fn
bench_co_ping(void *arg)
{
    int *fds = arg;
    LoopFd *watch = loop_fd_new(loop, fds[0], NULL);
    char c = 0;

    coro_spawn(bench_co_echo, &fds[1]);
    for (unsigned i = 0; i < PING; i++) {
        if (write(fds[0], &c, 1) != 1) {
            break;
        }
        while (read(fds[0], &c, 1) != 1) {
            (void)co_wait_fd(watch, LOOP_FD_READ, UINT64_MAX);
        }
    }
    loop_fd_free(watch);
}

/* One round trip over a socket pair, both ends on this loop. */
static void
bench_ping(void)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0) {
        loop_run_coroutine(loop, bench_co_ping, fds);
        close(fds[0]);
        close(fds[1]);
    }
}

static void
bench_best(const char *name, void (*fn)(void), unsigned n)
{
    double best = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t begin = loop_now_ns(loop);
        double ns;

        fn();
        ns = (double)(loop_now_ns(loop) - begin) / n;
        if (i == 0 || ns < best) {
            best = ns;
        }
    }
    printf("%-34s %8.1f ns\n", name, best);
}

static void coroutine_fn
bench_co_all(void *arg)
{
    (void)arg;
    bench_best("spawn, returns without yielding", bench_spawn, N);
    bench_best("timer start and stop", bench_timer, N);
}

int
main(void)
{
    loop = loop_new("bench", NULL);
    if (!loop) {
        return 1;
    }
    loop_run_coroutine(loop, bench_co_all, NULL);
    bench_best("wake and run", bench_wake, N);
    bench_best("socket round trip", bench_ping, PING);
    loop_free(loop);
    return 0;
}
