"""A unix socket's file is made, removed at the end, replaced when stale.

SPDX-License-Identifier: BSD-3-Clause
"""
import stat

import pytest

import harness


@pytest.mark.beyond_qemu
def test_file_goes_away(serve, image):
    daemon = serve(image())
    assert stat.S_ISSOCK(daemon.sock.stat().st_mode)
    daemon.stop()
    assert not daemon.sock.exists()


def options(path, sock):
    return [*harness.graph(path), "--nbd-server",
            f"addr.type=unix,addr.path={sock}", *harness.offer("disk")]


def test_stale_file_is_replaced(start, image, dial, tmp_path):
    args = options(image(), tmp_path / "s.sock")
    where = [harness.unix(tmp_path / "s.sock")]
    start(*args, listen=where).kill()
    assert not harness.listens(where[0])
    assert dial(start(*args, listen=where)).size == 1 << 20


@pytest.mark.beyond_qemu
def test_live_socket_is_not_taken(start, image, dial, refuse, tmp_path):
    sock = tmp_path / "s.sock"
    first = start(*options(image("1.img"), sock), listen=[harness.unix(sock)])
    assert str(sock) in refuse(*options(image("2.img"), sock))
    assert dial(first).size == 1 << 20


@pytest.mark.beyond_qemu
def test_other_files_are_not_replaced(image, refuse, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("data")
    assert str(precious) in refuse(*options(image(), precious))
    assert precious.read_text() == "data"
