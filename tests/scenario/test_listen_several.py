"""One daemon serves all its exports on several listeners at once.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

import harness

pytestmark = pytest.mark.beyond_qemu


def test_several_listeners(start, image, connect, tmp_path):
    port4, port6 = harness.free_port(), harness.free_port("::1")
    sock, name = tmp_path / "nbd.sock", f"ashlar-test-several-{os.getpid()}"
    start(*harness.graph(image("a.img", 1 << 20), "a"),
          *harness.graph(image("b.img", 2 << 20), "b"),
          "--nbd-server", f"addr.type=unix,addr.path={sock}",
          "--nbd-server", f"addr.type=inet,addr.host=127.0.0.1,"
                          f"addr.port={port4}",
          "--nbd-server", f"addr.type=inet,addr.host=::1,addr.port={port6}",
          "--nbd-server", f"addr.type=unix,addr.path={name},addr.abstract=on",
          *harness.offer("a", "a"), *harness.offer("b", "b"),
          listen=[harness.unix(sock), harness.tcp(port4),
                  harness.tcp(port6, "::1"), harness.abstract(name)])
    for uri in (f"nbd+unix:///%s?socket={sock}", f"nbd://127.0.0.1:{port4}/%s",
                f"nbd://[::1]:{port6}/%s"):
        for export, size in (("a", 1 << 20), ("b", 2 << 20)):
            h = connect(uri % export)
            assert h.get_size() == size
            h.pwrite(uri.encode(), 512)
            assert h.pread(len(uri), 512) == uri.encode()
