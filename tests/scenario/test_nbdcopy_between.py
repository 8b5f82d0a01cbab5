"""nbdcopy from one export to another of the same daemon loses nothing.

SPDX-License-Identifier: BSD-3-Clause
"""
import harness


def test_copy_between(start, image, run, tmp_path):
    sock = tmp_path / "nbd.sock"
    source = image("source.img", 8 << 20, {1 << 20: harness.pattern(2 << 20)})
    target = image("target.img", 8 << 20)
    start(*harness.graph(source, "source", read_only=True),
          *harness.graph(target, "target"),
          "--nbd-server", f"addr.type=unix,addr.path={sock}",
          *harness.offer("source", "source", writable=False),
          *harness.offer("target", "target"), listen=[harness.unix(sock)])
    run("nbdcopy", f"nbd+unix:///source?socket={sock}",
        f"nbd+unix:///target?socket={sock}")
    assert target.read_bytes() == source.read_bytes()
