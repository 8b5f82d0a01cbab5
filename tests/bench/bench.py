#!/usr/bin/python3
"""Measure ashlard beside the peers of this distribution, in one run.

  bench.py --build DIR [--scratch DIR] [--rounds N] [--seconds S] [--size SIZE]
           [--only SERVER,...] [--work NAME,...] [--json FILE] [--no-extra]

Every round runs every server on every workload, one after the other; a row is
the median over the rounds.  For each server: operations a second, latency, and
the server's own CPU time per operation.  Servers: ashlard, nbdkit, qemu-nbd,
nbd-server, on one raw file in the page cache and a unix socket.  Then what
has no peer: direct I/O, a stalled export beside a fast one, idle connections,
starting with many exports.

SPDX-License-Identifier: BSD-3-Clause
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")

WORKLOADS = {
    "read4k-q1": "-m r -b 4096 -q 1",
    "read4k-q32": "-m r -b 4096 -q 32",
    "read4k-q32c4": "-m r -b 4096 -q 32 -c 4",
    "write4k-hot": "-m w -b 4096 -q 32 -z 33554432",
    "write4k-cold": "-m w -b 4096 -q 32",
    "mix4k-q32": "-m m -b 4096 -q 32 -z 33554432",
    "sync4k-q8": "-m w -b 4096 -q 8 -F 8 -z 33554432",
    "read64k-q16": "-m r -b 65536 -q 16",
    "read256k-q8": "-m r -b 262144 -q 8 -s",
    "read1m-q4": "-m r -b 1048576 -q 4 -s",
    "write256k-q8": "-m w -b 262144 -q 8 -s",
}
WORK_DIRECT = {"direct4k-q32": "-m r -b 4096 -q 32",
               "direct4k-write-q32": "-m w -b 4096 -q 32"}


class Server:
    """A server process on a unix socket."""

    def __init__(self, command, sock, export=""):
        self.sock = sock
        self.export = export
        if os.path.exists(sock):
            os.unlink(sock)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self.accepts():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("did not start: " + " ".join(command))
            time.sleep(0.01)

    def accepts(self):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(self.sock)
                return True
            except OSError:
                return False

    def cpu_seconds(self):
        """Of the process and its children, ended ones included."""
        total = 0
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)],
                                  capture_output=True, text=True,
                                  check=False).stdout.split()
        for pid in [self.process.pid, *map(int, children)]:
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                total += sum(map(int, fields[11:15]))
            except OSError:
                pass
        return total / TICKS

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith("VmRSS"):
                    return int(line.split()[1])
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    """One run: the tools, the image, and the results."""

    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self.ashlard = os.path.join(options.build, "bin", "ashlard")
        self.load = os.path.join(options.build, "bin", "nbdload")
        self.image = os.path.join(scratch, "raw.img")
        self.results = {}

    def path(self, name):
        return os.path.join(self.scratch, name)

    def make_image(self):
        subprocess.run(f"head -c {self.options.size} /dev/urandom > "
                       f"{self.image}", shell=True, check=True)

    def commands(self):
        conf = self.path("nbd-server.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"[generic]\nunixsock={self.path('nbd-server.sock')}\n"
                    f"allowlist=true\n[default]\nexportname={self.image}\n"
                    "flush=true\ntrim=true\nfua=true\n")
        every = {
            "ashlard": [self.ashlard, "-f", "raw", "--socket",
                        self.path("ashlard.sock"), self.image],
            "nbdkit": ["nbdkit", "-f", "-U", self.path("nbdkit.sock"),
                       "-t", "16", "file", self.image],
            "qemu-nbd": ["qemu-nbd", "-t", "-f", "raw", "-e", "64",
                         "--aio=io_uring", "--discard=unmap",
                         "-k", self.path("qemu-nbd.sock"), self.image],
            "nbd-server": ["nbd-server", "-n", "-C", conf],
        }
        if self.options.only:
            every = {k: v for k, v in every.items()
                     if k in self.options.only.split(",")}
        for name, command in every.items():
            if not shutil.which(command[0]):
                sys.exit(f"bench: {command[0]} is missing ({name})")
        return every

    def measure(self, server, workload):
        os.sync()  # no server pays for another's dirty pages
        before = server.cpu_seconds()
        out = subprocess.run(
            [self.load, "-u", server.sock, "-e", server.export,
             "-t", str(self.options.seconds), *workload.split()],
            capture_output=True, text=True, check=False)
        if out.returncode != 0:
            raise RuntimeError(out.stderr.strip())
        row = json.loads(out.stdout)
        row["cpu_us"] = ((server.cpu_seconds() - before) /
                         max(row["ops"], 1) * 1e6)
        row["rss_kib"] = server.rss_kib()
        return row

    def round(self, name, command, workloads):
        server = Server(command, self.path(f"{name}.sock"),
                        "default" if name == "nbd-server" else "")
        try:
            for work, args in workloads.items():
                row = self.measure(server, args)
                self.results.setdefault(work, {}).setdefault(
                    name, []).append(row)
        finally:
            server.stop()

    def compare(self):
        work = WORKLOADS
        if self.options.work:
            work = {k: WORKLOADS[k] for k in self.options.work.split(",")
                    if k in WORKLOADS}
        for _ in range(self.options.rounds):
            for name, command in self.commands().items():
                self.round(name, command, work)

    def compare_direct(self):
        node = f"driver=file,node-name=f,filename={self.image}," \
               "cache.direct=on,aio=io_uring"
        commands = {
            "ashlard": [self.ashlard, "--blockdev", node,
                        "--blockdev", "driver=raw,node-name=n,file=f",
                        "--nbd-server", "addr.type=unix,addr.path=" +
                        self.path("ashlard.sock"),
                        "--export", "nbd,id=e,node-name=n,name=,writable=on"],
            "qemu-nbd": ["qemu-nbd", "-t", "-f", "raw", "-e", "64",
                         "--aio=io_uring", "--cache=none",
                         "-k", self.path("qemu-nbd.sock"), self.image],
        }
        for _ in range(self.options.rounds):
            for name, command in commands.items():
                self.round(name, command, WORK_DIRECT)

    def report(self):
        summary = {}
        for work, servers in self.results.items():
            print(f"\n{work}")
            base = None
            for name, rows in servers.items():
                m = {k: statistics.median(r[k] for r in rows)
                     for k in ("iops", "mbps", "p50", "p99", "cpu_us",
                               "errors", "rss_kib")}
                summary.setdefault(work, {})[name] = m
                base = base or m
                print(f"  {name:11} {m['iops']:9.0f} op/s {m['mbps']:8.1f} "
                      f"MB/s  p50 {m['p50']:8.1f} p99 {m['p99']:8.1f} us  "
                      f"cpu {m['cpu_us']:7.2f} us/op  "
                      f"speed x{base['iops'] / m['iops']:.2f}  "
                      f"cpu x{base['cpu_us'] / max(m['cpu_us'], .01):.2f}"
                      + (f"  ERRORS {m['errors']:.0f}"
                         if m["errors"] else ""))
        return summary

    # ---- what has no peer ----

    def stalled_neighbour(self):
        """A fast export's speed while another's writes take 200 ms."""
        command = [
            self.ashlard, "--workers", "1",
            "--blockdev", f"driver=file,node-name=f,filename={self.image}",
            "--blockdev", "driver=raw,node-name=fast,file=f",
            "--blockdev", "driver=null-co,node-name=z,size=1G",
            "--blockdev", "driver=fault,node-name=slow,file=z,"
            "delay-ns.write=200000000",
            "--nbd-server", "addr.type=unix,addr.path=" +
            self.path("stall.sock"),
            "--export", "nbd,id=e0,node-name=fast,name=fast,writable=on",
            "--export", "nbd,id=e1,node-name=slow,name=slow,writable=on"]
        server = Server(command, self.path("stall.sock"))
        rates = {}
        try:
            for kind in ("alone", "beside"):
                rows = []
                for _ in range(self.options.rounds):
                    other = None
                    if kind == "beside":
                        other = subprocess.Popen(
                            [self.load, "-u", server.sock, "-e", "slow",
                             "-m", "w", "-q", "64", "-t",
                             str(self.options.seconds + 1)],
                            stdout=subprocess.DEVNULL)
                        time.sleep(0.3)
                    server.export = "fast"
                    rows.append(self.measure(
                        server, "-m r -b 4096 -q 32")["iops"])
                    if other:
                        other.wait()
                rates[kind] = statistics.median(rows)
        finally:
            server.stop()
        part = rates["beside"] / rates["alone"]
        print(f"\nstalled neighbour: the fast export keeps {part:.0%} "
              f"({rates['beside']:.0f} of {rates['alone']:.0f} op/s)")
        return {"part": part, **rates}

    def idle_connections(self, n=1000):
        """Memory and CPU of connections that do nothing."""
        command = [self.ashlard, "-f", "raw", "--shared", "0", "--socket",
                   self.path("idle.sock"), self.image]
        server = Server(command, self.path("idle.sock"))
        try:
            before = server.rss_kib()
            conns = [shake_hands(server.sock) for _ in range(n)]
            time.sleep(1)
            cpu = server.cpu_seconds()
            each = (server.rss_kib() - before) / n
            time.sleep(3)
            cpu = server.cpu_seconds() - cpu
            for s in conns:
                s.close()
        finally:
            server.stop()
        print(f"\n{n} idle connections: {each:.1f} KiB each, "
              f"{cpu * 1000:.0f} ms of CPU in 3 s")
        return {"kib_each": each, "cpu_s": cpu}

    def many_exports(self, n=1000):
        """Time until a daemon with many exports serves."""
        command = [self.ashlard, "--nbd-server", "addr.type=unix,addr.path=" +
                   self.path("many.sock")]
        for i in range(n):
            path = self.path(f"many-{i}.img")
            with open(path, "wb") as f:
                f.truncate(1 << 20)
            command += ["--blockdev",
                        f"driver=file,node-name=f{i},filename={path}",
                        "--blockdev", f"driver=raw,node-name=n{i},file=f{i}",
                        "--export", f"nbd,id=e{i},node-name=n{i},writable=on"]
        times = []
        for _ in range(self.options.rounds):
            begin = time.monotonic()
            server = Server(command, self.path("many.sock"))
            times.append(time.monotonic() - begin)
            server.stop()
        print(f"\nstart with {n} exports: {statistics.median(times):.3f} s")
        return {"seconds": statistics.median(times)}


def shake_hands(path):
    """A socket in the transmission phase of the default export."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.recv(18, socket.MSG_WAITALL)
    s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" +
              struct.pack(">IIIH", 7, 6, 0, 0))
    while True:
        head = s.recv(20, socket.MSG_WAITALL)
        kind, length = struct.unpack(">II", head[12:])
        if length:
            s.recv(length, socket.MSG_WAITALL)
        if kind == 1:
            return s


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", required=True, help="build/release")
    p.add_argument("--scratch", help="where the image goes")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--size", default="1G", help="of the image")
    p.add_argument("--only", help="servers, comma separated")
    p.add_argument("--work", help="workloads: " + ", ".join(WORKLOADS))
    p.add_argument("--json", help="write the medians here")
    p.add_argument("--no-extra", action="store_true",
                   help="only the comparison with peers")
    return p.parse_args()


def main():
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        bench = Bench(options, scratch)
        bench.make_image()
        bench.compare()
        if not options.no_extra:
            bench.compare_direct()
        summary = bench.report()
        if not options.no_extra:
            summary["stalled-neighbour"] = bench.stalled_neighbour()
            summary["idle-connections"] = bench.idle_connections()
            summary["many-exports"] = bench.many_exports()
    if options.json:
        with open(options.json, "w", encoding="ascii") as f:
            json.dump(summary, f, indent=1)


if __name__ == "__main__":
    main()
