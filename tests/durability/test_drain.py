"""SIGTERM: what is in flight is finished, and all that was acknowledged is
durable when the daemon has ended.

SPDX-License-Identifier: BSD-3-Clause
"""
import signal

import pytest

import oracle
import wire
from conftest import WAYS

TURNS = 60


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["ext4", "btrfs", "device"])
def test_sigterm_under_load(kind, way, wired, serve, dial, rng, count):
    disk = wired(kind)
    daemon = serve(disk.disk, WAYS[way], device=kind == "device")
    expected = oracle.Oracle(disk.sectors)
    # Without flushes: the last one is the daemon's own.
    clients = oracle.Clients([dial(daemon) for _ in range(3)], expected, rng,
                             depth=16, flushes=False)
    for _ in range(TURNS):
        clients.turn()
    n = len(clients.sent)
    daemon.process.send_signal(signal.SIGTERM)
    clients.drain(refusals=(wire.ESHUTDOWN,))
    # What the daemon had not received yet when all else was done has no
    # answer, and may not be there; tests/scenario/test_sigterm_drains.py has
    # what it had received.
    assert daemon.wait() == 0
    wrong = expected.check(disk.read_cut(disk.cut()), expected.acked)
    assert not wrong, wrong[:10]
    count("power cuts")
    count("requests in flight at SIGTERM", n)
    count("requests refused or not received at SIGTERM",
          clients.n_refused + len(clients.sent))
    count("sectors durable at the end", expected.n_required(expected.acked))
