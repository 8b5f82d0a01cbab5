"""What an option carries is checked, and exactly its length is consumed.

SPDX-License-Identifier: BSD-3-Clause
"""
import struct
import time

import pytest

import harness
import wire
from shapes import (FLAGS, U32, UNKNOWN_OPTION, ask, in_sync, is_cut_off,
                    put_until_closed, seeded)

NAMED = (wire.OPT_INFO, wire.OPT_GO, wire.OPT_LIST_META, wire.OPT_SET_META)


def named_data(option, name, length=None):
    """The data of an option that begins with a name."""
    tail = b"\0\0" if option in (wire.OPT_INFO, wire.OPT_GO) else b"\0\0\0\0"
    length = len(name) if length is None else length
    return struct.pack(">I", length) + name + tail


def ready(target):
    stream = target.stream()
    stream.option(wire.OPT_STRUCTURED)
    return stream


def test_long_names_are_unknown_or_too_big(target, verdict):
    """bug-classes 1: no buffer of a fixed size for names."""
    stream = ready(target())
    for option in NAMED:
        for n in (255, 256, 257, 1023, 1024, 4095, 4096):
            kind = ask(stream, option, named_data(option, b"n" * n))
            verdict((option, n), kind == wire.ERR_UNKNOWN)
        for n in (4097, 5000, 70000):
            kind = ask(stream, option, named_data(option, b"n" * n))
            verdict((option, n), kind in (wire.ERR_TOO_BIG, wire.ERR_INVALID))
        verdict((option, "sync"), in_sync(stream))


def test_export_name_of_any_length_ends_or_begins(target, verdict):
    """bug-classes 1, 8: EXPORT_NAME can't be refused but by closing."""
    victim = target()
    for n in (1, 255, 256, 4095, 4096, 4097, 65536, 1 << 20):
        stream = victim.stream()
        put_until_closed(stream, wire.option_bytes(wire.OPT_NAME, b"n" * n))
        verdict(n, is_cut_off(stream))


def test_length_inside_beyond_the_option(target, verdict):
    """bug-classes 2: a length of 4 GiB is neither allocated nor believed."""
    victim = target()
    for option in NAMED:
        for length in (1, 2, 7, 0x7fffffff, 0x80000000, U32 - 1, U32):
            stream = ready(victim)
            kind = ask(stream, option, struct.pack(">I", length) + b"n")
            verdict((option, length),
                    kind == wire.ERR_INVALID and in_sync(stream))
    for length in (4097, 1 << 20, 0x7fffffff, U32):
        stream = victim.stream()
        stream.put(wire.option_bytes(wire.OPT_NAME, b"", length))
        verdict(("EXPORT_NAME", length), is_cut_off(stream))
    assert victim.rss() < victim.before_rss + 16


def test_large_bad_option_is_streamed_away(target, verdict):
    """bug-classes 3: 100 kB behind a bad length go through a small buffer."""
    stream = ready(target())
    for option in (*NAMED, wire.OPT_LIST, wire.OPT_STARTTLS, UNKNOWN_OPTION):
        for inner in (99990, 99994, 99996, 99997, 100000, U32):
            data = struct.pack(">I", inner) + b"A" * 99996
            kind = ask(stream, option, data)
            verdict((option, inner), kind is not None and kind >> 31 == 1)
        verdict((option, "sync"), in_sync(stream))
    del stream


BAD = [
    (wire.OPT_LIST, b"x", {wire.ERR_INVALID}),
    (wire.OPT_LIST, bytes(1000), {wire.ERR_INVALID}),
    (wire.OPT_STARTTLS, b"", {wire.ERR_POLICY, wire.ERR_UNSUP}),
    (wire.OPT_STARTTLS, b"x", {wire.ERR_INVALID, wire.ERR_POLICY}),
    (wire.OPT_STRUCTURED, b"x", {wire.ERR_INVALID}),
    (wire.OPT_EXTENDED, b"x", {wire.ERR_INVALID}),
    (4, b"name", {wire.ERR_UNSUP}),
    (0, b"", {wire.ERR_UNSUP}),
    (12, bytes(77), {wire.ERR_UNSUP}),
    (U32, b"z", {wire.ERR_UNSUP}),
    *[(o, struct.pack(">I", n) + b"\0" * k, {wire.ERR_INVALID})
      for o in NAMED for n, k in ((1, 0), (5, 4), (U32, 1), (U32, 6),
                                  (0x80000000, 300))],
    *[(o, b"\0" * k, {wire.ERR_INVALID}) for o in NAMED for k in range(4)],
    *[(o, b"\0\0\0\0" + b"\0" * k, {wire.ERR_INVALID})
      for o in (wire.OPT_INFO, wire.OPT_GO) for k in (0, 1)],
    (wire.OPT_GO, b"\0\0\0\0\0\1", {wire.ERR_INVALID}),
    (wire.OPT_GO, b"\0\0\0\0\0\1\0", {wire.ERR_INVALID}),
    (wire.OPT_GO, b"\0\0\0\0\0\1\0\3\0", {wire.ERR_INVALID}),
    (wire.OPT_GO, b"\0\0\0\0\xff\xff" + bytes(100), {wire.ERR_INVALID}),
    (wire.OPT_GO, wire.go_data(b"none"), {wire.ERR_UNKNOWN}),
    (wire.OPT_INFO, wire.go_data(b"none", range(1000)), {wire.ERR_UNKNOWN}),
    (wire.OPT_GO, wire.go_data(b"\0"), {wire.ERR_UNKNOWN, wire.ERR_INVALID}),
    (wire.OPT_SET_META, wire.meta_data(b"none", ["base:allocation"]),
     {wire.ERR_UNKNOWN}),
    (wire.OPT_LIST_META, wire.meta_data(b"none", []), {wire.ERR_UNKNOWN}),
]


