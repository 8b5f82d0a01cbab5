"""--daemonize returns once the daemon serves, or tells why it does not.

SPDX-License-Identifier: BSD-3-Clause
"""
import ctypes
import os
import signal
import subprocess

import pytest

import harness

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def adopt():
    """Processes left by their parents become ours, to wait for."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0
    yield
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 0) == 0


def test_daemonize(adopt, image, run, tmp_path):
    sock, pidfile = tmp_path / "nbd.sock", tmp_path / "pid"
    done = subprocess.run(
        [*harness.program(), *harness.graph(image(size=5 << 20)),
         "--nbd-server", f"addr.type=unix,addr.path={sock}",
         *harness.offer("disk"), "--pidfile", pidfile, "--daemonize"],
        cwd=tmp_path, timeout=harness.PATIENCE, capture_output=True,
        stdin=subprocess.DEVNULL, check=False)
    pid = int(pidfile.read_text())
    try:
        assert done.returncode == 0, done.stderr
        uri = f"nbd+unix:///?socket={sock}"
        assert run("nbdinfo", "--size", uri).stdout == f"{5 << 20}\n"
        assert os.getsid(pid) != os.getsid(0)
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    finally:
        os.kill(pid, signal.SIGTERM)
    status = harness.wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] and
                                "ended", "the daemon to end")
    assert status == "ended"
    assert not pidfile.exists()


def test_failure_is_told(image, refuse, tmp_path):
    said = refuse("--daemonize", "--nbd-server",
                  f"addr.type=unix,addr.path={tmp_path}/nbd.sock",
                  *harness.offer("disk"), "--blockdev",
                  f"driver=file,node-name=disk,filename={tmp_path}/missing")
    assert f"{tmp_path}/missing" in said
