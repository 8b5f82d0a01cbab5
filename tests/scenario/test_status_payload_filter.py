"""BLOCK_STATUS with a payload answers only the contexts that it names.

SPDX-License-Identifier: BSD-3-Clause
"""
import struct

import pytest

import wire
from harness import pattern

BOTH = ["base:allocation", "qemu:allocation-depth"]


@pytest.fixture
def conn(serve, image, dial):
    daemon = serve(image(data={0: pattern(65536)}),
                   export=",allocation-depth=on")
    conn = dial(daemon, mode="extended", contexts=BOTH)
    assert conn.flags & 1 << 12
    return conn


def status(conn, ids, length=1 << 20):
    payload = struct.pack(">Q", length)
    payload += b"".join(struct.pack(">I", i) for i in ids)
    return conn.call(wire.STATUS, 0, len(payload), wire.PAYLOAD_LEN, payload)


def test_all_without_payload(conn):
    reply = conn.call(wire.STATUS, 0, 1 << 20)
    assert all(reply.extents(conn.contexts[name]) for name in BOTH)


@pytest.mark.parametrize("wanted", [[0], [1], [0, 1], [1, 0]])
def test_filter(conn, wanted):
    names = [BOTH[n] for n in wanted]
    reply = status(conn, [conn.contexts[name] for name in names])
    assert reply.error == wire.OK
    for name in BOTH:
        found = reply.extents(conn.contexts[name])
        assert (found is not None) == (name in names)
    if "base:allocation" in names:
        found = reply.extents(conn.contexts["base:allocation"])
        assert found == [(65536, 0), ((1 << 20) - 65536, 3)]


def test_bad_payloads(conn, count):
    base = conn.contexts["base:allocation"]
    other = max(conn.contexts.values()) + 1
    for ids, length in (([other], 4096), ([base, base], 4096),
                        ([base, other], 4096), ([base], 0),
                        ([base], (1 << 20) + 1)):
        assert status(conn, ids, length).error == wire.EINVAL, (ids, length)
        count("errors checked")
    for n in (0, 4, 7, 13):
        reply = conn.call(wire.STATUS, 0, n, wire.PAYLOAD_LEN, bytes(n))
        assert reply.error == wire.EINVAL, n
        count("errors checked")
    assert status(conn, [base]).error == wire.OK
