"""What clients ask: the engine's events of a stream, as `accept` and the handlers' sinks hear them.

Carries: rejection before anybody sees the request (PROTOCOL-HTTP2.md), places for handlers, counted until the handler
has really ended (CVE-2023-44487, CVE-2025-8671), the cap on what waits for a peer that does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshkit.metadata import RawHeaders
from meshkit.wire import (
    Body,
    ErrorCode,
    Fault,
    HalfClosed,
    Headers,
    Message,
    Messages,
    Reset,
    Stream,
    Trailers,
    UnaryRequests,
    Writable,
)

from .events import Handlers
from .link import LOG
from .options import ServerOptions
from .requests import Refusal, Request, read_request
from .server_stream import ServerStream
from .timers import Timer

if TYPE_CHECKING:
    from .bodies import Bodies
    from .http import HttpStream
    from .serving import ServerConnection

__all__ = ["Admission"]

_REMEMBERED = 8
_PATIENCE = 1.0  # seconds that a client which is not gRPC's may take to end its request before it is refused


class Admission:
    """Handlers for the events of a server's streams. ``started`` and ``refused`` count requests."""

    __slots__ = (
        "_accept",
        "_bodies",
        "_known",
        "_later",
        "_link",
        "_max_buffered",
        "_max_handlers",
        "_reading",
        "handlers",
        "refused",
        "started",
    )

    def __init__(
        self,
        link: ServerConnection,
        options: ServerOptions,
        accept: Callable[[ServerStream], None],
        bodies: Bodies | None = None,
    ) -> None:
        self.started = 0
        self.refused = 0
        self._link = link
        self._reading = link.reading
        self._accept = accept
        self._bodies = bodies
        self._max_handlers = options.max_handlers or options.limits.max_concurrent_streams
        self._max_buffered = options.max_buffered
        self._known: dict[int, tuple[RawHeaders, Request | Refusal]] = {}
        self._later: dict[int, tuple[Timer, Refusal]] = {}
        self.handlers: Handlers = {
            UnaryRequests: self._unary,
            Headers: self._headers,
            Message: self._message,
            Messages: self._messages,
            HalfClosed: self._half_closed,
            Trailers: self._half_closed,
            Fault: self._fault,
            Reset: self._reset,
            Writable: self._writable,
        }
        if bodies is not None:
            self.handlers[Body] = bodies.add

    def _unary(self, event: UnaryRequests) -> None:
        for stream, fields, data in event.calls:
            call = self._begin(stream, fields, True)
            if call is not None:
                call.sink.on_unary(data)

    def _headers(self, event: Headers) -> None:
        self._begin(event.stream, event.fields, event.end)

    def _begin(self, stream: Stream, fields: RawHeaders, ended: bool) -> ServerStream | None:
        """A new call, accepted; None where there is none."""
        link = self._link
        engine = link.engine
        if stream.id not in engine.streams:  # reset in the same batch of frames: no handler has to know
            return None
        if link.running >= self._max_handlers or engine.queued + engine.output_size > self._max_buffered:
            self.refused += 1
            engine.reset(stream, ErrorCode.REFUSED_STREAM)
            return None
        known = self._known.get(id(fields))
        request = self._read(fields) if known is None else known[1]
        if isinstance(request, Refusal):
            if self._bodies is None or not request.body:
                self._refuse(stream, request, ended)
                return None
            self.started += 1
            self._bodies.begin(stream, fields)
            return None
        call = ServerStream(link, stream, request, fields)
        stream.context = call
        link.running += 1
        self.started += 1
        link.last_call = link.heard
        if request.timeout is not None:
            call.deadline = deadline = link.heard + request.timeout
            if deadline < link.deadlines.earliest:
                link.deadlines.note(deadline)
        self._accept(call)
        return call

    def _read(self, fields: RawHeaders) -> Request | Refusal:
        """What the fields say; read once for requests alike, for which the engine gives the very same tuple."""
        request = read_request(fields)
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[id(fields)] = (fields, request)  # kept alive, so that no other can have its id
        return request

    def _refuse(self, stream: Stream, refusal: Refusal, ended: bool) -> None:
        """At once in gRPC's words; a client that is not gRPC's may end its request first, and what it does wrong in the
        meantime is judged as on any stream."""
        self.refused += 1
        if ended or not refusal.body:
            self._answer(stream, refusal)
            return
        timer = self._link.timers.schedule(self._link.heard + _PATIENCE, lambda: self._answer_late(stream))
        self._later[stream.id] = (timer, refusal)

    def _answer(self, stream: Stream, refusal: Refusal) -> None:
        engine = self._link.engine
        engine.send_headers(stream, refusal.fields(), end=not refusal.body)
        if refusal.body:
            engine.send_data(stream, refusal.body, end=True)

    def _answer_late(self, stream: Stream) -> None:
        later = self._later.pop(stream.id, None)
        if later is not None:
            timer, refusal = later
            timer.cancel()
            self._answer(stream, refusal)
            self._link.wake()

    def _message(self, event: Message) -> None:
        call: ServerStream | None = event.stream.context
        if call is None or call.over:
            return
        size = len(event.data)
        call.unread += size
        self._reading.took(size)
        call.sink.on_message(event.data)

    def _messages(self, event: Messages) -> None:
        taken = 0
        for stream, data in event.messages:
            call: ServerStream | None = stream.context
            if call is not None and not call.over:
                size = len(data)
                call.unread += size
                taken += size
                call.sink.on_message(data)
        self._reading.took(taken)

    def _half_closed(self, event: HalfClosed | Trailers) -> None:
        call: ServerStream | HttpStream | None = event.stream.context
        if isinstance(call, ServerStream):
            call.sink.on_half_close()
        elif call is None and self._later:
            self._answer_late(event.stream)
        elif self._bodies is not None:
            self._bodies.end(event.stream)

    def _fault(self, event: Fault) -> None:
        LOG.warning("%s: stream %d: %s", self._link.peer, event.stream_id, event.reason)

    def _reset(self, event: Reset) -> None:
        if self._later and (later := self._later.pop(event.stream.id, None)) is not None:
            later[0].cancel()
        if self._bodies is not None:
            self._bodies.drop(event.stream)
        ended = bool(self._link.engine.termination)
        if not event.by_peer and not ended:
            LOG.warning("%s: stream %d: %s", self._link.peer, event.stream.id, event.reason)
        call: ServerStream | HttpStream | None = event.stream.context
        if call is not None and not call.over:
            call.cancel("connection" if ended else "reset")

    def _writable(self, event: Writable) -> None:
        call: ServerStream | HttpStream | None = event.stream.context
        if isinstance(call, ServerStream) and not self._link.full:
            call.sink.on_writable()
