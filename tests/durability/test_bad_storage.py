"""Storage that shrinks, goes away or is changed by others: errors for what is
affected, and nothing else (C6, S59, S64).

SPDX-License-Identifier: BSD-3-Clause
"""
import fcntl
import os
import struct

import pytest

import harness
import storage
import wire
from conftest import WAYS

STEP = storage.MIB
IMAGE = 8 * storage.MIB
SHUTDOWN = 0x8004587d  # XFS_IOC_GOINGDOWN, which ext4 has, too
NO_LOG_FLUSH = 2
BLKFLSBUF = 0x1261
FIRST, LAST = b"\x11" * 4096, b"\x99" * 4096


def expect_read(conn, offset, data, error=wire.OK):
    """An error has no data, and is not the end of the connection."""
    reply = conn.call(wire.READ, offset, len(data))
    assert reply.error == error
    if not error:
        assert bytes(reply.data) == data
    else:
        assert all(kind != wire.CHUNK_DATA for kind, _ in reply.chunks)


def write_ends(conn):
    for offset, data in (0, FIRST), (IMAGE - 4096, LAST):
        assert conn.call(wire.WRITE, offset, 4096, 0, data).error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK


@pytest.mark.parametrize("way", WAYS)
def test_file_is_cut_off(way, store, serve, dial, count):
    """Somebody makes the file shorter, and a write makes it longer again."""
    where = store.filesystem_in(store.tmpfs("64m"), "ext4")[2]
    image = storage.make_sparse(os.path.join(where, "image"), IMAGE)
    conn = dial(serve(image, WAYS[way]))
    write_ends(conn)
    os.truncate(image, 2 * STEP)
    expect_read(conn, IMAGE - 4096, LAST, wire.EIO)
    expect_read(conn, 2 * STEP - 4096, bytes(8192), wire.EIO)
    expect_read(conn, 0, FIRST)
    assert conn.call(wire.WRITE, STEP, 4096, wire.FUA, LAST).error == wire.OK
    assert conn.call(wire.WRITE, IMAGE - 4096, 4096, 0,
                     FIRST).error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK
    expect_read(conn, IMAGE - 4096, FIRST)
    expect_read(conn, 3 * STEP, bytes(4096))
    expect_read(conn, STEP, LAST)
    count("ways in which storage was broken")


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_name_goes_away(how, store, serve, dial, count):
    """The daemon serves the file that it opened, whatever the name means."""
    where = store.filesystem_in(store.tmpfs("64m"), "ext4")[2]
    image = storage.make_sparse(os.path.join(where, "image"), IMAGE)
    daemon = serve(image)
    conn = dial(daemon)
    write_ends(conn)
    if how == "deleted":
        os.unlink(image)
    else:
        os.rename(storage.make_sparse(image + ".new", IMAGE), image)
    expect_read(conn, 0, FIRST)
    assert conn.call(wire.WRITE, STEP, 4096, wire.FUA, LAST).error == wire.OK
    assert conn.call(wire.ZERO, 0, 4096).error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK
    expect_read(dial(daemon), STEP, LAST)
    if how == "replaced":
        with open(image, "rb") as f:
            assert f.read() == bytes(IMAGE)
    count("ways in which storage was broken")


@pytest.mark.parametrize("way", WAYS)
def test_device_shrinks(way, store, serve, dial, state_dir, count):
    file = storage.make_sparse(os.path.join(store.tmpfs("16m"), "disk"),
                               IMAGE)
    dev = store.loop(file)
    daemon = serve(dev, WAYS[way], device=True)
    conn = dial(daemon)
    write_ends(conn)
    storage.resize_loop(dev, file, 4 * STEP)
    expect_read(conn, 6 * STEP, FIRST, wire.EIO)
    reply = conn.call(wire.WRITE, 6 * STEP, 4096, 0, FIRST)
    assert reply.error in (wire.EIO, wire.ENOSPC)
    reply = conn.call(wire.ZERO, 6 * STEP, 4096)
    assert reply.error in (wire.EIO, wire.ENOSPC)
    expect_read(conn, 0, FIRST)
    assert conn.call(wire.WRITE, STEP, 4096, wire.FUA, LAST).error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK
    storage.resize_loop(dev, file, IMAGE)
    assert conn.call(wire.WRITE, 6 * STEP, 4096, wire.FUA,
                     LAST).error == wire.OK
    expect_read(dial(daemon), 6 * STEP, LAST)
    assert os.listdir(state_dir) == []
    count("ways in which storage was broken")


@pytest.mark.parametrize("way", ["threads", "io_uring-direct"])
def test_backing_of_the_device_is_cut_off(way, store, serve, dial, count):
    """The device keeps its size; what it says is what clients get."""
    file = storage.make_sparse(os.path.join(store.tmpfs("16m"), "disk"),
                               IMAGE)
    dev = store.loop(file)
    conn = dial(serve(dev, WAYS[way], device=True))
    write_ends(conn)
    os.truncate(file, 4 * STEP)
    with open(dev, "rb") as f:
        fcntl.ioctl(f, BLKFLSBUF)  # nothing is cached any more
        for offset in 2 * STEP, 4 * STEP - 4096, 6 * STEP:
            try:
                expected = (os.pread(f.fileno(), 4096, offset), wire.OK)
            except OSError:
                expected = (bytes(4096), wire.EIO)
            expect_read(conn, offset, *expected)
    assert conn.call(wire.WRITE, STEP, 4096, wire.FUA, LAST).error == wire.OK
    expect_read(conn, STEP, LAST)
    count("ways in which storage was broken")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_file_system_shuts_down(kind, way, store, serve, dial, count):
    """As after an error in its journal: what is not on disk is lost (C7)."""
    mounted = store.filesystem_in(store.tmpfs("512m"), kind)[2]
    image = storage.make_sparse(os.path.join(mounted, "image"), IMAGE)
    daemon = serve(image, WAYS[way])
    conn = dial(daemon)
    write_ends(conn)
    assert conn.call(wire.WRITE, STEP, 4096, 0, LAST).error == wire.OK
    with open(image, "rb") as f:
        fcntl.ioctl(f, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    assert conn.call(wire.FLUSH).error == wire.EIO
    assert conn.call(wire.WRITE, 0, 4096, 0, LAST).error == wire.EIO
    assert conn.call(wire.READ, STEP, 4096).error in (wire.OK, wire.EIO)
    assert "--forget-failure" in daemon.stderr()
    daemon.kill()
    count("ways in which storage was broken")


def test_read_only_mount(store, start, refuse, dial, tmp_path):
    where = store.filesystem_in(store.tmpfs("64m"), "ext4")[2]
    image = storage.make_sparse(os.path.join(where, "image"), IMAGE)
    storage.run("mount", "-o", "remount,ro", where)
    sock = tmp_path / "sock"
    args = ["--nbd-server", f"addr.type=unix,addr.path={sock}"]
    said = refuse(*args, *harness.graph(image), *harness.offer("disk"))
    assert image in said and "Read-only file system" in said
    daemon = start(*args, *harness.graph(image, read_only=True),
                   *harness.offer("disk", writable=False),
                   listen=[harness.unix(sock)])
    conn = dial(daemon, export="")
    expect_read(conn, 0, bytes(4096))
    assert conn.call(wire.WRITE, 0, 4096, 0, LAST).error == wire.EPERM
    assert conn.call(wire.FLUSH).error == wire.OK
