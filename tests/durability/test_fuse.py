"""A file system that fails when it is told to: errors of single reads and
writes (S64), a sync that fails once and then succeeds (C7).

nbdfuse makes the file, and nbdkit's scripts what is behind it.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import subprocess

import pytest

import harness
import storage
import wire

SIZE = 4 * storage.MIB
DATA = b"\x5a" * 4096
# A request fails as long as there is a file of its name.
FAIL = 'if [ -e "$DIR/%s" ]; then echo "EIO as told" >&2; exit 1; fi; '
SCRIPTS = {
    "get_size": f"echo {SIZE}",
    "can_write": "exit 0",
    "can_flush": "exit 0",
    "pread": FAIL % "pread" + "dd if=$DIR/disk iflag=skip_bytes,count_bytes "
             "skip=$4 count=$3 status=none",
    "pwrite": FAIL % "pwrite" + "dd of=$DIR/disk oflag=seek_bytes seek=$4 "
              "conv=notrunc status=none",
    # It is told once.
    "flush": 'if rm "$DIR/flush" 2>/dev/null; then '
             'echo "EIO as told" >&2; exit 1; fi',
}


@pytest.fixture
def fuse(store, tmp_path):
    """(path of the file, folder of the files that say what fails)"""
    folder = tmp_path / "mount"
    folder.mkdir()
    storage.make_sparse(tmp_path / "disk", SIZE)
    scripts = [f"{k}={v}".replace("$DIR", str(tmp_path))
               for k, v in SCRIPTS.items()]
    mounted = folder / "disk"
    process = subprocess.Popen(
        ["nbdfuse", mounted, "[", "nbdkit", "--exit-with-parent", "eval",
         *scripts, "]"], env=os.environ | {"PATH": storage.PATH})
    try:
        harness.wait_until(mounted.exists, "nbdfuse to mount")
        yield mounted, tmp_path
    finally:
        store.unmount(str(folder))
        process.wait(harness.PATIENCE)


@pytest.mark.parametrize("way", ["", ",aio=threads"])
def test_single_errors(way, fuse, serve, dial, count):
    mounted, told = fuse
    conn = dial(serve(mounted, way))
    for command, payload in (wire.READ, b""), (wire.WRITE, DATA):
        name = "pread" if command == wire.READ else "pwrite"
        (told / name).touch()
        reply = conn.call(command, 65536, 4096, 0, payload)
        assert reply.error == wire.EIO
        (told / name).unlink()
        reply = conn.call(command, 65536, 4096, 0, payload)
        assert reply.error == wire.OK
        count("single errors of a file system")
    assert bytes(conn.call(wire.READ, 65536, 4096).data) == DATA
    assert conn.call(wire.FLUSH).error == wire.OK


@pytest.mark.parametrize("flags", [0, wire.FUA])
def test_sync_fails_once(flags, fuse, serve, dial, count):
    mounted, told = fuse
    daemon = serve(mounted)
    conn = dial(daemon)
    assert conn.call(wire.WRITE, 0, 4096, 0, DATA).error == wire.OK
    (told / "flush").touch()
    if flags:
        reply = conn.call(wire.WRITE, 8192, 4096, flags, DATA)
    else:
        reply = conn.call(wire.FLUSH)
    assert reply.error == wire.EIO
    assert not (told / "flush").exists()
    expect_failed(conn)
    daemon.kill()
    daemon = serve(mounted)
    expect_failed(dial(daemon))
    daemon.kill()
    count("syncs that failed once")


def expect_failed(conn):
    assert conn.call(wire.FLUSH).error == wire.EIO
    assert conn.call(wire.WRITE, 0, 4096, 0, DATA).error == wire.EIO
    assert bytes(conn.call(wire.READ, 0, 4096).data) == DATA
