"""Past the end, writes get ENOSPC and the rest EINVAL; the connection lives.

SPDX-License-Identifier: BSD-3-Clause
"""
import errno

import nbd
import pytest

import wire
from harness import pattern

pytestmark = pytest.mark.beyond_qemu
SIZE = 1 << 20
COMMANDS = [
    (wire.READ, wire.EINVAL), (wire.WRITE, wire.ENOSPC),
    (wire.TRIM, wire.EINVAL), (wire.CACHE, wire.EINVAL),
    (wire.ZERO, wire.ENOSPC), (wire.STATUS, wire.EINVAL)]
RANGES = [(SIZE, 1), (SIZE - 1, 2), (SIZE - 512, 1024), (SIZE, 4096),
          (SIZE + 1, 1), (1 << 40, 512), (1 << 63, 512), ((1 << 63) - 1, 1),
          ((1 << 64) - 1, 1), ((1 << 64) - 4096, 8192), (0, SIZE + 1)]


@pytest.mark.parametrize("mode", ["simple", "structured", "extended"])
def test_past_end(serve, image, dial, count, mode):
    path = image(data={0: pattern(SIZE)})
    before = path.read_bytes()
    contexts = [] if mode == "simple" else ["base:allocation"]
    conn = dial(serve(path), mode=mode, contexts=contexts)
    for command, error in COMMANDS:
        if command == wire.STATUS and not contexts:
            continue
        for offset, length in RANGES:
            payload = b"x" * length if command == wire.WRITE else b""
            reply = conn.call(command, offset, length, payload=payload)
            assert reply.error == error, (command, offset, length)
            assert conn.call(wire.READ, SIZE - 9, 9).data == before[-9:]
            count("errors checked")
    assert path.read_bytes() == before


def test_last_byte_is_not_past_end(serve, image, dial):
    conn = dial(serve(image()), contexts=["base:allocation"])
    for command, _ in COMMANDS:
        payload = b"x" if command == wire.WRITE else b""
        reply = conn.call(command, SIZE - 1, 1, payload=payload)
        assert reply.error == wire.OK, command


def test_libnbd_sees_the_same(serve, image, connect):
    h = connect(serve(image()).uri, ["base:allocation"])
    for call, expected in (
            (lambda: h.pread(512, SIZE), errno.EINVAL),
            (lambda: h.pwrite(bytes(512), SIZE), errno.ENOSPC),
            (lambda: h.zero(512, SIZE), errno.ENOSPC),
            (lambda: h.trim(512, SIZE), errno.EINVAL),
            (lambda: h.cache(512, SIZE), errno.EINVAL),
            (lambda: h.block_status(512, SIZE, lambda *a: 0), errno.EINVAL)):
        with pytest.raises(nbd.Error) as caught:
            call()
        assert caught.value.errnum == expected
        assert h.pread(1, SIZE - 1) == bytes(1)
