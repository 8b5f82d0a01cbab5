/*
 * tests/fault/fault-setup.c - a host that refuses what a node is made of: file
 * descriptors, rings.  It is an error that says so, or something else is used;
 * nothing is left over, and later it works.
 *
 * Each case runs in a process of its own.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blockcore/graph.h"
#include "coro/loop.h"
#include "drivers/aio/engine.h"
#include "drivers/drivers.h"

#define SETUP_SIZE 8192

/* ---- one node ---- */

typedef struct Setup {
    const char *options; /* "aio=auto cache.direct=on" */
    unsigned max_fds;    /* once there is a loop; 0: as many as it likes */
    char *path;
    /* ---- what came of it ---- */
    bool opened;
    char *note;
    GError *error;
} Setup;

static void
setup_make_file(Setup *s)
{
    int fd;

    s->path = g_strdup("./fault-setup-XXXXXX");
    fd = g_mkstemp(s->path);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, SETUP_SIZE), ==, 0);
    close(fd);
}

static void
setup_clear(Setup *s)
{
    g_clear_error(&s->error);
    g_clear_pointer(&s->note, g_free);
    s->opened = false;
}

static void
setup_done(Setup *s)
{
    setup_clear(s);
    g_unlink(s->path);
    g_free(s->path);
}

static BlkOptions *
setup_options(const Setup *s)
{
    g_auto(GStrv) words = g_strsplit(s->options, " ", -1);
    BlkOptions *opts = blk_options_new();

    blk_options_set(opts, "driver", BLK_VALUE_STRING, "file");
    blk_options_set(opts, "node-name", BLK_VALUE_STRING, "n");
    blk_options_set(opts, "filename", BLK_VALUE_STRING, s->path);
    for (char **w = words; *w; w++) {
        char *value = strchr(*w, '=');

        *value++ = '\0';
        blk_options_set(opts, *w, BLK_VALUE_KEYVAL, value);
    }
    return opts;
}

/* The soft limit; what was there before. */
static unsigned
setup_limit_fds(unsigned n)
{
    struct rlimit limit;
    unsigned before;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    before = (unsigned)limit.rlim_cur;
    limit.rlim_cur = n;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    return before;
}

static void coroutine_fn
setup_co_open(void *arg)
{
    BlkGraph *graph = blk_graph_new(drivers, NULL);
    Setup *s = arg;
    unsigned before = 0;
    BlkNode *node;

    if (s->max_fds > 0) {
        before = setup_limit_fds(s->max_fds);
    }
    s->opened = blk_graph_co_add(graph, setup_options(s), &node, &s->error);
    if (s->opened) {
        s->note = g_strdup(blk_node_note(node));
    }
    g_assert_cmpint(blk_graph_co_close_all(graph), ==, 0);
    if (s->max_fds > 0) {
        setup_limit_fds(before);
    }
    blk_graph_free(graph);
}

/* All from the start: a loop, its engines, a node. */
static void
setup_run(Setup *s)
{
    Loop *loop = loop_new("setup", &s->error);
    AioEngineSet *engines;

    if (!loop) {
        return;
    }
    engines = aio_engine_set_new(loop);
    loop_set_engines(loop, engines);
    loop_run_coroutine(loop, setup_co_open, s);
    aio_engine_set_free(engines);
    loop_set_engines(loop, NULL);
    loop_free(loop);
}

/* ---- file descriptors ---- */

static unsigned
setup_n_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    g_assert_nonnull(dir);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Fewer and fewer are missing, until none is. */
static void
setup_no_fds(const char *options)
{
    Setup s = { .options = options };
    unsigned before, missing = 0;

    setup_make_file(&s);
    /* What a process opens once, the pool among it, is open. */
    setup_run(&s);
    g_assert_no_error(s.error);
    before = setup_n_fds();
    for (unsigned limit = 6; limit < 64; limit++) {
        setup_clear(&s);
        s.max_fds = limit;
        setup_run(&s);
        if (s.opened) {
            break;
        }
        g_assert_nonnull(s.error);
        g_test_message("%u: %s", limit, s.error->message);
        g_assert_true(strstr(s.error->message, "oo many open files") ||
                      strstr(s.error->message, "is not usable"));
        g_assert_cmpuint(setup_n_fds(), ==, before);
        missing++;
    }
    g_assert_true(s.opened);
    g_assert_cmpuint(missing, >, 1);
    setup_clear(&s);
    s.max_fds = 0;
    setup_run(&s);
    g_assert_true(s.opened);
    g_assert_cmpuint(setup_n_fds(), ==, before);
    setup_done(&s);
}

