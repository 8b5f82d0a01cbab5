/*
 * tests/unit/drivers/test-file-lock.c - permissions are locks on the bytes that
 * QEMU uses, and exclude others, here and in other processes.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "tests/unit/drivers/test-host.h"

#define READ ((BlkPerm)BLK_PERM_CONSISTENT_READ)
#define WRITE ((BlkPerm)BLK_PERM_WRITE)
#define RESIZE ((BlkPerm)BLK_PERM_RESIZE)

static struct flock
lock_at(short type, int64_t byte)
{
    return (struct flock){
        .l_type = type,
        .l_whence = SEEK_SET,
        .l_start = byte,
        .l_len = 1,
    };
}

/* Does somebody hold a lock on this byte? */
static bool
lock_is_held(const TestFile *f, int64_t byte)
{
    struct flock lock = lock_at(F_WRLCK, byte);

    g_assert_cmpint(fcntl(f->fd, F_OFD_GETLK, &lock), ==, 0);
    return lock.l_type != F_UNLCK;
}

/* Exactly the bytes of these permissions. */
static void
check_locks(const TestFile *f, BlkPerm perm, BlkPerm unshared)
{
    for (int64_t i = 0; i < 4; i++) {
        g_assert_cmpint(lock_is_held(f, 100 + i), ==, perm >> i & 1);
        g_assert_cmpint(lock_is_held(f, 200 + i), ==, unshared >> i & 1);
    }
    g_assert_false(lock_is_held(f, 104));
    g_assert_false(lock_is_held(f, 204));
    g_assert_false(lock_is_held(f, 0));
}

/* Two nodes, "n" and "m", on one file. */
typedef struct LockPair {
    TestFile f;
    TestNode t;
    BlkNode *other;
    Blk *blk; /* of the other */
} LockPair;

static void coroutine_fn
pair_co_open(LockPair *p, const char *more)
{
    BlkOptions *opts = blk_options_new();
    g_autoptr(GError) error = NULL;

    test_file_new(&p->f, 4096);
    test_host_co_open(&p->t, "file", p->f.path, more);
    blk_co_detach(p->t.blk);
    blk_options_set(opts, "driver", BLK_VALUE_STRING, "file");
    blk_options_set(opts, "node-name", BLK_VALUE_STRING, "m");
    blk_options_set(opts, "filename", BLK_VALUE_STRING, p->f.path);
    if (strstr(more, "locking=off")) {
        blk_options_set(opts, "locking", BLK_VALUE_STRING, "off");
    }
    blk_graph_co_add(p->t.graph, opts, &p->other, &error);
    g_assert_no_error(error);
    p->blk = blk_new("export 'other'");
}

static void coroutine_fn
pair_co_close(LockPair *p)
{
    blk_co_detach(p->blk);
    blk_free(p->blk);
    test_co_close(&p->t);
    check_locks(&p->f, 0, 0);
    test_file_free(&p->f);
}

/* Who writes shares writing with no other node, whatever its parents share
 * among each other. */
static BlkPerm
unshared_outside(BlkPerm perm, BlkPerm unshared)
{
    return (perm & WRITE) ? unshared | WRITE | RESIZE : unshared;
}

/* Every pair of what one has and shares with what the other has and shares. */
static void coroutine_fn
test_co_pairs(void *arg)
{
    static const BlkPerm sets[] = { 0, READ, READ | WRITE, WRITE | RESIZE };
    unsigned n_refused = 0;
    unsigned n = 0;
    LockPair p;

    ash_maybe(arg);
    pair_co_open(&p, " lock-wait-ms=0");
    for (unsigned x = 0; x < 256; x++) {
        BlkPerm perm = sets[x & 3], perm2 = sets[x >> 4 & 3];
        BlkPerm shared = BLK_PERM_ALL & ~sets[x >> 2 & 3];
        BlkPerm shared2 = BLK_PERM_ALL & ~sets[x >> 6];
        BlkPerm unshared = unshared_outside(perm, sets[x >> 2 & 3]);
        BlkPerm unshared2 = unshared_outside(perm2, sets[x >> 6]);
        bool conflict = (perm & unshared2) || (perm2 & unshared);
        g_autoptr(GError) error = NULL;

        g_assert_true(blk_co_attach(p.t.blk, p.t.node, perm, shared, NULL));
        check_locks(&p.f, perm, unshared);
        g_assert_cmpint(blk_co_attach(p.blk, p.other, perm2, shared2, &error),
                        ==, !conflict);
        if (conflict) {
            g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFLICT);
            check_locks(&p.f, perm, unshared);
        } else {
            check_locks(&p.f, perm | perm2, unshared | unshared2);
        }
        blk_co_detach(p.blk);
        check_locks(&p.f, perm, unshared);
        blk_co_detach(p.t.blk);
        check_locks(&p.f, 0, 0);
        n_refused += conflict;
        n++;
    }
    g_test_message("%u pairs, %u refused", n, n_refused);
    pair_co_close(&p);
}

