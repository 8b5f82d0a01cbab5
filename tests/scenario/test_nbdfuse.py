"""nbdfuse mounts an export as a file that can be read and written.

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import subprocess

import harness


def test_nbdfuse(serve, image, run, tmp_path):
    path = image(size=8 << 20)
    daemon = serve(path)
    folder = tmp_path / "mount"
    folder.mkdir()
    mounted = folder / "disk"
    with subprocess.Popen(["nbdfuse", mounted, daemon.uri]) as fuse:
        try:
            harness.wait_until(mounted.exists, "nbdfuse to mount")
            assert os.stat(mounted).st_size == 8 << 20
            content = harness.pattern(1 << 20)
            with open(mounted, "r+b", buffering=0) as f:
                f.seek(3 << 20)
                f.write(content)
                os.fsync(f.fileno())
                f.seek(3 << 20)
                assert f.read(1 << 20) == content
        finally:
            run("fusermount3", "-u", folder)
        assert fuse.wait(harness.PATIENCE) == 0
    assert path.read_bytes()[3 << 20:4 << 20] == content
