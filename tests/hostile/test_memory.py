"""Memory for requests is bounded, and nobody waits for his own.

SPDX-License-Identifier: BSD-3-Clause
"""
import socket
import threading
import time

import pytest

import harness
import wire
from shapes import MODES, header

MIB = 1 << 20
NULL = "driver=null-co,node-name=disk,size=1G"
SLOW = ["driver=file,node-name=f,filename=FILE,cache.direct=on",
        "driver=fault,node-name=disk,file=f,delay-ns.read=5000000,"
        "delay-ns.block-status=5000000"]


def in_background(work):
    """Run work() beside us; what goes wrong there shows here, as silence."""
    def guarded():
        try:
            work()
        except OSError:
            pass
    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    return thread


def receive_all(conn, n):
    errors = [conn.receive()[1].error for _ in range(n)]
    assert errors == [wire.OK] * n


@pytest.mark.parametrize("n_before", [0, 1, 2, 10, 40, 300])
def test_largest_payload_behind_others(target, count, n_before):
    """bug-classes 25, 31: 32 MiB always fit, whatever is under way."""
    victim = target(nodes=[NULL + ",latency-ns=50000000"])
    for mode in MODES:
        conn = victim.wire(mode)

        def send(conn=conn):
            for _ in range(n_before):
                conn.send(wire.READ, 0, 512)
            for _ in range(2):
                conn.send(wire.WRITE, 0, 32 * MIB, payload=bytes(32 * MIB))
                conn.send(wire.READ, 0, 32 * MIB)
        sender = in_background(send)
        harness.wait_until(lambda: len(conn.pending) > n_before, "requests")
        receive_all(conn, n_before + 4)
        sender.join()
        count("inputs tried")
        conn.close()


def test_many_largest_payloads_at_once(target, count):
    """bug-classes 31: clients that all write 32 MiB get their turn."""
    victim = target(nodes=[NULL], options=("--memory-limit", "64M"))
    conns = [victim.wire("simple") for _ in range(12)]

    def write(conn):
        for _ in range(3):
            conn.call(wire.WRITE, 0, 32 * MIB, payload=bytes(32 * MIB))
        done.append(conn)
    done = []
    threads = [in_background(lambda c=conn: write(c)) for conn in conns]
    for thread in threads:
        thread.join(harness.PATIENCE)
    count("inputs tried", 3 * len(conns))
    assert len(done) == len(conns)


def test_requests_do_not_wait_for_each_other(target, count):
    """bug-classes 31: who waits for memory holds none, at the least limit."""
    data = {n << 16: b"x" * 4096 for n in range(100)}
    for command, length in ((wire.READ, 30000), (wire.STATUS, 65536)):
        victim = target(size=8 * MIB, data=data, nodes=SLOW,
                        options=("--connection-memory", "1M"))
        for mode in ("structured", "extended"):
            conn = victim.wire(mode, contexts=["base:allocation"])

            def send(conn=conn, command=command, length=length):
                for n in range(100):
                    conn.send(command, (n << 16) + 512, length)
            in_background(send)
            harness.wait_until(lambda: conn.pending, "requests")
            receive_all(conn, 100)
            count("inputs tried", 100)


def flood(sock, data, seconds=0.0, total=0):
    """Send @data once, or again and again up to @total bytes, until the peer
    takes nothing for @seconds."""
    sock.settimeout(seconds)
    sent = 0
    try:
        while sent < max(total, len(data)):
            sent += sock.send(data[sent % len(data):])
    except (BlockingIOError, TimeoutError):
        pass
    sock.settimeout(harness.PATIENCE)


def peak_rss(victim, seconds=1.0):
    """The largest RSS in MiB; small requests of others are served."""
    peak = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        peak = max(peak, victim.rss())
        victim.serve_honest()
    return peak


