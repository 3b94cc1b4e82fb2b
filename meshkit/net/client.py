"""One connection to a server.

Carries: GOAWAY at a client (RFC 9113 section 6.8), MAX_CONCURRENT_STREAMS as a queue (first come, first served),
rotation before stream identifiers run out, idle and age limits.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from meshkit.metadata import RawHeaders
from meshkit.wire import (
    ErrorCode,
    GoAway,
    HeadersTooLarge,
    PingReceived,
    Pong,
    Role,
    SettingsChanged,
    StreamsExhausted,
    Terminated,
)

from .address import Address
from .chores import Keepalive
from .client_stream import ClientStream, Opening
from .failures import ConnectionLost
from .keepalive import Pinger
from .link import LOG, Link
from .options import ClientOptions
from .outcome import Outcome
from .request_fields import RequestFields
from .responses import Responses, loss
from .sinks import ClientSink
from .tls import TlsSettings, refusal

__all__ = ["REST", "ClientConnection", "ClientStatistics"]

REST = "unused for long"  # the `ending` of a connection that nobody needs

_RESOURCE_EXHAUSTED = 8
_ROTATE_AT = 2**31 * 3 // 4  # wire checklist 17


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """A connection at one moment."""

    peer: str
    ready: bool
    ending: str
    in_flight: int
    waiting: int
    started: int
    answered: int
    unread: int
    blocked: bool


class ClientConnection(Link):
    """One TCP, TLS or unix-socket connection; made by `Pool`, which ``on_change`` tells when `ready` ends.

    ``ready``: takes new calls; ``in_flight``: calls opened or queued, and not over; ``peer``: the address.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        options: ClientOptions,
        tls: TlsSettings | None,
        keepalive_time: float,
    ) -> None:
        super().__init__(loop, Role.CLIENT, options.limits, options.max_unread)
        self.address = address
        self.ready = False
        self.in_flight = 0
        self.started = 0
        self.answered = 0
        self.too_many_pings = False
        self.settled: asyncio.Future[bool] = loop.create_future()
        self.retired: asyncio.Future[bool] = loop.create_future()
        self.on_change: Callable[[ClientConnection], None] = _ignore
        self._options = options
        self._tls = tls
        self._waiting: deque[ClientStream] = deque()
        self._fields = RequestFields(address.authority, options.user_agent, secure=tls is not None)
        self._idle_since = self.created
        pinger = Pinger(keepalive_time, options.keepalive_timeout, without_calls=options.keepalive_without_calls)
        self.chores.add(Keepalive(self, pinger, self._busy), self._rest_chore)
        self._responses = Responses(self)
        self.handlers = {
            **self._responses.handlers,
            SettingsChanged: self._settings,
            GoAway: self._go_away,
            Terminated: self.terminated,
            PingReceived: _ignore,
            Pong: _ignore,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        session = transport.get_extra_info("ssl_object")
        reason = refusal(session, self._tls) if self._tls is not None else ""
        super().connection_made(transport)
        self.peer = self.address.text
        if self._options.keepalive_time < math.inf:
            _set_user_timeout(transport.get_extra_info("socket"), self._options.keepalive_timeout)
        if reason:
            self.abort(reason)

    # -- calls

    def open(
        self,
        path: bytes,
        fields: RawHeaders,
        sink: ClientSink,
        *,
        authority: bytes | None = None,
        message: bytes | None = None,
        end: bool = False,
        encoding: bytes | None = None,
        accept: bool = False,
        max_receive: int | None = None,
        deadline: float | None = None,
    ) -> ClientStream:
        """Start a call; nothing awaits, and a unary call's headers, message and end are one piece of output.

        ``fields``: encoded custom metadata, ``grpc-timeout`` first where there is one; pseudo-headers, te,
        content-type, user-agent, grpc-encoding and grpc-accept-encoding are added here.  ``message`` is the first
        message; ``encoding`` compresses messages (b"gzip", b"deflate"); with it, or with ``accept``, the server is told
        that it may compress, too, which it is not otherwise.  ``max_receive`` overrides the receive
        limit in bytes.  At ``deadline`` (loop time) the sink is told.  Where the server's MAX_CONCURRENT_STREAMS is
        reached the call waits its turn.
        Raises `ConnectionLost` when closed or going away, `HeadersTooLarge` for more than the server takes.
        """
        if not self.ready:
            raise ConnectionLost(self.address.text, self.ending or "it is going away")
        self.in_flight += 1
        self.started += 1
        call = ClientStream(self, sink, deadline)
        if deadline is not None and deadline < self.deadlines.earliest:
            self.deadlines.note(deadline)
        opening = (self._fields(path, authority, encoding, accept, fields), encoding, max_receive)
        try:
            if self._waiting:
                raise StreamsExhausted
            self._start(call, opening, message, end)
        except StreamsExhausted:
            call.wait(opening, message, end)
            self._waiting.append(call)
        except HeadersTooLarge:
            self.over(call)
            raise
        return call

    def open_unary(
        self, path: bytes, fields: RawHeaders, sink: ClientSink, message: bytes, deadline: float | None
    ) -> ClientStream:
        """`open` with the only message of a call, and nothing else chosen: what most calls are."""
        if not self.ready or self._waiting:
            return self.open(path, fields, sink, message=message, end=True, deadline=deadline)
        call = ClientStream(self, sink, deadline)
        try:
            call.stream = stream = self.engine.open_unary((path, fields), message, call, self._fields.of_unary)
        except StreamsExhausted:
            return self.open(path, fields, sink, message=message, end=True, deadline=deadline)
        self.in_flight += 1
        self.started += 1
        if deadline is not None and deadline < self.deadlines.earliest:
            self.deadlines.note(deadline)
        self.opened_id = stream.id
        if stream.id > _ROTATE_AT:
            self.retire("stream identifiers run out")
        if not self.waking:
            self.wake()
        return call

    def _start(self, call: ClientStream, opening: Opening, message: bytes | None, end: bool) -> None:
        """Open a stream for ``call``. Raises StreamsExhausted and HeadersTooLarge."""
        request, encoding, max_receive = opening
        ends = end and message is None
        stream = self.engine.open_stream(request, end=ends, context=call, max_message=max_receive)
        if encoding is not None:
            stream.send_encoding = encoding
        call.stream = stream
        self.opened_id = stream.id
        if stream.id > _ROTATE_AT:
            self.retire("stream identifiers run out")
        if message is not None:
            self.engine.send_message(stream, message, end=end, compressed=encoding is not None)
        if end:
            self.wake()
        else:
            self.wake_later()  # what follows the headers is sent with them

    def _start_waiting(self) -> None:
        waiting = self._waiting
        while waiting and self.ready:
            call = waiting[0]
            assert call.opening is not None
            try:
                self._start(call, call.opening, None, False)
            except StreamsExhausted:
                break
            except HeadersTooLarge as error:  # the limit came after the call
                waiting.popleft()
                self.end(call, Outcome(_RESOURCE_EXHAUSTED, str(error)))
                continue
            waiting.popleft()
            call.replay()
            if call.writable:
                call.sink.on_writable()  # it was not while it waited

    def give_up(self, call: ClientStream, code: ErrorCode) -> None:
        """Reset ``call`` with ``code``, or take it out of the queue."""
        stream = call.stream
        if stream is not None:
            self.engine.reset(stream, code)
            self.wake()
        else:
            self._waiting.remove(call)
        self.over(call)

    def end(self, call: ClientStream, outcome: Outcome) -> None:
        """``call`` is over with ``outcome``."""
        sink = call.sink
        self.answered += 1
        self.over(call)
        sink.on_end(outcome)

    def over(self, call: ClientStream) -> None:
        """Let go of ``call``."""
        call.close()
        if call.unread:
            self.reading.consumed(call.unread)
            call.unread = 0
        self.ended(1)

    def ended(self, calls: int) -> None:
        """So many calls are over and let go of."""
        self.in_flight -= calls
        if self._waiting:
            self._start_waiting()
        if not self.in_flight:
            self._idle_since = self.heard
            if self.ending:
                self.loop.call_soon(self._close_if_done)

    def _deadlined(self) -> list[ClientStream]:
        return [*[stream.context for stream in self.engine.streams.values()], *self._waiting]

    def writable_again(self) -> None:
        for stream in tuple(self.engine.streams.values()):
            if stream.writable and stream.context is not None:
                stream.context.sink.on_writable()

    # -- the connection

    def _settings(self, event: SettingsChanged) -> None:
        if not self.ready and not self.ending:
            self.ready = True
            self._idle_since = self.heard
            _resolve(self.settled, True)
        if self._waiting:
            self._start_waiting()

    def _go_away(self, event: GoAway) -> None:
        if event.code == ErrorCode.ENHANCE_YOUR_CALM and event.debug == b"too_many_pings":
            self.too_many_pings = True
        text = event.debug.decode("utf-8", "replace")
        reason = f"server sent GOAWAY {ErrorCode(event.code).name}" + (f" {text!r}" if text else "")
        if event.code:
            LOG.warning("%s: %s", self.peer, reason)
        self.retire(reason)

    def retire(self, reason: str) -> None:
        """Take no new calls; close when the running ones have ended. What waits for a stream ends unprocessed."""
        if not self.ending:
            self.ending = reason
        was_ready, self.ready = self.ready, False
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self.end(call, loss(self, call, reason))
        if not self.in_flight:
            self.loop.call_soon(self._close_if_done)
        _resolve(self.settled, False)
        _resolve(self.retired, True)
        if was_ready:
            self.on_change(self)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        self.retire(reason)
        self._responses.http.end_all()
        for stream in tuple(self.engine.streams.values()):
            call: ClientStream = stream.context
            if not call.over:
                self.end(call, loss(self, call, self.ending))

    def _close_if_done(self) -> None:
        if not self.in_flight:
            self.close(self.ending)

    # -- time

    def _busy(self) -> bool:
        return self.in_flight > 0

    def _rest_chore(self, now: float) -> float:
        """Close when unused for long, replace when old."""
        idle_at = math.inf if self.in_flight else self._idle_since + self._options.idle_timeout
        old_at = self.created + self._options.max_connection_age
        if self.ready and min(idle_at, old_at) <= now:
            self.retire(REST if idle_at <= now else "it is old")
            return math.inf
        return min(old_at, idle_at if idle_at < math.inf else now + self._options.idle_timeout)

    def statistics(self) -> ClientStatistics:
        """Counters and queues of this connection, as a frozen value."""
        return ClientStatistics(
            self.peer,
            self.ready,
            self.ending,
            self.in_flight,
            len(self._waiting),
            self.started,
            self.answered,
            self.reading.unread,
            self.blocked,
        )


def _set_user_timeout(sock: socket.socket, seconds: float) -> None:
    """Let the kernel notice unanswered bytes as fast as keepalive would (gRFC A18)."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


def _ignore(_: object) -> None:
    return None
