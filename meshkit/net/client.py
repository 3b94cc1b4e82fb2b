"""One connection to a server.

Carries: response rules (PROTOCOL-HTTP2.md), GOAWAY at a client (RFC 9113 section 6.8), MAX_CONCURRENT_STREAMS as a
queue (first come, first served), keepalive (gRFC A8), rotation before stream identifiers run out.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from meshkit.metadata import RawHeaders
from meshkit.wire import (
    ErrorCode,
    GoAway,
    HalfClosed,
    Headers,
    Message,
    PingReceived,
    Pong,
    Reset,
    Role,
    SettingsChanged,
    StreamsExhausted,
    Terminated,
    Trailers,
    Writable,
)

from .address import Address
from .client_stream import ClientStream
from .failures import ConnectionLost
from .keepalive import Pinger, Pulse
from .link import LOG, Link
from .options import ClientOptions
from .outcome import Outcome, from_http, from_loss, from_reset, from_trailers, not_grpc, without_trailers
from .sinks import ClientSink
from .tls import TlsSettings, refusal

__all__ = ["REST", "ClientConnection", "ClientStatistics"]

REST = "unused for long"  # the `ending` of a connection that nobody needs

_ROTATE_AT = 2**31 * 3 // 4  # wire checklist 17
_PING = b"meshkit\0"
_ACCEPT = (b"grpc-accept-encoding", b"identity,deflate,gzip")


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
    """One TCP, TLS or unix-socket connection; made by `Pool`, which ``on_change`` tells when `ready` ends."""

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
        self._prefixes: dict[tuple[bytes, bytes | None, bytes | None], tuple[Any, Any]] = {}
        self._good_headers: RawHeaders = ()
        self._idle_since = self.created
        self._pinger = Pinger(keepalive_time, options.keepalive_timeout, without_calls=options.keepalive_without_calls)
        self.chores = (self.engine_chore, self.closing_chore, self._keepalive_chore, self._rest_chore)
        self.handlers = {
            Headers: self._headers,
            Message: self._message,
            Trailers: self._trailers,
            HalfClosed: self._half_closed,
            Reset: self._reset,
            Writable: self._writable,
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
        self._set_user_timeout(transport)
        if reason:
            self.abort(reason)

    def _set_user_timeout(self, transport: asyncio.BaseTransport) -> None:
        """Let the kernel notice unanswered bytes as fast as keepalive would (gRFC A18)."""
        sock = transport.get_extra_info("socket")
        if self._pinger.interval < math.inf and hasattr(socket, "TCP_USER_TIMEOUT") and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._pinger.timeout * 1000))

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
        max_receive: int | None = None,
    ) -> ClientStream:
        """Start a call; nothing awaits, and a unary call's headers, message and end are one piece of output.

        ``fields``: encoded custom metadata, ``grpc-timeout`` first where there is one; pseudo-headers, te,
        content-type, user-agent, grpc-encoding and grpc-accept-encoding are added here.  ``message`` is the first
        message; ``encoding`` compresses messages (b"gzip", b"deflate").  ``max_receive`` overrides the receive
        limit in bytes.  Where the server's MAX_CONCURRENT_STREAMS is reached the call waits its turn.
        Raises `ConnectionLost` when closed or going away.
        """
        if not self.ready:
            raise ConnectionLost(self.address.text, self.ending or "it is going away")
        self.in_flight += 1
        self.started += 1
        call = ClientStream(self, sink)
        request = self._request(path, authority, encoding, fields)
        if self._waiting or not self._start(call, request, encoding, max_receive, end and message is None):
            call.wait((request, encoding, max_receive), message, end)
            self._waiting.append(call)
        elif message is not None and call.stream is not None:
            self.engine.send_message(call.stream, message, end=end, compressed=encoding is not None)
        return call

    def _start(
        self, call: ClientStream, request: RawHeaders, encoding: bytes | None, max_receive: int | None, end: bool
    ) -> bool:
        """Open a stream for ``call``; False where the server's limit is reached."""
        try:
            stream = self.engine.open_stream(request, end=end, context=call, max_message=max_receive)
        except StreamsExhausted:
            return False
        if encoding is not None:
            stream.send_encoding = encoding
        call.stream = stream
        self.opened_id = stream.id
        if stream.id > _ROTATE_AT:
            self.retire("stream identifiers run out")
        if not self.waking:
            self.wake()
        return True

    def _request(self, path: bytes, authority: bytes | None, encoding: bytes | None, fields: RawHeaders) -> RawHeaders:
        key = (path, authority, encoding)
        found = self._prefixes.get(key)
        if found is None:
            found = self._prefix(path, authority, encoding)
            if len(self._prefixes) < 1024:
                self._prefixes[key] = found
        pseudo, rest = found
        if not fields:
            return pseudo + rest
        if fields[0][0] == b"grpc-timeout":
            return (*pseudo, fields[0], *rest, *fields[1:])
        return (*pseudo, *rest, *fields)

    def _prefix(
        self, path: bytes, authority: bytes | None, encoding: bytes | None
    ) -> tuple[tuple[tuple[bytes, bytes], ...], tuple[tuple[bytes, bytes], ...]]:
        pseudo = (
            (b":method", b"POST"),
            (b":scheme", b"https" if self._tls is not None else b"http"),
            (b":path", path),
            (b":authority", authority if authority is not None else self.address.authority),
        )
        rest = (
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", self._options.user_agent),
            _ACCEPT,
        )
        return pseudo, rest if encoding is None else (*rest, (b"grpc-encoding", encoding))

    def give_up(self, call: ClientStream, code: ErrorCode) -> None:
        """Reset ``call`` with ``code``, or take it out of the queue."""
        stream = call.stream
        if stream is not None:
            self.engine.reset(stream, code)
            self.wake()
        else:
            self._waiting.remove(call)
        self._over(call)

    def _start_waiting(self) -> None:
        waiting = self._waiting
        while waiting and self.ready:
            call = waiting[0]
            assert call.opening is not None
            if not self._start(call, *call.opening, False):
                break
            waiting.popleft()
            call.replay()

    # -- events

    def _headers(self, event: Headers) -> None:
        call: ClientStream = event.stream.context
        if call.over:
            return
        fields = event.fields
        if event.end:
            self._end(call, from_trailers(fields, trailers_only=True))
            return
        if fields is not self._good_headers and fields != self._good_headers:
            if not_grpc(fields):
                self._refuse(call, from_http(fields))
                return
            self._good_headers = fields
        call.headers_received = True
        call.sink.on_headers(fields)

    def _refuse(self, call: ClientStream, outcome: Outcome) -> None:
        """The response is not one of gRPC: that is the outcome, whatever else would follow."""
        if any(name == b"grpc-status" for name, _ in outcome.trailers):
            outcome = from_trailers(outcome.trailers, trailers_only=True)
        assert call.stream is not None
        self.engine.reset(call.stream, ErrorCode.CANCEL)
        self._end(call, outcome)

    def _message(self, event: Message) -> None:
        call: ClientStream = event.stream.context
        size = len(event.data)
        call.unread += size
        self.took(size)
        call.sink.on_message(event.data)

    def _trailers(self, event: Trailers) -> None:
        call: ClientStream = event.stream.context
        if not call.over:
            self._end(call, from_trailers(event.fields, trailers_only=False))

    def _half_closed(self, event: HalfClosed) -> None:
        call: ClientStream = event.stream.context
        if not call.over:
            self._end(call, without_trailers("no trailers"))

    def _reset(self, event: Reset) -> None:
        call: ClientStream = event.stream.context
        if call.over:
            return
        if self.engine.termination:
            outcome = self._loss(call, self.engine.termination)
        elif event.by_peer:
            outcome = from_reset(event.code, unprocessed=event.unprocessed, headers_received=call.headers_received)
        else:
            outcome = Outcome(event.status, event.reason, headers_received=call.headers_received)
        self._end(call, outcome)

    def _writable(self, event: Writable) -> None:
        if not self.full:
            event.stream.context.sink.on_writable()

    def writable_again(self) -> None:
        for stream in tuple(self.engine.streams.values()):
            if stream.writable and stream.context is not None:
                stream.context.sink.on_writable()

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

    # -- the end of a call, and of the connection

    def _end(self, call: ClientStream, outcome: Outcome) -> None:
        sink = call.sink
        self.answered += 1
        self._over(call)
        sink.on_end(outcome)

    def _over(self, call: ClientStream) -> None:
        call.close()
        if call.unread:
            self.consumed(call.unread)
            call.unread = 0
        self.in_flight -= 1
        if self._waiting:
            self._start_waiting()
        if not self.in_flight:
            self._idle_since = self.heard
            if self.ending:
                self.loop.call_soon(self._close_if_done)

    def _loss(self, call: ClientStream, reason: str) -> Outcome:
        unsent = call.stream is None or call.stream.id > self.flushed_id
        return from_loss(self.peer, reason, unprocessed=unsent, headers_received=call.headers_received)

    def retire(self, reason: str) -> None:
        """Take no new calls; close when the running ones have ended. What waits for a stream ends unprocessed."""
        if not self.ending:
            self.ending = reason
        was_ready, self.ready = self.ready, False
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            self._end(call, self._loss(call, reason))
        if not self.in_flight:
            self.loop.call_soon(self._close_if_done)
        _resolve(self.settled, False)
        _resolve(self.retired, True)
        if was_ready:
            self.on_change(self)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        self.retire(reason)
        for stream in tuple(self.engine.streams.values()):
            call: ClientStream = stream.context
            if not call.over:
                self._end(call, self._loss(call, self.ending))

    def _close_if_done(self) -> None:
        if not self.in_flight:
            self.close(self.ending)

    # -- chores

    def _keepalive_chore(self, now: float) -> float:
        pulse = self._pinger.check(self.heard, now, self.in_flight > 0)
        if pulse is Pulse.DEAD:
            self.abort(f"no answer to a keepalive PING within {self._pinger.timeout:g} s")
        elif pulse is Pulse.PING:
            self.engine.ping(_PING)
        return self._pinger.due(self.heard, now)

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
            self.unread,
            self.blocked,
        )


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


def _ignore(_: object) -> None:
    return None
