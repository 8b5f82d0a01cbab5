"""Writes, trims and zeroes on a read-only export get EPERM, nothing changes.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import wire
from harness import pattern

pytestmark = pytest.mark.beyond_qemu
COMMANDS = [(wire.WRITE, 0), (wire.WRITE, wire.FUA), (wire.TRIM, 0),
            (wire.ZERO, 0), (wire.ZERO, wire.NO_HOLE),
            (wire.ZERO, wire.FAST_ZERO)]
RANGES = [(0, 1), (4096, 4096), (1 << 20, 512), ((1 << 20) - 1, 2)]


@pytest.mark.parametrize("mode", ["simple", "structured", "extended"])
def test_eperm(serve, image, dial, count, mode):
    path = image(data={0: pattern(1 << 20)})
    before = path.read_bytes()
    conn = dial(serve(path, read_only=True), mode=mode)
    for command, flags in COMMANDS:
        for offset, length in RANGES:
            payload = bytes(length) if command == wire.WRITE else b""
            reply = conn.call(command, offset, length, flags, payload)
            assert reply.error == wire.EPERM, (command, flags, offset)
            assert conn.call(wire.READ, 7, 9).data == before[7:16]
            count("errors checked")
    assert conn.call(wire.FLUSH).error == wire.OK
    assert path.read_bytes() == before


def test_writable_export_of_read_only_file(image, refuse, tmp_path):
    path = image()
    said = refuse(
        "--blockdev", f"driver=file,node-name=disk,filename={path},"
                      "read-only=on", "--nbd-server",
        f"addr.type=unix,addr.path={tmp_path}/s", "--export",
        "nbd,id=exp,node-name=disk,writable=on")
    assert "disk" in said
    assert "read-only" in said
