"""What every hostile test is for: afterwards the daemon is alive.

Alive: an honest client is served at once on a connection of its own, and the
daemon has the descriptors and the memory that it had before.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import socket
import time

import pytest

import harness
import wire

# What was freed counts as resident while AddressSanitizer keeps it.
os.environ.setdefault("ASAN_OPTIONS", "quarantine_size_mb=8")

WORKERS = 2
# An honest client's handshake and READ; sanitizers and busy machines are slow.
ALIVE_SECONDS = 2
# Each worker keeps up to 16 MiB of free request memory; the sanitizer's shadow
# of what was in use stays.
RSS_MIB = 16 + 16 * WORKERS + 16


class Target:
    """A daemon under attack."""

    def __init__(self, daemon, name, count):
        self.daemon = daemon
        self.name = name
        self.count = count
        self.streams = []
        self.log = daemon.stderr
        for mode in ("simple", "structured", "extended"):
            conn = self.wire(mode)
            conn.call(wire.READ, 0, min(conn.size, 1 << 20))
            conn.close()
        self.before_fds = harness.wait_until(self.idle_fds, "a quiet daemon")
        self.before_rss = self.rss()

    # ---- clients ----
    def dial(self):
        sock = harness.dial(self.daemon.listen[0])
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.count("connections")
        return sock

    def stream(self, flags=3):
        """A connection after the greeting; flags None: before it."""
        stream = wire.Stream(self.dial())
        self.streams.append(stream)
        return stream if flags is None else stream.hello(flags)

    def wire(self, mode="structured", **options):
        options.setdefault("export", self.name)
        conn = wire.Wire(self.dial(), mode, **options)
        self.streams.append(conn)
        return conn

    # ---- what it uses ----
    def fds(self):
        """Descriptors but pipes, which are kept for large reads."""
        folder = f"/proc/{self.daemon.pid}/fd"
        links = []
        for fd in os.listdir(folder):
            try:
                links.append(os.readlink(f"{folder}/{fd}"))
            except FileNotFoundError:
                pass
        return len([n for n in links if not n.startswith("pipe:")])

    def idle_fds(self):
        """fds() once it stays the same."""
        before = self.fds()
        time.sleep(harness.POLL)
        return before if before == self.fds() else 0

    def rss(self):
        """Resident memory in MiB."""
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")

    def cpu(self):
        """Seconds of CPU so far, to 10 ms."""
        with open(f"/proc/{self.daemon.pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # ---- verdict ----
    def serve_honest(self, seconds=ALIVE_SECONDS):
        """Handshake and READ of somebody else; the seconds they took."""
        begin = time.monotonic()
        conn = self.wire()
        assert conn.call(wire.READ, 0, 512).error == wire.OK
        conn.close()
        took = time.monotonic() - begin
        assert took <= seconds, f"an honest client waited {took:.2f} s"
        return took

    def close_all(self):
        for stream in self.streams:
            stream.close()
        self.streams.clear()

    def check_alive(self):
        self.close_all()
        assert self.daemon.is_running(), self.log()
        self.serve_honest()
        harness.wait_until(lambda: self.fds() <= self.before_fds,
                           "all descriptors to be closed")
        try:
            harness.wait_until(
                lambda: self.rss() <= self.before_rss + RSS_MIB, "memory")
        except AssertionError:
            pytest.fail(f"{self.before_rss:.0f} MiB before, {self.rss():.0f} "
                        "MiB after all clients have left")


@pytest.fixture
def target(start, image, tmp_path, count):
    """target(...): a daemon with one export of a file (@size, @data), or of
    the last node of @nodes; judged at the end of the test."""
    targets = []
    n = 0
    for what in ("inputs tried", "crashes", "wrong replies"):
        count(what, 0)

    def launch(size=1 << 20, data=None, nodes=None, name="", server="",
               options=(), export="", tcp=False, more=(), judged=True,
               workers=WORKERS, **popen):
        nonlocal n
        n += 1
        path = image(f"disk-{n}.img", size, data)
        node = "disk"
        if nodes is None:
            graph = harness.graph(path)
        else:
            graph = [o for n in nodes
                     for o in ("--blockdev", n.replace("FILE", str(path)))]
        if tcp:
            port = harness.free_port()
            listen = harness.tcp(port)
            address = f"addr.type=inet,addr.host=127.0.0.1,addr.port={port}"
        else:
            sock = tmp_path / f"nbd-{n}.sock"
            listen = harness.unix(sock)
            address = f"addr.type=unix,addr.path={sock}"
        daemon = start("--workers", workers, *options, *graph, "--nbd-server",
                       address + server,
                       *harness.offer(node, name, True, export), *more,
                       listen=[listen], **popen)
        made = Target(daemon, name, count)
        made.path = path
        if judged:
            targets.append(made)
        return made

    yield launch
    for made in targets:
        try:
            made.check_alive()
        except BaseException:
            count("crashes", 0 if made.daemon.is_running() else 1)
            raise


@pytest.fixture
def verdict(count):
    """verdict(what, good): one input; those that were answered wrongly are
    named together at the end."""
    wrong = []

    def judge(what, good):
        count("inputs tried")
        if not good:
            count("wrong replies")
            wrong.append(what)

    yield judge
    assert not wrong, f"{len(wrong)} wrong: {wrong[:20]}"
