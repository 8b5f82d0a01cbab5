"""What a flush or FUA acknowledged survives a power cut (C2, C3, C4).

SPDX-License-Identifier: BSD-3-Clause
"""
import time

import pytest

import oracle
import wire
from conftest import WAYS

KINDS = ["ext4", "xfs", "btrfs", "device"]
CUTS = 20
CUTS_OF_ONE_KIND = 10
PATIENCE = 20
ROUNDS_OF_SYNCS = 20
SYNC_DELAY = 0.0004


def load(clients, rng, wanted):
    """Requests until a flush or FUA is acknowledged, or only for a while."""
    if wanted == "flush":
        def stop(kind, fua):
            return kind == "flush"
    elif wanted == "fua":
        def stop(kind, fua):
            return fua
    else:
        n = rng.randrange(1, 40)

        def stop(kind, fua):
            nonlocal n
            n -= 1
            return n == 0
    deadline = time.monotonic() + PATIENCE
    while not clients.turn(stop):
        assert time.monotonic() < deadline, f"no {wanted} in {PATIENCE} s"


def cut_and_check(disk, expected, count):
    """Nothing durable is lost; sectors that had to be there are counted."""
    wrong = expected.check(disk.read_cut(disk.cut()))
    assert not wrong, wrong[:10]
    count("power cuts")
    count("sectors that had to survive a cut", expected.n_required())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_cut_under_load(kind, way, wired, serve, dial, rng, count):
    # Larger sectors below direct I/O: parts of them are read and completed.
    loop = ["-b", "4096"] if way == "threads-direct" else []
    disk = wired(kind, loop=loop)
    daemon = serve(disk.disk, WAYS[way], device=kind == "device")
    expected = oracle.Oracle(disk.sectors)
    clients = oracle.Clients([dial(daemon, mode=mode) for mode in
                              ("simple", "structured", "extended")],
                             expected, rng)
    for i in range(CUTS):
        load(clients, rng, ["flush", "fua", "any"][i % 3])
        cut_and_check(disk, expected, count)
    clients.finish()
    count("acknowledged modifications", clients.n_acked)
    count("acknowledged flushes and FUA", clients.n_flushed)


@pytest.mark.parametrize("command", [wire.WRITE, wire.ZERO])
@pytest.mark.parametrize("how", ["fua", "writethrough"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_request_by_itself(kind, how, command, wired, serve, dial, rng,
                                count):
    disk = wired(kind)
    way = rng.choice(list(WAYS))
    daemon = serve(disk.disk, WAYS[way], device=kind == "device",
                   export=",writethrough=on" if how == "writethrough" else "")
    expected = oracle.Oracle(disk.sectors)
    conn = dial(daemon)
    flags = wire.FUA if how == "fua" else 0
    for _ in range(CUTS_OF_ONE_KIND):
        n = rng.randrange(1, oracle.MAX_SECTORS)
        first = rng.randrange(disk.sectors - n + 1)
        for kind_now in dict.fromkeys([wire.WRITE, command]):
            op = expected.submit(first, n, kind_now)
            payload = op.payload() if kind_now == wire.WRITE else b""
            assert conn.call(kind_now, first * oracle.SECTOR,
                             n * oracle.SECTOR, flags,
                             payload).error == wire.OK
            expected.ack(op, True)
            cut_and_check(disk, expected, count)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flush_beside_a_durable_write(kind, wired, serve, dial, rng, count):
    """Whichever is answered first, it has not relied on the other."""
    disk = wired(kind)
    daemon = serve(disk.disk, ",aio=io_uring,cache.direct=on",
                   device=kind == "device")
    expected = oracle.Oracle(disk.sectors)
    a, b = clients = [dial(daemon), dial(daemon)]
    pump = oracle.Clients(clients, expected, rng)
    for i in range(ROUNDS_OF_SYNCS):
        for first in (i * 16, 4096 + i * 8, 6000 + i * 8):
            pump.write(a, first, 8)
        pump.finish()
        pump.write(a, 2000 + i * 8, 8, wire.FUA)
        delay = time.monotonic() + rng.random() * SYNC_DELAY
        while time.monotonic() < delay:
            pass
        pump.flush(b)
        while not pump.take(lambda kind, fua: True, PATIENCE):
            pass
        cut_and_check(disk, expected, count)
        pump.finish()


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_seen(kind, wired, serve, dial, rng, count):
    """The method finds what a server loses that does not flush."""
    disk = wired(kind)
    daemon = serve(disk.disk, ",cache.no-flush=on", device=kind == "device")
    expected = oracle.Oracle(disk.sectors)
    clients = oracle.Clients([dial(daemon)], expected, rng)
    load(clients, rng, "flush")
    while expected.n_required() < 4 * oracle.MAX_SECTORS:
        load(clients, rng, "flush")
    wrong = expected.check(disk.read_cut(disk.cut()))
    assert len(wrong) > oracle.MAX_SECTORS
    count("sectors seen to be lost without flushes", len(wrong))
    clients.finish()
