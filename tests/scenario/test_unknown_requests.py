"""Unknown commands and flags get EINVAL; the connection lives.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import wire

# FUA is valid for all commands; PAYLOAD_LEN has scenarios of its own.
KNOWN = {wire.READ: wire.DF, wire.WRITE: wire.PAYLOAD_LEN, wire.FLUSH: 0,
         wire.TRIM: 0, wire.CACHE: 0, wire.ZERO: wire.NO_HOLE | wire.FAST_ZERO,
         wire.STATUS: wire.REQ_ONE | wire.PAYLOAD_LEN}


@pytest.fixture
def conn(serve, image, dial):
    return dial(serve(image()), contexts=["base:allocation"])


def expect_einval(conn, count, command, flags, length=512):
    if command == wire.FLUSH:
        length = 0
    payload = bytes(length) if command == wire.WRITE else b""
    reply = conn.call(command, 0, length, flags, payload)
    assert reply.error == wire.EINVAL, (command, flags)
    assert conn.call(wire.READ, 0, 16).data == bytes(16)
    count("errors checked")


def test_unknown_commands(conn, count):
    for command in [8, 9, 10, 0xff, 0x1234, 0x8000, 0xffff]:
        expect_einval(conn, count, command, 0)


def test_unknown_flags(conn, count):
    for command, known in KNOWN.items():
        for bit in range(16):
            if not (known | wire.FUA) & 1 << bit:
                expect_einval(conn, count, command, 1 << bit)


def test_fua_is_valid_for_all(conn):
    for command in KNOWN:
        length = 0 if command == wire.FLUSH else 512
        payload = bytes(512) if command == wire.WRITE else b""
        reply = conn.call(command, 0, length, wire.FUA, payload)
        assert reply.error == wire.OK, command
        assert conn.call(wire.READ, 0, 16).data == bytes(16)


def test_status_without_context(serve, image, dial):
    conn = dial(serve(image()))
    assert conn.call(wire.STATUS, 0, 512).error == wire.EINVAL
    assert conn.call(wire.READ, 0, 16).data == bytes(16)


def test_oversize_write_does_not_desynchronise(serve, image, dial):
    daemon = serve(image(size=64 << 20))
    for length in ((32 << 20) - 1, 32 << 20):
        conn = dial(daemon)
        reply = conn.call(wire.WRITE, 0, length, payload=b"x" * length)
        assert reply.error == wire.OK
    conn = dial(daemon)
    length = (32 << 20) + 1
    try:
        reply = conn.call(wire.WRITE, 0, length, payload=b"y" * length)
        assert reply.error in (wire.EINVAL, wire.EOVERFLOW)
        assert conn.call(wire.READ, 0, 16).data == b"x" * 16
    except (EOFError, OSError):
        pass
    assert dial(daemon).call(wire.READ, 0, 16).data == b"x" * 16
