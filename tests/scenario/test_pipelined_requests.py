"""Hundreds of requests in flight on one connection are all answered right.

SPDX-License-Identifier: BSD-3-Clause
"""
import threading

import nbd

import wire
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


MILLION = 1000 * 1000
BATCH = 10 * 1000


def put_reads(stream, cookies):
    """Reads of one byte each."""
    for start in range(0, cookies, BATCH):
        stream.put(b"".join(wire.request_bytes(wire.READ, 0, start + i, i, 1)
                            for i in range(BATCH)))


def test_a_million_reads_of_a_byte(serve, image, dial, count):
    """Each is answered before the next is looked at: no stack grows."""
    content = pattern(BATCH)
    conn = dial(serve(image(size=BATCH, data={0: content})), mode="simple")
    sender = threading.Thread(target=put_reads, args=(conn, MILLION))
    sender.start()
    seen = bytearray(MILLION)
    for _ in range(MILLION // BATCH):
        replies = conn.take(17 * BATCH)
        for at in range(0, len(replies), 17):
            assert replies[at:at + 8] == b"\x67\x44\x66\x98\0\0\0\0"
            cookie = int.from_bytes(replies[at + 8:at + 16], "big")
            assert replies[at + 16] == content[cookie % BATCH]
            seen[cookie] += 1
    sender.join()
    assert seen == b"\1" * MILLION
    count("pipelined reads of one byte", MILLION)
