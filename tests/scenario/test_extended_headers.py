"""With extended headers one request covers more than 4 GiB.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import wire
from harness import pattern

GIB = 1 << 30
TIB = 1 << 40
SIZE = 8 * TIB


@pytest.fixture
def disk(serve, image, dial):
    path = image(size=SIZE, data={n * TIB: pattern(65536, n)
                                  for n in range(8)})
    daemon = serve(path)
    conn = dial(daemon, mode="extended", contexts=["base:allocation"])
    assert conn.size == SIZE
    return path, conn


def test_zero(disk):
    path, conn = disk
    assert conn.call(wire.ZERO, GIB, 3 * TIB).error == wire.OK
    assert conn.call(wire.READ, 0, 65536).data == pattern(65536, 0)
    for n in range(1, 4):
        assert conn.call(wire.READ, n * TIB, 65536).data == bytes(65536)
    assert conn.call(wire.READ, 4 * TIB, 65536).data == pattern(65536, 4)
    assert os.stat(path).st_blocks * 512 < 8 * 65536


def test_trim(disk):
    path, conn = disk
    assert conn.call(wire.TRIM, 0, SIZE).error == wire.OK
    assert os.stat(path).st_blocks * 512 < 65536
    assert conn.call(wire.READ, 4 * TIB, 65536).data == bytes(65536)


def test_status(disk):
    _, conn = disk
    context = conn.contexts["base:allocation"]
    extents = conn.call(wire.STATUS, 0, SIZE).extents(context)
    assert extents == [(65536, 0), (TIB - 65536, 3)] * 8


def test_lengths_around_4_gib(disk, count):
    _, conn = disk
    context = conn.contexts["base:allocation"]
    for length in (4 * GIB - 1, 4 * GIB, 4 * GIB + 1, SIZE - 1, SIZE):
        for command in (wire.ZERO, wire.TRIM, wire.STATUS):
            reply = conn.call(command, SIZE - length, length)
            assert reply.error == wire.OK, (command, length)
            if command == wire.STATUS:
                assert sum(n for n, _ in reply.extents(context)) <= length
            count("large requests")


@pytest.mark.parametrize("length", [1 << 32, 1 << 63, (1 << 64) - 1])
def test_large_read_is_refused(disk, length):
    _, conn = disk
    reply = conn.call(wire.READ, 0, length)
    assert reply.error in (wire.EINVAL, wire.EOVERFLOW)
    assert conn.call(wire.READ, 0, 65536).data == pattern(65536, 0)


def test_compact_status_of_a_large_hole(serve, image, dial):
    conn = dial(serve(image(size=SIZE)), contexts=["base:allocation"])
    context = conn.contexts["base:allocation"]
    extents = conn.call(wire.STATUS, 0, (1 << 32) - 1).extents(context)
    assert all(flags == 3 for _, flags in extents)
    assert sum(n for n, _ in extents) >= 1 << 31
