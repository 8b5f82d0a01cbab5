"""The host fails under the daemon; clients see an error and no more.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import re
import resource
import socket
import subprocess
import threading
import time

import pytest

import harness
import wire
from shapes import MODES, header, is_cut_off, seeded

MIB = 1 << 20
DENY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "deny.py")
FILE = "driver=file,node-name=f,filename=FILE"


def denied(*rules):
    """The prefix that makes system calls fail."""
    return ("/usr/bin/python3", DENY, *rules, "--")


def test_one_failed_read_is_one_error(target, verdict, count):
    """faults S64: EIO on 1 of 100 reads: that request fails, nothing is
    wrong in the others, and nothing stays."""
    node = [FILE, "driver=fault,node-name=disk,file=f,seed=4,"
            "inject-error.0.iotype=read,inject-error.0.offset=4k,"
            "inject-error.0.probability-ppm=10000"]
    rng = seeded(count)
    data = rng.randbytes(MIB)
    victim = target(nodes=node, data={0: data})
    failed = 0
    for mode in MODES:
        conn = victim.wire(mode)
        for _ in range(1000):
            offset = rng.randrange(4096, MIB - 4096)
            n = rng.randrange(1, 4097)
            reply = conn.call(wire.READ, offset, n)
            failed += reply.error == wire.EIO
            verdict((mode, offset, n, reply.error), reply.error == wire.EIO or
                    reply.data == data[offset:offset + n])
    count("reads that failed", failed)
    assert 0 < failed < 300


@pytest.mark.parametrize("engine", ["threads", "native", "io_uring"])
def test_short_transfers_are_not_seen(target, verdict, count, engine):
    """faults S65: reads and writes that go in pieces, on each engine."""
    direct = ",cache.direct=on" if engine == "native" else ""
    node = [FILE + f",aio={engine}" + direct,
            "driver=fault,node-name=disk,file=f,"
            "inject-error.0.iotype=read,inject-error.0.short=on,"
            "inject-error.1.iotype=write,inject-error.1.short=on"]
    rng = seeded(count)
    victim = target(nodes=node, data={0: b"s" * MIB})
    model = bytearray(b"s" * MIB)
    for mode in MODES:
        conn = victim.wire(mode)
        for _ in range(60):
            n = rng.randrange(1, 200) * 512
            offset = rng.randrange((MIB - n) // 512) * 512
            data = rng.randbytes(n)
            error = conn.call(wire.WRITE, offset, n, payload=data).error
            model[offset:offset + n] = data
            offset = rng.randrange(MIB - n)
            reply = conn.call(wire.READ, offset, n)
            verdict((mode, offset, n), not error and
                    reply.data == model[offset:offset + n])


def test_stalled_disk_stops_nobody_else(target, verdict, count):
    """faults S66: requests that hang on one export; others go on, and the
    daemon ends when they do."""
    more = ("--blockdev", "driver=null-co,node-name=other,size=1M",
            *harness.offer("other", "other"))
    victim = target(nodes=[FILE, "driver=fault,node-name=disk,file=f,"
                           "delay-ns.write=1500000000"],
                    more=more, workers=1)
    conn = victim.wire()
    for n in range(100):
        conn.send(wire.WRITE, n * 512, 512, payload=bytes(512))
    waits = []
    end = time.monotonic() + 1
    while time.monotonic() < end:
        begin = time.monotonic()
        other = victim.wire(export="other")
        verdict("other", other.call(wire.READ, 0, 512).error == wire.OK)
        waits.append(time.monotonic() - begin)
        other.close()
    for _ in range(100):
        verdict("late", conn.receive()[1].error == wire.OK)
    count("ms that others wait beside a stalled disk",
          round(max(waits) * 1000))
    assert max(waits) < 1


def test_stop_gives_up_on_a_stalled_disk(target, verdict, count):
    """faults S66, S80: with --drain-timeout 1, SIGTERM and a disk that
    hangs: the daemon ends, and says that requests are stuck."""
    victim = target(nodes=[FILE, "driver=fault,node-name=disk,file=f,"
                           "delay-ns.write=30000000000"],
                    options=("--drain-timeout", "1"), judged=False)
    conn = victim.wire()
    conn.send(wire.WRITE, 0, 512, payload=bytes(512))
    time.sleep(0.2)
    begin = time.monotonic()
    victim.daemon.terminate()
    status = victim.daemon.wait()
    took = time.monotonic() - begin
    count("ms to give up with --drain-timeout 1", round(took * 1000))
    verdict((status, took), status == 1 and took < 3)
    verdict("said", len(victim.log()) > 20)
    victim.close_all()


ENGINES = {
    "ENOSYS": denied("io_uring_setup=ENOSYS"),
    "EPERM": denied("io_uring_setup=EPERM"),
    "ENOMEM": denied("io_uring_setup=ENOMEM"),
    "none but threads": denied("io_uring_setup=EPERM", "io_setup=EAGAIN"),
    "RLIMIT_MEMLOCK 0": ("prlimit", "--memlock=0:0"),
}


def test_without_io_uring(target, verdict):
    """faults S69: where io_uring is forbidden, another engine is taken."""
    for why, prefix in ENGINES.items():
        victim = target(prefix=prefix, judged=False,
                        data={0: b"e" * 65536})
        for mode in MODES:
            conn = victim.wire(mode)
            good = conn.call(wire.WRITE, 8192, 4096,
                             payload=b"f" * 4096).error == wire.OK
            good = good and conn.call(wire.FLUSH).error == wire.OK
            good = good and conn.call(wire.READ, 4096, 8192).data == (
                b"e" * 4096 + b"f" * 4096)
            verdict((why, mode), good)
        victim.close_all()
        victim.daemon.stop()


def test_without_fallocate(target, verdict):
    """faults S70: a file system that knows no holes: zeroes are written,
    fast ones refused, trim is a hint."""
    victim = target(prefix=denied("fallocate=EOPNOTSUPP"), judged=False,
                    nodes=["driver=file,node-name=disk,filename=FILE,"
                           "aio=threads"], data={0: b"z" * MIB})
    for mode in MODES:
        conn = victim.wire(mode)
        conn.call(wire.WRITE, 0, MIB, payload=b"z" * MIB)
        for flags in (0, wire.NO_HOLE, wire.FUA):
            verdict((mode, flags), conn.call(wire.ZERO, 4096, 65536,
                                             flags).error == wire.OK)
            verdict((mode, flags, "data"),
                    conn.call(wire.READ, 0, 131072).data ==
                    b"z" * 4096 + bytes(65536) + b"z" * 61440)
            conn.call(wire.WRITE, 0, 131072, payload=b"z" * 131072)
        error = conn.call(wire.ZERO, 0, 65536, wire.FAST_ZERO).error
        data = conn.call(wire.READ, 0, 65536).data
        verdict((mode, "fast", error), error == wire.ENOTSUP and
                data == b"z" * 65536)
        verdict((mode, "trim"), conn.call(wire.TRIM, 0, MIB).error == wire.OK)
    victim.close_all()
    victim.daemon.stop()


def set_data_limit(pid, limit):
    hard = resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit, hard))


def data_used(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmData")


def test_large_buffers_that_do_not_come(target, verdict):
    """faults S71: mmap fails for what large requests need: they get an error
    or lose their connection, small ones of others go on."""
    victim = target(nodes=["driver=null-co,node-name=disk,size=1G"])
    for room in (4, 12, 24):
        pid = victim.daemon.pid
        set_data_limit(pid, data_used(pid) + room * MIB)
        for mode in MODES:
            for command, n in ((wire.READ, 32 * MIB), (wire.READ, 20 * MIB),
                               (wire.WRITE, 32 * MIB)):
                conn = victim.wire(mode)
                data = bytes(n) if command == wire.WRITE else b""
                try:
                    error = conn.call(command, 0, n, payload=data).error
                except (EOFError, ConnectionError):
                    error = None
                verdict((room, mode, command, n, error),
                        error in (None, wire.OK, 12) and
                        victim.daemon.is_running())
                conn.close()
                victim.serve_honest()
        set_data_limit(pid, resource.RLIM_INFINITY)
    conn = victim.wire("simple")
    verdict("again", conn.call(wire.READ, 0, 32 * MIB).error == wire.OK)


# Not pipe2: libuv itself aborts when its first loop gets no pipe.
STARTS = [("epoll_create1=EMFILE",), ("eventfd2=EMFILE",),
          ("clone3=EAGAIN", "clone=EAGAIN")]


def test_start_without_what_loops_need(image, tmp_path, verdict, count):
    """faults S74: no thread, no epoll, no eventfd at the start: an error and
    an exit status, or service without."""
    path = image()
    for n, rules in enumerate(STARTS):
        sock = tmp_path / f"{n}.sock"
        args = [*denied(*rules), *harness.program(), *harness.graph(path),
                "--nbd-server", f"addr.type=unix,addr.path={sock}",
                *harness.offer("disk", "")]
        with subprocess.Popen([str(a) for a in args], text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as process:
            listening = harness.wait_until(
                lambda s=sock, p=process: p.poll() is not None or
                harness.listens(harness.unix(s)), "a start or an end")
            count("daemons started", 1 if listening else 0)
            process.terminate()
            text = process.communicate(timeout=harness.PATIENCE)[1]
        harness.check_stderr(text)
        verdict((rules, process.returncode, text[-300:]),
                process.returncode in (0, 1, -15) and (
                    process.returncode != 1 or "ashlard: " in text))


def test_log_that_nobody_reads(target, verdict, count, tmp_path, monkeypatch):
    """faults S75: standard error is a full pipe: requests do not wait."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    launch = subprocess.Popen

    def popen(*args, **kwargs):
        kwargs["stderr"] = os.open(fifo, os.O_WRONLY)
        try:
            return launch(*args, **kwargs)
        finally:
            os.close(kwargs["stderr"])
    monkeypatch.setattr(harness.subprocess, "Popen", popen)
    victim = target(options=("--log-level", "debug"), workers=1,
                    server=",max-connections=0")
    monkeypatch.undo()
    filled = 0
    slowest = 0
    for n in range(1000):
        stream = victim.stream()
        stream.put(wire.option_bytes(99, b"x") * 5)
        stream.put(wire.option_bytes(wire.OPT_GO, wire.go_data(b"none")))
        begin = time.monotonic()
        for _ in range(5):
            stream.answer(99)
        verdict(n, stream.answer(wire.OPT_GO)[-1][0] == wire.ERR_UNKNOWN)
        slowest = max(slowest, time.monotonic() - begin)
        stream.close()
    filled = len(os.read(reader, 1 << 20))
    os.close(reader)
    count("bytes of log in a pipe that nobody read", filled)
    count("ms that a client waited for a full log", round(slowest * 1000))
    assert filled > 50000 and slowest < 1


