"""qemu-io writes patterns, zeroes, discards and verifies them.

SPDX-License-Identifier: BSD-3-Clause
"""

STEPS = [
    "write -P 1 0 1M", "write -z 256k 128k", "write -z -u 512k 64k",
    "discard 768k 64k", "read -P 1 0 256k", "read -P 0 256k 128k",
    "read -P 1 384k 128k", "read -P 0 512k 64k", "flush",
    "write -f -P 3 1234 4321", "read -P 3 1234 4321",
    "aio_write -P 7 3M 2M", "aio_write -P 8 5M 1M", "aio_flush",
    "read -P 7 3M 2M", "read -P 8 5M 1M", "writev -P 9 6M 512 1024 2048",
    "read -P 9 6M 3584", "length",
]


def test_qemu_io(serve, image, run):
    path = image(size=8 << 20)
    commands = [word for step in STEPS for word in ("-c", step)]
    out = run("qemu-io", "-f", "raw", *commands, serve(path).uri).stdout
    assert "failed" not in out
    assert "8 MiB" in out
    assert path.read_bytes()[3 << 20:5 << 20] == b"\x07" * (2 << 20)
