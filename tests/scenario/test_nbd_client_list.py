"""nbd-client -l lists the exports.

SPDX-License-Identifier: BSD-3-Clause
"""
import harness


def test_list(start, image, run, tmp_path):
    sock = tmp_path / "nbd.sock"
    start(*harness.graph(image("1.img"), "one"),
          *harness.graph(image("2.img"), "two"),
          "--nbd-server", f"addr.type=unix,addr.path={sock}",
          *harness.offer("one", "first"), *harness.offer("two", "second"),
          listen=[harness.unix(sock)])
    out = run("nbd-client", "-l", "-unix", sock).stdout
    assert {"first", "second"} <= set(out.split())
