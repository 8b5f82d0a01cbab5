"""FAST_ZERO succeeds where it is fast and gets ENOTSUP, unchanged, where not.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import harness
import wire

MIB = 1 << 20


def test_fast(serve, image, dial):
    path = image(size=MIB, data={0: harness.pattern(MIB)})
    conn = dial(serve(path))
    assert conn.call(wire.ZERO, 0, MIB, wire.FAST_ZERO).error == wire.OK
    assert path.read_bytes() == bytes(MIB)


# ramfs has no fallocate.  The daemon has the file system for itself.
ON_RAMFS = """
mount -t ramfs none "$0"
truncate -s 1M "$0/disk.img"
exec "$@"
"""


@pytest.mark.parametrize("flags", [0, wire.NO_HOLE])
def test_not_fast(start, dial, tmp_path, flags):
    sock, folder = tmp_path / "nbd.sock", tmp_path / "ramfs"
    folder.mkdir()
    private = ["unshare", "--mount"]
    if os.getuid() != 0:
        private.append("--map-root-user")
    conn = dial(start(
        *harness.graph(folder / "disk.img"), "--nbd-server",
        f"addr.type=unix,addr.path={sock}", *harness.offer("disk"),
        listen=[harness.unix(sock)],
        prefix=[*private, "sh", "-ec", ON_RAMFS, folder]))
    content = harness.pattern(MIB)
    assert conn.call(wire.WRITE, 0, MIB, payload=content).error == wire.OK
    reply = conn.call(wire.ZERO, 0, MIB, wire.FAST_ZERO | flags)
    assert reply.error == wire.ENOTSUP
    assert conn.call(wire.READ, 0, MIB).data == content
    assert conn.call(wire.ZERO, 0, MIB, flags).error == wire.OK
    assert conn.call(wire.READ, 0, MIB).data == bytes(MIB)
