"""After kill -9 every acknowledged write is there (C1), and the next daemon
has the disk to itself (C15).

SPDX-License-Identifier: BSD-3-Clause
"""
import time

import pytest

import oracle
import wire
from conftest import WAYS

CYCLES = 6
LONGEST = 0.08


def read_all(conn, sectors):
    reply = conn.call(wire.READ, 0, sectors * oracle.SECTOR)
    assert reply.error == wire.OK
    return reply.data


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["ext4", "device"])
def test_kill_under_load(kind, way, wired, serve, dial, rng, count):
    disk = wired(kind)
    expected = oracle.Oracle(disk.sectors)
    daemon = serve(disk.disk, WAYS[way], device=kind == "device")
    for i in range(CYCLES):
        clients = oracle.Clients([dial(daemon) for _ in range(3)], expected,
                                 rng, depth=8)
        deadline = time.monotonic() + rng.random() * LONGEST
        while time.monotonic() < deadline:
            clients.turn()
        daemon.process.kill()
        daemon = serve(disk.disk, WAYS[way], device=kind == "device")
        clients.drain()
        # With the predecessor's last writes possibly still on their way.
        content = read_all(dial(daemon), disk.sectors)
        wrong = expected.check(content, expected.acked)
        assert not wrong, wrong[:10]
        wrong = expected.check(disk.read_cut(disk.cut()))
        assert not wrong, wrong[:10]
        count("kills under load")
        count("requests in flight at a kill", len(clients.sent))
        count("acknowledged modifications", clients.n_acked)
        count("sectors that had to survive a kill",
              expected.n_required(expected.acked))
