"""--pidfile writes the process id once the daemon serves, and removes it.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness


def options(image, tmp_path, pidfile):
    return [*harness.graph(image()), "--nbd-server",
            f"addr.type=unix,addr.path={tmp_path}/nbd.sock",
            *harness.offer("disk"), "--pidfile", pidfile]


@pytest.mark.parametrize("option", [
    "--pidfile", pytest.param("--pid-file", marks=pytest.mark.beyond_qemu)])
def test_pidfile(start, image, tmp_path, option):
    pidfile = tmp_path / "pid"
    args = options(image, tmp_path, pidfile)
    daemon = start(*args[:-2], option, pidfile)
    harness.wait_until(lambda: pidfile.exists() and pidfile.read_text(),
                       "the pid file")
    assert pidfile.read_text() == f"{daemon.pid}\n"
    assert harness.listens(harness.unix(tmp_path / "nbd.sock"))
    daemon.stop()
    assert not pidfile.exists()


@pytest.mark.beyond_qemu
def test_pidfile_in_use(start, image, refuse, tmp_path):
    pidfile = tmp_path / "pid"
    daemon = start(*options(image, tmp_path, pidfile))
    harness.wait_until(pidfile.exists, "the pid file")
    said = refuse("--pidfile", pidfile, "--nbd-server",
                  f"addr.type=unix,addr.path={tmp_path}/2.sock",
                  *harness.graph(image("2.img")), *harness.offer("disk"))
    assert str(pidfile) in said
    assert pidfile.read_text() == f"{daemon.pid}\n"


def test_stale_pidfile_is_replaced(start, image, tmp_path):
    pidfile = tmp_path / "pid"
    pidfile.write_text("1\n")
    daemon = start(*options(image, tmp_path, pidfile))
    harness.wait_until(lambda: pidfile.read_text() == f"{daemon.pid}\n",
                       "the new pid")
