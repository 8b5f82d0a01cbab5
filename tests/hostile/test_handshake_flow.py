"""The order of the handshake, its end, and what it leaves behind.

SPDX-License-Identifier: BSD-3-Clause
"""
import itertools
import random
import struct
import time

import pytest

import harness
import wire
from inotify import Opens
from shapes import (FLAGS, MODES, ask, handshake, header, in_sync, is_cut_off,
                    reset)

CONTEXTS = ["base:allocation"]
TWO = harness.offer("disk", "b")[1].replace("export-disk", "export-b")


def full_handshakes():
    """Handshakes of every kind, each with a first request."""
    for mode in MODES:
        yield mode, handshake(mode, contexts=() if mode == "simple"
                              else CONTEXTS) + header(mode, wire.READ,
                                                      length=64)
    yield "simple", handshake("simple", last=wire.OPT_NAME) + header(
        "simple", wire.READ, length=64)


def test_close_at_every_byte(target, verdict):
    """bug-classes 8: the client may leave at any byte, politely or not."""
    victim = target(server=",max-connections=0")
    for n_way, (_, out) in enumerate(full_handshakes()):
        for n in range(len(out) + 1):
            stream = victim.stream(None)
            stream.put(out[:n])
            if (n + n_way) % 2:
                stream.take(min(18, n))
            stream.close()
            verdict((n_way, n), victim.daemon.is_running())
        victim.serve_honest()


def test_reset_at_every_byte(target, verdict):
    """bug-classes 8: the same with TCP and RST."""
    victim = target(server=",max-connections=0", tcp=True)
    for n_way, (_, out) in enumerate(full_handshakes()):
        for n in range(0, len(out) + 1, 2):
            stream = victim.stream(None)
            stream.put(out[:n])
            reset(stream)
            verdict((n_way, n), victim.daemon.is_running())
        victim.serve_honest()


def test_a_thousand_come_and_go(target, verdict):
    """bug-classes 9: connect, read 0, 1, 4 or 18 bytes, close."""
    victim = target(server=",max-connections=0")
    for n in range(1000):
        stream = victim.stream(None)
        want = (0, 1, 4, 18)[n % 4]
        verdict(n, len(stream.take(want)) == want)
        stream.close()
        if n % 50 == 0:
            victim.serve_honest()


class Tape:
    """A socket from which @data come."""

    def __init__(self, data):
        self.data = data

    def recv(self, n):
        part, self.data = self.data[:n], self.data[n:]
        return part


READS = {0: 1, 1: 512, 2: 4096}


def session(mode, victim, pieces):
    """What comes of a handshake and requests that are sent in @pieces: the
    bytes of the handshake, and the replies, which may change places."""
    out = handshake(mode, contexts=() if mode == "simple" else CONTEXTS)
    for n, length in READS.items():
        out += header(mode, wire.READ, 0, n, 512 * n, length)
    out += header(mode, wire.FLUSH, 0, 7) + header(mode, wire.DISC)
    stream = victim.stream(None)
    rng = random.Random(1)
    while out:
        n = pieces(rng, out)
        stream.put(out[:n])
        out = out[n:]
    said = stream.take_all()
    stream.close()
    end = said.rindex(struct.pack(">QIII", wire.OPT_REPLY, wire.OPT_GO,
                                  wire.REP_ACK, 0)) + 20
    tape = wire.Wire(Tape(said[end:]), mode, ready=True)
    tape.pending = {n: (wire.READ, 512 * n, length, wire.Reply())
                    for n, length in READS.items()}
    tape.pending[7] = (wire.FLUSH, 0, 0, wire.Reply())
    replies = dict(tape.receive() for _ in range(4))
    assert not tape.sock.data
    return said[:end], {n: (r.error, r.data) for n, r in replies.items()}


