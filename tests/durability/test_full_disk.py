"""A full file system: ENOSPC for that request alone, and all goes on when
there is room again (C6, C10, S63).

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import storage
import wire

STEP = storage.MIB
IMAGE = 32 * storage.MIB
WAYS = ["", ",aio=threads", ",cache.direct=on", ",cache.direct=on,aio=threads"]


def small(store, kind):
    """A file system with little room, which is really there."""
    if kind == "tmpfs":
        return store.tmpfs(8 * storage.MIB)
    return store.filesystem_in(store.tmpfs("512m"), kind)[2]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_full_file_system(kind, way, store, serve, dial, count):
    where = small(store, kind)
    image = storage.make_sparse(os.path.join(where, "image"), IMAGE)
    conn = dial(serve(image, way))
    kept = b"\x11" * STEP
    assert conn.call(wire.WRITE, 0, STEP, 0, kept).error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK
    filler = store.fill(where)
    for command, flags in [(wire.WRITE, 0), (wire.WRITE, wire.FUA),
                           (wire.ZERO, wire.NO_HOLE)]:
        payload = b"\x22" * STEP if command == wire.WRITE else b""
        reply = conn.call(command, 8 * STEP, STEP, flags, payload)
        if (command, kind) == (wire.ZERO, "btrfs") and not reply.error:
            continue  # small zeros are inline in its metadata
        assert reply.error == wire.ENOSPC, (command, flags)
        count("requests on a full file system")
    # Nothing that was acknowledged is lost.
    assert conn.call(wire.FLUSH).error == wire.OK
    assert bytes(conn.call(wire.READ, 0, STEP).data) == kept
    os.unlink(filler)
    storage.run("sync", "-f", where)  # some give room back later
    for flags in 0, wire.FUA:
        reply = conn.call(wire.WRITE, 8 * STEP, STEP, flags, b"\x33" * STEP)
        assert reply.error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK
    assert bytes(conn.call(wire.READ, 8 * STEP, STEP).data) == b"\x33" * STEP
    assert bytes(conn.call(wire.READ, 0, STEP).data) == kept


def test_file_size_limit(store, serve, dial):
    """RLIMIT_FSIZE is no signal that ends the daemon."""
    where = store.tmpfs("16m")
    image = storage.make_sparse(os.path.join(where, "image"), 4 * STEP)
    conn = dial(serve(image, prefix=["prlimit", f"--fsize={2 * STEP}"]))
    data = b"\x44" * 4096
    assert conn.call(wire.WRITE, 3 * STEP, 4096, 0, data).error == wire.ENOSPC
    assert conn.call(wire.WRITE, STEP, 4096, 0, data).error == wire.OK
    assert bytes(conn.call(wire.READ, STEP, 4096).data) == data
