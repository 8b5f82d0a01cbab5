"""What a disk may hold after a crash, by sector, and clients that write.

Each sector that is written says which operation wrote it, and where it
belongs.  After a cut a sector may hold what the newest durable operation left
there or what any later one wrote; anything else is a violation: an older
content is an acknowledged one that was lost, and what no operation wrote is a
third value.  Source: durability.md C1 to C4.

A trim may leave zeros or what was there, so it makes nothing else durable or
lost.  Operations that overlap are never in flight together, so those of one sector
are ordered by their numbers.

SPDX-License-Identifier: BSD-3-Clause
"""
import select
import struct

import wire

SECTOR = 512
STAMP = struct.Struct(">QQ")
REPEAT = SECTOR // STAMP.size
ZEROS = bytes(SECTOR)
MAX_SECTORS = 128


def stamp(number, sector):
    return STAMP.pack(number, sector) * REPEAT


class Op:
    """One modification of @n sectors from @first on: wire.WRITE, ZERO, TRIM."""

    def __init__(self, number, first, n, kind):
        self.number = number
        self.first = first
        self.n = n
        self.kind = kind

    def __str__(self):
        return (f"operation {self.number} (command {self.kind}, sectors "
                f"{self.first}+{self.n})")

    def payload(self):
        return b"".join(stamp(self.number, s)
                        for s in range(self.first, self.first + self.n))


class Oracle:
    """The sectors of one disk, all zero and durable at first."""

    def __init__(self, n_sectors):
        self.n_sectors = n_sectors
        self.ops = [Op(0, 0, n_sectors, wire.ZERO)]
        self.acked = [0] * n_sectors    # the newest acknowledged, by sector
        self.durable = [0] * n_sectors  # the newest durable
        self.zeros = {}                 # sector: zero operations submitted
        self.fresh = []                 # acknowledged, not durable

    def submit(self, first, n, kind):
        op = Op(len(self.ops), first, n, kind)
        self.ops.append(op)
        if kind != wire.WRITE:
            for s in range(first, first + n):
                self.zeros.setdefault(s, []).append(op.number)
        return op

    def ack(self, op, durable):
        if op.kind == wire.TRIM:
            return
        for s in range(op.first, op.first + op.n):
            self.acked[s] = max(self.acked[s], op.number)
        if durable:
            self.settle([op])
        else:
            self.fresh.append(op)

    def settle(self, ops):
        """These are durable from now on."""
        for op in ops:
            for s in range(op.first, op.first + op.n):
                self.durable[s] = max(self.durable[s], op.number)

    def begin_flush(self):
        """What a flush that is sent now has to cover."""
        covered, self.fresh = self.fresh, []
        return covered

    def allows(self, sector, content, floor):
        if content == ZEROS:
            return self.ops[floor].kind == wire.ZERO or any(
                n > floor for n in self.zeros.get(sector, ()))
        number, where = STAMP.unpack_from(content)
        if content != stamp(number, sector) or where != sector:
            return False
        if not floor <= number < len(self.ops):
            return False
        op = self.ops[number]
        return (op.kind == wire.WRITE and
                op.first <= sector < op.first + op.n)

    def check(self, disk, floors=None):
        """The sectors that hold what they must not, as a list of texts.

        @floors: self.durable after a power cut, self.acked after the end of
        the daemon alone.
        """
        floors = self.durable if floors is None else floors
        wrong = []
        for s in range(self.n_sectors):
            content = bytes(disk[s * SECTOR:(s + 1) * SECTOR])
            if not self.allows(s, content, floors[s]):
                number, where = STAMP.unpack_from(content)
                wrong.append(f"sector {s}: {self.ops[floors[s]]} is lost, it "
                             f"holds {number} of sector {where}")
        return wrong

    def n_required(self, floors=None):
        """How many sectors must not be what they were at first."""
        return sum(1 for f in (floors or self.durable) if f)