PIECES = {
    "one byte each": lambda rng, out: 1,
    "at random": lambda rng, out: rng.randrange(1, 40),
    "all but one": lambda rng, out: max(1, len(out) - 1),
}


def test_segments_change_nothing(target, verdict):
    """bug-classes 10: one segment, one byte each, random cuts: same replies."""
    victim = target(tcp=True, data={0: b"abc" * 2000})
    for mode in MODES:
        whole = session(mode, victim, lambda rng, out: len(out))
        assert whole[1][2] == (wire.OK, (b"abc" * 2000)[1024:5120])
        for name, pieces in PIECES.items():
            verdict((mode, name), session(mode, victim, pieces) == whole)


def test_cut_at_every_byte(target, verdict):
    """bug-classes 10: a message in two parts, cut at each of its bytes."""
    victim = target(tcp=True, data={0: b"abc" * 2000})
    for mode in MODES:
        whole = session(mode, victim, lambda rng, out: len(out))
        for cut in range(1, 60):
            said = session(mode, victim,
                           lambda rng, out, c=cut: c if c < len(out) else
                           len(out))
            verdict((mode, cut), said == whole)


def test_strangers_do_not_touch_the_disk(target, count):
    """bug-classes 11: before GO nothing is opened, whoever connects."""
    victim = target(server=",max-connections=0")
    opens = Opens(victim.path)
    for n in range(100):
        stream = victim.stream(None)
        if n % 2:
            stream.hello()
            stream.option(wire.OPT_LIST)
            stream.option(wire.OPT_INFO, wire.go_data(b""))
        count("inputs tried")
    assert opens.count() == 0
    opens.close()


STEPS = {
    "info-a": (wire.OPT_INFO, wire.go_data(b"a"), wire.REP_ACK),
    "info-b": (wire.OPT_INFO, wire.go_data(b"b"), wire.REP_ACK),
    "info-none": (wire.OPT_INFO, wire.go_data(b"c"), wire.ERR_UNKNOWN),
    "go-none": (wire.OPT_GO, wire.go_data(b"c"), wire.ERR_UNKNOWN),
    "go-bad": (wire.OPT_GO, b"\0\0", wire.ERR_INVALID),
    "list": (wire.OPT_LIST, b"", wire.REP_ACK),
}


def test_info_and_go_in_any_order(target, verdict):
    """bug-classes 12: INFO, failed GO and LIST before GO; all 216 triples."""
    victim = target(name="a", more=("--export", TWO))
    for names in itertools.product(STEPS, repeat=3):
        stream = victim.stream()
        good = True
        for name in names:
            option, data, kind = STEPS[name]
            good = good and ask(stream, option, data) == kind
        replies = stream.option(wire.OPT_GO, wire.go_data(b"a"))
        conn = wire.Wire(stream.sock, "simple", ready=True)
        verdict(names, good and replies and
                conn.call(wire.READ, 0, 512).error == wire.OK)
        stream.close()


def test_zeroes_are_each_client_s_own(target, verdict):
    """bug-classes 14: 10 bytes with NO_ZEROES, 134 without, side by side."""
    victim = target(data={0: b"x" * 512})
    for order in itertools.product((1, 3), repeat=4):
        streams = [victim.stream(flags) for flags in order]
        for stream in streams:
            stream.put(wire.option_bytes(wire.OPT_NAME))
        for flags, stream in zip(order, streams):
            stream.put(wire.request_bytes(wire.READ, 0, 5, 0, 512))
            n = 10 if flags & 2 else 134
            said = stream.take(n + 16 + 512)
            verdict((order, flags),
                    said[10:n] == bytes(n - 10) and said[n:n + 4] ==
                    b"\x67\x44\x66\x98" and said[n + 16:] == b"x" * 512)
            stream.close()


def status_error(stream):
    conn = wire.Wire(stream.sock, "structured", ready=True)
    error = conn.call(wire.STATUS, 0, 512).error
    assert conn.call(wire.READ, 0, 512).error == wire.OK
    return error


