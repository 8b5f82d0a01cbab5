/*
 * tests/unit/aio/test-fallback.c - machines that refuse io_uring or libaio in
 * one way or another: the same files, served by another engine.
 *
 * Each case runs in a process of its own, behind a seccomp filter.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/aio/aio-test.h"
#include "tests/unit/aio/tests.h"

static const AioVariant fallback_buffered = {
    .name = "auto",
    .kind = AIO_AUTO,
    .align = 1,
};
static const AioVariant fallback_direct = {
    .name = "auto-direct",
    .kind = AIO_AUTO,
    .open_flags = O_DIRECT,
    .align = 4096,
};

/* From now on the system call @number fails with @err. */
static void
fallback_deny(int number, int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {
        .len = G_N_ELEMENTS(code),
        .filter = code,
    };

    g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

/* ---- what the process behind the filter does ---- */

/* AIO_AUTO takes @engine and says @text and @more; io_uring by name is an
 * error that says @text. */
static void
fallback_check(bool direct, const char *engine, const char *text,
               const char *more)
{
    GError *error = NULL;
    const char *why = NULL;
    Loop *loop = loop_new("test", &error);
    AioEngineSet *set = aio_engine_set_new(loop);
    AioEngine *got;

    loop_set_engines(loop, set);
    got = aio_engine_get(loop, AIO_AUTO, direct, &why, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(got->ops->name, ==, engine);
    g_test_message("%s", why);
    g_assert_nonnull(strstr(why, text));
    g_assert_nonnull(strstr(why, more));
    /* It stays with that. */
    g_assert_true(aio_engine_get(loop, AIO_AUTO, direct, &why, &error) == got);

    got = aio_engine_get(loop, AIO_IO_URING, direct, &why, &error);
    g_assert_null(got);
    g_assert_null(why);
    g_assert_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED);
    g_assert_true(
        g_str_has_prefix(error->message, "aio=io_uring is not usable: "));
    g_assert_nonnull(strstr(error->message, text));
    g_clear_error(&error);
    aio_engine_set_free(set);
    loop_set_engines(loop, NULL);
    loop_free(loop);
}

static void
fallback_setup_eperm(void)
{
    fallback_deny(SYS_io_uring_setup, EPERM);
    fallback_check(false, "threads", "kernel.io_uring_disabled",
                   "cache.direct=on");
    fallback_check(true, "native", "kernel.io_uring_disabled", "native");
    aio_test_conform(&fallback_buffered);
    aio_test_conform(&fallback_direct);
}

static void
fallback_setup_enosys(void)
{
    fallback_deny(SYS_io_uring_setup, ENOSYS);
    fallback_check(false, "threads", "not in this kernel", "threads");
    aio_test_conform(&fallback_buffered);
}

static void
fallback_setup_enomem(void)
{
    fallback_deny(SYS_io_uring_setup, ENOMEM);
    fallback_check(false, "threads", "RLIMIT_MEMLOCK", "threads");
}

/* A filter that forgot half of io_uring. */
static void
fallback_register_eperm(void)
{
    fallback_deny(SYS_io_uring_register, EPERM);
    fallback_check(false, "threads", "io_uring", "threads");
    aio_test_conform(&fallback_buffered);
}

static void
fallback_enter_eperm(void)
{
    fallback_deny(SYS_io_uring_enter, EPERM);
    fallback_check(false, "threads", "trying io_uring", "threads");
    aio_test_conform(&fallback_buffered);
}

static void
fallback_neither(void)
{
    fallback_deny(SYS_io_uring_setup, EPERM);
    fallback_deny(SYS_io_setup, EAGAIN);
    fallback_check(true, "threads", "kernel.io_uring_disabled",
                   "fs.aio-max-nr");
    aio_test_conform(&fallback_direct);
}

/* The engine may be refused or not; the files work. */
static void
fallback_limits(void)
{
    struct rlimit no_memory = { 0, 0 };
    struct rlimit few_files = { 64, 64 };

    g_assert_cmpint(setrlimit(RLIMIT_MEMLOCK, &no_memory), ==, 0);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few_files), ==, 0);
    aio_test_conform(&fallback_buffered);
    aio_test_conform(&fallback_direct);
}

/* ---- the cases ---- */

static const struct {
    const char *name;
    void (*fn)(void);
} fallback_cases[] = {
    { "setup-eperm", fallback_setup_eperm },
    { "setup-enosys", fallback_setup_enosys },
    { "setup-enomem", fallback_setup_enomem },
    { "register-eperm", fallback_register_eperm },
    { "enter-eperm", fallback_enter_eperm },
    { "neither", fallback_neither },
    { "limits", fallback_limits },
};

static void
test_fallback_case(const void *data)
{
    const char *name = data;
    g_autofree char *path =
        g_strdup_printf("/aio/fallback/%s/subprocess", name);

    g_test_trap_subprocess(path, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
    g_test_trap_assert_passed();
}

void
test_fallback_add(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fallback_cases); i++) {
        const char *name = fallback_cases[i].name;
        g_autofree char *path = g_strdup_printf("/aio/fallback/%s", name);
        g_autofree char *inner = g_strconcat(path, "/subprocess", NULL);

        g_test_add_data_func(path, name, test_fallback_case);
        g_test_add_func(inner, fallback_cases[i].fn);
    }
}
