"""qemu-img dd copies a part of an export.

SPDX-License-Identifier: BSD-3-Clause
"""
from harness import pattern


def test_dd(serve, image, run, tmp_path):
    content = pattern(4 << 20)
    target = tmp_path / "part.img"
    run("qemu-img", "dd", "-f", "raw", "-O", "raw", "bs=64k", "skip=3",
        "count=20", f"if={serve(image(size=4 << 20, data={0: content})).uri}",
        f"of={target}")
    assert target.read_bytes() == content[3 * 65536:20 * 65536]
