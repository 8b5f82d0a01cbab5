"""Requests that no honest client sends get their error, and no more.

SPDX-License-Identifier: BSD-3-Clause
"""
import random
import struct

import wire
from shapes import (MODES, U32, calls_still_work, header, is_cut_off,
                    put_until_closed, seeded)

MIB = 1 << 20
SIZE = 64 * MIB
U64 = (1 << 64) - 1
RANGED = (wire.READ, wire.WRITE, wire.TRIM, wire.CACHE, wire.ZERO,
          wire.STATUS)
PLAIN = (wire.TRIM, wire.CACHE, wire.ZERO, wire.STATUS)


def dial(victim, mode):
    """A connection of @mode with a context where there can be one."""
    return victim.wire(mode, contexts=() if mode == "simple" else
                       ["base:allocation"])


def test_payloads_around_the_largest(target, verdict):
    """bug-classes 25, 28: 32 MiB and one less succeed, one more and 16 more
    get EINVAL and are drained, or end the connection."""
    victim = target(size=SIZE)
    for mode in MODES:
        for command in (wire.READ, wire.WRITE):
            for more in (-16, -1, 0):
                conn = dial(victim, mode)
                n = 32 * MIB + more
                data = b"w" * n if command == wire.WRITE else b""
                reply = conn.call(command, 1, n, payload=data)
                good = reply.error == wire.OK
                if command == wire.READ:
                    good = good and len(reply.data) == n
                verdict((mode, command, more), good and calls_still_work(conn))
                conn.close()
            for more in (1, 16, 28, 32):
                conn = dial(victim, mode)
                n = 32 * MIB + more
                data = b"o" * n if command == wire.WRITE else b""
                try:
                    error = conn.call(command, 0, n, payload=data).error
                    good = (error in (wire.EINVAL, wire.EOVERFLOW) and
                            calls_still_work(conn))
                except (EOFError, ConnectionError):
                    good = command == wire.WRITE
                verdict((mode, command, more), good)
                conn.close()


def test_payload_of_4_gib_is_not_drained(target, verdict):
    """bug-classes 28: a payload that is an attack ends the connection."""
    victim = target(size=SIZE)
    for mode in MODES:
        for n in (U32, 1 << 31, 256 * MIB):
            conn = dial(victim, mode)
            flags = wire.PAYLOAD_LEN if mode == "extended" else 0
            conn.put(header(mode, wire.WRITE, flags, 1, 0, n))
            sent = put_until_closed(conn, bytes(8 * MIB))
            verdict((mode, n), sent < 8 * MIB and is_cut_off(conn))


RANGES = [(SIZE, 1), (SIZE - 1, 2), (SIZE + 1, 1), (0, SIZE + 1), (1, SIZE),
          (1 << 63, 1), (1 << 63, 0x1000), (U64, 1), (U64 - 0xfff, 0x2000),
          (U64 - 0xfff, 0x1000), ((1 << 63) - 1, 1), ((1 << 63) - 1, 2),
          (U64 - U32, U32), (1 << 62, 512), (SIZE - 512, 1024),
          (SIZE, U32), (0, U32), (1, U32)]
WIDE = [(0, 1 << 32), (0, (1 << 32) - 1), (0, (1 << 32) + 1), (512, 1 << 63),
        (0, (1 << 63) - 1), (0, U64), (U64, U64), (1, U64), (SIZE, U64 - SIZE),
        (SIZE - 1, U64 - SIZE + 2), (1 << 63, 1 << 63)]


def refused(command):
    """The error of a range that passes the end."""
    late = command in (wire.WRITE, wire.ZERO)
    return wire.ENOSPC if late else wire.EINVAL


def test_ranges_that_wrap_or_pass_the_end(target, verdict):
    """bug-classes 26, 27: offset + length is no 64-bit sum, and no int."""
    victim = target(size=SIZE)
    for mode in MODES:
        conn = dial(victim, mode)
        for command in RANGED:
            ranges = RANGES + (WIDE if mode == "extended" else [])
            for offset, length in ranges:
                data = b""
                if command == wire.WRITE:
                    length = min(length, 70000)
                    data = bytes(length)
                    if offset + length <= SIZE:
                        continue
                want = {refused(command)}
                if command == wire.READ and length > 32 * MIB:
                    want = {wire.EINVAL, wire.EOVERFLOW}
                if command == wire.STATUS and mode == "simple":
                    want = {wire.EINVAL}
                error = conn.call(command, offset, length,
                                  payload=data).error
                verdict((mode, command, offset, length, error),
                        error in want and calls_still_work(conn))


