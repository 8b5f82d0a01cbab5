"""Block status tells holes from data, exactly, from any offset on.

SPDX-License-Identifier: BSD-3-Clause
"""
import random

import pytest

import wire
from harness import pattern

UNIT = 65536
UNITS = 128


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("mode", ["structured", "extended"])
def test_random_layout(serve, image, dial, count, mode, seed):
    rng = random.Random(seed)
    is_data = [rng.random() < 0.5 for _ in range(UNITS)]
    path = image(size=UNITS * UNIT, data={
        n * UNIT: pattern(UNIT, n) for n in range(UNITS) if is_data[n]})
    conn = dial(serve(path), mode=mode, contexts=["base:allocation"])
    context = conn.contexts["base:allocation"]
    for _ in range(40):
        offset = rng.randrange(UNITS * UNIT // 512) * 512
        length = rng.randrange(1, UNITS * UNIT // 512 - offset // 512 + 1) * 512
        reply = conn.call(wire.STATUS, offset, length)
        at = offset
        for bytes_, flags in reply.extents(context):
            assert bytes_ > 0
            for n in range(at // UNIT, (at + bytes_ - 1) // UNIT + 1):
                if n < UNITS:
                    assert flags == (0 if is_data[n] else 3), (seed, offset, n)
            at += bytes_
            count("extents checked")
        assert at > offset
        # Only the last extent may go on behind the range.
        assert at - bytes_ < offset + length


def test_status_follows_writes(serve, image, dial):
    conn = dial(serve(image(size=4 << 20)), contexts=["base:allocation"])
    context = conn.contexts["base:allocation"]

    def extents():
        return conn.call(wire.STATUS, 0, 4 << 20).extents(context)
    assert extents() == [(4 << 20, 3)]
    assert conn.call(wire.WRITE, 1 << 20, 1 << 20,
                     payload=pattern(1 << 20)).error == wire.OK
    assert extents() == [(1 << 20, 3), (1 << 20, 0), (2 << 20, 3)]
    assert conn.call(wire.ZERO, 1 << 20, 1 << 19).error == wire.OK
    assert extents() == [(3 << 19, 3), (1 << 19, 0), (2 << 20, 3)]
    assert conn.call(wire.TRIM, 0, 4 << 20).error == wire.OK
    assert extents() == [(4 << 20, 3)]


def test_req_one(serve, image, dial):
    data = {n << 17: pattern(65536) for n in range(8)}
    conn = dial(serve(image(data=data)), contexts=["base:allocation"])
    context = conn.contexts["base:allocation"]
    for offset, length, expected in ((0, 1 << 20, (65536, 0)),
                                     (4096, 1 << 20, (65536 - 4096, 0)),
                                     (65536, 512, (512, 3)),
                                     (0, 512, (512, 0))):
        length = min(length, (1 << 20) - offset)
        reply = conn.call(wire.STATUS, offset, length, wire.REQ_ONE)
        assert reply.extents(context) == [expected]
