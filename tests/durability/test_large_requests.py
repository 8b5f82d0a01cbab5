"""Zeros and trims of terabytes, and fast zeros where there are none (S22).

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import time

import pytest

import storage
import wire

TIB = 1 << 40
SIZE = 8 * TIB
DATA = b"\x77" * 65536
PATIENCE = 20


@pytest.mark.parametrize("command", [wire.ZERO, wire.TRIM])
def test_eight_tebibytes(command, store, serve, dial, count):
    """One request, while another connection is served, and it is durable."""
    where = store.filesystem_in(store.tmpfs("512m"), "xfs")[2]
    image = storage.make_sparse(os.path.join(where, "image"), SIZE)
    daemon = serve(image)
    conn = dial(daemon, mode="extended")
    other = dial(daemon)
    ends = [0, 3 * TIB, SIZE - len(DATA)]
    for offset in ends:
        assert conn.call(wire.WRITE, offset, len(DATA), 0,
                         DATA).error == wire.OK
    assert conn.call(wire.FLUSH).error == wire.OK
    assert os.stat(image).st_blocks > 0
    begin = time.monotonic()
    conn.send(command, 0, SIZE, wire.FUA)
    reply = other.call(wire.READ, TIB, 4096)
    assert (reply.error, bytes(reply.data)) == (wire.OK, bytes(4096))
    assert conn.receive()[1].error == wire.OK
    assert time.monotonic() - begin < PATIENCE
    for offset in ends:
        assert bytes(conn.call(wire.READ, offset, 4096).data) == bytes(4096)
    assert os.stat(image).st_blocks * 512 < len(DATA)
    count("tebibytes zeroed or trimmed", 8)


def test_client_leaves_during_it(store, serve, dial):
    where = store.filesystem_in(store.tmpfs("512m"), "xfs")[2]
    image = storage.make_sparse(os.path.join(where, "image"), SIZE)
    daemon = serve(image)
    for how in "close", "disc":
        conn = dial(daemon, mode="extended")
        conn.send(wire.ZERO, 0, SIZE)
        if how == "disc":
            conn.send(wire.DISC)
        conn.close()
    other = dial(daemon)
    assert other.call(wire.WRITE, TIB, 65536, wire.FUA, DATA).error == wire.OK


def test_fast_zeros_or_none(store, serve, dial):
    """tmpfs can punch holes, and has no other way to zero quickly."""
    image = storage.make_sparse(os.path.join(store.tmpfs("16m"), "image"),
                                4 * storage.MIB)
    conn = dial(serve(image))
    assert conn.call(wire.WRITE, 0, 65536, 0, DATA).error == wire.OK
    reply = conn.call(wire.ZERO, 0, 65536, wire.FAST_ZERO | wire.NO_HOLE)
    assert reply.error == wire.ENOTSUP
    assert bytes(conn.call(wire.READ, 0, 65536).data) == DATA
    reply = conn.call(wire.ZERO, 0, 65536, wire.FAST_ZERO)
    assert reply.error == wire.OK
    assert bytes(conn.call(wire.READ, 0, 65536).data) == bytes(65536)
    assert conn.call(wire.WRITE, 0, 65536, 0, DATA).error == wire.OK
    assert conn.call(wire.ZERO, 0, 65536, wire.NO_HOLE).error == wire.OK
    assert bytes(conn.call(wire.READ, 0, 65536).data) == bytes(65536)
