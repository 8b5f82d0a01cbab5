#!/usr/bin/python3
"""Write the seed corpora of the fuzz targets.

  make-corpus.py FOLDER      makes FOLDER/handshake and FOLDER/transmission

SPDX-License-Identifier: BSD-3-Clause
"""
import os
import struct
import sys


def opt(number, data=b"", length=None):
    return struct.pack(">QII", 0x49484156454f5054, number,
                       len(data) if length is None else length) + data


def go(number, name=b"", infos=()):
    return opt(number, struct.pack(">I", len(name)) + name +
               struct.pack(f">H{len(infos)}H", len(infos), *infos))


def meta(number, name=b"", queries=()):
    data = struct.pack(">I", len(name)) + name + struct.pack(">I",
                                                             len(queries))
    for q in queries:
        data += struct.pack(">I", len(q)) + q
    return opt(number, data)


HELLO = struct.pack(">I", 3)
HANDSHAKES = {
    "go": HELLO + go(7),
    "go-infos": HELLO + go(7, b"", (0, 1, 2, 3, 3, 9)),
    "info-twice": HELLO + go(6) + go(6, b"ro") + go(7, b"ro"),
    "export-name": HELLO + opt(1),
    "export-name-old": struct.pack(">I", 1) + opt(1, b"ro"),
    "unknown-export": HELLO + go(7, b"nobody") + go(7),
    "long-name": HELLO + go(7, b"x" * 4096),
    "too-long-name": HELLO + go(7, b"x" * 4097) + go(7),
    "bad-name-length": HELLO + opt(7, b"\xff\xff\xff\xff\0") + go(7),
    "short-go": HELLO + opt(7, b"\0\0") + go(7),
    "list": HELLO + opt(3) + opt(3, b"x") + opt(2),
    "structured": HELLO + opt(8) + opt(8, b"x") + meta(10, b"", (
        b"base:allocation", b"qemu:allocation-depth")) + go(7),
    "extended": HELLO + opt(11) + opt(8) + go(7),
    "list-meta": HELLO + opt(8) + meta(9) + meta(9, b"", (
        b"base:", b"qemu:", b"x" * 4097)) + go(7),
    "meta-before-structured": HELLO + meta(10, b"", (b"base:allocation",)),
    "meta-flood": HELLO + opt(8) + opt(10, struct.pack(">II", 0, 0xffffffff)),
    "meta-many": HELLO + opt(8) + meta(10, b"", (b"",) * 1100) + go(7),
    "starttls": HELLO + opt(5) + opt(5, b"x") + go(7),
    "unknown-options": HELLO + opt(0x1234, b"y" * 100) + opt(4) + go(7),
    "huge-option": HELLO + opt(7, b"", 0xffffffff),
    "nul-name": HELLO + go(7, b"a\0b") + go(7),
    "unknown-flags": struct.pack(">I", 0x80000003) + go(7),
    "http": b"GET / HTTP/1.0\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303"),
    "option-flood": HELLO + opt(8) * 100,
    "go-and-read": HELLO + go(7) + struct.pack(">IHHQQI", 0x25609513, 0, 0,
                                               1, 0, 512),
}


def record(flags, command, offset, length, fill=0):
    """One request; offset and length are places in the target's tables."""
    return bytes([0xc0 | flags, 0, command, offset, 0, length, 0, fill])


def requests():
    """Each command with each offset and length, in the three modes."""
    for mode in range(3):
        for command in range(9):
            body = b"".join(record(0x20 if mode == 2 and command == 1 else 0,
                                   command if command < 8 else 250, o, n)
                            for o in range(16) for n in range(0, 16, 4))
            yield f"mode{mode}-command{command}", bytes(
                [mode + 3 * 14]) + body
        for flags in range(64):
            yield f"mode{mode}-flags{flags}", bytes([mode + 3 * 13]) + \
                b"".join(record(flags, c, 0, 3) for c in range(1, 9))
    yield "read-only", bytes([0x80 | 1]) + b"".join(
        record(0, c, 0, 3) for c in range(8))
    yield "broken", bytes([1]) + record(0, 0, 0, 3) + b"\xff" * 8


def write(folder, items):
    os.makedirs(folder, exist_ok=True)
    for name, data in items:
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


def main():
    folder = sys.argv[1]
    write(os.path.join(folder, "handshake"),
          ((k, bytes([7]) + v) for k, v in HANDSHAKES.items()))
    write(os.path.join(folder, "transmission"), requests())


if __name__ == "__main__":
    main()