SET_A = (wire.OPT_SET_META, wire.meta_data(b"a", CONTEXTS))
META_CASES = {
    "set for the same": ([SET_A], b"a", wire.OK),
    "set for another": ([SET_A], b"b", wire.EINVAL),
    "none set": ([], b"a", wire.EINVAL),
    "listed only": ([(wire.OPT_LIST_META, SET_A[1])], b"a", wire.EINVAL),
    "set, then nothing": ([SET_A, (wire.OPT_SET_META,
                                   wire.meta_data(b"a", []))], b"a",
                          wire.EINVAL),
    "set, then unknown": ([SET_A, (wire.OPT_SET_META,
                                   wire.meta_data(b"a", ["x:y"]))], b"a",
                          wire.EINVAL),
    "set, then failed": ([SET_A, (wire.OPT_SET_META, b"\0")], b"a",
                         wire.EINVAL),
    "set, then no export": ([SET_A, (wire.OPT_SET_META,
                                     wire.meta_data(b"c", CONTEXTS))], b"a",
                            wire.EINVAL),
    "set for b, then a": ([(wire.OPT_SET_META,
                            wire.meta_data(b"b", CONTEXTS)), SET_A], b"a",
                          wire.OK),
    "set, failed GO": ([SET_A, (wire.OPT_GO, wire.go_data(b"c"))], b"a",
                       wire.OK),
    "set, INFO of another": ([SET_A, (wire.OPT_INFO, wire.go_data(b"b"))],
                             b"a", wire.OK),
    "wildcard": ([(wire.OPT_SET_META, wire.meta_data(b"a", ["base:"]))],
                 b"a", wire.EINVAL),
}


def test_contexts_belong_to_their_export(target, verdict):
    """bug-classes 15: contexts of one export are none of another."""
    victim = target(name="a", more=("--export", TWO))
    for what, (options, name, error) in META_CASES.items():
        for last in (wire.OPT_GO, wire.OPT_NAME):
            stream = victim.stream()
            stream.option(wire.OPT_STRUCTURED)
            for option, data in options:
                ask(stream, option, data)
            if last == wire.OPT_GO:
                stream.option(last, wire.go_data(name))
            else:
                stream.put(wire.option_bytes(last, name))
                stream.take(10)
            verdict((what, last), status_error(stream) == error)


def test_contexts_need_structured_replies(target, verdict):
    """bug-classes 15: SET before STRUCTURED_REPLY is an error, and undone."""
    victim = target(name="a")
    stream = victim.stream()
    verdict("before", ask(stream, *SET_A) == wire.ERR_INVALID)
    verdict("in step", in_sync(stream))
    stream.option(wire.OPT_STRUCTURED)
    stream.option(wire.OPT_GO, wire.go_data(b"a"))
    verdict("no context", status_error(stream) == wire.EINVAL)


def test_slow_loris_is_cut_off(target, verdict, count):
    """bug-classes 18: 500 clients that say a byte at a time, and none: all
    gone after 10 s, and honest ones are not kept waiting."""
    victim = target(server=",max-connections=0")
    begin = time.monotonic()
    streams = [victim.stream(None) for _ in range(500)]
    out = handshake("structured")
    waits = []
    for n in range(9):
        for k, stream in enumerate(streams):
            if k % 5:
                stream.put(out[n:n + 1])
        waits.append(victim.serve_honest())
        time.sleep(max(0, begin + n + 1 - time.monotonic()))
    for k, stream in enumerate(streams):
        stream.sock.settimeout(5)
        verdict(k, len(stream.take_all()) == 18)
    took = time.monotonic() - begin
    count("ms that an honest client waits beside 500 slow ones",
          round(max(waits) * 1000))
    assert 9.5 <= took <= 14


