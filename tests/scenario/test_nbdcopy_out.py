"""nbdcopy out of an export gives the export's bytes, sparse where it is.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

from harness import pattern

SIZE = 24 << 20


@pytest.mark.parametrize("options", [
    [], ["--synchronous"], ["--connections=4", "--requests=8"],
    ["--request-size=4096"], ["--request-size=33554432"], ["--no-extents"],
], ids=lambda options: "".join(options) or "plain")
def test_copy_out(serve, image, run, tmp_path, options):
    source = image(size=SIZE, data={
        512: pattern(1 << 20, 1), 6 << 20: pattern(3 << 20, 2),
        SIZE - 512: pattern(512, 3)})
    daemon = serve(source, read_only=True)
    target = tmp_path / "target.img"
    run("nbdcopy", *options, daemon.uri, target)
    assert target.read_bytes() == source.read_bytes()
    assert os.stat(target).st_blocks * 512 < SIZE / 2
