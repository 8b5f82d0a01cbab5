"""A small NBD client that can send what libnbd would not.

It negotiates simple, structured or extended replies and sends any request
header; replies come back with their chunks.  Source: NBD doc/proto.md.

SPDX-License-Identifier: BSD-3-Clause
"""
import struct

NBDMAGIC = 0x4e42444d41474943
IHAVEOPT = 0x49484156454f5054
OPT_REPLY = 0x3e889045565a9
OPT_NAME, OPT_ABORT, OPT_LIST, OPT_STARTTLS = 1, 2, 3, 5
OPT_INFO, OPT_GO, OPT_STRUCTURED = 6, 7, 8
OPT_LIST_META, OPT_SET_META, OPT_EXTENDED = 9, 10, 11
REP_ACK, REP_SERVER, REP_INFO, REP_META = 1, 2, 3, 4
ERR_UNSUP, ERR_POLICY, ERR_INVALID = 1 << 31 | 1, 1 << 31 | 2, 1 << 31 | 3
ERR_UNKNOWN, ERR_TOO_BIG = 1 << 31 | 6, 1 << 31 | 9
ERR_EXTENDED = 1 << 31 | 10
INFO_EXPORT, INFO_NAME, INFO_DESCRIPTION, INFO_BLOCK_SIZE = 0, 1, 2, 3

READ, WRITE, DISC, FLUSH, TRIM = 0, 1, 2, 3, 4
CACHE, ZERO, STATUS = 5, 6, 7
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO, PAYLOAD_LEN = 1, 2, 4, 8, 16, 32

CHUNK_NONE, CHUNK_DATA, CHUNK_HOLE = 0, 1, 2
CHUNK_STATUS, CHUNK_STATUS_EXT = 5, 6

OK, EPERM, EIO, EINVAL, ENOSPC = 0, 1, 5, 22, 28
EOVERFLOW, ENOTSUP, ESHUTDOWN = 75, 95, 108


class Refused(Exception):
    """The server answered an option with an error."""


class Reply:
    """One complete answer: @error (an NBD errno), @data of a read, and the
    @chunks as (type, payload)."""

    def __init__(self):
        self.error = OK
        self.data = None
        self.chunks = []

    def extents(self, context):
        """[(length, flags)...] of one meta context, or None."""
        for kind, payload in self.chunks:
            if kind not in (CHUNK_STATUS, CHUNK_STATUS_EXT):
                continue
            if struct.unpack_from(">I", payload)[0] != context:
                continue
            if kind == CHUNK_STATUS:
                return list(struct.iter_unpack(">II", payload[4:]))
            return list(struct.iter_unpack(">QQ", payload[8:]))
        return None


def option_bytes(option, data=b"", length=None):
    """One option on the wire; @length: what it claims to have."""
    length = len(data) if length is None else length
    return struct.pack(">QII", IHAVEOPT, option, length) + data


def go_data(name, infos=()):
    """The data of GO and INFO."""
    return (struct.pack(">I", len(name)) + name +
            struct.pack(f">H{len(infos)}H", len(infos), *infos))


def meta_data(name, queries):
    """The data of LIST_META_CONTEXT and SET_META_CONTEXT."""
    data = struct.pack(">I", len(name)) + name
    data += struct.pack(">I", len(queries))
    for query in queries:
        query = query.encode() if isinstance(query, str) else query
        data += struct.pack(">I", len(query)) + query
    return data


def request_bytes(command, flags=0, cookie=1, offset=0, length=0):
    """A request header."""
    return struct.pack(">IHHQQI", 0x25609513, flags, command, cookie, offset,
                       length)


def extended_bytes(command, flags=0, cookie=1, offset=0, length=0):
    """A request header after EXTENDED_HEADERS."""
    return struct.pack(">IHHQQQ", 0x21e41c71, flags, command, cookie, offset,
                       length)


