"""A flush that failed is final, and that outlives the daemon (C7).

The disk lies on a tmpfs that is full, and has holes where the data of the
image would go: write() succeeds, into the page cache, and the kernel fails to
write it back.  It says so once; a flush after that would "succeed".  The file
system's own data have their space, so that it does not notice.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import shlex
import signal
import struct
import subprocess

import pytest

import harness
import storage
import wire

KINDS = ["ext4", "xfs", "btrfs", "device"]
BUFFERED = ["io_uring", "threads"]
LOST = 8 * storage.MIB
STEP = storage.MIB
IMAGE = 16 * storage.MIB
MEMORY = 400 * storage.MIB


PAGE = 4096
PAGE_STAMP = struct.Struct(">16sQ")
MAGIC = b"page of an image"


class Failing:
    """A raw disk whose storage can be full."""

    def __init__(self, store, kind):
        self.store = store
        self.memory = store.tmpfs(MEMORY)
        self.filler = None
        self.is_device = kind == "device"
        if self.is_device:
            self.file = storage.make_sparse(
                os.path.join(self.memory, "disk"), IMAGE)
            self.disk = store.loop(self.file)
        else:
            mkfs = ["-b", str(PAGE)] if kind == "ext4" else []
            self.file, _, where = store.filesystem_in(self.memory, kind,
                                                      mkfs=mkfs)
            self.disk = os.path.join(where, "image")
            open(self.disk, "wb").close()
            if kind == "btrfs":
                storage.run("chattr", "+C", self.disk)  # write in place
        with open(self.disk, "r+b") as f:
            for i in range(IMAGE // PAGE):
                f.write(PAGE_STAMP.pack(MAGIC, i).ljust(PAGE, b"."))
            f.flush()
            os.fsync(f.fileno())
        storage.run("sync", "-f", self.disk)
        with open(self.file, "r+b") as f:
            os.posix_fallocate(f.fileno(), 0, os.fstat(f.fileno()).st_size)

    def fill(self):
        """From now on what is behind the first STEP takes no data."""
        n = 0
        with open(self.file, "rb") as f:
            for offset in range(0, os.fstat(f.fileno()).st_size, PAGE):
                page = f.read(PAGE)
                if page.startswith(MAGIC):
                    i = PAGE_STAMP.unpack_from(page)[1]
                    if i >= STEP // PAGE:
                        storage.punch(self.file, offset, PAGE)
                        n += 1
        assert n == (IMAGE - STEP) // PAGE
        self.filler = self.store.fill(self.memory)

    def heal(self):
        os.unlink(self.filler)


@pytest.fixture
def failing(store):
    return lambda kind: Failing(store, kind)


@pytest.fixture
def launch(start, store, state_dir, tmp_path):
    """launch(disk, options): export "disk" of it, and "other" of a file."""
    other = storage.make_sparse(tmp_path / "other", IMAGE)
    n = 0

    def call(disk, options=""):
        nonlocal n
        n += 1
        sock = tmp_path / f"s{n}"
        driver = "host_device" if disk.is_device else "file"
        return start(
            "--blockdev", f"driver={driver},node-name=disk,"
                          f"filename={disk.disk},discard=unmap{options}",
            "--blockdev", f"driver=file,node-name=other,filename={other}",
            *harness.offer("disk", "disk"), *harness.offer("other", "other"),
            "--nbd-server", f"addr.type=unix,addr.path={sock}",
            "--state-dir", state_dir, listen=[harness.unix(sock)])

    def call_and_note(*args):
        daemons.append(call(*args))
        return daemons[-1]

    daemons = []
    yield call_and_note
    # The end of one whose disk failed is not a good one.
    for daemon in daemons:
        if daemon.is_running():
            daemon.kill()
        harness.check_stderr(daemon.stderr())


def forget(disk, state_dir):
    done = subprocess.run(
        [*harness.program(), "--forget-failure", disk.disk, "--state-dir",
         str(state_dir)], capture_output=True, text=True, check=False,
        timeout=harness.PATIENCE)
    harness.check_stderr(done.stderr)
    return done


def write(conn, offset, size, byte=0x77):
    """Write so much, in steps; all of it is acknowledged."""
    for at in range(offset, offset + size, STEP):
        n = min(STEP, offset + size - at)
        reply = conn.call(wire.WRITE, at, n, 0, bytes([byte]) * n)
        assert reply.error == wire.OK


def lose_data(disk, conn):
    """Acknowledged writes that the storage does not take."""
    write(conn, 0, STEP, 0x11)
    assert conn.call(wire.FLUSH).error == wire.OK
    disk.fill()
    write(conn, STEP, LOST)


def expect_failed(conn, count):
    """Every modification and flush fails, and reads go on."""
    data = b"\x33" * 4096
    for command, flags, payload in [
            (wire.FLUSH, 0, b""), (wire.WRITE, 0, data),
            (wire.WRITE, wire.FUA, data), (wire.ZERO, 0, b""),
            (wire.ZERO, wire.FUA | wire.NO_HOLE, b""), (wire.TRIM, 0, b""),
            (wire.FLUSH, 0, b"")]:
        length = 0 if command == wire.FLUSH else 4096
        reply = conn.call(command, 0, length, flags, payload)
        assert reply.error == wire.EIO, (command, flags, reply.error)
        count("requests refused after a loss")
    reply = conn.call(wire.READ, 0, 4096)
    assert (reply.error, bytes(reply.data)) == (wire.OK, b"\x11" * 4096)


def expect_good(conn):
    data = b"\x55" * 4096
    for flags in 0, wire.FUA:
        assert conn.call(wire.WRITE, 0, 4096, flags, data).error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK
    assert bytes(conn.call(wire.READ, 0, 4096).data) == data


def expect_advice(said, disk, state_dir):
    """The operator learns which file it is, and what to do."""
    line = [x for x in said.splitlines() if "lost" in x]
    assert len(line) == 1, said
    assert "node=disk" in line[0]
    assert f"'{disk.disk}'" in line[0]
    command = line[0][line[0].index("ashlard --forget-failure"):]
    words = shlex.split(command.split(";")[0])
    assert words == ["ashlard", "--forget-failure", disk.disk, "--state-dir",
                     str(state_dir)]


@pytest.mark.parametrize("aio", BUFFERED)
@pytest.mark.parametrize("kind", KINDS)
def test_failed_flush_is_final(kind, aio, failing, launch, dial, state_dir,
                               count):
    disk = failing(kind)
    daemon = launch(disk, f",aio={aio}")
    conn = dial(daemon, export="disk")
    lose_data(disk, conn)
    assert conn.call(wire.FLUSH).error == wire.EIO
    # What would help the kernel does not bring back what is lost.
    disk.heal()
    expect_failed(conn, count)
    expect_failed(dial(daemon, export="disk", mode="extended"), count)
    expect_good(dial(daemon, export="other"))
    expect_advice(daemon.stderr(), disk, state_dir)
    daemon.kill()

    daemon = launch(disk, f",aio={aio}")
    expect_failed(dial(daemon, export="disk"), count)
    expect_good(dial(daemon, export="other"))
    expect_advice(daemon.stderr(), disk, state_dir)
    # A daemon that runs does not hear of it: the file is to be opened again.
    assert forget(disk, state_dir).returncode == 0
    expect_failed(dial(daemon, export="disk"), count)
    daemon.kill()

    assert "no failure" in forget(disk, state_dir).stderr
    daemon = launch(disk, f",aio={aio}")
    expect_good(dial(daemon, export="disk"))
    assert "lost" not in daemon.stderr()
    count("real write-back failures")


@pytest.mark.parametrize("how", ["write", "zero"])
@pytest.mark.parametrize("kind", ["ext4", "device"])
def test_failed_durable_request_is_final(kind, how, failing, launch, dial,
                                         count):
    """The sync of a FUA request loses what others wrote before, too."""
    disk = failing(kind)
    daemon = launch(disk)
    conn = dial(daemon, export="disk")
    lose_data(disk, conn)
    if how == "zero":
        reply = conn.call(wire.ZERO, STEP + LOST, STEP,
                          wire.FUA | wire.NO_HOLE)
    else:
        # It syncs only what it writes, so that has to be much.
        reply = conn.call(wire.WRITE, STEP, LOST, wire.FUA, b"\x99" * LOST)
    if how == "zero" and reply.error == wire.ENOSPC:
        # It could not be done at all, so nothing was synced.
        reply = conn.call(wire.FLUSH)
    assert reply.error == wire.EIO
    disk.heal()
    expect_failed(dial(daemon, export="disk"), count)
    daemon.kill()
    expect_failed(dial(launch(disk), export="disk"), count)
    count("real write-back failures")


@pytest.mark.parametrize("command", [wire.ZERO, wire.TRIM])
def test_loss_found_by_giving_space_back(command, failing, launch, dial,
                                         count):
    """Pages of a device are written before they are dropped."""
    disk = failing("device")
    daemon = launch(disk)
    conn = dial(daemon, export="disk")
    lose_data(disk, conn)
    assert conn.call(command, STEP, LOST).error == wire.EIO
    disk.heal()
    expect_failed(conn, count)
    daemon.kill()
    expect_failed(dial(launch(disk), export="disk"), count)
    count("real write-back failures")


@pytest.mark.parametrize("kind", ["ext4", "device"])
def test_loss_before_any_flush(kind, failing, launch, dial, count):
    """The kernel wrote back by itself, and the daemon was killed since."""
    disk = failing(kind)
    daemon = launch(disk)
    conn = dial(daemon, export="disk")
    lose_data(disk, conn)
    # Pages are written; the error waits for whoever syncs the file.
    os.sync()
    daemon.kill()
    disk.heal()
    conn = dial(launch(disk), export="disk")
    assert conn.call(wire.FLUSH).error == wire.EIO
    expect_failed(conn, count)
    count("real write-back failures")


def test_failed_direct_write_fails_alone(failing, launch, dial):
    """Nothing that was acknowledged is lost, so the disk goes on."""
    disk = failing("device")
    daemon = launch(disk, ",cache.direct=on")
    conn = dial(daemon, export="disk")
    write(conn, 0, STEP)
    disk.fill()
    data = bytes([0x22]) * STEP
    for flags in 0, wire.FUA:
        reply = conn.call(wire.WRITE, 8 * STEP, STEP, flags, data)
        assert reply.error in (wire.EIO, wire.ENOSPC)
    disk.heal()
    assert conn.call(wire.FLUSH).error == wire.OK
    expect_good(conn)
    daemon.kill()
    expect_good(dial(launch(disk), export="disk"))


def test_end_of_a_failed_daemon_says_so(failing, launch, dial):
    disk = failing("ext4")
    daemon = launch(disk)
    conn = dial(daemon, export="disk")
    lose_data(disk, conn)
    # Nobody flushes, so the last flush is the first to fail.
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.wait() == 1
    assert "flush failed" in daemon.stderr()
    disk.heal()
    assert dial(launch(disk), export="disk").call(
        wire.FLUSH).error == wire.EIO


def test_full_state_dir(failing, launch, dial, store, state_dir, count):
    """The mark can't be kept: the daemon says so, and remembers itself."""
    disk = failing("ext4")
    os.mkdir(state_dir)
    storage.run("mount", "-t", "tmpfs", "-o", "size=64k", "none", state_dir)
    store.undo.append(lambda: store.unmount(state_dir))
    daemon = launch(disk)
    store.fill(state_dir)
    conn = dial(daemon, export="disk")
    lose_data(disk, conn)
    assert conn.call(wire.FLUSH).error == wire.EIO
    disk.heal()
    expect_failed(conn, count)
    said = [x for x in daemon.stderr().splitlines() if "lost" in x]
    assert len(said) == 1
    assert "No space left" in said[0]
    daemon.kill()


def test_damaged_mark(failing, launch, dial, state_dir, count):
    """What can't be read is a mark all the same."""
    disk = failing("ext4")
    daemon = launch(disk)
    lose_data(disk, dial(daemon, export="disk"))
    assert dial(daemon, export="disk").call(wire.FLUSH).error == wire.EIO
    disk.heal()
    daemon.kill()
    marks = os.listdir(state_dir)
    assert len(marks) == 1
    for content in b"", b"\xff" * 4096:
        with open(state_dir / marks[0], "wb") as f:
            f.write(content)
        daemon = launch(disk)
        expect_failed(dial(daemon, export="disk"), count)
        daemon.kill()
    assert forget(disk, state_dir).returncode == 0
    assert os.listdir(state_dir) == []
    expect_good(dial(launch(disk), export="disk"))
