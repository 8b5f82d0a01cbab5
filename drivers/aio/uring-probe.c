/*
 * drivers/aio/uring-probe.c - see drivers/aio/uring-probe.h.
 *
 * Method.  Kernel versions say little: distributions backport, containers and
 * sandboxes take away, compatible kernels do half of it.  So each thing is
 * tried.  Set-up flags are dropped one after the other until a ring can be
 * made.  Then a ring is made as the engine makes it and has to read a file in
 * memory, and, restricted, to refuse an operation that is not on the list.
 *
 * The list keeps a hijacked ring from doing what the process's seccomp filter
 * forbids: io_uring's operations are invisible to seccomp.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "drivers/aio/uring-probe.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"

#define PROBE_ENTRIES 4U

/* From the best on. */
static const unsigned probe_setup_flags[] = {
    IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
    IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
        IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_R_DISABLED,
    0,
};

static void
probe_set_error(GError **error, const char *what, int err)
{
    const char *hint = "";

    switch (err) {
    case EPERM:
    case EACCES:
        hint = " (sysctl kernel.io_uring_disabled or a seccomp filter)";
        break;
    case ENOSYS:
        hint = " (not in this kernel, or hidden by a seccomp filter)";
        break;
    case ENOMEM:
        hint = " (RLIMIT_MEMLOCK is too low)";
        break;
    case EMFILE:
        hint = " (RLIMIT_NOFILE is too low)";
        break;
    default:
        break;
    }
    g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED, "%s: %s%s", what,
                g_strerror(err), hint);
}

/* ---- making a ring ---- */

/* Two calls that liburing 2.3 declares and does not export. */
static int
uring_register(struct io_uring *ring, unsigned opcode, const void *arg,
               unsigned n)
{
    long ret = syscall(SYS_io_uring_register, ring->ring_fd, opcode, arg, n);

    return ret < 0 ? -errno : 0;
}

