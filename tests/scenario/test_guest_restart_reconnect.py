"""A guest whose kernel waits for the server sees no error across a restart.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_restart_under_kernel_reconnect(boot, serve_tcp, image, how):
    path = image(size=96 << 20)
    port = harness.free_port()
    daemon = serve_tcp(path, port)
    guest = boot("rewrite", "/dev/nbd0", nbd=port, reconnect=60, retry=0)
    guest.wait_for("wrote 3")
    getattr(daemon, how)()
    guest.wait_for("link dead")
    serve_tcp(path, port)
    guest.finish()
    assert "GUEST reconnected" in guest.said()
    assert guest.io_errors() == 0
