"""Fixtures of the scenario tests: a real daemon and real clients.

Environment: ASHLAR_BUILD is the build folder (default build/dev), ASHLARD
another server to run the tests against, ASHLAR_PATIENCE the seconds that a
daemon may take to start or to end.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import shutil
import subprocess

import nbd
import pytest

import harness
from fixtures import COUNTS, count, dial, refuse, start
from fixtures import pytest_terminal_summary
from guest.guest import Guest

# Clients are the distribution's, whatever else the caller has in its path.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "beyond_qemu: requires what qemu-storage-daemon lacks, so "
        "it fails when ASHLARD names that program")


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


@pytest.fixture
def boot(tmp_path):
    """boot(task, disk, ...): a guest, gone at the end of the test."""
    guests = []

    def launch(*args, **options):
        log = tmp_path / f"console-{len(guests)}"
        guests.append(Guest(log, *args, **options))
        COUNTS["guests booted"] += 1
        return guests[-1]

    yield launch
    for guest in guests:
        guest.close()
