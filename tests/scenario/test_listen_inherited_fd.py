"""A daemon serves on a listening socket that its parent has opened.

SPDX-License-Identifier: BSD-3-Clause
"""
import socket

import pytest

import harness


def listener(kind, path):
    if kind == "tcp":
        s = socket.create_server(("127.0.0.1", 0))
        return s, harness.tcp(s.getsockname()[1])
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    s.listen()
    return s, harness.unix(path)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_inherited_fd(start, image, dial, tmp_path, kind):
    with listener(kind, tmp_path / "l.sock")[0] as s:
        where = ((kind, s.getsockname()))
        daemon = start(
            *harness.graph(image(size=2 << 20)), "--nbd-server",
            f"addr.type=fd,addr.str={s.fileno()}", *harness.offer("disk"),
            listen=[where], pass_fds=[s.fileno()])
        assert dial(daemon).size == 2 << 20
