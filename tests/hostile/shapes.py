"""Bytes that hostile clients send, and what tells an answer from silence.

SPDX-License-Identifier: BSD-3-Clause
"""
import random
import socket
import struct

import wire

UNKNOWN_OPTION = 0x7777
U32 = 0xffffffff
MODES = ("simple", "structured", "extended")
FLAGS = struct.pack(">I", 3)


def ask(stream, option, data=b""):
    """The type of the last reply to an option; None when it was cut off."""
    try:
        stream.put(wire.option_bytes(option, data))
        return stream.answer(option)[-1][0]
    except (EOFError, ConnectionError):
        return None


def in_sync(stream):
    """The server stands at the header of the next option."""
    return ask(stream, UNKNOWN_OPTION, b"abc") == wire.ERR_UNSUP


def is_cut_off(stream, quiet=True):
    """The server closes, and says nothing (@quiet) before."""
    said = stream.take_all()
    return not said if quiet else True


def put_until_closed(stream, data):
    """Send as much as the server takes; the bytes that went."""
    sent = 0
    view = memoryview(data)
    try:
        while sent < len(data):
            sent += stream.sock.send(view[sent:sent + 65536])
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


def reset(stream):
    """Close so that the peer gets RST."""
    stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
    stream.close()


def handshake(mode, name=b"", contexts=(), last=wire.OPT_GO):
    """All that a client sends up to the choice of an export."""
    out = FLAGS
    if mode == "structured":
        out += wire.option_bytes(wire.OPT_STRUCTURED)
    elif mode == "extended":
        out += wire.option_bytes(wire.OPT_EXTENDED)
    if contexts:
        out += wire.option_bytes(wire.OPT_SET_META,
                                 wire.meta_data(name, contexts))
    data = wire.go_data(name, (1, 2, 3)) if last == wire.OPT_GO else name
    return out + wire.option_bytes(last, data)


def header(mode, *args, **kwargs):
    """A request header of @mode."""
    encode = (wire.extended_bytes if mode == "extended"
              else wire.request_bytes)
    return encode(*args, **kwargs)


def seeded(count, seed=1):
    """A generator of random numbers; the seed is in the summary."""
    count(f"seed {seed} used")
    return random.Random(seed)


def calls_still_work(conn):
    """The stream is in step: a command gets its own answer."""
    return conn.call(wire.FLUSH).error == wire.OK
