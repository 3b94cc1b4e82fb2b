"""What a server answers: the engine's events of a stream, as the calls' sinks hear them.

Carries: response rules (PROTOCOL-HTTP2.md): initial metadata once, grpc-status before :status, what is not gRPC ends
the call.
"""

from __future__ import annotations

from typing import Protocol

from meshkit.metadata import RawHeaders
from meshkit.wire import (
    Body,
    Connection,
    ErrorCode,
    Fault,
    HalfClosed,
    Headers,
    Message,
    Messages,
    Reset,
    Trailers,
    UnaryResponses,
    Writable,
)

from .client_stream import NOBODY, OVER, ClientStream
from .events import Handlers
from .http_replies import HttpReplies
from .link import LOG
from .outcome import Outcome, from_loss, from_reset, from_trailers, not_grpc, without_trailers
from .reading import Reading
from .timers import Timers

__all__ = ["Responses", "loss"]


class _Owner(Protocol):
    """The connection, as responses need it."""

    engine: Connection
    reading: Reading
    timers: Timers
    peer: str
    flushed_id: int
    answered: int

    @property
    def full(self) -> bool: ...
    def wake(self) -> None: ...
    def end(self, call: ClientStream, outcome: Outcome) -> None: ...
    def over(self, call: ClientStream) -> None: ...
    def ended(self, calls: int) -> None: ...


class Responses:
    """Handlers for the events of a client's streams. ``http``: those calls whose answers are not gRPC's."""

    __slots__ = ("_ends", "_good_headers", "_owner", "_reading", "handlers", "http")

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner
        self._reading = owner.reading
        self.http = HttpReplies(owner)
        self._good_headers: RawHeaders = ()
        self._ends: tuple[RawHeaders, Outcome] = ((), Outcome(0))
        self.handlers: Handlers = {
            UnaryResponses: self._unary,
            Headers: self._headers,
            Message: self._message,
            Messages: self._messages,
            Body: self.http.add,
            Trailers: self._trailers,
            HalfClosed: self._half_closed,
            Fault: self._fault,
            Reset: self._reset,
            Writable: self._writable,
        }

    def _unary(self, event: UnaryResponses) -> None:
        known, outcome = self._ends
        ended = 0
        for stream, fields, data, trailers in event.calls:
            call: ClientStream = stream.context
            if call.over:
                continue
            if trailers is not known:  # the engine gives the same tuple for the same block
                known, outcome = self._ends = (trailers, from_trailers(trailers, trailers_only=False))
            ended += 1
            sink = call.sink
            call.over, call.sink, stream.context = True, NOBODY, OVER  # `close`, written out: once for each call
            sink.on_unary(fields, data, outcome)
        self._owner.answered += ended
        self._owner.ended(ended)

    def _headers(self, event: Headers) -> None:
        call: ClientStream = event.stream.context
        if call.over:
            return
        fields = event.fields
        if event.end:
            self._owner.end(call, from_trailers(fields, trailers_only=True))
            return
        if fields is not self._good_headers:
            if not_grpc(fields):
                self._refuse(call, fields)
                return
            self._good_headers = fields  # the engine gives the same tuple for the same block
        call.headers_received = True
        call.sink.on_headers(fields)

    def _refuse(self, call: ClientStream, fields: RawHeaders) -> None:
        """The response is not one of gRPC: that is the outcome, whatever else would follow. What its body says is
        waited for, unless it claims to be messages."""
        stream = call.stream
        assert stream is not None and stream.block is not None
        if stream.block.grpc or any(name == b"grpc-status" for name, _ in fields):
            self._owner.engine.reset(stream, ErrorCode.CANCEL)
            self._owner.end(call, from_trailers(fields, trailers_only=True))
        else:
            self.http.begin(call, fields)

    def _message(self, event: Message) -> None:
        call: ClientStream = event.stream.context
        if call.over:
            return
        size = len(event.data)
        call.unread += size
        self._reading.took(size)
        call.sink.on_message(event.data)

    def _messages(self, event: Messages) -> None:
        taken = 0
        for stream, data in event.messages:
            call: ClientStream = stream.context
            if not call.over:
                size = len(data)
                call.unread += size
                taken += size
                call.sink.on_message(data)
        self._reading.took(taken)

    def _trailers(self, event: Trailers) -> None:
        call: ClientStream = event.stream.context
        if not call.over and (call.headers_received or not self.http.end(call)):
            self._owner.end(call, from_trailers(event.fields, trailers_only=False))

    def _half_closed(self, event: HalfClosed) -> None:
        call: ClientStream = event.stream.context
        if not call.over and not self.http.end(call):
            self._owner.end(call, without_trailers("no trailers"))

    def _fault(self, event: Fault) -> None:
        LOG.warning("%s: stream %d: %s", self._owner.peer, event.stream_id, event.reason)

    def _reset(self, event: Reset) -> None:
        call: ClientStream = event.stream.context
        if call.over or self.http.end(call):
            return
        owner = self._owner
        if owner.engine.termination:
            outcome = loss(owner, call, owner.engine.termination)
        elif event.by_peer:
            outcome = from_reset(event.code, unprocessed=event.unprocessed, headers_received=call.headers_received)
        else:
            outcome = Outcome(event.status, event.reason, headers_received=call.headers_received)
        owner.end(call, outcome)

    def _writable(self, event: Writable) -> None:
        if not self._owner.full:
            event.stream.context.sink.on_writable()


def loss(owner: _Owner, call: ClientStream, reason: str) -> Outcome:
    """The outcome of a call whose connection ended under it: unprocessed if nothing of it had left."""
    unsent = call.stream is None or call.stream.id > owner.flushed_id
    return from_loss(owner.peer, reason, unprocessed=unsent, headers_received=call.headers_received)
