"""TRIM frees space with discard=unmap and changes nothing with ignore.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import wire
from harness import offer, pattern, unix

MIB = 1 << 20


@pytest.fixture
def trim(serve, image, dial):
    def call(discard):
        path = image(size=8 * MIB, data={0: pattern(8 * MIB)})
        conn = dial(serve(path, discard=discard))
        assert conn.call(wire.TRIM, MIB, 4 * MIB).error == wire.OK
        content = path.read_bytes()
        assert content[:MIB] == pattern(8 * MIB)[:MIB]
        assert content[5 * MIB:] == pattern(8 * MIB)[5 * MIB:]
        return content[MIB:5 * MIB], os.stat(path).st_blocks * 512
    return call


def test_unmap(trim):
    content, allocated = trim("unmap")
    assert content == bytes(4 * MIB)
    assert allocated <= 4 * MIB + 65536


def test_ignore(trim):
    content, allocated = trim("ignore")
    assert content == pattern(8 * MIB)[MIB:5 * MIB]
    assert allocated >= 8 * MIB


@pytest.mark.beyond_qemu
def test_unmap_is_the_default(start, image, dial, tmp_path):
    path = image(size=MIB, data={0: pattern(MIB)})
    sock = tmp_path / "nbd.sock"
    daemon = start(
        "--blockdev", f"driver=raw,node-name=disk,file.driver=file,"
                      f"file.filename={path}",
        "--nbd-server", f"addr.type=unix,addr.path={sock}", *offer("disk"),
        listen=[unix(sock)])
    assert dial(daemon).call(wire.TRIM, 0, MIB).error == wire.OK
    assert os.stat(path).st_blocks == 0