def test_idle_connections_are_small(target, count):
    """faults S76: what a connection that waits costs."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, soft[1]), soft[1]))
    victim = target(server=",max-connections=0")
    n = 1500
    before = victim.rss()
    conns = [victim.wire(MODES[k % 3]) for k in range(n)]
    for conn in conns:
        assert conn.call(wire.READ, 0, 4096).error == wire.OK
    time.sleep(0.3)
    each = (victim.rss() - before) * 1024 / n
    count("inputs tried", n)
    count("KiB for an idle connection, under ASan", round(each))
    victim.serve_honest()
    # The stack's pages that were touched, and the sanitizer's shadow.
    assert each < 64
    victim.close_all()
    resource.setrlimit(resource.RLIMIT_NOFILE, soft)


MAP = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+)")
STACK = 256 * 1024


def deepest_stack(pid):
    """(the most bytes of a coroutine's stack that were touched, how many
    stacks): mappings of 256 KiB with a guard below."""
    deepest = n = 0
    size, guard, is_stack = 0, False, False
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            found = MAP.match(line)
            if found:
                size = int(found[2], 16) - int(found[1], 16)
                is_stack = (guard and found[3].startswith("rw") and
                            size <= STACK and size > STACK // 2)
                guard = found[3].startswith("---")
            elif is_stack and line.startswith("Rss:"):
                deepest = max(deepest, int(line.split()[1]) * 1024)
                n += 1
    return deepest, n


def test_stacks_have_headroom(target, verdict, count):
    """faults S78: all commands through a deep graph leave half of each
    coroutine's stack untouched; AddressSanitizer may have the rest but the
    last pages."""
    node = [FILE] + [f"driver=raw,node-name=r{n},file=" + (f"r{n - 1}" if n
                                                           else "f")
                     for n in range(60)]
    node.append("driver=fault,node-name=disk,file=r59,delay-ns.read=1000,"
                "delay-ns.write=1000,align=4k")
    victim = target(size=4 * MIB, nodes=node, data={0: b"q" * MIB})
    for mode in MODES:
        conn = victim.wire(mode, contexts=() if mode == "simple" else
                           ["base:allocation"])
        for command in (wire.READ, wire.WRITE, wire.TRIM, wire.CACHE,
                        wire.ZERO, wire.STATUS, wire.FLUSH):
            for offset, n in ((0, MIB), (513, 70001), (3 * MIB, 100)):
                data = bytes(n) if command == wire.WRITE else b""
                if command == wire.FLUSH:
                    offset = n = 0
                flags = wire.FUA
                error = conn.call(command, offset, n, flags, data).error
                verdict((mode, command), error == wire.OK or
                        mode == "simple" and command == wire.STATUS)
    deepest, n = deepest_stack(victim.daemon.pid)
    count("KiB of a stack that were touched at most", deepest // 1024)
    with open(harness.program()[0], "rb") as f:
        sanitized = b"__asan_init" in f.read()
    assert n > 0
    assert deepest <= (STACK - 16384 if sanitized else STACK // 2)


def test_stop_under_load(target, verdict, count):
    """faults S80: SIGTERM while clients read and write: every request gets
    its answer or ESHUTDOWN, status 0; what was acknowledged is there."""
    slowest = 0
    for mode in MODES:
        victim = target(size=4 * MIB, judged=False)
        done = []

        def load(k, mode=mode, victim=victim, done=done):
            conn = victim.wire(mode)
            try:
                for n in range(k * 256, k * 256 + 256):
                    reply = conn.call(wire.WRITE, n * 4096, 4096,
                                      payload=b"l" * 4096)
                    if reply.error == wire.OK:
                        done.append(n)
                    elif reply.error != wire.ESHUTDOWN:
                        done.append(-1)
            except (OSError, EOFError):
                pass
        threads = [threading.Thread(target=load, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        harness.wait_until(lambda d=done: len(d) > 50, "some writes")
        begin = time.monotonic()
        victim.daemon.stop()
        slowest = max(slowest, time.monotonic() - begin)
        for thread in threads:
            thread.join()
        with open(victim.path, "rb") as f:
            data = f.read()
        verdict((mode, len(done)), -1 not in done and all(
            data[n * 4096:n * 4096 + 4096] == b"l" * 4096 for n in done))
        victim.close_all()
    count("ms to stop under load", round(slowest * 1000))
    assert slowest < 2


def test_shutdown_is_said_before_the_end(target, verdict):
    """faults S80: requests that come after SIGTERM, while others are in
    flight, get ESHUTDOWN or the end, never silence."""
    victim = target(nodes=[FILE, "driver=fault,node-name=disk,file=f,"
                           "delay-ns.write=700000000"], judged=False)
    conn = victim.wire()
    conn.send(wire.WRITE, 0, 512, payload=bytes(512))
    time.sleep(0.1)
    victim.daemon.terminate()
    time.sleep(0.2)
    late = conn.send(wire.READ, 0, 512)
    answers = dict(conn.receive() for _ in range(2))
    verdict("late", answers[late].error == wire.ESHUTDOWN)
    verdict("early", [r.error for c, r in answers.items() if c != late] == [0])
    verdict("end", is_cut_off(conn))
    assert victim.daemon.wait() == 0
    victim.close_all()


def test_slow_reader_beside_a_fast_one(target, verdict, count):
    """faults S18: a client that reads 1 KiB at a time beside a fast one."""
    victim = target(size=64 * MIB)
    slow = victim.wire("simple")
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.put(header("simple", wire.READ, length=MIB) * 16)
    fast = victim.wire("simple")
    begin = time.monotonic()
    for n in range(100):
        slow.take(1024)
        verdict(n, fast.call(wire.READ, 0, MIB).error == wire.OK)
    count("MiB/s beside a slow reader, under ASan",
          round(100 / (time.monotonic() - begin)))
