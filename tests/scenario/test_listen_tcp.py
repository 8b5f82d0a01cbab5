"""A daemon serves on TCP, IPv4 and IPv6, and only at the address given.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness


@pytest.mark.parametrize("host, other", [("127.0.0.1", "::1"),
                                         ("::1", "127.0.0.1")])
def test_tcp(serve_tcp, image, run, host, other):
    port = harness.free_port(host)
    daemon = serve_tcp(image(size=3 << 20), port, host)
    assert run("nbdinfo", "--size", daemon.uri).stdout == f"{3 << 20}\n"
    assert not harness.listens(harness.tcp(port, other))


def test_restart_takes_the_port_at_once(serve_tcp, image, connect):
    path = image()
    port = harness.free_port()
    first = serve_tcp(path, port)
    connect(first.uri).pread(512, 0)
    first.stop()
    connect(serve_tcp(path, port).uri).pread(512, 0)