def test_every_error_consumes_its_option(target, verdict):
    """bug-classes 4: after each error the parser is at the next header."""
    victim = target()
    stream = ready(victim)
    for n, (option, data, kinds) in enumerate(BAD):
        if n % 20 == 0:
            stream = ready(victim)
        kind = ask(stream, option, data)
        verdict((option, data[:12]), kind in kinds and in_sync(stream))


def test_random_lengths_never_desynchronise(target, verdict, count):
    """bug-classes 4: consumed is 16 + length, or the connection ends."""
    victim = target()
    rng = seeded(count)
    for _ in range(250):
        stream = victim.stream()
        if rng.random() < .7:
            stream.option(wire.OPT_STRUCTURED)
        log = []
        for _ in range(rng.randrange(1, 6)):
            option = rng.choice((3, 4, 5, 6, 7, 8, 9, 10, 11, 12, U32))
            true = rng.choice((0, 1, 5, 30, 4096, 5000))
            inner = rng.choice((0, 1, max(true - 1, 0), true, true + 1,
                                1 << 31, U32))
            tail = rng.randbytes(rng.choice((0, 1, 2, 4, 6, 8)))
            data = struct.pack(">I", inner) + rng.randbytes(true) + tail
            data = data[:rng.randrange(len(data) + 1)]
            kind = ask(stream, option, data)
            log.append((option, data[:8], kind))
            if option == 7 and kind == wire.REP_ACK:
                break
        else:
            verdict(log, in_sync(stream))
        stream.close()


def test_huge_option_is_not_drained(target, verdict):
    """bug-classes 5: a stranger does not make us read 4 GiB."""
    victim = target()
    before = victim.cpu()
    for option in (0x1234, wire.OPT_GO, wire.OPT_LIST, wire.OPT_ABORT):
        for length in ((1 << 20) + 1, 32 << 20, 1 << 31, U32):
            stream = victim.stream()
            stream.put(wire.option_bytes(option, b"", length))
            sent = put_until_closed(stream, bytes(4 << 20))
            verdict((option, length), sent < 4 << 20 and is_cut_off(stream))
    assert victim.cpu() - before < 1


def test_dripped_options_take_no_memory(target, count):
    """bug-classes 6: the data of an option are not collected."""
    victim = target(server=",max-connections=0")
    streams = [victim.stream() for _ in range(100)]
    for stream in streams:
        stream.put(wire.option_bytes(wire.OPT_GO, b"\0\0\x10\0", 1 << 20))
    before = victim.rss()
    for _ in range(15):
        for stream in streams:
            stream.put(bytes(65536))
    grown = victim.rss() - before
    count("inputs tried", len(streams))
    count("KiB for an option of 1 MiB that drips in",
          max(0, round(grown * 1024 / len(streams))))
    assert grown * 1024 <= 100 * 8 + 1024


HARD = [b"x" * 4096, b"\xff" * 4096, b"\n" * 4096, b"\"" * 4096,
        b"\\" * 4096, b"%s%n" * 1024, "\u20ac".encode() * 1365,
        b"\xe2\x82" * 2048, b"\x1b[31m" * 819]


def test_error_text_with_a_long_name_fits(target, verdict):
    """bug-classes 7: the message that quotes a name is cut, not asserted."""
    victim = target()
    for name in HARD:
        stream = ready(victim)
        for option in NAMED:
            stream.put(wire.option_bytes(option, named_data(option, name)))
            replies = stream.answer(option)
            kind, text = replies[-1]
            verdict((option, name[:8]),
                    len(replies) == 1 and kind == wire.ERR_UNKNOWN and
                    len(text) <= 4096 and in_sync(stream))
        stream.put(wire.option_bytes(wire.OPT_NAME, name))
        verdict(name[:8], is_cut_off(stream))


def test_rejected_payload_is_read_first(target, verdict):
    """bug-classes 13: what an option that is refused carries is no header."""
    stream = target().stream()
    inner = wire.option_bytes(wire.OPT_ABORT)
    for option in (wire.OPT_STARTTLS, wire.OPT_LIST, wire.OPT_STRUCTURED,
                   wire.OPT_EXTENDED, 4, 99, wire.OPT_SET_META):
        kind = ask(stream, option, inner * 7)
        verdict(option, kind is not None and kind >> 31 == 1)
    assert ask(stream, wire.OPT_STARTTLS) in (wire.ERR_POLICY,
                                              wire.ERR_UNSUP)
    assert ask(stream, wire.OPT_GO, wire.go_data(b"")) == wire.REP_ACK


