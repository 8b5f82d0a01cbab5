"""An image has one writer and any number of readers.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness


@pytest.mark.beyond_qemu
def test_second_daemon_is_refused(serve, image, refuse, tmp_path):
    path = image()
    serve(path)
    said = refuse("--nbd-server", f"addr.type=unix,addr.path={tmp_path}/s",
                  *harness.graph(path), *harness.offer("disk"))
    assert str(path) in said
    assert "lock" in said
    assert not harness.listens(harness.unix(tmp_path / "s"))


@pytest.mark.beyond_qemu
def test_second_node_is_refused(image, refuse, tmp_path):
    path = image()
    said = refuse("--nbd-server", f"addr.type=unix,addr.path={tmp_path}/s",
                  *harness.graph(path, "one"), *harness.graph(path, "two"),
                  *harness.offer("one", "one"), *harness.offer("two", "two"))
    assert str(path) in said
    assert "lock" in said


@pytest.mark.beyond_qemu
def test_second_writable_export_of_a_node(image, refuse, tmp_path):
    said = refuse("--nbd-server", f"addr.type=unix,addr.path={tmp_path}/s",
                  *harness.graph(image()), *harness.offer("disk", "one"),
                  "--export", "nbd,id=two,node-name=disk,name=two,writable=on")
    assert "disk" in said
    assert "write" in said


def test_readers_share(serve, image, dial):
    path = image()
    for _ in range(3):
        assert dial(serve(path, read_only=True)).size == 1 << 20


def test_restart_gets_the_lock(serve, image, dial):
    path = image()
    for how in ("stop", "kill", "stop"):
        daemon = serve(path)
        assert dial(daemon).size == 1 << 20
        getattr(daemon, how)()
    serve(path)
