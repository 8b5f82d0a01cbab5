"""qemu-img bench reads, writes and flushes with requests in flight.

SPDX-License-Identifier: BSD-3-Clause
"""
import pytest


@pytest.mark.parametrize("options", [
    [], ["-w"], ["-w", "--flush-interval=64"], ["-s", "65536", "-d", "16"],
    ["-w", "--pattern=7", "-o", "512", "-S", "1536"],
], ids=lambda options: "".join(options) or "plain")
def test_bench(serve, image, run, options):
    run("qemu-img", "bench", "-f", "raw", "-c", "1000", "-d", "32", "-s",
        "4096", *options, serve(image(size=64 << 20)).uri)