def test_short_of_descriptors(target, verdict, count):
    """bug-classes 19: with ulimit -n 64, 200 clients: no spinning, and
    service again when they leave; faults S72."""
    for limit in (64, 256):
        victim = target(server=",max-connections=0",
                        prefix=("prlimit", f"--nofile={limit}:{limit}"))
        streams = [victim.stream(None) for _ in range(limit + 136)]
        before = victim.cpu()
        begin = time.monotonic()
        served = sum(len(s.sock.recv(18)) == 18 for s in streams[:8])
        time.sleep(1)
        used = (victim.cpu() - before) / (time.monotonic() - begin)
        verdict((limit, "served"), served == 8)
        verdict((limit, "spins", used), used < 0.5)
        victim.close_all()
        harness.wait_until(lambda v=victim: v.fds() <= v.before_fds, "room")
        victim.serve_honest()
        count("clients beyond ulimit -n", 136)


def test_missing_export_tells_nothing(target, verdict):
    """bug-classes 20: the answer about what is not there is always alike."""
    victim = target(name="secret")
    seen = set()
    for name in (b"secre", b"secret2", b"Secret", b"", b"../secret", b"x",
                 b"secret/", b" secret", b"secret\0", b"s*"):
        for option in (wire.OPT_INFO, wire.OPT_GO):
            stream = victim.stream()
            stream.put(wire.option_bytes(option, wire.go_data(name, (1, 3))))
            replies = stream.answer(option)
            verdict((name, option), len(replies) == 1 and
                    replies[0][0] == wire.ERR_UNKNOWN)
            text = replies[0][1]
            seen.add(text[:text.find(b'"')] if b'"' in text else b"")
            stream.close()
    assert len(seen - {b""}) == 1


def test_unknown_client_flags_end_it(target, verdict):
    """bug-classes 23: a flag that we do not know must drop the client."""
    victim = target()
    for bit in range(2, 32):
        for known in (0, 1, 3):
            stream = victim.stream(1 << bit | known)
            verdict((bit, known), is_cut_off(stream))
            stream.close()
    for flags in range(4):
        stream = victim.stream(flags)
        stream.put(wire.option_bytes(wire.OPT_NAME))
        n = 10 if flags & 2 else 134
        verdict(flags, len(stream.take(n)) == n)


def test_export_name_after_extended_headers(target, verdict):
    """bug-classes 24: EXPORT_NAME can't follow EXTENDED_HEADERS."""
    victim = target()
    for options in ([wire.OPT_EXTENDED], [wire.OPT_STRUCTURED,
                                          wire.OPT_EXTENDED]):
        stream = victim.stream()
        for option in options:
            stream.option(option)
        stream.put(wire.option_bytes(wire.OPT_NAME))
        verdict(options, is_cut_off(stream))


def test_client_without_fixed_newstyle(target, verdict):
    """bug-classes 24: EXPORT_NAME works, anything else is answered or ends
    it (proto.md lets the server choose)."""
    victim = target()
    for flags in (0, 2):
        for option, data in ((wire.OPT_LIST, b""), (wire.OPT_ABORT, b""),
                             (wire.OPT_STARTTLS, b""), (99, b"x"),
                             (wire.OPT_GO, wire.go_data(b""))):
            stream = victim.stream(flags)
            verdict((flags, option),
                    ask(stream, option, data) != 1 << 31 | 5)
            stream.close()


MODE_CASES = [
    ([wire.OPT_STRUCTURED] * 3, {wire.REP_ACK, wire.ERR_INVALID}),
    ([wire.OPT_EXTENDED] * 3, {wire.REP_ACK, wire.ERR_INVALID}),
    ([wire.OPT_STRUCTURED, wire.OPT_EXTENDED], {wire.REP_ACK}),
    ([wire.OPT_EXTENDED, wire.OPT_STRUCTURED], {wire.ERR_EXTENDED,
                                                wire.ERR_INVALID}),
]


