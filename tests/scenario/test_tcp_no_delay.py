"""A small reply over TCP leaves at once, also right after another one.

SPDX-License-Identifier: BSD-3-Clause
"""
import socket
import time

import harness
import wire

ROUNDS = 50
# Waiting for an acknowledgement costs 40 ms a round.
LIMIT_S = 1.0


def test_small_replies_do_not_wait(serve_tcp, image, dial):
    conn = dial(serve_tcp(image(), harness.free_port()), export="disk")
    conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began = time.monotonic()
    for n in range(ROUNDS):
        conn.send(wire.READ, n * 512, 512)
        conn.send(wire.READ, n * 512, 512)
        assert [conn.receive()[1].error for _ in range(2)] == [0, 0]
    assert time.monotonic() - began < LIMIT_S
