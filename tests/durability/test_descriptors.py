"""Too few file descriptors: later clients are turned away, those who are
there go on, and later ones are served when there is room (S72).

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import harness
import storage
import wire

FLOOD = 300


@pytest.mark.parametrize("limit", [64, 256])
def test_flood(limit, store, serve, dial, count):
    image = storage.make_sparse(os.path.join(store.tmpfs("16m"), "image"),
                                4 * storage.MIB)
    daemon = serve(image, prefix=["prlimit", f"--nofile={limit}"],
                   args=["--workers", "1"])
    honest = dial(daemon)
    data = b"\x21" * 65536
    flood = []
    for _ in range(FLOOD):
        try:
            flood.append(harness.dial(daemon.listen[0]))
        except OSError:
            pass  # the queue of the socket is full
        if len(flood) % 50 == 0:
            assert honest.call(wire.WRITE, 0, 65536, wire.FUA,
                               data).error == wire.OK
    assert bytes(honest.call(wire.READ, 0, 65536).data) == data
    open_files = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    assert open_files <= limit
    for s in flood:
        s.close()
    conn = harness.wait_until(lambda: try_dial(dial, daemon),
                              "a connection after the flood")
    assert bytes(conn.call(wire.READ, 0, 65536).data) == data
    assert honest.call(wire.FLUSH).error == wire.OK
    count("connections in floods", len(flood))


def try_dial(dial, daemon):
    try:
        return dial(daemon)
    except (OSError, EOFError):
        return None
