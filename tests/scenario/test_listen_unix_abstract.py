"""A daemon serves on an abstract unix socket.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import harness


def test_abstract(start, image, dial):
    name = f"ashlar-test-{os.getpid()}"
    daemon = start(
        *harness.graph(image(size=2 << 20)), "--nbd-server",
        f"addr.type=unix,addr.path={name},addr.abstract=on",
        *harness.offer("disk"), listen=[harness.abstract(name)])
    assert dial(daemon).size == 2 << 20
    assert not os.path.exists(name)