def test_replies_nobody_reads_stay_in_the_budget(target, count):
    """bug-classes 31: 40 connections with 16 reads of 32 MiB each."""
    victim = target(nodes=[NULL], server=",max-connections=0",
                    options=("--memory-limit", "64M", "--connection-memory",
                             "8M"))
    conns = [victim.wire(mode) for mode in MODES * 14][:40]
    before = victim.rss()
    for conn in conns:
        flood(conn.sock, header(conn.mode, wire.READ,
                                length=32 * MIB) * 16)
    grown = peak_rss(victim) - before
    count("inputs tried", 16 * len(conns))
    count("MiB for 20 GiB of replies nobody reads", round(grown))
    # The budget, the floors, and free buffers that the workers keep.
    assert grown <= 64 + len(conns) + 2 * 16


def test_replies_nobody_reads_give_way(target):
    """bug-classes 31: who holds all memory and reads nothing is cut off when
    somebody else has waited for it."""
    victim = target(nodes=[NULL], options=("--memory-limit", "64M"))
    hog = victim.wire("simple")
    flood(hog.sock, header("simple", wire.READ, length=32 * MIB) * 2)
    assert peak_rss(victim) >= 32
    honest = victim.wire("simple")
    honest.sock.settimeout(60)
    begin = time.monotonic()
    assert honest.call(wire.READ, 0, 32 * MIB).error == wire.OK
    assert time.monotonic() - begin > 10, "too early for a slow client"


def test_small_replies_nobody_reads(target, count):
    """bug-classes 31: the same with many small requests of each kind."""
    victim = target(size=16 * MIB, server=",max-connections=0",
                    options=("--memory-limit", "64M", "--connection-memory",
                             "8M"))
    shapes = [(wire.READ, 1, 512), (wire.READ, 1, 65536),
              (wire.FLUSH, 0, 0), (0x1234, 0, 0), (wire.READ, 0, 0),
              (wire.STATUS, 0, 16 * MIB)]
    before = victim.rss()
    n_conns = 0
    for command, offset, length in shapes:
        for mode in ("simple", "structured", "extended"):
            conn = victim.wire(mode, contexts=["base:allocation"]
                               if mode != "simple" else ())
            flood(conn.sock, header(mode, command, 0, 1, offset,
                                    length) * 10000, 0.2, 64 * MIB)
            n_conns += 1
    grown = peak_rss(victim) - before
    count("inputs tried", n_conns)
    assert grown <= 64 + n_conns + 2 * 16


def test_payloads_that_stall_stay_in_the_budget(target, count):
    """bug-classes 31: 40 writes of 32 MiB of which half has come."""
    victim = target(nodes=[NULL], server=",max-connections=0",
                    options=("--memory-limit", "64M"))
    conns = [victim.wire("simple") for _ in range(40)]
    before = victim.rss()
    for conn in conns:
        flood(conn.sock, header("simple", wire.WRITE, length=32 * MIB) +
              bytes(16 * MIB))
    grown = peak_rss(victim) - before
    count("inputs tried", len(conns))
    count("MiB for 40 stalled writes of 32 MiB", round(grown))
    assert grown <= 64 + len(conns) + 2 * 16


def test_memory_waited_for_is_not_needed_any_more(target):
    """bug-classes 31: a client that gives up while it waits is forgotten."""
    victim = target(nodes=[NULL], options=("--memory-limit", "64M"))
    hogs = [victim.wire("simple") for _ in range(2)]
    for hog in hogs:
        flood(hog.sock, header("simple", wire.READ, length=32 * MIB) * 3)
    time.sleep(0.1)
    for _ in range(20):
        conn = victim.wire("simple")
        flood(conn.sock, header("simple", wire.WRITE, length=32 * MIB) +
              bytes(MIB))
        conn.close()
    for hog in hogs:
        hog.sock.shutdown(socket.SHUT_RDWR)
    conn = victim.wire("simple")
    assert conn.call(wire.WRITE, 0, 32 * MIB,
                     payload=bytes(32 * MIB)).error == wire.OK