QUERIES = [
    (b"\xff\xff\xff\xff", b"\0\0\0\0", {wire.ERR_INVALID}),
    (b"\xff\xff\xff\xff", b"", {wire.ERR_INVALID}),
    (b"\0\0\0\2", b"\0\0\0\0", {wire.ERR_INVALID}),
    (b"\0\0\0\1", b"\0\0\0\0\0", {wire.ERR_INVALID}),
    (b"\0\0\0\1", b"\0\0\0\5base:x", {wire.ERR_INVALID}),
    (b"\0\0\0\1", b"\xff\xff\xff\xffbase:x", {wire.ERR_INVALID}),
    (b"\0\0\0\1", b"\0\0\0\6bas\0:x", {wire.ERR_INVALID}),
    (b"\0\0\x04\0", bytes(4 * 1024), {wire.REP_ACK, wire.ERR_INVALID}),
    (b"\0\0\x04\1", bytes(4 * 1025), {wire.ERR_TOO_BIG, wire.REP_ACK}),
    (b"\0\3\xff\xf0", bytes(4 * 0x3fff0), {wire.ERR_TOO_BIG}),
    (b"\0\0\0\1", b"\0\0\x10\1" + b"q" * 4097,
     {wire.REP_ACK, wire.ERR_TOO_BIG, wire.ERR_INVALID}),
]


def test_meta_queries_are_counted_and_capped(target, verdict):
    """bug-classes 16: the number of queries is not believed."""
    victim = target()
    before = victim.cpu()
    for option in (wire.OPT_LIST_META, wire.OPT_SET_META):
        stream = ready(victim)
        for n, data, kinds in QUERIES:
            kind = ask(stream, option, b"\0\0\0\0" + n + data)
            verdict((option, n, data[:8]), kind in kinds and in_sync(stream))
    assert victim.cpu() - before < 1
    stream = ready(victim)
    data = b"\0\0\0\0" + struct.pack(">I", 8 << 20)
    stream.put(wire.option_bytes(wire.OPT_LIST_META, data, 32 << 20))
    sent = put_until_closed(stream, bytes(32 << 20))
    verdict("32 MiB of empty queries", sent < 32 << 20)


def test_long_query_does_not_hide_the_others(target):
    """bug-classes 16: a query of 4097 bytes is skipped, the next is not."""
    stream = ready(target())
    data = wire.meta_data(b"", ["x" * 4097, "base:allocation", "x:" * 2048])
    replies = stream.option(wire.OPT_SET_META, data)
    assert [p[4:] for _, p in replies] == [b"base:allocation"]


def test_text_of_clients_is_escaped(target, verdict, count):
    """bug-classes 22: names reach the log and other people's terminals."""
    victim = target(options=("--log-level", "debug"))
    names = [b"\n<3>fake", b"\x1b]0;x\x07", b"a\rb", b"\x9b31m", b"\xc2\x9b1m",
             b"\xe2\x80\xaeabc", b"tab\tx", b"\x7f", b"\xff\xfe", b'"', b"\\"]
    stream = ready(victim)
    for name in names:
        for option in NAMED:
            stream.put(wire.option_bytes(option, named_data(option, name)))
            text = stream.answer(option)[-1][1]
            verdict((option, name), all(32 <= b < 127 for b in text))
    said = victim.log()
    lines = said.splitlines()
    count("lines of log checked", len(lines))
    assert lines and all(line.startswith("ashlard: ") for line in lines)
    assert "fake" in said and all(ord(c) >= 32 for line in lines
                                  for c in line)


@pytest.mark.parametrize("sizes", [(1,), (7, 1, 30)])
def test_slow_bytes_of_one_option(target, sizes):
    """bug-classes 10: where the network cuts a message changes nothing."""
    stream = target().stream(None)
    stream.take(18)
    out = FLAGS + wire.option_bytes(wire.OPT_STRUCTURED)
    out += wire.option_bytes(wire.OPT_GO, wire.go_data(b"", (1, 2, 3)))
    n = 0
    while out:
        size = sizes[n % len(sizes)]
        stream.put(out[:size])
        out = out[size:]
        n += 1
    assert stream.answer(wire.OPT_STRUCTURED)[-1][0] == wire.REP_ACK
    assert stream.answer(wire.OPT_GO)[-1][0] == wire.REP_ACK


def test_option_flood_is_capped(target, count):
    """bug-classes 17: endless good options do not keep a slot."""
    victim = target()
    stream = victim.stream()
    one = wire.option_bytes(wire.OPT_STRUCTURED)
    begin = time.monotonic()
    sent = put_until_closed(stream, one * 100000)
    answers = len(stream.take_all()) // 20
    count("inputs tried")
    count("options of a flood that were answered", answers)
    assert sent < len(one) * 100000 and answers <= 64 + 4
    assert time.monotonic() - begin < harness.PATIENCE