static void
test_no_fds(const void *options)
{
    if (g_test_subprocess()) {
        setup_no_fds(options);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

/* ---- engines ---- */

/* From now on the system call @number fails with @err. */
static void
setup_deny(long number, int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = { .len = G_N_ELEMENTS(code), .filter = code };

    g_assert_cmpint(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
    g_assert_cmpint(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), ==, 0);
}

typedef struct SetupCase {
    const char *name;
    int uring; /* errno of io_uring_setup(), 0: it works */
    int aio;   /* ... of io_setup() */
    const char *options;
    const char *note;  /* it begins with this */
    const char *error; /* ... or else this does */
} SetupCase;

static const SetupCase setup_cases[] = {
    { "auto-eperm", EPERM, 0, "aio=auto",
      "aio=auto: threads, since io_uring is not usable (", NULL },
    { "auto-enosys", ENOSYS, 0, "aio=auto",
      "aio=auto: threads, since io_uring is not usable (", NULL },
    { "auto-enomem", ENOMEM, 0, "aio=auto",
      "aio=auto: threads, since io_uring is not usable (", NULL },
    { "auto-direct", EPERM, 0, "aio=auto cache.direct=on",
      "aio=auto: native, since io_uring is not usable (", NULL },
    { "auto-direct-eagain", EPERM, EAGAIN, "aio=auto cache.direct=on",
      "aio=auto: threads, since io_uring is not usable (", NULL },
    { "io_uring-eperm", EPERM, 0, "aio=io_uring", NULL,
      "node 'n': file: aio=io_uring is not usable: " },
    { "io_uring-enosys", ENOSYS, 0, "aio=io_uring", NULL,
      "node 'n': file: aio=io_uring is not usable: " },
    { "io_uring-emfile", EMFILE, 0, "aio=io_uring", NULL,
      "node 'n': file: aio=io_uring is not usable: " },
    { "native-eagain", 0, EAGAIN, "aio=native cache.direct=on", NULL,
      "node 'n': file: aio=native is not usable: " },
    { "threads", EPERM, EPERM, "aio=threads", NULL, NULL },
};

static void
setup_try_case(const SetupCase *c)
{
    Setup s = { .options = c->options };

    setup_make_file(&s);
    if (c->uring != 0) {
        setup_deny(SYS_io_uring_setup, c->uring);
    }
    if (c->aio != 0) {
        setup_deny(SYS_io_setup, c->aio);
    }
    setup_run(&s);
    g_test_message("%s", s.opened ? s.note : s.error->message);
    g_assert_cmpint(s.opened, ==, c->error == NULL);
    if (c->error) {
        g_assert_error(s.error, ASH_ERROR, ASH_ERROR_UNSUPPORTED);
        g_assert_true(g_str_has_prefix(s.error->message, c->error));
        g_assert_cmpuint(strlen(s.error->message), >, strlen(c->error) + 5);
    } else if (c->note) {
        g_assert_true(g_str_has_prefix(s.note, c->note));
    } else {
        g_assert_null(s.note);
    }
    setup_done(&s);
}

static void
test_engine(const void *data)
{
    if (g_test_subprocess()) {
        setup_try_case(data);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

int
main(int argc, char **argv)
{
    static const char *const engines[] = { "threads", "io_uring", "auto" };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(setup_cases); i++) {
        g_autofree char *path =
            g_strconcat("/fault/engine/", setup_cases[i].name, NULL);

        g_test_add_data_func(path, &setup_cases[i], test_engine);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(engines); i++) {
        g_autofree char *path = g_strconcat("/fault/no-fds/", engines[i], NULL);

        g_test_add_data_func_full(path, g_strconcat("aio=", engines[i], NULL),
                                  (GTestDataFunc)(void *)test_no_fds, g_free);
    }
    return g_test_run();
}
