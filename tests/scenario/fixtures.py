"""Fixtures of every folder of tests that run the daemon.

SPDX-License-Identifier: BSD-3-Clause
"""
import collections
import subprocess

import pytest

import harness
import wire

COUNTS = collections.Counter()


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