static int
uring_restrict(struct io_uring *ring, const AioUringTraits *traits)
{
    struct io_uring_restriction list[] = {
        { .opcode = IORING_RESTRICTION_REGISTER_OP,
          .register_op = IORING_REGISTER_FILES_UPDATE },
        { .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
          .sqe_flags = IOSQE_FIXED_FILE },
        { .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
          .sqe_flags = IOSQE_FIXED_FILE },
        { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
        { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
        { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
        { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE },
    };
    unsigned n = ASH_N_ELEMENTS(list) - (traits->fallocate ? 0 : 1);

    return uring_register(ring, IORING_REGISTER_RESTRICTIONS, list, n);
}

/* A table of empty slots, as many as RLIMIT_NOFILE lets us. */
static int
uring_register_slots(struct io_uring *ring, unsigned *ret_n)
{
    g_autofree int *fds = g_new(int, AIO_URING_SLOTS_MAX);
    unsigned n = AIO_URING_SLOTS_MAX;
    int ret;

    memset(fds, 0xff, AIO_URING_SLOTS_MAX * sizeof(*fds)); /* -1 */
    do {
        ret = io_uring_register_files(ring, fds, n);
        *ret_n = n;
        n /= 2;
    } while (ret == -EMFILE && n >= AIO_URING_SLOTS_MIN);
    return ret;
}

bool
aio_uring_setup(struct io_uring *ring, unsigned n_entries,
                const AioUringTraits *traits, unsigned *ret_n_slots,
                GError **error)
{
    int ret = io_uring_queue_init(n_entries, ring, traits->setup_flags);

    if (ret < 0) {
        probe_set_error(error, "io_uring_setup", -ret);
        return false;
    }
    ret = uring_register_slots(ring, ret_n_slots);
    if (ret < 0) {
        probe_set_error(error, "io_uring_register files", -ret);
        io_uring_queue_exit(ring);
        return false;
    }
    if (traits->restrict_ops) {
        ret = uring_restrict(ring, traits);
        if (ret < 0) {
            probe_set_error(error, "io_uring_register restrictions", -ret);
            io_uring_queue_exit(ring);
            return false;
        }
    }
    return true;
}

int
aio_uring_enable(struct io_uring *ring, const AioUringTraits *traits)
{
    if ((traits->setup_flags & IORING_SETUP_R_DISABLED) == 0) {
        return 0;
    }
    return uring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

/* ---- trying ---- */

/* The first set of flags that the kernel takes. */
static bool
probe_find_flags(AioUringTraits *traits, GError **error)
{
    int ret = -EINVAL;

    for (size_t i = 0; i < ASH_N_ELEMENTS(probe_setup_flags); i++) {
        struct io_uring ring;

        ret = io_uring_queue_init(PROBE_ENTRIES, &ring, probe_setup_flags[i]);
        if (ret >= 0) {
            io_uring_queue_exit(&ring);
            traits->setup_flags = probe_setup_flags[i];
            return true;
        }
        if (ret != -EINVAL) {
            break;
        }
    }
    probe_set_error(error, "io_uring_setup", -ret);
    return false;
}

static bool
probe_ops(AioUringTraits *traits, GError **error)
{
    static const int needed[] = {
        IORING_OP_READV,
        IORING_OP_WRITEV,
        IORING_OP_FSYNC,
    };
    struct io_uring ring;
    struct io_uring_probe *probe = NULL;
    bool ok;
    int ret;

    ret = io_uring_queue_init(PROBE_ENTRIES, &ring, 0);
    if (ret < 0) {
        probe_set_error(error, "io_uring_setup", -ret);
        return false;
    }
    probe = io_uring_get_probe_ring(&ring);
    io_uring_queue_exit(&ring);
    ok = probe != NULL;
    for (size_t i = 0; ok && i < ASH_N_ELEMENTS(needed); i++) {
        ok = io_uring_opcode_supported(probe, needed[i]);
    }
    if (!ok) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_UNSUPPORTED,
                    "io_uring lacks vectored I/O here");
    } else {
        traits->fallocate =
            io_uring_opcode_supported(probe, IORING_OP_FALLOCATE);
    }
    io_uring_free_probe(probe);
    return ok;
}

/* Submit what is prepared and wait for its result. */
static int
probe_run(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    int ret;

    do {
        ret = io_uring_submit_and_wait(ring, 1);
    } while (ret == -EINTR || ret == -EAGAIN);
    if (ret < 0) {
        return ret;
    }
    ret = io_uring_peek_cqe(ring, &cqe);
    if (ret < 0) {
        return ret;
    }
    ret = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return ret;
}

/* Read from @fd through slot 0; restricted: and be refused a no-op. */
static int
probe_exercise(struct io_uring *ring, const AioUringTraits *traits, int fd)
{
    char buf[4] = "";
    struct iovec v = { .iov_base = buf, .iov_len = sizeof(buf) };
    struct io_uring_sqe *sqe;
    int ret = aio_uring_enable(ring, traits);

    if (ret < 0) {
        return ret;
    }
    ret = io_uring_register_files_update(ring, 0, &fd, 1);
    if (ret < 0) {
        return ret;
    }
    sqe = io_uring_get_sqe(ring);
    io_uring_prep_readv(sqe, 0, &v, 1, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    ret = probe_run(ring);
    if (ret != (int)sizeof(buf) || memcmp(buf, "ash!", sizeof(buf)) != 0) {
        return ret < 0 ? ret : -EIO;
    }
    if (traits->restrict_ops) {
        sqe = io_uring_get_sqe(ring);
        io_uring_prep_nop(sqe);
        ret = probe_run(ring);
        return ret == -EACCES ? 0 : -EIO;
    }
    return 0;
}

static bool
probe_try(const AioUringTraits *traits, int fd, GError **error)
{
    struct io_uring ring;
    unsigned n_slots;
    int ret;

    if (!aio_uring_setup(&ring, PROBE_ENTRIES, traits, &n_slots, error)) {
        return false;
    }
    ret = probe_exercise(&ring, traits, fd);
    io_uring_queue_exit(&ring);
    if (ret < 0) {
        probe_set_error(error, "trying io_uring", -ret);
        return false;
    }
    return true;
}

bool
aio_uring_probe(AioUringTraits *ret, GError **error)
{
    AioUringTraits traits = { 0 };
    bool ok;
    int fd;

    if (!probe_find_flags(&traits, error) || !probe_ops(&traits, error)) {
        return false;
    }
    fd = memfd_create("ashlar-probe", MFD_CLOEXEC);
    if (fd < 0 || write(fd, "ash!", 4) != 4) {
        probe_set_error(error, "memfd_create", errno);
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    traits.restrict_ops = (traits.setup_flags & IORING_SETUP_R_DISABLED) != 0;
    ok = traits.restrict_ops && probe_try(&traits, fd, NULL);
    if (!ok) {
        traits.restrict_ops = false;
        ok = probe_try(&traits, fd, error);
    }
    close(fd);
    if (ok) {
        *ret = traits;
    }
    return ok;
}
