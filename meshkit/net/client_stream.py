"""One call at its client."""

from __future__ import annotations

from typing import Protocol, cast

from meshkit.metadata import RawHeaders
from meshkit.wire import Connection, ErrorCode, Stream

from .link import OUTPUT_HIGH
from .outcome import Outcome
from .reading import Reading
from .sinks import ClientSink

__all__ = ["NOBODY", "OVER", "ClientStream", "Opening"]

Opening = tuple[RawHeaders, bytes | None, int | None]
"""What opening a stream needs: header fields, the encoding of messages, and the receive limit."""


class _Owner(Protocol):
    """The connection, as its calls need it."""

    engine: Connection
    reading: Reading
    peer: str
    blocked: bool
    waking: bool

    @property
    def full(self) -> bool: ...

    def wake(self) -> None: ...
    def wake_later(self) -> None: ...
    def give_up(self, call: ClientStream, code: ErrorCode) -> None: ...


class _Nobody:
    """The sink of a cancelled call."""

    def on_headers(self, fields: RawHeaders) -> None: ...
    def on_message(self, data: bytes) -> None: ...
    def on_end(self, outcome: Outcome) -> None: ...
    def on_unary(self, fields: RawHeaders, data: bytes, outcome: Outcome) -> None: ...
    def on_deadline(self) -> None: ...
    def on_writable(self) -> None: ...


NOBODY = _Nobody()
_NOTHING: list[tuple[bytes | None, bool, bool]] = []  # shared: only a call without a stream ever adds to its own


class ClientStream:
    """One call at its client. Everything is immediate: what cannot be sent yet is queued."""

    __slots__ = ("_owner", "deadline", "headers_received", "opening", "over", "pending", "sink", "stream", "unread")

    def __init__(self, owner: _Owner, sink: ClientSink, deadline: float | None) -> None:
        self._owner = owner
        self.sink = sink
        self.deadline = deadline
        self.stream: Stream | None = None
        self.opening: Opening | None = None
        self.pending: list[tuple[bytes | None, bool, bool]] = _NOTHING
        self.headers_received = False
        self.over = False
        self.unread = 0

    def __repr__(self) -> str:
        state = "over" if self.over else "waiting" if self.stream is None else f"id={self.stream.id}"
        return f"ClientStream({self._owner.peer}, {state})"

    @property
    def writable(self) -> bool:
        """Whether little is queued. When false, `ClientSink.on_writable` tells of the change."""
        stream = self.stream
        return stream is not None and stream.writable and not self._owner.full

    def send(self, data: bytes, *, end: bool = False, compress: bool = False) -> bool:
        """Send one message, and half-close with ``end``; gives `writable`. Does nothing once the call is over."""
        if self.over:
            return True
        stream, owner = self.stream, self._owner
        if stream is None:
            self.pending.append((data, end, compress))
            return False
        owner.engine.send_message(stream, data, end=end, compressed=compress)
        if not owner.waking:
            owner.wake()
        return stream.writable and not owner.blocked and owner.engine.output_size < OUTPUT_HIGH

    def end(self) -> None:
        """Half-close: no message follows."""
        if self.over:
            return
        if self.stream is None:
            self.pending.append((None, True, False))
        else:
            self._owner.engine.end(self.stream)
            self._owner.wake()

    def cancel(self, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Give the call up with RST_STREAM ``code``; the sink is not called any more. Does nothing once it is over."""
        if not self.over:
            self._owner.give_up(self, code)

    def acknowledge(self, size: int) -> None:
        """The application consumed messages of ``size`` bytes: the server may send as many more."""
        stream = self.stream
        if stream is None or self.over:
            return
        owner = self._owner
        self.unread -= size
        reading = owner.reading
        reading.unread -= size
        if reading.paused:
            reading.consumed()
        if owner.engine.acknowledge(stream, size):
            owner.wake_later()

    def expire(self) -> None:
        """The deadline has passed: the sink decides what that means."""
        self.sink.on_deadline()

    def wait(self, opening: Opening, message: bytes | None, end: bool) -> None:
        """Keep what is sent until the connection can open another stream."""
        self.opening = opening
        self.pending = []
        if message is not None or end:
            self.pending.append((message, end, opening[1] is not None))

    def replay(self) -> None:
        """The stream is open: send what was kept."""
        pending, self.pending, self.opening = self.pending, _NOTHING, None
        for data, end, compress in pending:
            if data is None:
                self.end()
            else:
                self.send(data, end=end, compress=compress)

    def close(self) -> None:
        """Nothing is sent or told from now on."""
        self.over = True
        self.sink = NOBODY
        if self.stream is not None:
            self.stream.context = OVER  # it refers to this call and this call to it: leave no cycle behind
        if self.opening is not None:
            self.pending, self.opening = _NOTHING, None


OVER = ClientStream(
    cast(_Owner, None), NOBODY, None
)  # stands for every call that is over, where late events look for one
OVER.over = True
