"""qemu-nbd --list shows names, sizes, block sizes and contexts.

SPDX-License-Identifier: BSD-3-Clause
"""


def test_list(serve, image, run):
    daemon = serve(image(size=7 << 20), name="vol")
    out = run("qemu-nbd", "--list", "-k", daemon.sock).stdout
    assert "exports available: 1" in out
    assert "export: 'vol'" in out
    assert f"size:  {7 << 20}" in out
    assert "base:allocation" in out
