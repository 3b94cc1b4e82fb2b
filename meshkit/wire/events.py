"""What an engine tells of what it received. Each event names its stream; those without one concern the connection."""

from __future__ import annotations

from dataclasses import dataclass

from meshkit.metadata import RawHeaders

from .codes import ErrorCode
from .stream import Stream

__all__ = [
    "Body",
    "Event",
    "Fault",
    "GoAway",
    "HalfClosed",
    "Headers",
    "Message",
    "Messages",
    "PingReceived",
    "Pong",
    "Reset",
    "SettingsChanged",
    "Terminated",
    "Trailers",
    "UnaryRequests",
    "UnaryResponses",
    "Writable",
]


@dataclass(slots=True)
class Headers:
    """The first header block: a request at a server, initial metadata at a client. ``end``: nothing follows; at a
    client that is a Trailers-Only response."""

    stream: Stream
    fields: RawHeaders
    end: bool


@dataclass(slots=True)
class Message:
    """One whole gRPC message, inflated."""

    stream: Stream
    data: bytes


@dataclass(slots=True)
class Messages:
    """Several messages that came one after the other, each in one frame: of each its stream and what `Message` has."""

    messages: list[tuple[Stream, bytes]]


@dataclass(slots=True)
class Body:
    """Bytes of a request or a response that is not gRPC's; told where the engine's ``bodies`` is set."""

    stream: Stream
    data: bytes


@dataclass(slots=True)
class Trailers:
    """The last header block; the peer sends nothing more on the stream."""

    stream: Stream
    fields: RawHeaders


@dataclass(slots=True)
class HalfClosed:
    """The peer ended its half with DATA."""

    stream: Stream


@dataclass(slots=True)
class UnaryRequests:
    """Whole requests with one message, which came one after the other and each in one piece: of each its stream, its
    header fields and its message. Each stands for `Headers`, `Message` and `HalfClosed`; the same in several pieces, or
    in a way that is not the most common one, is told by the three."""

    calls: list[tuple[Stream, RawHeaders, bytes]]


@dataclass(slots=True)
class UnaryResponses:
    """Whole responses likewise, with their trailers as the fourth: each for `Headers`, `Message` and `Trailers`."""

    calls: list[tuple[Stream, RawHeaders, bytes, RawHeaders]]


@dataclass(slots=True)
class Reset:
    """The stream is over before its time.

    ``code``: an ErrorCode; or any number, where the peer says one that is not defined.
    ``by_peer``: the peer said so; else a fault of the peer made us. ``unprocessed``: the peer surely never handled it
    (REFUSED_STREAM, or above the last stream of its GOAWAY). ``code``: an `ErrorCode`, or what the peer sent instead.
    ``status`` and ``reason``: what the fault means in gRPC.
    """

    stream: Stream
    code: int
    by_peer: bool
    unprocessed: bool = False
    status: int = 13
    reason: str = ""


@dataclass(slots=True)
class Fault:
    """A fault of the peer on a stream that is not open (a request that breaks HTTP's rules, for one): it was answered
    with RST_STREAM and ``code``."""

    stream_id: int
    code: ErrorCode
    reason: str


@dataclass(slots=True)
class Writable:
    """What was queued on the stream fell below the low mark, after it had been above the high one."""

    stream: Stream


@dataclass(slots=True)
class SettingsChanged:
    """The peer's SETTINGS took effect."""


@dataclass(slots=True)
class PingReceived:
    """The peer pinged; the answer is in the output."""


@dataclass(slots=True)
class Pong:
    """The peer answered our PING of this payload (8 bytes)."""

    payload: bytes


@dataclass(slots=True)
class GoAway:
    """The peer takes no new streams; those above ``last_id`` were reset before this event."""

    last_id: int
    code: int
    debug: bytes


@dataclass(slots=True)
class Terminated:
    """The connection is over: write the output, then close. Every stream was reset before this event."""

    code: ErrorCode
    reason: str


Event = (
    Headers
    | Message
    | Messages
    | Body
    | Trailers
    | HalfClosed
    | UnaryRequests
    | UnaryResponses
    | Reset
    | Fault
    | Writable
    | SettingsChanged
    | PingReceived
    | Pong
    | GoAway
    | Terminated
)