static void coroutine_fn
test_co_text(void *arg)
{
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;
    LockPair p;

    ash_maybe(arg);
    pair_co_open(&p, "");
    message = g_strdup_printf("failed to get \"write\" lock: another node of "
                              "this process uses the image '%s'",
                              p.f.path);
    g_assert_true(
        blk_co_attach(p.t.blk, p.t.node, READ, BLK_PERM_ALL & ~WRITE, NULL));
    g_assert_false(
        blk_co_attach(p.blk, p.other, READ | WRITE, BLK_PERM_ALL, &error));
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==, message);
    g_clear_error(&error);
    blk_co_detach(p.t.blk);

    g_free(message);
    message = g_strdup_printf("failed to get shared \"write\" lock: another "
                              "node of this process uses the image '%s'",
                              p.f.path);
    g_assert_true(
        blk_co_attach(p.t.blk, p.t.node, READ | WRITE, BLK_PERM_ALL, NULL));
    g_assert_false(
        blk_co_attach(p.blk, p.other, READ, BLK_PERM_ALL & ~WRITE, &error));
    g_assert_cmpstr(error->message, ==, message);
    pair_co_close(&p);
}

/* Without locks nothing is locked and nobody refused. */
static void coroutine_fn
test_co_off(void *arg)
{
    LockPair p;

    ash_maybe(arg);
    pair_co_open(&p, " locking=off");
    g_assert_true(blk_co_attach(p.t.blk, p.t.node, READ | WRITE, READ, NULL));
    check_locks(&p.f, 0, 0);
    g_assert_true(blk_co_attach(p.blk, p.other, READ | WRITE, READ, NULL));
    check_locks(&p.f, 0, 0);
    pair_co_close(&p);
}

/* force-share: reads what somebody else writes and shares with nobody. */
static void coroutine_fn
test_co_force_share(void *arg)
{
    LockPair p;

    ash_maybe(arg);
    pair_co_open(&p, " read-only=on force-share=on");
    g_assert_true(blk_co_attach(p.blk, p.other, READ | WRITE, READ, NULL));
    g_assert_true(blk_co_attach(p.t.blk, p.t.node, READ, READ, NULL));
    check_locks(&p.f, READ | WRITE, BLK_PERM_ALL & 0xfU & ~READ);
    pair_co_close(&p);
}

/* ---- other processes ---- */

/* A process that opens @path, locks @byte, writes a line, and waits for the
 * end of its input. */
static pid_t
lock_spawn(const char *path, int64_t byte, int *ret_stdin)
{
    struct flock lock = lock_at(F_RDLCK, byte);
    int in[2], out[2];
    char c;
    pid_t pid;

    g_assert_cmpint(pipe(in), ==, 0);
    g_assert_cmpint(pipe(out), ==, 0);
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        int fd = open(path, O_RDWR);

        close(in[1]);
        if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0 &&
            write(out[1], "x", 1) == 1 && read(in[0], &c, 1) == 0) {
            _exit(0);
        }
        _exit(1);
    }
    close(in[0]);
    close(out[1]);
    g_assert_cmpint(read(out[0], &c, 1), ==, 1);
    close(out[0]);
    *ret_stdin = in[1];
    return pid;
}

/* A living process is named at once, whatever lock-wait-ms says; when it is
 * gone its locks are. */
static void coroutine_fn
test_co_process(void *arg)
{
    g_autofree char *message = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t before;
    LockPair p;
    int input;
    pid_t pid;

    ash_maybe(arg);
    pair_co_open(&p, " lock-wait-ms=600000");
    pid = lock_spawn(p.f.path, 201, &input);
    message = g_strdup_printf(
        "failed to get \"write\" lock: process %d uses the image '%s'",
        (int)pid, p.f.path);
    before = loop_now_ns(loop_current());
    g_assert_false(
        blk_co_attach(p.t.blk, p.t.node, READ | WRITE, BLK_PERM_ALL, &error));
    g_assert_cmpuint(loop_now_ns(loop_current()) - before, <, 60000000000U);
    g_assert_error(error, ASH_ERROR, ASH_ERROR_CONFLICT);
    g_assert_cmpstr(error->message, ==, message);
    /* It does not mind a reader. */
    g_assert_true(blk_co_attach(p.t.blk, p.t.node, READ, BLK_PERM_ALL, NULL));
    blk_co_detach(p.t.blk);
    /* Killed: whoever comes next waits for its end, if need be. */
    g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
    g_assert_true(
        blk_co_attach(p.t.blk, p.t.node, READ | WRITE, BLK_PERM_ALL, NULL));
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    close(input);
    pair_co_close(&p);
}

void
test_file_lock_add(void)
{
    test_add_co("/drivers/file-lock/pairs", test_co_pairs);
    test_add_co("/drivers/file-lock/text", test_co_text);
    test_add_co("/drivers/file-lock/off", test_co_off);
    test_add_co("/drivers/file-lock/force-share", test_co_force_share);
    test_add_co("/drivers/file-lock/process", test_co_process);
}
