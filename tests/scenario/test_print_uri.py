"""--print-uri prints a URI for each export at each listener.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness

pytestmark = pytest.mark.beyond_qemu


def test_print_uri(start, image, run, tmp_path):
    sock, port = tmp_path / "nbd.sock", harness.free_port("::1")
    daemon = start(
        *harness.graph(image("a.img", 1 << 20), "a"),
        *harness.graph(image("b.img", 2 << 20), "b"),
        "--nbd-server", f"addr.type=unix,addr.path={sock}",
        "--nbd-server", f"addr.type=inet,addr.host=::1,addr.port={port}",
        *harness.offer("a"), *harness.offer("b", "an export"), "--print-uri",
        listen=[harness.unix(sock), harness.tcp(port, "::1")])
    uris = [daemon.process.stdout.readline().decode().rstrip("\n")
            for _ in range(4)]
    assert set(uris) == {
        f"nbd+unix:///?socket={sock}", f"nbd+unix:///an%20export?socket={sock}",
        f"nbd://[::1]:{port}/", f"nbd://[::1]:{port}/an%20export"}
    for uri in uris:
        size = 2 << 20 if "an%20export" in uri else 1 << 20
        assert run("nbdinfo", "--size", uri).stdout == f"{size}\n"
