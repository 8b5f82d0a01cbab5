"""A flush covers what was acknowledged on every connection (C2), so that the
export may offer NBD_FLAG_CAN_MULTI_CONN.

SPDX-License-Identifier: BSD-3-Clause
"""
import socket

import pytest

import oracle
import wire
from conftest import WAYS

CAN_MULTI_CONN = 1 << 8
ROUNDS = 6


@pytest.mark.parametrize("leave", ["stays", "disc", "hangs-up"])
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "device"])
def test_flush_of_another_connection(kind, leave, wired, serve, dial, rng,
                                     count):
    disk = wired(kind)
    daemon = serve(disk.disk, WAYS[rng.choice(list(WAYS))],
                   device=kind == "device")
    expected = oracle.Oracle(disk.sectors)
    b = dial(daemon)
    assert b.flags & CAN_MULTI_CONN
    for i in range(ROUNDS):
        a = dial(daemon)
        pump = oracle.Clients([a], expected, rng)
        for _ in range(8):
            pump.write(a, *free(pump, rng))
        pump.finish()
        if leave == "disc":
            a.send(wire.DISC)
            a.close()
        elif leave == "hangs-up":
            # In the middle of a request that is never complete.
            a.send(wire.WRITE, 0, 4096)
            a.close()
        covered = expected.begin_flush()
        assert b.call(wire.FLUSH).error == wire.OK
        expected.settle(covered)
        wrong = expected.check(disk.read_cut(disk.cut()))
        assert not wrong, wrong[:10]
        check_seen(b, expected)
        count("flushes of another connection")


def test_flush_among_many_writers(wired, serve, dial, rng, count):
    """64 connections write, and one of them flushes."""
    disk = wired("ext4")
    daemon = serve(disk.disk)
    expected = oracle.Oracle(disk.sectors)
    conns = [dial(daemon) for _ in range(64)]
    clients = oracle.Clients(conns, expected, rng, depth=2, flushes=False)
    for _ in range(ROUNDS):
        for _ in range(4):
            clients.turn()
        clients.flush(conns[0])
        while not clients.turn(lambda kind, fua: kind == "flush"):
            pass
        wrong = expected.check(disk.read_cut(disk.cut()))
        assert not wrong, wrong[:10]
        assert expected.n_required() > 0
        count("flushes of another connection")
    clients.finish()


@pytest.mark.parametrize("end", ["disc", "eof", "reset"])
@pytest.mark.parametrize("way", ["io_uring", "io_uring-direct"])
def test_end_with_1000_in_flight(end, way, wired, serve, dial, rng, count):
    """What was answered was done, and the others do not notice."""
    disk = wired("ext4")
    daemon = serve(disk.disk, WAYS[way])
    expected = oracle.Oracle(disk.sectors)
    a, b = dial(daemon), dial(daemon)
    pump = oracle.Clients([a], expected, rng)
    for sector in rng.sample(range(disk.sectors), 1000):
        pump.write(a, sector, 1)
    if end == "disc":
        a.send(wire.DISC)
    elif end == "eof":
        a.sock.shutdown(socket.SHUT_WR)
    else:
        pump.receive_one(a)
        a.sock.shutdown(socket.SHUT_RDWR)
    pump.drain()
    covered = expected.begin_flush()
    assert b.call(wire.FLUSH).error == wire.OK
    expected.settle(covered)
    wrong = expected.check(disk.read_cut(disk.cut()))
    assert not wrong, wrong[:10]
    check_seen(b, expected)
    if end == "disc":
        # All were received before it, and are finished (NBD doc/proto.md).
        assert not pump.sent
    count("requests in flight at a disconnect", 1000)


def free(pump, rng):
    """Sectors that no operation in flight has."""
    while True:
        n = rng.choice([1, 8, 64])
        first = rng.randrange(pump.oracle.n_sectors - n + 1)
        if pump.busy.isdisjoint(range(first, first + n)):
            return first, n


def check_seen(conn, expected):
    """Every connection reads what another one was acknowledged."""
    size = expected.n_sectors * oracle.SECTOR
    reply = conn.call(wire.READ, 0, size)
    assert reply.error == wire.OK
    wrong = expected.check(reply.data, expected.acked)
    assert not wrong, wrong[:10]
