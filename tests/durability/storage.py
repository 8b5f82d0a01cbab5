"""Real storage to break: file systems on loop devices on tmpfs.

All of it lies in the mount namespace of the test run, and each loop device is
told to go away with its last user, so nothing outlives the run, however it
ends.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import errno
import fcntl
import os
import subprocess
import time

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 20

CLONE_NEWNS = 0x20000
KEEP_SIZE, PUNCH_HOLE = 1, 2
FICLONE = 0x40049409
LOOP_CLR_FD = 0x4C01
LOOP_SET_CAPACITY = 0x4C07

KIB = 1 << 10
MIB = 1 << 20

# By file system: the command, and the smallest device that it takes.
MKFS = {
    # Tables written at once: later they would look like the daemon's writes.
    "ext4": (["mkfs.ext4", "-q", "-F", "-E",
              "nodiscard,lazy_itable_init=0,lazy_journal_init=0"], 32 * MIB),
    "xfs": (["mkfs.xfs", "-q", "-f", "-K"], 320 * MIB),
    "btrfs": (["mkfs.btrfs", "-q", "-f", "-K", "-m", "single"], 128 * MIB),
}
# A copy of a file system has the identity of the original.
MOUNT_COPY = {"xfs": ["-o", "nouuid"]}


def run(*command, input=None):
    """Run a program that must succeed; its standard output."""
    done = subprocess.run([str(c) for c in command], text=True,
                          capture_output=True, check=False, input=input,
                          timeout=60, env=os.environ | {"PATH": PATH})
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def enter_namespace():
    """From here on, mounts are this process's and its children's."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare; these tests need root")
    run("mount", "--make-rprivate", "/")


def make_sparse(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def punch(path, offset, size):
    """Give back the space of a part of a file, which then reads as zeros."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "r+b") as f:
        if libc.fallocate(f.fileno(), PUNCH_HOLE | KEEP_SIZE,
                          ctypes.c_long(offset), ctypes.c_long(size)) != 0:
            raise OSError(ctypes.get_errno(), "fallocate")


def clone(source, target):
    """What @source holds at this instant; its writers wait meanwhile."""
    with open(source, "rb") as s, open(target, "wb") as t:
        fcntl.ioctl(t, FICLONE, s.fileno())
    return target


def is_mounted(where):
    with open("/proc/self/mounts", encoding="utf-8") as f:
        return any(line.split()[1] == where for line in f)


class Storage:
    """What a test has set up, to be undone in the reverse order."""

    def __init__(self, folder):
        self.folder = folder
        self.undo = []
        self.n = 0

    def name(self, kind):
        self.n += 1
        return os.path.join(self.folder, f"{kind}{self.n}")

    def mount(self, *args):
        where = self.name("mnt")
        os.mkdir(where)
        run("mount", *args, where)
        self.undo.append(lambda: self.unmount(where))
        return where

    def unmount(self, where):
        """Also while somebody is still letting go of a file, and of what can't
        even be looked at any more."""
        deadline = time.monotonic() + PATIENCE
        while is_mounted(where):
            done = subprocess.run(["/usr/bin/umount", where],
                                  capture_output=True, text=True, check=False)
            if done.returncode and time.monotonic() > deadline:
                subprocess.run(["/usr/bin/umount", "-l", where], check=False)
                raise AssertionError(f"cannot unmount {where}: {done.stderr}")
            if done.returncode:
                time.sleep(0.01)

    def tmpfs(self, size):
        return self.mount("-t", "tmpfs", "-o", f"size={size}", "none")

    def fill(self, where):
        """Nothing more fits in there, until the result is removed."""
        path = os.path.join(where, "filler")
        with open(path, "wb", buffering=0) as f:
            size = MIB
            while size >= KIB:
                try:
                    if f.write(bytes(size)) < size:
                        size //= 2
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise
                    size //= 2
        return path

    def loop(self, file, *options):
        """A block device over @file."""
        dev = run("losetup", "--find", "--show", *options, file)
        self.undo.append(lambda: self.drop_loop(dev, file))
        return dev

    def drop_loop(self, dev, file):
        """Now, or with its last user; the device may be another's by then."""
        backing = f"/sys/block/{os.path.basename(dev)}/loop/backing_file"
        try:
            with open(backing, encoding="utf-8") as f:
                if f.read().strip().removesuffix(" (deleted)") != str(file):
                    return
        except OSError:
            return
        with open(dev, "rb") as f:
            try:
                fcntl.ioctl(f, LOOP_CLR_FD)
            except OSError as e:
                if e.errno != errno.ENXIO:
                    raise

    def filesystem(self, kind, dev, *mkfs_options, mount=()):
        """Make one on @dev; where it is mounted."""
        run(*MKFS[kind][0], *mkfs_options, dev)
        return self.mount("-t", kind, *mount, dev)

    def filesystem_in(self, folder, kind, size=0, mkfs=(), mount=(), loop=()):
        """One in a sparse file in @folder: (file, device, mount point)."""
        file = os.path.join(folder, f"{kind}-{self.n}.disk")
        make_sparse(file, max(size, MKFS[kind][1]))
        dev = self.loop(file, *loop)
        return file, dev, self.filesystem(kind, dev, *mkfs, mount=mount)

    def close(self):
        """Undo all; the first failure is told when the rest is done."""
        failure = None
        while self.undo:
            try:
                self.undo.pop()()
            except (AssertionError, OSError) as e:
                failure = failure or e
        if failure:
            raise failure


def resize_loop(dev, file, size):
    """The file below the device gets another size, and so does the device."""
    os.truncate(file, size)
    with open(dev, "rb") as f:
        fcntl.ioctl(f, LOOP_SET_CAPACITY)
