"""Fixtures of the tests in Python: a real daemon and its clients.

Environment: ASHLAR_BUILD is the build folder (default build/dev), ASHLARD
another server to run the tests against, ASHLAR_PATIENCE the seconds that a
daemon may take to start or to end.

SPDX-License-Identifier: BSD-3-Clause
"""
import collections
import os
import shutil
import subprocess
import sys

import nbd
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "lib"))
import harness  # noqa: E402
import wire  # noqa: E402

COUNTS = collections.Counter()
# Clients are the distribution's, whatever else the caller has in its path.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "beyond_qemu: requires what qemu-storage-daemon lacks, so "
        "it fails when ASHLARD names that program")


def pytest_terminal_summary(terminalreporter):
    text = ", ".join(f"{n} {what}" for what, n in sorted(COUNTS.items()))
    terminalreporter.write_line(f"counts: {text or 'nothing'}")


@pytest.fixture
def count():
    """count(what, n=1): a figure for the summary."""
    def add(what, n=1):
        COUNTS[what] += n
    return add


@pytest.fixture
def image(tmp_path):
    """image(name, size, data={offset: bytes}): make a sparse file."""
    def make(name="disk.img", size=1 << 20, data=None):
        path = tmp_path / name
        with open(path, "wb") as f:
            f.truncate(size)
            for offset, content in (data or {}).items():
                f.seek(offset)
                f.write(content)
        return path
    return make


@pytest.fixture
def run(tmp_path):
    """run(*command, status=0): run a client, judge its exit status."""
    def call(*command, status=0, timeout=60, input=None):
        command = [str(c) for c in command]
        if shutil.which(command[0], path=PATH) is None:
            pytest.fail(f"{command[0]} is not installed; tests/packages.txt "
                        "names the packages that the tests need")
        COUNTS["client programs run"] += 1
        done = subprocess.run(command, capture_output=True, text=True,
                              errors="replace", timeout=timeout, input=input,
                              cwd=tmp_path,
                              env=os.environ | {"PATH": PATH}, check=False)
        assert status in (None, done.returncode), (
            f"{command}: exit status {done.returncode}\n"
            f"{done.stdout}\n{done.stderr}")
        return done
    return call


@pytest.fixture
def start(tmp_path):
    """start(*args, listen=[address...]): a daemon that is ready.

    Those still running at the end of the test get SIGTERM and must end well.
    """
    daemons = []

    def launch(*args, listen=(), **options):
        log = tmp_path / f"daemon-{len(daemons)}.stderr"
        daemon = harness.Daemon(args, listen, log, **options)
        daemons.append(daemon)
        COUNTS["daemons started"] += 1
        return daemon.wait_ready()

    yield launch
    running = [d for d in daemons if d.is_running()]
    try:
        for daemon in running:
            daemon.stop()
    finally:
        for daemon in running:
            if daemon.is_running():
                daemon.kill()


@pytest.fixture
def refuse():
    """refuse(*args): a start that fails with status 1; what was said."""
    def call(*args):
        COUNTS["starts refused"] += 1
        done = subprocess.run(
            [*harness.program(), *[str(a) for a in args]], text=True,
            stdin=subprocess.DEVNULL, capture_output=True,
            timeout=harness.PATIENCE, check=False)
        harness.check_stderr(done.stderr)
        assert done.returncode == 1, (done.returncode, done.stderr)
        return done.stderr
    return call


@pytest.fixture
def serve(start, tmp_path):
    """serve(file): a daemon with one export on a captive unix socket."""
    n = 0

    def launch(path, name="", read_only=False, discard="unmap", protocol="",
               server="", export=""):
        nonlocal n
        sock = tmp_path / f"nbd{n or ''}.sock"
        n += 1
        daemon = start(*harness.graph(path, read_only=read_only, discard=discard,
                                      protocol=protocol),
                       "--nbd-server",
                       f"addr.type=unix,addr.path={sock}" + server,
                       *harness.offer("disk", name, not read_only, export),
                       listen=[harness.unix(sock)])
        daemon.sock = sock
        daemon.uri = f"nbd+unix:///{name}?socket={sock}"
        return daemon
    return launch


@pytest.fixture
def connect():
    """connect(uri): a libnbd handle that lets every request pass."""
    handles = []

    def open_handle(uri, contexts=()):
        h = nbd.NBD()
        handles.append(h)
        for context in contexts:
            h.add_meta_context(context)
        h.connect_uri(uri)
        h.set_strict_mode(0)
        COUNTS["libnbd connections"] += 1
        return h

    yield open_handle
    handles.clear()  # libnbd for Python has no other way to close


@pytest.fixture
def dial():
    """dial(daemon, **options): a connection that can also break the rules."""
    conns = []

    def open_wire(daemon, **options):
        conn = wire.Wire(harness.dial(daemon.listen[0]), **options)
        conns.append(conn)
        COUNTS["wire connections"] += 1
        return conn

    yield open_wire
    for conn in conns:
        conn.close()


@pytest.fixture
def serve_tcp(start):
    """serve_tcp(path, port): a daemon with export "disk" on 127.0.0.1."""
    def launch(path, port, host="127.0.0.1"):
        daemon = start(
            *harness.graph(path), "--nbd-server",
            f"addr.type=inet,addr.host={host},addr.port={port}",
            *harness.offer("disk", "disk"),
            listen=[harness.tcp(port, host)])
        where = f"[{host}]" if ":" in host else host
        daemon.uri = f"nbd://{where}:{port}/disk"
        return daemon
    return launch
