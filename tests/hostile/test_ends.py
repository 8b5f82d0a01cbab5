"""Connections that end at the worst moment.

SPDX-License-Identifier: BSD-3-Clause
"""
import signal
import socket
import struct
import threading
import time

import harness
import wire
from shapes import (MODES, handshake, header, in_sync, is_cut_off, reset,
                    seeded)

MIB = 1 << 20


def slow(**delays):
    """Nodes of a file whose operations take some ms."""
    text = "".join(f",delay-ns.{op.replace('_', '-')}={ms * 1000000}"
                   for op, ms in delays.items())
    return ["driver=file,node-name=f,filename=FILE",
            "driver=fault,node-name=disk,file=f" + text]


def test_reset_at_every_byte_of_the_replies(target, verdict):
    """bug-classes 32; faults S16: 1 to 64 requests, RST after n bytes."""
    victim = target(tcp=True, server=",max-connections=0",
                    data={0: b"d" * 65536})
    for mode in MODES:
        for n_requests, length in ((1, 64), (5, 16), (64, 512), (8, 65536)):
            total = n_requests * (length + 40)
            for n in sorted({*range(0, min(total, 90)), total // 2,
                             total - 1}):
                conn = victim.wire(mode)
                conn.put(header(mode, wire.READ, length=length) * n_requests)
                conn.take(min(n, n_requests * length))
                reset(conn)
                verdict((mode, n_requests, n), victim.daemon.is_running())
            victim.serve_honest()


def test_hangup_with_replies_queued(target, verdict):
    """bug-classes 32: a thousand clients go before they read anything."""
    victim = target(server=",max-connections=0", data={0: b"d" * MIB})
    for n in range(1000):
        conn = victim.wire(MODES[n % 3])
        conn.put(header(conn.mode, wire.READ, 0, 1, 0,
                        (16, 4096, 65536, MIB)[n % 4]) * (1 + n % 64))
        conn.close()
        verdict(n, victim.daemon.is_running())
        if n % 100 == 0:
            victim.serve_honest()


def test_end_is_seen_after_a_failed_send(target, verdict):
    """bug-classes 33: a peer that stops reading but keeps the socket sees
    the end within a second."""
    victim = target(data={0: b"d" * MIB})
    for n in range(20):
        conn = victim.wire(MODES[n % 3])
        conn.sock.shutdown(socket.SHUT_RD)
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 5:
                conn.put(header(conn.mode, wire.READ, length=65536))
                time.sleep(harness.POLL)
            took = 5
        except (BrokenPipeError, ConnectionResetError):
            took = time.monotonic() - begin
        verdict((n, took), took < 1)


