"""A guest's writes complete after a restart under "nbd-client -persist".

Linux 6.1 fails what was in flight when the connection breaks and tells
nbd-client of no error, so that it ends instead of connecting again.  A service
manager would start it again; here init does, and the guest writes again until
the disk is back.  Nothing is lost and nothing is torn.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_restart_under_persist(boot, serve_tcp, image, how):
    path = image(size=96 << 20)
    port = harness.free_port()
    daemon = serve_tcp(path, port)
    guest = boot("rewrite", "/dev/nbd0", nbd=port, retry=30, respawn=1,
                 nbd_options="-nonetlink,-persist,-nofork")
    guest.wait_for("wrote 3")
    getattr(daemon, how)()
    serve_tcp(path, port)
    guest.finish()
    assert "GUEST cannot write" in guest.said()
