"""Hundreds of requests in flight on one connection are all answered right.

SPDX-License-Identifier: BSD-3-Clause
"""
import nbd

from harness import pattern

N = 400
BYTES = 4096


def finish(h, cookies):
    while h.aio_in_flight() > 0:
        h.poll(-1)
    for cookie in cookies:
        assert h.aio_command_completed(cookie)


def test_pipeline(serve, image, connect, count):
    path = image(size=N * BYTES)
    h = connect(serve(path).uri)
    blocks = [pattern(BYTES, n) for n in range(N)]
    finish(h, [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(block)),
                            n * BYTES) for n, block in enumerate(blocks)])
    buffers = [nbd.Buffer(BYTES) for _ in range(N)]
    finish(h, [h.aio_pread(buffer, n * BYTES)
               for n, buffer in enumerate(buffers)])
    for block, buffer in zip(blocks, buffers):
        assert bytes(buffer.to_bytearray()) == block
    assert path.read_bytes() == b"".join(blocks)
    count("pipelined requests", 2 * N)
