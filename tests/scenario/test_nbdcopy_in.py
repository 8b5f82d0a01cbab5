"""nbdcopy into an export leaves the source's bytes and the source's holes.

SPDX-License-Identifier: BSD-3-Clause
"""
import os

import pytest

from harness import pattern

SIZE = 24 << 20
DATA = {0: pattern(1 << 20, 1), 6 << 20: pattern(3 << 20, 2),
        SIZE - 512: pattern(512, 3)}


@pytest.mark.parametrize("options", [
    [], ["--synchronous"], ["--connections=4", "--requests=8"],
    ["--request-size=4096"], ["--request-size=33554432"], ["--allocated"],
    ["--flush", "--destination-is-zero"],
], ids=lambda options: "".join(options) or "plain")
def test_copy_in(serve, image, run, options):
    source = image("source.img", SIZE, DATA)
    target = image(size=SIZE)
    daemon = serve(target)
    run("nbdcopy", *options, source, daemon.uri)
    assert target.read_bytes() == source.read_bytes()
    if "--allocated" in options:
        assert os.stat(target).st_blocks * 512 >= SIZE
    else:
        assert os.stat(target).st_blocks * 512 < SIZE / 2


def test_old_data_goes_away(serve, image, run):
    source = image("source.img", SIZE, DATA)
    target = image(size=SIZE, data={0: pattern(SIZE, 4)})
    daemon = serve(target)
    run("nbdcopy", source, daemon.uri)
    assert target.read_bytes() == source.read_bytes()
    assert os.stat(target).st_blocks * 512 < SIZE / 2
