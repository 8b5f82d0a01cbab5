/*
 * server/signals.c - see server/signals.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "coro/co-lock.h"

struct ServerSignals {
    int fd;
    LoopFd *watch;
    ServerSignalFn *fn;
    void *arg;
    bool running;
    CoQueue stopped;
};

static void
server_signals_get_set(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
}

void
server_signals_block(void)
{
    static const int ignored[] = { SIGPIPE, SIGXFSZ };
    sigset_t set;

    server_signals_get_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++) {
        struct sigaction action = { .sa_handler = SIG_IGN };

        sigaction(ignored[i], &action, NULL);
    }
    /* Whoever started us may ignore it; then it could not be received. */
    signal(SIGTERM, SIG_DFL);
}

static void coroutine_fn
server_signals_co_run(void *arg)
{
    ServerSignals *signals = arg;
    int ret = 0;

    while (ret != -ECANCELED) {
        struct signalfd_siginfo info;

        if (read(signals->fd, &info, sizeof(info)) == sizeof(info)) {
            signals->fn((int)info.ssi_signo, signals->arg);
        } else {
            ret = co_wait_fd(signals->watch, LOOP_FD_READ, UINT64_MAX);
        }
    }
    signals->running = false;
    co_queue_wake_all(&signals->stopped);
}

ServerSignals *
server_signals_start(Loop *loop, ServerSignalFn *fn, void *arg, GError **error)
{
    ServerSignals *signals;
    LoopFd *watch;
    sigset_t set;
    int fd;

    server_signals_get_set(&set);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
        ash_set_error_errno(error, errno, "can't receive signals");
        return NULL;
    }
    watch = loop_fd_new(loop, fd, error);
    if (!watch) {
        g_prefix_error(error, "can't receive signals: ");
        close(fd);
        return NULL;
    }
    signals = g_new0(ServerSignals, 1);
    signals->fd = fd;
    signals->watch = watch;
    signals->fn = fn;
    signals->arg = arg;
    signals->running = true;
    co_queue_init(&signals->stopped);
    coro_spawn_later(server_signals_co_run, signals);
    return signals;
}

void coroutine_fn
server_signals_co_stop(ServerSignals *take_signals)
{
    if (!take_signals) {
        return;
    }
    loop_fd_cancel(take_signals->watch);
    while (take_signals->running) {
        co_queue_co_wait(&take_signals->stopped);
    }
    loop_fd_free(take_signals->watch);
    close(take_signals->fd);
    g_free(take_signals);
}
