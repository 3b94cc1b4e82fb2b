"""A request of plain HTTP and its one answer, whichever version of HTTP carries it.

For clients that are not gRPC's, such as curl. The whole request is read before anybody sees it, within the limits of a
gRPC message: ``limits.max_receive_message`` each, ``limits.max_unfinished`` together on one connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from meshkit.metadata import RawHeaders

from .sinks import CancelReason
from .timers import Timer, Timers

__all__ = ["Carrier", "HttpAccept", "HttpSink", "HttpStream", "UnfinishedRequest"]


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
        """Call ``expired`` at a loop time, unless the request is over by then; only the last such wish counts."""
        if self._timer is not None:
            self._timer.cancel()
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
    """A request whose body still comes, and is gathered up to ``limit`` bytes."""

    __slots__ = ("_parts", "limit", "size", "stream", "too_large")

    def __init__(self, stream: HttpStream, limit: int) -> None:
        self.stream = stream
        self.limit = limit
        self.size = 0
        self.too_large = False
        self._parts = bytearray()  # as objects, small pieces would take many times their size

    def __repr__(self) -> str:
        return f"UnfinishedRequest({self.stream!r}, {self.size} bytes)"

    def add(self, data: bytes) -> bool:
        """More of the body; False where that is too much."""
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
        self.stream.body = None if self.too_large else bytes(self._parts)
        self._parts.clear()
        return self.stream
