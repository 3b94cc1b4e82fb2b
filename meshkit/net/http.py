"""A request of plain HTTP and its one answer, whichever version of HTTP carries it.

For clients that are not gRPC's, such as curl. The whole request is read before anybody sees it, within the limits of a
gRPC message: ``limits.max_receive_message`` each, ``limits.max_unfinished`` together on one connection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from meshkit.metadata import RawHeaders

from .options import ServerOptions
from .sinks import CancelReason
from .timers import Timer, Timers

__all__ = ["TEXT", "TOO_SLOW", "Carrier", "HttpAccept", "HttpSink", "HttpStream", "UnfinishedRequest"]

TEXT = (b"content-type", b"text/plain; charset=utf-8")
"""The header field of answers in plain words."""

TOO_SLOW = (408, (TEXT,), b"the body came too slowly\n")
"""The answer to a request whose body took too long (RFC 9110 section 15.5.9)."""

_SLOWEST = 4096  # bytes of a body that buy its sender another second


class HttpSink(Protocol):
    """The owner of an `HttpStream`, set by who accepts it."""

    def on_cancel(self, reason: CancelReason) -> None:
        """The request is over before it was answered: stop. Nothing follows; answering does nothing."""
        ...

    def finish(self, status: int, message: str = "") -> None:
        """Answer with this gRPC status now: the connection is about to close."""
        ...


class Carrier(Protocol):
    """The connection, as a request needs it."""

    timers: Timers

    @property
    def peer(self) -> str:
        """The client's address."""
        ...

    @property
    def peer_identity(self) -> str | None:
        """What the client's certificate says."""
        ...

    def answer(self, stream: HttpStream, status: int, fields: RawHeaders, body: bytes) -> None:
        """Write the whole answer."""
        ...

    def released(self) -> None:
        """A handler has really ended."""
        ...


class _Nobody:
    def on_cancel(self, reason: CancelReason) -> None: ...
    def finish(self, status: int, message: str = "") -> None: ...


_NOBODY = _Nobody()


class HttpStream:
    """One request. ``fields`` are its header fields, without pseudo-headers and names in lower case; ``target`` is the
    path with the query; ``body`` is None where it was larger than allowed; ``began`` is the loop time at which its
    headers came. Who accepts it sets ``sink``, calls `respond` once, and `release` when its work has ended."""

    __slots__ = ("_carrier", "_released", "_timer", "began", "body", "fields", "method", "over", "sink", "target")

    def __init__(self, carrier: Carrier, method: bytes, target: bytes, fields: RawHeaders, began: float) -> None:
        self._carrier = carrier
        self._released = False
        self._timer: Timer | None = None
        self.method = method
        self.target = target
        self.fields = fields
        self.began = began
        self.body: bytes | None = b""
        self.sink: HttpSink = _NOBODY
        self.over = False

    def __repr__(self) -> str:
        return f"HttpStream({self.method!r}, {self.target!r}, {self.peer}{', over' if self.over else ''})"

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._carrier.peer

    @property
    def peer_identity(self) -> str | None:
        """What the client's certificate says: its first URI (SPIFFE) name, else DNS name, else subject."""
        return self._carrier.peer_identity

    @property
    def connection(self) -> Carrier:
        """The connection that carries the request."""
        return self._carrier

    def arm(self, deadline: float, expired: Callable[[], None]) -> None:
        """Call ``expired`` at a loop time (infinity: never), unless the request is over by then; only the last such
        wish counts."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline < math.inf:
            self._timer = self._carrier.timers.schedule(deadline, expired)

    def respond(self, status: int, fields: RawHeaders, body: bytes = b"") -> None:
        """Answer. Does nothing once the request is over."""
        if not self.over:
            self.close()
            self._carrier.answer(self, status, fields, body)

    def finish(self, status: int, message: str = "") -> None:
        """Have its owner answer with a gRPC status: the connection is about to close."""
        self.sink.finish(status, message)

    def release(self) -> None:
        """The handler has really ended: frees its place among the connection's handlers. Further calls do nothing."""
        if not self._released:
            self._released = True
            self._carrier.released()

    def cancel(self, reason: CancelReason) -> None:
        """The request is over before it was answered."""
        sink = self.sink
        self.close()
        sink.on_cancel(reason)

    def close(self) -> None:
        """Nothing is sent or told from now on."""
        self.over = True
        self.sink = _NOBODY
        if self._timer is not None:
            self._timer.cancel()


HttpAccept = Callable[[HttpStream], None]
"""Is called with each whole request, on the loop; it must not block or raise."""


class UnfinishedRequest:
    """A request whose body still comes, and is gathered up to ``limit`` bytes. ``late`` is called with it when it is
    too slow: `ServerOptions.body_timeout` in all, ``write_timeout`` since its last bytes."""

    __slots__ = ("_heard", "_late", "_options", "_parts", "limit", "size", "stream", "too_large")

    def __init__(self, stream: HttpStream, options: ServerOptions, late: Callable[[UnfinishedRequest], object]) -> None:
        self.stream = stream
        self.limit = options.limits.max_receive_message
        self.size = 0
        self.too_large = False
        self._options = options
        self._late = late
        self._heard = stream.began
        self._parts = bytearray()  # as objects, small pieces would take many times their size
        stream.arm(self._due(), self._check)

    def __repr__(self) -> str:
        return f"UnfinishedRequest({self.stream!r}, {self.size} bytes)"

    def _due(self) -> float:
        total = self._options.body_timeout + self.size / _SLOWEST
        return min(self.stream.began + total, self._heard + self._options.write_timeout)

    def _check(self) -> None:
        """One timer for all pieces of a body: whether it is too late is asked when it could be."""
        due = self._due()
        if self.stream.connection.timers.now() >= due:
            self._late(self)
        else:
            self.stream.arm(due, self._check)

    def add(self, data: bytes, now: float) -> bool:
        """More of the body, at this loop time; False where that is too much."""
        self._heard = now
        self.size += len(data)
        self._parts += data
        return self.size <= self.limit

    def give_up(self) -> int:
        """Let go of what was gathered; how many bytes that were."""
        dropped, self.size = self.size, 0
        self.too_large = True
        self._parts.clear()
        return dropped

    def whole(self) -> HttpStream:
        """The request, complete or too large."""
        self.stream.arm(math.inf, self._check)
        self.stream.body = None if self.too_large else bytes(self._parts)
        self._parts.clear()
        return self.stream
