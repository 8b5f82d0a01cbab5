"""qemu-img convert writes an export and reads it back, in each of its ways.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest

from harness import pattern

SIZE = 16 << 20
DATA = {0: pattern(1 << 20, 1), 8 << 20: pattern(65536 + 512, 2)}
RAW = ["-f", "raw", "-O", "raw"]


@pytest.mark.parametrize("options", [
    [], ["-W", "-m16"], ["-t", "none"], ["-t", "writethrough"],
    ["-S", "0"], ["-C"], ["--target-is-zero"],
], ids=lambda options: "".join(options) or "plain")
def test_convert_in(serve, image, run, options):
    source = image("source.img", SIZE, DATA)
    target = image(size=SIZE)
    run("qemu-img", "convert", "-n", *options, *RAW, source, serve(target).uri)
    assert target.read_bytes() == source.read_bytes()


def test_convert_out(serve, image, run, tmp_path):
    source = image(size=SIZE, data=DATA)
    target = tmp_path / "target.img"
    run("qemu-img", "convert", *RAW, serve(source).uri, target)
    assert target.read_bytes() == source.read_bytes()


def test_convert_to_qcow2_and_back(serve, image, run, tmp_path):
    source = image(size=SIZE, data=DATA)
    before = source.read_bytes()
    daemon = serve(source)
    middle = tmp_path / "middle.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", daemon.uri, middle)
    run("nbdsh", "-u", daemon.uri, "-c", f"h.zero({SIZE}, 0)")
    run("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", middle,
        daemon.uri)
    assert source.read_bytes() == before
