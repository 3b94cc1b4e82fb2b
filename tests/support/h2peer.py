"""A scripted HTTP/2 peer: it sends the frames it is told to, right or wrong, and records what comes back."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4

Fields = Sequence[tuple[bytes, bytes]]


@dataclass(slots=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def string(value: bytes) -> bytes:
    """An HPACK string literal without Huffman."""
    if len(value) < 127:
        return bytes((len(value),)) + value
    rest, out = len(value) - 127, bytearray(b"\x7f")
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes(out) + bytes((rest,)) + value


def block(fields: Fields) -> bytes:
    """A header block of literals without indexing: the same bytes whatever the table holds."""
    return b"".join(b"\0" + string(name) + string(value) for name, value in fields)


def request(path: bytes = b"/test.Echo/Echo", *more: tuple[bytes, bytes], method: bytes = b"POST") -> bytes:
    """The header block of a gRPC request."""
    return block(
        [
            (b":method", method),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", b"test"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            *more,
        ]
    )


def headers(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, payload)


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def message(payload: bytes, *, compressed: bool = False) -> bytes:
    return bytes((int(compressed),)) + struct.pack(">I", len(payload)) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", name, value) for name, value in pairs))


def window_update(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def reset(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


RESPONSE = block([(b":status", b"200"), (b"content-type", b"application/grpc")])
OK = block([(b"grpc-status", b"0")])


@asynccontextmanager
async def scripted(play: Callable[[Peer], Awaitable[None]], *pairs: tuple[int, int]) -> AsyncIterator[int]:
    """A server that greets each client with SETTINGS ``pairs`` and follows ``play``; yields its port.

    A play that fails fails the test; one that still runs at the end is cancelled.
    """
    playing: set[asyncio.Task[None]] = set()

    async def perform(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        try:
            await peer.greet(*pairs)
            await play(peer)
        except asyncio.IncompleteReadError:
            pass  # the client left before the play began
        finally:
            await peer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        playing.add(asyncio.ensure_future(perform(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in playing:
            task.cancel()
        ends = await asyncio.gather(*playing, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


class Peer:
    """One end of a connection, by hand. ``closed`` tells that the other end closed it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.decoder = Decoder()
        self.seen: list[Frame] = []
        self.closed = False

    @classmethod
    async def connect(cls, port: int, *, greet: bool = True, deaf: bool = False) -> Self:
        """A client. ``greet``: send preface and SETTINGS, and answer the server's; ``deaf``: it holds little unread."""
        sock = socket.socket()
        if deaf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        peer = cls(*await asyncio.open_connection(sock=sock))
        if deaf:
            peer.reader._limit = 1  # its transport stops reading as soon as something waits
        if greet:
            peer.send(PREFACE + settings())
            await peer.until(SETTINGS)
            peer.send(frame(SETTINGS, ACK))
        return peer

    async def greet(self, *pairs: tuple[int, int]) -> None:
        """As a server: read the preface, exchange SETTINGS."""
        assert await self.reader.readexactly(len(PREFACE)) == PREFACE
        self.send(settings(*pairs))
        await self.until(SETTINGS)
        self.send(frame(SETTINGS, ACK))

    def send(self, *frames: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(b"".join(frames))

    async def flood(self, *frames: bytes) -> bool:
        """Send and wait until it has left; false when the other end closed instead."""
        try:
            self.send(*frames)
            await self.writer.drain()
        except ConnectionError:
            self.closed = True
        return not self.closed

    async def next(self) -> Frame | None:
        """The next frame, None at the end of the connection."""
        try:
            head = await self.reader.readexactly(9)
            size = int.from_bytes(head[:3], "big")
            payload = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed = True
            return None
        got = Frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, payload)
        if got.kind == HEADERS:
            got.fields = [(bytes(n), bytes(v)) for n, v in self.decoder.decode(payload, raw=True)]
        self.seen.append(got)
        return got

    async def until(self, kind: int, *, stream: int | None = None, flags: int = 0) -> Frame:
        """The next frame of ``kind``. Fails at the end of the connection."""
        while (got := await self.next()) is not None:
            if got.kind == kind and stream in (None, got.stream) and got.flags & flags == flags:
                return got
        raise AssertionError(f"closed before a frame of kind {kind}; seen {self.seen[-5:]}")

    async def rest(self) -> list[Frame]:
        """Every frame until the other end closes."""
        found: list[Frame] = []
        while (got := await self.next()) is not None:
            found.append(got)
        return found

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()