class Clients:
    """Several connections, each with several random requests in flight."""

    def __init__(self, conns, oracle, rng, depth=4, flushes=True):
        self.conns = conns
        self.oracle = oracle
        self.rng = rng
        self.depth = depth
        self.flushes = flushes
        self.busy = set()   # sectors of operations in flight
        self.sent = {}      # (conn, cookie): (kind, Op or covered, fua)
        self.n_acked = 0
        self.n_refused = 0
        self.n_flushed = 0  # flushes and FUA requests that succeeded

    def send_one(self, conn):
        """A random request; none if the draw hits what is in flight."""
        draw = self.rng.random()
        if self.flushes and draw < 0.12:
            self.flush(conn)
            return
        n = self.rng.choice([1, 1, 3, 8, 8, 16, 64, MAX_SECTORS])
        first = self.rng.randrange(self.oracle.n_sectors - n + 1)
        if self.rng.random() < 0.1:
            first = self.oracle.n_sectors - n
        elif n >= 8 and self.rng.random() < 0.7:
            first -= first % 8
        sectors = range(first, first + n)
        if not self.busy.isdisjoint(sectors):
            return
        fua = self.flushes and self.rng.random() < 0.15
        flags = wire.FUA if fua else 0
        kind = (wire.WRITE if draw < 0.9 else
                wire.TRIM if draw < 0.95 else wire.ZERO)
        if kind == wire.ZERO and self.rng.random() < 0.5:
            flags |= wire.NO_HOLE
        self.modify(conn, kind, first, n, flags)

    def modify(self, conn, kind, first, n, flags=0):
        """Send a WRITE, ZERO or TRIM of sectors that nothing else has."""
        self.busy.update(range(first, first + n))
        op = self.oracle.submit(first, n, kind)
        cookie = conn.send(kind, first * SECTOR, n * SECTOR, flags,
                           op.payload() if kind == wire.WRITE else b"")
        self.sent[conn, cookie] = ("op", op, bool(flags & wire.FUA))

    def write(self, conn, first, n, flags=0):
        self.modify(conn, wire.WRITE, first, n, flags)

    def flush(self, conn):
        covered = self.oracle.begin_flush()
        cookie = conn.send(wire.FLUSH)
        self.sent[conn, cookie] = ("flush", covered, False)

    def in_flight(self, conn):
        return sum(1 for c, _ in self.sent if c is conn)

    def receive_one(self, conn, refusals=()):
        """Take one reply; it must be a good one, or one of @refusals, which
        may have changed something or not.  Its kind, and FUA."""
        cookie, reply = conn.receive()
        kind, what, fua = self.sent.pop((conn, cookie))
        if reply.error in refusals:
            self.n_refused += 1
        elif reply.error != wire.OK:
            raise AssertionError((kind, reply.error))
        elif kind == "flush":
            self.oracle.settle(what)
            self.n_flushed += 1
        else:
            self.busy.difference_update(range(what.first,
                                              what.first + what.n))
            self.oracle.ack(what, fua)
            self.n_acked += 1
            self.n_flushed += fua
        return kind, fua

    def turn(self, stop=None):
        """Keep the connections busy, and take what has come.

        True as soon as @stop(kind, fua) is, with more still in flight.
        """
        for conn in self.conns:
            if self.in_flight(conn) < self.depth:
                self.send_one(conn)
        return self.take(stop, 1)

    def take(self, stop, timeout):
        ready, _, _ = select.select([c.sock for c in self.conns], [], [],
                                    timeout)
        for conn in self.conns:
            if conn.sock in ready:
                kind, fua = self.receive_one(conn)
                if stop and stop(kind, fua):
                    return True
        return False

    def drain(self, refusals=()):
        """Take what a daemon that ends, or was killed, had still sent."""
        for conn in self.conns:
            try:
                while True:
                    self.receive_one(conn, refusals)
            except (EOFError, ConnectionResetError):
                pass

    def finish(self):
        """Wait for all that is in flight."""
        while self.sent:
            self.take(None, 1)
