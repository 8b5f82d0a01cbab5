"""An export has its file's size to the byte, and every byte is reachable.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import wire
from harness import pattern

pytestmark = pytest.mark.beyond_qemu
SIZE = 1000001


@pytest.mark.parametrize("size", [1, 511, 513, SIZE])
def test_size(serve, image, run, size):
    daemon = serve(image(size=size))
    assert run("nbdinfo", "--size", daemon.uri).stdout == f"{size}\n"


@pytest.mark.parametrize("mode", ["simple", "structured", "extended"])
def test_last_bytes(serve, image, dial, mode):
    content = pattern(SIZE)
    path = image(size=SIZE, data={0: content})
    conn = dial(serve(path), mode=mode)
    assert conn.call(wire.READ, SIZE - 1, 1).data == content[-1:]
    assert conn.call(wire.READ, SIZE - 513, 513).data == content[-513:]
    assert conn.call(wire.WRITE, SIZE - 1, 1, payload=b"Z").error == wire.OK
    assert conn.call(wire.READ, SIZE - 2, 2).data == content[-2:-1] + b"Z"
    assert conn.call(wire.ZERO, SIZE - 5, 5).error == wire.OK
    assert conn.call(wire.READ, SIZE - 8, 8).data == content[-8:-5] + bytes(5)
    assert path.stat().st_size == SIZE


def test_copy_out_and_in(serve, image, run, tmp_path):
    source = image("source.img", SIZE, {0: pattern(SIZE)})
    target = image(size=SIZE)
    daemon = serve(target)
    run("nbdcopy", source, daemon.uri)
    run("nbdcopy", daemon.uri, tmp_path / "back.img")
    assert (tmp_path / "back.img").read_bytes() == source.read_bytes()
    assert target.read_bytes() == source.read_bytes()


def test_map_ends_with_the_last_byte(serve, image, dial):
    daemon = serve(image(size=SIZE))
    conn = dial(daemon, contexts=["base:allocation"])
    context = conn.contexts["base:allocation"]
    assert conn.call(wire.STATUS, 0, SIZE).extents(context) == [(SIZE, 3)]
    assert conn.call(wire.STATUS, SIZE - 1, 1).extents(context) == [(1, 3)]
