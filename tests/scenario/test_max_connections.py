"""No more clients than max-connections are served; a place freed is given.

SPDX-License-Identifier: BSD-3-Clause
"""
import harness
import wire

NOT_SERVED = (wire.Refused, OSError, EOFError)


def served(daemon, seconds):
    """A connection, or None when the server does not take one now."""
    sock = harness.dial(daemon.listen[0])
    sock.settimeout(seconds)
    try:
        return wire.Wire(sock)
    except NOT_SERVED:
        sock.close()
        return None


def test_limit(serve, image):
    daemon = serve(image(), server=",max-connections=2")
    # The test for readiness was a client, too, and may not be gone yet.
    clients = [harness.wait_until(lambda: served(daemon, 1), "a place")
               for _ in range(2)]
    for _ in range(3):
        assert served(daemon, 0.3) is None
    for conn in clients:
        assert conn.call(wire.READ, 0, 512).error == 0
    clients.pop().close()
    clients.append(harness.wait_until(lambda: served(daemon, 1),
                                      "the freed place"))
    for conn in clients:
        assert conn.call(wire.READ, 0, 512).error == 0
        conn.close()


def test_no_place_is_lost(serve, image):
    daemon = serve(image(), server=",max-connections=3")
    for n in range(60):
        if n % 2:
            harness.dial(daemon.listen[0]).close()
        else:
            conn = harness.wait_until(lambda: served(daemon, 1), "a place")
            conn.send(wire.READ, 0, 1 << 20)
            conn.close()
    clients = [harness.wait_until(lambda: served(daemon, 1), "a place")
               for _ in range(3)]
    for conn in clients:
        assert conn.call(wire.READ, 0, 512).error == 0
        conn.close()
