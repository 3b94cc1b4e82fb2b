"""One connection at a server.

Carries: admission of requests (rejects, handler places), GOAWAY at a server (RFC 9113 section 6.8, twice, so that
streams already under way are served), keepalive enforcement, idle, age and write limits (gRFC A8, A9).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

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
    Stream,
    Terminated,
    Trailers,
    Writable,
)

from .keepalive import Pinger, PingPolice, Pulse
from .link import LOG, Link
from .options import ServerOptions
from .requests import Refusal, Request, read_request
from .server_stream import ServerStream
from .tls import TlsSettings, identity, refusal

__all__ = ["ServerConnection", "ServerStatistics"]

_PING = b"meshkit\0"
_DRAIN = b"goodbye\0"
_ALL = 2**31 - 1
_UNAVAILABLE = 14
_REMEMBERED = 128


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """A connection at one moment."""

    peer: str
    ending: str
    streams: int
    running: int
    started: int
    refused: int
    unread: int
    queued: int
    blocked: bool


class ServerConnection(Link):
    """One client's connection; made by `Server`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: ServerOptions,
        tls: TlsSettings | None,
        accept: Callable[[ServerStream], None],
        age_factor: float,
    ) -> None:
        super().__init__(loop, Role.SERVER, options.limits, options.max_unread)
        self.peer_identity: str | None = None
        self.running = 0
        self.started = 0
        self.refused = 0
        self._accept = accept
        self._options = options
        self._tls = tls
        self._max_handlers = options.max_handlers or options.limits.max_concurrent_streams
        self._idle_since = self.created
        self._old_at = self.created + options.max_connection_age * age_factor
        self._drain_by = math.inf
        self._cut_at = math.inf
        self._drained = False
        self._sent_at_ping = -1
        self._known: dict[int, tuple[RawHeaders, Request | Refusal]] = {}
        self._stuck: dict[int, int] = {}
        self._stuck_since = self.created
        self._pinger = Pinger(options.keepalive_time, options.keepalive_timeout, without_calls=True)
        self._police = PingPolice(
            options.permit_keepalive_time,
            options.max_ping_strikes,
            without_calls=options.permit_keepalive_without_calls,
        )
        self.chores = (
            self.engine_chore,
            self.closing_chore,
            self._keepalive_chore,
            self._idle_chore,
            self._age_chore,
            self._drain_chore,
            self._write_chore,
        )
        self.handlers = {
            Headers: self._headers,
            Message: self._message,
            HalfClosed: self._half_closed,
            Trailers: self._half_closed,
            Reset: self._reset,
            Writable: self._writable,
            PingReceived: self._pinged,
            Pong: self._pong,
            GoAway: self._go_away,
            SettingsChanged: _ignore,
            Terminated: self.terminated,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        session = transport.get_extra_info("ssl_object")
        if self._tls is not None and session is not None:
            reason = refusal(session, self._tls)
            if reason:
                super().connection_made(transport)
                LOG.warning("%s: %s", self.peer, reason)
                self.abort(reason)
                return
            self.peer_identity = identity(session)
        super().connection_made(transport)

    # -- requests

    def _headers(self, event: Headers) -> None:
        stream = event.stream
        if stream.closed:  # reset in the same batch of frames: no handler has to know
            return
        if self._full():
            self.refused += 1
            self.engine.reset(stream, ErrorCode.REFUSED_STREAM)
            return
        request = self._read(event.fields)
        if isinstance(request, Refusal):
            self.refused += 1
            self.engine.send_headers(stream, request.fields(), end=not request.body)
            if request.body:
                self.engine.send_data(stream, request.body, end=True)
            return
        if request.encoding is not None:
            stream.recv_encoding = request.encoding
        call = ServerStream(self, stream, request, event.fields)
        stream.context = call
        self.running += 1
        self.started += 1
        self._idle_since = self.heard
        if request.timeout is not None:
            call.arm(request.timeout)
        self._accept(call)

    def _read(self, fields: RawHeaders) -> Request | Refusal:
        """What the fields say; read once for requests alike, for which the engine gives the very same tuple."""
        known = self._known.get(id(fields))
        if known is not None:
            return known[1]
        request = read_request(fields)
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[id(fields)] = (fields, request)  # kept alive, so that no other can have its id
        return request

    def _full(self) -> bool:
        """Whether another handler, or another reply, would be too much."""
        engine = self.engine
        return self.running >= self._max_handlers or engine.queued + engine.output_size > self._options.max_buffered

    def _message(self, event: Message) -> None:
        call: ServerStream | None = event.stream.context
        if call is None or call.over:
            return
        size = len(event.data)
        call.unread += size
        self.took(size)
        call.sink.on_message(event.data)

    def _half_closed(self, event: HalfClosed | Trailers) -> None:
        call: ServerStream | None = event.stream.context
        if call is not None:
            call.sink.on_half_close()

    def _reset(self, event: Reset) -> None:
        call: ServerStream | None = event.stream.context
        if call is not None and not call.over:
            call.cancel("connection" if self.engine.termination else "reset")

    def _writable(self, event: Writable) -> None:
        call: ServerStream | None = event.stream.context
        if call is not None and not self.full:
            call.sink.on_writable()

    def writable_again(self) -> None:
        for call in self._calls():
            if call.writable:
                call.sink.on_writable()

    def _calls(self) -> list[ServerStream]:
        contexts = [stream.context for stream in self.engine.streams.values()]
        return [call for call in contexts if call is not None and not call.over]

    # -- control

    def _pinged(self, event: PingReceived) -> None:
        if self._sent_at_ping != self.engine.data_sent:
            self._sent_at_ping = self.engine.data_sent
            self._police.forgive()
        if self._police.abused(self.heard, bool(self.engine.streams)):
            LOG.warning("%s: too many pings", self.peer)
            self.engine.go_away(ErrorCode.ENHANCE_YOUR_CALM, debug=b"too_many_pings")
            self.loop.call_soon(self.close, "too many pings", None)

    def _pong(self, event: Pong) -> None:
        if event.payload == _DRAIN and self._drain_by < math.inf:
            self._last_call()

    def _go_away(self, event: GoAway) -> None:
        if event.code:
            LOG.info("%s: client sent GOAWAY %s %r", self.peer, ErrorCode(event.code).name, event.debug[:200])

    # -- the end

    def drain(self, reason: str) -> None:
        """Close gracefully: warn by a first GOAWAY, name the last stream by a second, close after the last answer."""
        if self._drained or self._drain_by < math.inf:
            return
        LOG.debug("%s: draining: %s", self.peer, reason)
        self.ending = self.ending or reason
        self.engine.go_away(last_id=_ALL)
        self.engine.ping(_DRAIN)
        self.wake()
        self._drain_by = self.loop.time() + self._options.drain_timeout
        self.check_at(self._drain_by)

    def _last_call(self) -> None:
        """The client has seen the first GOAWAY: what it had sent before has arrived."""
        self._drain_by = math.inf
        self._drained = True
        self.engine.go_away()
        self.wake()

    def flush(self) -> None:
        super().flush()
        if self._drained and not self.engine.streams:
            self.close(self.ending, None)

    def cut(self, reason: str) -> None:
        """Close now: what still runs ends with UNAVAILABLE, its handlers cancelled."""
        for call in self._calls():
            sink = call.sink
            call.finish(_UNAVAILABLE, reason)
            sink.on_cancel("connection")
        self.close(reason)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        for call in self._calls():
            call.cancel("connection")

    def terminated(self, event: Terminated) -> None:
        LOG.warning("%s: connection closed: %s: %s", self.peer, ErrorCode(event.code).name, event.reason)
        super().terminated(event)

    # -- chores

    def _keepalive_chore(self, now: float) -> float:
        pulse = self._pinger.check(self.heard, now, bool(self.engine.streams))
        if pulse is Pulse.DEAD:
            self.abort(f"no answer to a keepalive PING within {self._pinger.timeout:g} s")
        elif pulse is Pulse.PING:
            self.engine.ping(_PING)
        return self._pinger.due(self.heard, now)

    def _idle_chore(self, now: float) -> float:
        if self.engine.streams:
            self._idle_since = now
        if now >= self._idle_since + self._options.max_connection_idle:
            self.drain("idle")
            return math.inf
        return self._idle_since + self._options.max_connection_idle

    def _age_chore(self, now: float) -> float:
        if now < self._old_at < math.inf:
            return self._old_at
        if self._old_at < math.inf:
            self._old_at = math.inf
            self._cut_at = now + self._options.max_connection_age_grace
            self.drain("it reached its greatest age")
        if now >= self._cut_at:
            self._cut_at = math.inf
            self.cut("it reached its greatest age")
        return self._cut_at

    def _drain_chore(self, now: float) -> float:
        if now >= self._drain_by:
            self._last_call()
        return self._drain_by

    def _write_chore(self, now: float) -> float:
        """Cut off who does not read: on the socket the connection, on one stream that stream."""
        if self.write_stalled(now, self._options.write_timeout):
            LOG.warning("%s: nothing could be written for %g s", self.peer, self._options.write_timeout)
            self.abort("the peer does not read")
            return math.inf
        return min(now + self._options.write_timeout / 2, self._check_streams(now))

    def _check_streams(self, now: float) -> float:
        due = self._stuck_since + self._options.stream_write_timeout
        if now < due:
            return due
        self._stuck_since = now
        waiting = {stream.id: stream.queued for stream in self.engine.streams.values() if stream.queued}
        for identifier, queued in waiting.items():
            if self._stuck.get(identifier) == queued:
                self._drop(self.engine.streams[identifier])
        self._stuck = waiting
        return now + self._options.stream_write_timeout

    def _drop(self, stream: Stream) -> None:
        LOG.warning("%s: stream %d: its window stayed shut for too long", self.peer, stream.id)
        call: ServerStream | None = stream.context
        self.engine.reset(stream, ErrorCode.CANCEL)
        if call is not None and not call.over:
            call.cancel("reset")

    def statistics(self) -> ServerStatistics:
        """Counters and queues of this connection, as a frozen value."""
        return ServerStatistics(
            self.peer,
            self.ending,
            len(self.engine.streams),
            self.running,
            self.started,
            self.refused,
            self.unread,
            self.engine.queued,
            self.blocked,
        )


def _ignore(_: object) -> None:
    return None