def test_lengths_of_32_bits_and_more(target, verdict):
    """bug-classes 27: effects beyond 2 and 4 GiB are not cut down."""
    victim = target(nodes=["driver=null-co,node-name=disk,size=8T,"
                           "read-zeroes=on"])
    for mode in ("structured", "extended"):
        conn = dial(victim, mode)
        lengths = [(1 << 31) - 1, 1 << 31, 0x7ffff000, U32 - 511, U32]
        if mode == "extended":
            lengths += [1 << 32, (1 << 32) + 1, (1 << 32) - 1, 5 << 32,
                        1 << 43]
        for command in PLAIN:
            for length in lengths:
                reply = conn.call(command, 0, length)
                good = reply.error == wire.OK and calls_still_work(conn)
                if command == wire.STATUS:
                    extents = reply.extents(1)
                    total = sum(n for n, _ in extents)
                    good = good and 0 < total and all(
                        n > 0 for n, _ in extents)
                verdict((mode, command, length), good)


def test_zeroes_of_more_than_4_gib(target, verdict):
    """bug-classes 27: on a real file, the far end is zeroed as well."""
    size = 6 << 30
    victim = target(size=size, data={0: b"a" * 4096, size - 4096: b"z" * 4096,
                                     5 << 30: b"m" * 4096})
    conn = dial(victim, "extended")
    reply = conn.call(wire.ZERO, 0, size)
    verdict("zero", reply.error == wire.OK)
    for offset in (0, 5 << 30, size - 4096):
        data = conn.call(wire.READ, offset, 4096).data
        verdict(offset, data == bytes(4096))


