"""Linux's own client makes, fills, trims and checks a file system in a guest.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

import harness


@pytest.mark.parametrize("connections", [1, 2])
def test_file_system_on_dev_nbd(boot, serve_tcp, image, run, connections):
    path = image(size=96 << 20)
    port = harness.free_port()
    daemon = serve_tcp(path, port)
    guest = boot("filesystem", "/dev/nbd0", nbd=port,
                 nbd_options=f"-connections,{connections}")
    guest.finish()
    assert guest.io_errors() == 0
    daemon.stop()
    run("fsck.ext4", "-f", "-n", path)