class Stream:
    """A connection, from the greeting on; nothing is sent by itself."""

    def __init__(self, sock):
        self.sock = sock

    def put(self, data):
        self.sock.sendall(data)

    def take(self, n):
        got = bytearray()
        while len(got) < n:
            part = self.sock.recv(n - len(got))
            if not part:
                raise EOFError(f"closed after {len(got)} of {n} bytes")
            got += part
        return bytes(got)

    def take_all(self):
        """Everything up to the end of the stream, or to a reset."""
        got = bytearray()
        try:
            while part := self.sock.recv(1 << 20):
                got += part
        except ConnectionResetError:
            pass
        return bytes(got)

    def close(self):
        self.sock.close()

    # ---- handshake ----
    def hello(self, flags=3):
        """Take the greeting and answer it."""
        magic, opt, _ = struct.unpack(">QQH", self.take(18))
        assert (magic, opt) == (NBDMAGIC, IHAVEOPT)
        self.put(struct.pack(">I", flags))
        return self

    def answer(self, option):
        """All replies to @option that was sent: [(type, payload)...]; the
        last is ACK or an error."""
        replies = []
        while True:
            magic, opt, kind, n = struct.unpack(">QIII", self.take(20))
            assert (magic, opt) == (OPT_REPLY, option), (hex(magic), opt)
            replies.append((kind, self.take(n)))
            if kind == REP_ACK or kind & 1 << 31:
                return replies

    def option(self, option, data=b""):
        """Send an option; the replies before ACK, or raise Refused."""
        self.put(option_bytes(option, data))
        *replies, (kind, payload) = self.answer(option)
        if kind != REP_ACK:
            raise Refused(kind, payload.decode(errors="replace"))
        return replies


class Wire(Stream):
    """A connection in transmission; mode: simple, structured, extended.  With
    @ready the handshake is over and @size and @flags are not known."""

    def __init__(self, sock, mode="structured", export="", contexts=(),
                 ready=False):
        super().__init__(sock)
        self.mode = mode
        self.contexts = {}
        self.pending = {}
        self.cookie = 0
        if not ready:
            self.negotiate(export.encode(), contexts)

    def negotiate(self, name, contexts):
        self.hello()
        if self.mode == "structured":
            self.option(OPT_STRUCTURED)
        elif self.mode == "extended":
            self.option(OPT_EXTENDED)
        if contexts:
            self.set_contexts(name, contexts)
        for kind, data in self.option(OPT_GO, go_data(name)):
            if kind == REP_INFO and data[:2] == b"\0\0":
                _, self.size, self.flags = struct.unpack(">HQH", data)

    def set_contexts(self, name, contexts):
        for kind, payload in self.option(OPT_SET_META,
                                         meta_data(name, contexts)):
            assert kind == REP_META
            number = struct.unpack_from(">I", payload)[0]
            self.contexts[payload[4:].decode()] = number

    # ---- transmission ----
    def send(self, command, offset=0, length=0, flags=0, payload=b""):
        """Send a request and return its cookie."""
        if self.mode == "extended" and command == WRITE:
            flags |= PAYLOAD_LEN
        self.cookie += 1
        encode = extended_bytes if self.mode == "extended" else request_bytes
        header = encode(command, flags, self.cookie, offset, length)
        if command != DISC:
            self.pending[self.cookie] = (command, offset, length, Reply())
        self.put(header + payload)
        return self.cookie

    def receive(self):
        """The next complete reply, as (cookie, Reply)."""
        while True:
            cookie, done = self.receive_chunk()
            if done:
                return cookie, self.pending.pop(cookie)[3]

    def receive_chunk(self):
        magic = struct.unpack(">I", self.take(4))[0]
        if magic == 0x67446698:
            assert self.mode != "extended"
            error, cookie = struct.unpack(">IQ", self.take(12))
            command, _, length, reply = self.pending[cookie]
            reply.error = error
            if command == READ:
                assert self.mode == "simple", "simple reply to a read"
                reply.data = self.take(length) if not error else None
            return cookie, True
        if magic == 0x668e33ef:
            assert self.mode == "structured"
            flags, kind, cookie, n = struct.unpack(">HHQI", self.take(16))
        else:
            assert magic == 0x6e8a278c and self.mode == "extended", hex(magic)
            flags, kind, cookie, _, n = struct.unpack(">HHQQQ", self.take(28))
        self.add_chunk(cookie, kind, self.take(n))
        return cookie, bool(flags & 1)

    def add_chunk(self, cookie, kind, payload):
        command, offset, length, reply = self.pending[cookie]
        reply.chunks.append((kind, payload))
        if kind & 1 << 15:
            reply.error = struct.unpack_from(">I", payload)[0]
            return
        if command == READ and reply.data is None:
            reply.data = bytearray(length)
        if kind == CHUNK_DATA:
            at = struct.unpack_from(">Q", payload)[0] - offset
            reply.data[at:at + len(payload) - 8] = payload[8:]
        elif kind == CHUNK_HOLE:
            at, n = struct.unpack(">QI", payload)
            reply.data[at - offset:at - offset + n] = bytes(n)

    def call(self, command, offset=0, length=0, flags=0, payload=b""):
        """Send one request and return its reply."""
        sent = self.send(command, offset, length, flags, payload)
        cookie, reply = self.receive()
        assert cookie == sent
        return reply