def test_payload_flag_where_none_belongs(target, verdict):
    """bug-classes 29: a payload that no command wants is consumed."""
    victim = target(size=SIZE)
    conn = dial(victim, "extended")
    for command in (wire.READ, wire.FLUSH, wire.TRIM, wire.CACHE, wire.ZERO,
                    8, 0x1234, 0xffff):
        for n in (1, 4, 28, 32, 4096, 300000, 32 * MIB):
            conn.cookie += 1
            conn.pending[conn.cookie] = (wire.FLUSH, 0, 0, wire.Reply())
            conn.put(wire.extended_bytes(command, wire.PAYLOAD_LEN,
                                         conn.cookie, 0, n) +
                     wire.extended_bytes(wire.DISC) * (n // 32) +
                     bytes(n % 32))
            cookie, reply = conn.receive()
            verdict((command, n), cookie == conn.cookie and
                    reply.error == wire.EINVAL and calls_still_work(conn))
    for n in (64 * MIB, 64 * MIB + 1, 1 << 32, U64):
        conn = dial(victim, "extended")
        conn.put(wire.extended_bytes(wire.READ, wire.PAYLOAD_LEN, 9, 0, n))
        conn.pending[9] = (wire.FLUSH, 0, 0, wire.Reply())
        try:
            conn.put(bytes(min(n, 65 * MIB)))
            good = n == 64 * MIB and conn.receive()[1].error == wire.EINVAL
        except (EOFError, ConnectionError):
            good = True  # proto.md: SHOULD disconnect beyond the maximum
        verdict(("READ", n), good)


def test_write_without_payload_flag(target, verdict):
    """bug-classes 29: after EXTENDED_HEADERS a WRITE that does not say that
    it has a payload has one all the same, as QEMU's client sends it."""
    conn = dial(target(size=SIZE), "extended")
    for n in (0, 1, 512, 65536, MIB):
        conn.cookie += 1
        conn.pending[conn.cookie] = (wire.FLUSH, 0, 0, wire.Reply())
        conn.put(wire.extended_bytes(wire.WRITE, 0, conn.cookie, 0, n) +
                 b"q" * n)
        verdict(n, conn.receive()[1].error == wire.OK and
                calls_still_work(conn))
        if n:
            verdict((n, "data"), conn.call(wire.READ, 0, n).data == b"q" * n)


def filtered(*ids, length=SIZE, tail=b""):
    return struct.pack(f">Q{len(ids)}I", length, *ids) + tail


FILTERS = [
    (filtered(1), wire.OK), (filtered(1, length=1), wire.OK),
    (filtered(), wire.EINVAL), (filtered(2), wire.EINVAL),
    (filtered(3), wire.EINVAL), (filtered(0), wire.EINVAL),
    (filtered(U32), wire.EINVAL), (filtered(1, 1), wire.EINVAL),
    (filtered(1, 2), wire.EINVAL), (filtered(1, length=0), wire.EINVAL),
    (filtered(1, length=SIZE + 1), wire.EINVAL),
    (filtered(1, length=U64), wire.EINVAL),
    (filtered(1, length=1 << 63), wire.EINVAL),
    (filtered(1, tail=b"x"), wire.EINVAL), (b"x", wire.EINVAL),
    (b"1234567", wire.EINVAL), (b"123456789", wire.EINVAL),
    (filtered(*[1] * 1000), wire.EINVAL),
    (filtered(*range(300000)), wire.EINVAL),
]


def test_status_filters(target, verdict):
    """bug-classes 29: context ids out of range, repeated, cut short."""
    victim = target(size=SIZE)
    for contexts in (["base:allocation"], []):
        conn = victim.wire("extended", contexts=contexts)
        for payload, error in FILTERS:
            error = error if contexts else wire.EINVAL
            conn.cookie += 1
            conn.pending[conn.cookie] = (wire.STATUS, 0, 0, wire.Reply())
            conn.put(wire.extended_bytes(wire.STATUS, wire.PAYLOAD_LEN,
                                         conn.cookie, 0, len(payload)) +
                     payload)
            reply = conn.receive()[1]
            verdict((contexts, payload[:20], reply.error),
                    reply.error == error and calls_still_work(conn))


# FUA is valid for all; PAYLOAD_LEN changes what follows.
FLAGS = {wire.READ: wire.DF, wire.WRITE: 0, wire.FLUSH: 0, wire.TRIM: 0,
         wire.CACHE: 0, wire.ZERO: wire.NO_HOLE | wire.FAST_ZERO,
         wire.STATUS: wire.REQ_ONE}


def test_unknown_commands_and_flags(target, verdict):
    """bug-classes 30: every flag bit and pair of each command, in each mode,
    and commands that do not exist."""
    victim = target(size=SIZE)
    for mode in MODES:
        conn = dial(victim, mode)
        sets = [1 << i | 1 << j for i in range(16) for j in range(i, 16)]
        for command in [*FLAGS, 8, 9, 0xff, 0x1234, 0xffff]:
            known = FLAGS.get(command, 0) | wire.FUA
            if mode == "simple":
                known &= ~wire.DF
            for flags in [*sets, 0xffff, 0]:
                if mode == "extended" and flags & wire.PAYLOAD_LEN:
                    continue
                length = 0 if command == wire.FLUSH else 512
                data = bytes(512) if command == wire.WRITE else b""
                error = conn.call(command, 0, length, flags, data).error
                bad = (flags & ~known or command not in FLAGS or
                       mode == "simple" and command == wire.STATUS)
                verdict((mode, command, hex(flags), error),
                        error == wire.EINVAL if bad else
                        error in (wire.OK, wire.ENOTSUP))
        verdict((mode, "in step"), calls_still_work(conn))


def test_length_zero_is_harmless(target, verdict):
    """bug-classes 26: length 0 of each command, also at the end."""
    victim = target(size=SIZE)
    for mode in MODES:
        conn = dial(victim, mode)
        for command in RANGED:
            for offset in (0, 1, SIZE - 1, SIZE, SIZE + 1, U64):
                reply = conn.call(command, offset, 0)
                good = calls_still_work(conn)
                if command == wire.READ and not reply.error:
                    good = good and not reply.data
                verdict((mode, command, offset), good)


def test_cookies_are_only_echoed(target, verdict):
    """faults S19: cookies 0, ~0 and one for all requests in flight."""
    victim = target(size=SIZE, data={0: b"c" * 4096})
    for mode in MODES:
        for cookie in (0, U64, 0x6744669800000000, 7):
            conn = dial(victim, mode)
            conn.put(header(mode, wire.READ, 0, cookie, 0, 512) * 50)
            for _ in range(50):
                conn.pending[cookie] = (wire.READ, 0, 512, wire.Reply())
                got, reply = conn.receive()
                verdict((mode, cookie),
                        got == cookie and reply.data == b"c" * 512)


def test_random_bytes_after_go(target, verdict, count):
    """faults S14: random bytes end the connection by their magic only."""
    victim = target(size=SIZE)
    rng = seeded(count)
    for n in range(300):
        conn = dial(victim, MODES[n % 3])
        conn.put(rng.randbytes(64))
        verdict(n, is_cut_off(conn))
        conn.close()


def model_error(mode, command, offset, length):
    """The error that a request of no flags gets, by the specification."""
    if command == wire.STATUS and (mode == "simple" or length == 0):
        return wire.EINVAL
    if command in (wire.READ, wire.WRITE) and length > 32 * MIB:
        return wire.EINVAL
    if offset + length > SIZE:
        return refused(command)
    return wire.OK


def test_boundaries_against_a_model(target, verdict, count):
    """faults S13: offset, length, command and mode, drawn near the limits."""
    victim = target(size=SIZE)
    rng = seeded(count, 7)
    edges = [0, 1, 511, 512, 4095, 4096, 65535, 65536, SIZE // 2, SIZE - 512,
             SIZE - 1, SIZE, SIZE + 1, 32 * MIB, 32 * MIB + 1, U32]
    conns = {mode: dial(victim, mode) for mode in MODES}
    for _ in range(3000):
        mode = rng.choice(MODES)
        command = rng.choice((wire.READ, wire.WRITE, *PLAIN))
        offset, length = rng.choice(edges), rng.choice(edges)
        if command == wire.WRITE:
            length = min(length, 65536)
        if command == wire.READ and 65536 < length <= 32 * MIB:
            length = 65536
        data = bytes(length) if command == wire.WRITE else b""
        reply = conns[mode].call(command, offset, length, payload=data)
        want = model_error(mode, command, offset, length)
        good = reply.error == want
        if command == wire.READ and want == wire.OK and length:
            good = good and reply.data == bytes(length)
        verdict((mode, command, offset, length, reply.error), good)


def test_mirror_of_every_filter(target, verdict, count):
    """bug-classes 45: raw with offset and size, and fault, against a model:
    what is written where, and what is not."""
    rng = seeded(count, 3)
    base = 3 * MIB + 512
    for mode in MODES:
        node = ["driver=file,node-name=f,filename=FILE",
                f"driver=raw,node-name=r,file=f,offset={base},size={MIB}",
                "driver=fault,node-name=disk,file=r"]
        victim = target(size=5 * MIB, nodes=node, data={0: b"k" * 5 * MIB})
        conn = dial(victim, mode)
        model = bytearray(b"k" * MIB)
        for _ in range(300):
            offset = rng.randrange(MIB)
            length = rng.randrange(1, min(70000, MIB - offset) + 1)
            kind = rng.choice("wwzr")
            if kind == "w":
                data = rng.randbytes(length)
                error = conn.call(wire.WRITE, offset, length,
                                  payload=data).error
                model[offset:offset + length] = data
            elif kind == "z":
                error = conn.call(wire.ZERO, offset, length).error
                model[offset:offset + length] = bytes(length)
            else:
                reply = conn.call(wire.READ, offset, length)
                error = reply.error or (
                    reply.data != model[offset:offset + length])
            verdict((mode, kind, offset, length), not error)
        with open(victim.path, "rb") as f:
            whole = f.read()
        verdict((mode, "file"), whole == b"k" * base + model +
                b"k" * (5 * MIB - base - MIB))


def test_uninitialised_memory_is_not_sent(target, verdict):
    """bug-classes 37: memory that held 0xa5 shows in no reply: not in holes,
    past the end of a file, or next to an error."""
    size = 4 * MIB + 100
    node = ["driver=file,node-name=f,filename=FILE",
            "driver=fault,node-name=disk,file=f,inject-error.0.iotype=read,"
            "inject-error.0.offset=2M,inject-error.0.bytes=4k,align=4k"]
    for nodes in (None, node):
        victim = target(size=size, nodes=nodes)
        for mode in MODES:
            conn = dial(victim, mode)
            for n in (256 * 1024, MIB):
                conn.call(wire.WRITE, 0, n, payload=b"\xa5" * n)
            conn.call(wire.TRIM, 0, size)
            conn.call(wire.ZERO, 0, size)
            out = b"".join(header(mode, wire.READ, 0, n, offset, length)
                           for n, (offset, length) in enumerate(
                               [(0, 100), (MIB, 70000), (size - 50, 50),
                                (size - 4096, 4096), (2 * MIB - 100, 5000),
                                (MIB, 2 * MIB), (size - MIB, MIB),
                                (3, 300000), (0, 0), (size, 1)]))
            conn.put(out + header(mode, wire.STATUS, length=size) +
                     header(mode, 99) + header(mode, wire.DISC))
            said = conn.take_all()
            verdict((mode, nodes is None),
                    said and b"\xa5\xa5" not in said)
            verdict((mode, "data"), len(said) > MIB or mode != "simple")


def test_long_status_walks_let_others_run(target, verdict, count):
    """bug-classes 42: 16384 extents in one reply, and nobody waits for it."""
    n = 16384
    rng = random.Random(1)
    victim = target(size=n << 13, data={k << 13: rng.randbytes(16)
                                        for k in range(n)}, workers=1)
    waits = []
    conn = victim.wire("structured", contexts=["base:allocation"])
    for _ in range(4):
        conn.send(wire.STATUS, 0, n << 13)
    for _ in range(4):
        waits.append(victim.serve_honest())
        reply = conn.receive()[1]
        extents = reply.extents(1)
        verdict("extents", reply.error == wire.OK and
                0 < len(extents) <= 131072 and
                sum(k for k, _ in extents) <= n << 13)
    one = conn.call(wire.STATUS, 0, n << 13, wire.REQ_ONE)
    verdict("one", [k for k, _ in one.extents(1)] == [4096])
    count("extents of a reply", len(extents))
    count("ms that others wait for it", round(max(waits) * 1000))