def test_disconnect_inside_a_payload(target, verdict):
    """bug-classes 35, 46: a WRITE whose payload does not come whole writes
    nothing, wherever it was cut."""
    old = b"o" * MIB
    victim = target(data={0: old}, server=",max-connections=0")
    for mode in MODES:
        for n in (1, 512, 65535, 65536, 65537, 300000, MIB):
            for cut in sorted({0, min(1, n - 1), n // 2, n - 1}):
                for end in (wire.Wire.close, reset):
                    conn = victim.wire(mode)
                    flags = wire.PAYLOAD_LEN if mode == "extended" else 0
                    conn.put(header(mode, wire.WRITE, flags, 1, 0, n) +
                             b"n" * cut)
                    end(conn)
                    verdict((mode, n, cut), victim.daemon.is_running())
    victim.serve_honest()
    with open(victim.path, "rb") as f:
        verdict("file", f.read() == old)


def test_writes_in_flight_go_where_they_should(target, verdict, count):
    """bug-classes 35: clients that go with writes in flight; sector 0 and all
    that nobody wrote to stay as they are."""
    old = b"o" * (4 * MIB)
    victim = target(size=4 * MIB, data={0: old}, nodes=slow(write=3),
                    server=",max-connections=0")
    rng = seeded(count, 5)
    for n in range(300):
        conn = victim.wire(MODES[n % 3])
        for _ in range(rng.randrange(1, 9)):
            slot = rng.randrange(1024, 2048)
            conn.send(wire.WRITE, slot * 2048, 512,
                      payload=struct.pack(">I", slot) * 128)
        rng.choice((reset, wire.Wire.close))(conn)
        verdict(n, victim.daemon.is_running())
    harness.wait_until(lambda: victim.fds() <= victim.before_fds, "the end")
    with open(victim.path, "rb") as f:
        whole = f.read()
    verdict("first half", whole[:2 * MIB] == old[:2 * MIB])
    for slot in range(1024, 2048):
        part = whole[slot * 2048:(slot + 1) * 2048]
        verdict(slot, part[512:] == b"o" * 1536 and part[:512] in
                (b"o" * 512, struct.pack(">I", slot) * 128))


def test_flush_covers_other_connections(target, verdict):
    """bug-classes 43: A writes, B flushes: the flush reaches the disk; the
    disk says so by failing."""
    node = ["driver=file,node-name=f,filename=FILE",
            "driver=fault,node-name=disk,file=f,inject-error.0.iotype=flush"]
    for mode in MODES:
        victim = target(nodes=node, judged=False)
        a, b = victim.wire(mode), victim.wire(mode)
        verdict((mode, "multi-conn"), a.flags & 1 << 8)
        verdict((mode, "nothing"), b.call(wire.READ, 0, 512).error == 0)
        verdict((mode, "write"),
                a.call(wire.WRITE, 0, 512, payload=bytes(512)).error == 0)
        verdict((mode, "flush"), b.call(wire.FLUSH).error == wire.EIO)
        victim.close_all()
        victim.daemon.kill()


def test_disc_lets_requests_finish(target, verdict):
    """bug-classes 46; faults S23: DISC with 100 in flight: every reply comes,
    then the end."""
    victim = target(nodes=slow(read=30, write=30, flush=8),
                    data={0: b"d" * 65536})
    for mode in MODES:
        conn = victim.wire(mode)
        for n in range(100):
            conn.send((wire.READ, wire.WRITE, wire.FLUSH)[n % 3],
                      0, 0 if n % 3 == 2 else 512,
                      payload=b"d" * 512 if n % 3 == 1 else b"")
        conn.send(wire.DISC)
        for n in range(100):
            verdict((mode, n), conn.receive()[1].error == wire.OK)
        verdict((mode, "end"), is_cut_off(conn))


def test_half_close_keeps_what_was_written(target, verdict):
    """bug-classes 46: FIN without DISC with requests in flight: writes that
    were acknowledged stay, and the connection ends."""
    victim = target(size=4 * MIB, nodes=slow(write=20), data={0: bytes(1)})
    for mode in MODES:
        conn = victim.wire(mode)
        for n in range(50):
            conn.send(wire.WRITE, 4096 * n, 512, payload=mode[:4].encode() *
                      128)
        conn.sock.shutdown(socket.SHUT_WR)
        done = set()
        try:
            while True:
                cookie, reply = conn.receive()
                verdict((mode, cookie), reply.error == wire.OK)
                done.add(cookie)
        except (EOFError, ConnectionError):
            pass
        with open(victim.path, "rb") as f:
            data = f.read()
        for cookie in done:
            at = 4096 * (cookie - 1)
            verdict((mode, cookie),
                    data[at:at + 512] == mode[:4].encode() * 128)


def test_half_close_after_cached_reads(target, verdict):
    """bug-classes 46: requests that came whole before the FIN and need no
    waiting are answered."""
    victim = target(data={0: b"d" * 65536})
    for mode in MODES:
        conn = victim.wire(mode)
        conn.call(wire.READ, 0, 4096)
        for _ in range(20):
            conn.send(wire.READ, 0, 512)
        conn.sock.shutdown(socket.SHUT_WR)
        for n in range(20):
            verdict((mode, n), conn.receive()[1].error == wire.OK)
        verdict((mode, "end"), is_cut_off(conn))


def test_all_requests_in_one_send(target, verdict):
    """bug-classes 10: 2000 requests of all kinds in one segment."""
    victim = target(size=4 * MIB, data={0: b"d" * MIB})
    for mode in MODES:
        conn = victim.wire(mode)
        flags = wire.PAYLOAD_LEN if mode == "extended" else 0
        out = b""
        for n in range(2000):
            if n % 4 == 0:
                out += header(mode, wire.WRITE, flags, n, 2 * MIB, 700)
                out += bytes(700)
                conn.pending[n] = (wire.WRITE, 2 * MIB, 700, wire.Reply())
            elif n % 4 == 1:
                out += header(mode, wire.FLUSH, 0, n)
                conn.pending[n] = (wire.FLUSH, 0, 0, wire.Reply())
            elif n % 4 == 2:
                out += header(mode, 77, 0, n)
                conn.pending[n] = (77, 0, 0, wire.Reply())
            else:
                out += header(mode, wire.READ, 0, n, n, 300)
                conn.pending[n] = (wire.READ, n, 300, wire.Reply())
        sender = threading.Thread(target=conn.put, args=(out,))
        sender.start()
        for n in range(2000):
            cookie, reply = conn.receive()
            want = wire.EINVAL if cookie % 4 == 2 else wire.OK
            good = reply.error == want
            if cookie % 4 == 3:
                good = good and reply.data == b"d" * 300
            verdict((mode, cookie), good)
        sender.join()


def test_requests_byte_by_byte(target, verdict):
    """bug-classes 10: requests and payloads that come a byte at a time, and
    cut at each byte."""
    victim = target(tcp=True, data={0: b"d" * 65536})
    for mode in MODES:
        flags = wire.PAYLOAD_LEN if mode == "extended" else 0
        out = (header(mode, wire.WRITE, flags, 1, 4096, 40) + b"w" * 40 +
               header(mode, wire.READ, 0, 2, 0, 32) +
               header(mode, 99, 0, 3))
        cuts = [[n] for n in range(1, len(out))] + [range(1, len(out))]
        for cut in cuts:
            conn = victim.wire(mode)
            conn.pending = {1: (wire.WRITE, 4096, 40, wire.Reply()),
                            2: (wire.READ, 0, 32, wire.Reply()),
                            3: (99, 0, 0, wire.Reply())}
            last = 0
            for at in [*cut, len(out)]:
                conn.put(out[last:at])
                last = at
            replies = dict(conn.receive() for _ in range(3))
            verdict((mode, cut),
                    [replies[n].error for n in (1, 2, 3)] ==
                    [0, 0, wire.EINVAL] and replies[2].data == b"d" * 32)
            conn.close()


PHASES = ("greeting", "in an option", "between options", "idle",
          "in a header", "read in flight", "write in flight")


def phases(victim, n):
    """One client in the @n-th phase."""
    if n == 0:
        return victim.stream(None)
    if n == 1:
        stream = victim.stream()
        stream.put(wire.option_bytes(wire.OPT_GO, b"\0\0", 100))
        return stream
    if n == 2:
        stream = victim.stream()
        assert in_sync(stream)
        return stream
    conn = victim.wire(MODES[n % 3])
    flags = wire.PAYLOAD_LEN if conn.mode == "extended" else 0
    if n == 4:
        conn.put(header(conn.mode, wire.READ)[:11])
    elif n == 5:
        conn.send(wire.READ, 0, 512)
    elif n == 6:
        conn.put(header(conn.mode, wire.WRITE, flags, 1, 0, 512) + bytes(512))
    return conn


def test_stop_and_start_in_every_phase(target, verdict, count):
    """bug-classes 34; faults S80: SIGTERM with clients in every phase in which
    they owe nothing: within 2 s, status 0, and the next start works."""
    slowest = 0
    for n in range(6):
        victim = target(nodes=slow(read=100, write=100), judged=False,
                        server=",max-connections=0")
        for k in range(20):
            phases(victim, k % len(PHASES))
        begin = time.monotonic()
        victim.daemon.stop()
        took = time.monotonic() - begin
        slowest = max(slowest, took)
        verdict((n, took), took < 2)
        victim.close_all()
    count("ms to stop with clients in every phase", round(slowest * 1000))


STALLS = [  # command, payload that was promised, payload that comes
    (wire.WRITE, 512, 0), (wire.WRITE, 4096, 99), (wire.WRITE, MIB, 300000),
    (wire.WRITE, 32 * MIB, 100000), (99, 4096, 7), (wire.STATUS, 12, 3),
]


def test_stop_with_stalled_clients(target, verdict, count):
    """bug-classes 34: clients that do not take their replies, or do not send
    the payload they promised, delay the end by 5 s and no more."""
    victim = target(size=64 * MIB, judged=False)
    for mode in MODES:
        conn = victim.wire(mode)
        conn.put(header(mode, wire.READ, length=32 * MIB) * 4)
        for command, promised, sent in STALLS:
            conn = victim.wire(mode)
            flags = wire.PAYLOAD_LEN if mode == "extended" else 0
            conn.put(header(mode, command, flags, 1, 0, promised) +
                     bytes(sent))
    time.sleep(0.3)
    begin = time.monotonic()
    victim.daemon.stop()
    took = time.monotonic() - begin
    count("ms to stop with clients that stall", round(took * 1000))
    verdict(took, took < 7)


def test_killed_at_once_with_writes_in_flight(target, verdict):
    """faults S73: after SIGKILL under load, what was acknowledged is in the
    file, and the next daemon takes it over."""
    for mode in MODES:
        victim = target(size=4 * MIB, judged=False)
        conn = victim.wire(mode)
        done = []

        def write(conn=conn, done=done):
            try:
                for n in range(1024):
                    conn.call(wire.WRITE, n * 4096, 512, payload=b"k" * 512)
                    done.append(n)
            except (OSError, EOFError):
                pass
        writer = threading.Thread(target=write)
        writer.start()
        harness.wait_until(lambda d=done: len(d) > 100, "some writes")
        victim.daemon.process.send_signal(signal.SIGKILL)
        writer.join()
        victim.daemon.kill()
        with open(victim.path, "rb") as f:
            data = f.read()
        verdict((mode, len(done)), all(data[n * 4096:n * 4096 + 512] ==
                                       b"k" * 512 for n in done))
        victim.close_all()


def test_sessions_of_bytes_that_stop(target, verdict):
    """bug-classes 8, 32: a whole session, cut after each of its bytes, while
    requests are in flight."""
    victim = target(server=",max-connections=0", nodes=slow(read=2, write=2),
                    data={0: b"d" * 65536})
    for mode in MODES:
        flags = wire.PAYLOAD_LEN if mode == "extended" else 0
        out = (handshake(mode) + header(mode, wire.READ, 0, 1, 0, 64) +
               header(mode, wire.WRITE, flags, 2, 4096, 30) + b"d" * 30 +
               header(mode, wire.FLUSH, 0, 3) + header(mode, wire.DISC))
        for n in range(len(out) + 1):
            stream = victim.stream(None)
            stream.put(out[:n])
            stream.close()
            verdict((mode, n), victim.daemon.is_running())
        victim.serve_honest()