def test_reply_modes_in_any_order(target, verdict):
    """bug-classes 24: extended headers stay, once they are negotiated."""
    victim = target()
    for options, kinds in MODE_CASES:
        stream = victim.stream()
        kind = [ask(stream, option) for option in options][-1]
        verdict(options, kind in kinds)
        stream.option(wire.OPT_GO, wire.go_data(b""))
        mode = ("extended" if wire.OPT_EXTENDED in options else "structured")
        conn = wire.Wire(stream.sock, mode, ready=True)
        verdict((options, "READ"), conn.call(wire.READ, 0, 9).error == 0)


INFOS = [(), (0,), (1,), (2,), (3,), (0, 1, 2, 3), (3, 3, 3), (4, 5, 0xffff),
         tuple(range(2000)), (3,) * 32000]


@pytest.mark.parametrize("option", [wire.OPT_INFO, wire.OPT_GO])
def test_every_shape_of_info_requests(target, verdict, option):
    """bug-classes 12: unknown and repeated infos are ignored; EXPORT comes
    always, each at most once, with legal block sizes."""
    victim = target(name="a", size=(1 << 20) + 7)
    for infos in INFOS:
        stream = victim.stream()
        replies = stream.option(option, wire.go_data(b"a", infos))
        found = {}
        for kind, data in replies:
            assert kind == wire.REP_INFO
            found.setdefault(struct.unpack_from(">H", data)[0],
                             []).append(data)
        size = struct.unpack(">HQH", found[wire.INFO_EXPORT][0])[1]
        wanted = {i for i in infos if i in (0, 3)} | {0}
        good = size == (1 << 20) + 7 and wanted <= set(found)
        good = good and all(len(v) == 1 for v in found.values())
        if wire.INFO_BLOCK_SIZE in found:
            _, least, preferred, largest = struct.unpack(
                ">HIII", found[wire.INFO_BLOCK_SIZE][0])
            good = good and least == 1 and 512 <= preferred <= largest
        verdict(infos[:5], good)
        stream.close()


def test_abort_with_data_is_acknowledged(target, verdict):
    """bug-classes 13: ABORT gets ACK, whatever it carries, and the end."""
    victim = target()
    for n in (0, 1, 1000, 1 << 20):
        stream = victim.stream()
        verdict(n, ask(stream, wire.OPT_ABORT, bytes(n)) == wire.REP_ACK)
        verdict((n, "end"), is_cut_off(stream))
    stream = victim.stream()
    stream.put(wire.option_bytes(wire.OPT_ABORT))
    stream.close()


JUNK = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\1\0\1\xfc",
        b"SSH-2.0-OpenSSH_9.2\r\n", bytes(64), b"\xff" * 64,
        b"NBDMAGIC" + bytes(20), FLAGS + b"IHAVEOPU" + bytes(8),
        FLAGS + bytes(16), FLAGS + b"TPOEVAHI" + bytes(8)]


def test_other_protocols_are_cut_off(target, verdict):
    """bug-classes 23: HTTP, TLS, SSH and wrong magics end within a second."""
    victim = target()
    for junk in JUNK:
        stream = victim.stream(None)
        stream.take(18)
        stream.put(junk)
        stream.sock.settimeout(2)
        # The first four bytes are flags; zeros are good ones.
        verdict(junk[:12], is_cut_off(stream))
        stream.close()


def test_limit_of_connections_leaves_no_hole(target, count):
    """bug-classes 19: at max-connections others wait, then are served."""
    victim = target(server=",max-connections=4")
    conns = [victim.wire() for _ in range(4)]
    waiting = [wire.Stream(victim.dial()) for _ in range(8)]
    waiting[0].sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        waiting[0].take(18)
    for conn in conns:
        conn.close()
    for stream in waiting:
        stream.sock.settimeout(harness.PATIENCE)
        stream.hello().option(wire.OPT_ABORT)
        stream.close()
        count("inputs tried")
