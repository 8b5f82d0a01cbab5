"""After kill -9 every acknowledged write is there (C1), and the next daemon
has the disk to itself (C15).

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import time

import pytest

import harness
import oracle
import storage
import wire
from conftest import WAYS

CYCLES = 6
STARTS = 10
KILLS_OF_SPACE = 8
DISCARDED = 8064
LONGEST_SPACE = 0.003
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


def test_two_start_at_once(store, dial, tmp_path, count):
    """Exactly one of them gets the disk; the other says who has it."""
    image = storage.make_sparse(
        os.path.join(store.tmpfs("16m"), "image"), storage.MIB)
    for i in range(STARTS):
        both = []
        for j in range(2):
            sock = tmp_path / f"{i}-{j}"
            both.append(harness.Daemon(
                [*harness.graph(image), *harness.offer("disk"),
                 "--state-dir", tmp_path / "state", "--nbd-server",
                 f"addr.type=unix,addr.path={sock}"],
                [harness.unix(sock)], tmp_path / f"{i}-{j}.log"))
        try:
            harness.wait_until(lambda: settled(both), "one of two to end")
            losers = [d for d in both if not d.is_running()]
            assert len(losers) == 1, [d.stderr() for d in both]
            assert losers[0].wait() == 1
            assert "lock" in losers[0].stderr()
            winner = next(d for d in both if d.is_running())
            assert dial(winner).call(wire.WRITE, 0, 512, wire.FUA,
                                     bytes(512)).error == wire.OK
        finally:
            for daemon in both:
                if daemon.is_running():
                    daemon.kill()
        count("starts of two at once")


def settled(both):
    """One serves, and the other has ended; or both have."""
    n_ended = sum(not d.is_running() for d in both)
    return n_ended == 2 or (n_ended == 1 and any(
        harness.listens(d.listen[0]) for d in both if d.is_running()))


@pytest.mark.parametrize("command", [wire.ZERO, wire.TRIM])
@pytest.mark.parametrize("kind", ["ext4", "device"])
def test_kill_while_space_is_given_back(kind, command, wired, serve, dial, rng,
                                        count):
    """The kernel drops dirty pages first; what they held must not be lost to
    what is still on disk."""
    disk = wired(kind)
    expected = oracle.Oracle(disk.sectors)
    daemon = serve(disk.disk, device=kind == "device")
    for _ in range(KILLS_OF_SPACE):
        conn = dial(daemon)
        pump = oracle.Clients([conn], expected, rng)
        for flush in True, False:
            for first in range(0, DISCARDED, oracle.MAX_SECTORS):
                pump.write(conn, first, oracle.MAX_SECTORS)
            pump.finish()
            if flush:
                pump.flush(conn)
                pump.finish()
        pump.modify(conn, command, 0, DISCARDED)
        time.sleep(rng.random() * LONGEST_SPACE)
        daemon.process.kill()
        daemon = serve(disk.disk, device=kind == "device")
        pump.drain()
        wrong = expected.check(read_all(dial(daemon), disk.sectors),
                               expected.acked)
        assert not wrong, wrong[:10]
        count("kills while space was given back")
