"""An image has one writer and any number of readers.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness
import wire


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


def test_exports_of_one_node_share_it(start, image, dial, tmp_path):
    daemon = start("--nbd-server", f"addr.type=unix,addr.path={tmp_path}/s",
                   *harness.graph(image()), *harness.offer("disk", "one"),
                   "--export",
                   "nbd,id=two,node-name=disk,name=two,writable=on",
                   listen=[harness.unix(tmp_path / "s")])
    one, two = (dial(daemon, export=name) for name in ("one", "two"))
    assert one.call(wire.WRITE, 0, 3, payload=b"new").error == wire.OK
    assert two.call(wire.READ, 0, 3).data == b"new"
    assert two.call(wire.WRITE, 1, 1, payload=b"o").error == wire.OK
    assert one.call(wire.READ, 0, 3).data == b"now"


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
