"""Zeroing punches a hole, unless NO_HOLE asks for allocated blocks.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import wire
from harness import pattern

MIB = 1 << 20


def blocks(path):
    return os.stat(path).st_blocks * 512


@pytest.fixture
def disk(serve, image, dial):
    path = image(size=8 * MIB, data={0: pattern(8 * MIB)})
    assert blocks(path) >= 8 * MIB
    return path, dial(serve(path))


def test_hole(disk):
    path, conn = disk
    assert conn.call(wire.ZERO, MIB, 4 * MIB).error == wire.OK
    assert path.read_bytes()[MIB:5 * MIB] == bytes(4 * MIB)
    assert blocks(path) <= 4 * MIB + 65536


@pytest.mark.parametrize("before", ["data", "hole"])
def test_no_hole(disk, before):
    path, conn = disk
    if before == "hole":
        assert conn.call(wire.ZERO, MIB, 4 * MIB).error == wire.OK
    reply = conn.call(wire.ZERO, MIB, 4 * MIB, wire.NO_HOLE)
    assert reply.error == wire.OK
    assert path.read_bytes()[MIB:5 * MIB] == bytes(4 * MIB)
    assert blocks(path) >= 8 * MIB


@pytest.mark.parametrize("flags", [0, wire.NO_HOLE, wire.FUA])
def test_unaligned(disk, flags):
    path, conn = disk
    expected = bytearray(path.read_bytes())
    for offset, length in ((1, 1), (511, 3), (4095, 2), (5000, 70001),
                           (MIB - 1, 2 * MIB + 3), (8 * MIB - 1, 1)):
        assert conn.call(wire.ZERO, offset, length, flags).error == wire.OK
        expected[offset:offset + length] = bytes(length)
        assert path.read_bytes() == expected, (offset, length)
