"""Engines in memory: one with a peer made of frames, or two back to back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from hpack import Decoder

from meshkit.wire import (
    Connection,
    Event,
    HalfClosed,
    Headers,
    Limits,
    Message,
    Messages,
    Role,
    Stream,
    Terminated,
    Trailers,
    UnaryRequests,
    UnaryResponses,
)
from tests.support.h2peer import HEADERS, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, Frame, frame, settings

__all__ = [
    "OK",
    "REQUEST",
    "RESPONSE",
    "Wire",
    "apart",
    "credits",
    "exchange",
    "frames",
    "handshaken",
    "of",
    "pair",
    "resets",
]

E = TypeVar("E")

REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/test.Echo/Echo"),
    (b":authority", b"test"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))
OK = ((b"grpc-status", b"0"),)


def frames(data: bytes) -> list[Frame]:
    """Whole frames; header blocks stay as they are (see `Wire` for fields)."""
    data = data.removeprefix(PREFACE)
    found: list[Frame] = []
    while data:
        size = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + size, "an engine wrote half a frame"
        found.append(Frame(data[3], data[4], int.from_bytes(data[5:9], "big") & 0x7FFFFFFF, data[9 : 9 + size]))
        data = data[9 + size :]
    return found


def apart(events: Sequence[Event]) -> Iterator[Event]:
    """``events``, with those of whole calls as the single ones that they stand for."""
    for event in events:
        if isinstance(event, UnaryRequests):
            for stream, fields, data in event.calls:
                yield from (Headers(stream, fields, False), Message(stream, data), HalfClosed(stream))
        elif isinstance(event, UnaryResponses):
            for stream, fields, data, trailers in event.calls:
                yield from (Headers(stream, fields, False), Message(stream, data), Trailers(stream, trailers))
        elif isinstance(event, Messages):
            yield from (Message(stream, data) for stream, data in event.messages)
        else:
            yield event


class Wire:
    """An engine and what it wrote, frame by frame."""

    def __init__(self, role: Role, limits: Limits | None = None) -> None:
        self.engine = Connection(role, limits or Limits())
        self.decoder = Decoder()
        self.now = 0.0

    def feed(self, *pieces: bytes, now: float | None = None) -> list[Event]:
        """Receive ``pieces`` at once."""
        self.now = self.now if now is None else now
        return list(apart(self.engine.receive(b"".join(pieces), self.now)))

    def output(self) -> list[Frame]:
        """What was written since the last time."""
        found = frames(self.engine.take_output())
        for each in found:
            if each.kind == HEADERS:
                each.fields = [
                    (bytes(name), bytes(value)) for name, value in self.decoder.decode(each.payload, raw=True)
                ]
        return found

    def answer(self, *pieces: bytes) -> list[Frame]:
        """Receive ``pieces``, and give what that made the engine write."""
        self.feed(*pieces)
        return self.output()

    def open(self, **options: object) -> Stream:
        """A request, at a client."""
        return self.engine.open_stream(REQUEST, **options)  # type: ignore[arg-type]  # keywords of open_stream


def handshaken(role: Role, limits: Limits | None = None, *pairs: tuple[int, int]) -> Wire:
    """An engine past the SETTINGS of both sides, its output taken."""
    wire = Wire(role, limits)
    events = wire.feed(*([PREFACE] if role is Role.SERVER else []), settings(*pairs), frame(SETTINGS, 1))
    assert not of(events, Terminated)
    wire.output()
    return wire


def of(events: Sequence[Event], kind: type[E]) -> list[E]:
    """The events of one kind, those that stand for several taken apart."""
    return [event for event in apart(events) if type(event) is kind]


def resets(found: Sequence[Frame]) -> list[tuple[int, int]]:
    """Stream and code of each RST_STREAM."""
    return [(each.stream, int.from_bytes(each.payload, "big")) for each in found if each.kind == RST_STREAM]


def credits(found: Sequence[Frame]) -> list[tuple[int, int]]:
    """Stream and size of each WINDOW_UPDATE."""
    return [(each.stream, int.from_bytes(each.payload, "big")) for each in found if each.kind == WINDOW_UPDATE]


def exchange(client: Connection, server: Connection, now: float = 0.0) -> tuple[list[Event], list[Event]]:
    """Carry output across until both are silent; the events of client and server."""
    at_client: list[Event] = []
    at_server: list[Event] = []
    for _ in range(10_000):
        if not (client.has_output or server.has_output):
            return at_client, at_server
        at_server += apart(server.receive(client.take_output(), now))
        at_client += apart(client.receive(server.take_output(), now))
    raise AssertionError("two engines that never fall silent")


def pair(client: Limits | None = None, server: Limits | None = None) -> tuple[Connection, Connection]:
    """Two engines past their SETTINGS."""
    ours, theirs = Connection(Role.CLIENT, client or Limits()), Connection(Role.SERVER, server or Limits())
    exchange(ours, theirs)
    return ours, theirs
