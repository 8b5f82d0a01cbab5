"""Clients that go away while their requests wait for memory.

SPDX-License-Identifier: BSD-3-Clause
"""
import array
import fcntl
import socket
import termios
import time

import pytest

import harness
import wire
from shapes import header

PIECE = 65536


def unread(sock):
    """Bytes that the client may receive at once."""
    n = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, n)
    return n[0]


def fill(conn):
    """Read without receiving, until the server can't send any more."""
    while True:
        before = unread(conn.sock)
        conn.send(wire.READ, 0, PIECE, wire.DF)
        try:
            harness.wait_until(lambda: unread(conn.sock) >= before + PIECE,
                               "a reply", 0.5)
        except AssertionError:
            return


@pytest.mark.parametrize("end", ["nonsense", "half"])
def test_requests_wait_for_memory_that_replies_hold(target, count, end):
    """bug-classes 31: replies go with the connection, or requests that wait
    for its memory would wait for ever and the connection with them."""
    data = {n << 13: b"x" * 4096 for n in range(640)}
    victim = target(size=8 << 20, data=data,
                    options=("--connection-memory", "1M"))
    for mode in ("structured", "extended"):
        conn = victim.wire(mode, contexts=["base:allocation"])
        fill(conn)
        # Some of these get a buffer, which their replies keep.  With half a
        # request behind them the server keeps its input buffer, and listens.
        conn.put(header(mode, wire.STATUS, length=8 << 20) * 12 + bytes(9))
        time.sleep(0.3)
        if end == "half":
            conn.sock.shutdown(socket.SHUT_WR)
        else:
            conn.put(bytes(64))
        harness.wait_until(lambda: victim.fds() <= victim.before_fds,
                           "the server to close", 5)
        count("inputs tried", 12)
        conn.close()
