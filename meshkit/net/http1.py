"""HTTP/1.1 at a server that answers plain HTTP too, by h11 (RFC 9112): one request at a time on a connection, in turn.

What a slow or endless client may do is bounded as on HTTP/2: headers come whole within ``limits.header_timeout`` and
fit into ``limits.max_header_list_size``, a body comes within ``body_timeout`` and fits into
``limits.max_receive_message``, and a peer that neither sends what it announced nor takes what it asked for during
``write_timeout`` is cut off. Connections end by ``max_connection_idle`` and ``max_connection_age``, too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import cast

import h11

from meshkit.metadata import RawHeaders

from .address import peer_text
from .failures import reason_of
from .http import TEXT, TOO_SLOW, HttpAccept, HttpStream, UnfinishedRequest
from .http1_wire import Http1Wire
from .link import LOG
from .options import ServerOptions
from .serving import ServerStatistics
from .timers import Timer, Timers
from .tls import TlsSettings, identity, refusal

__all__ = ["Http1Connection"]

_IDLE = 120.0  # seconds that a connection is kept for another request
_LINGER = 2.0  # seconds that the last bytes may take
_UNAVAILABLE = 14
_PIPELINED = 64 << 10  # bytes of later requests that may wait
_BUSY = (503, (TEXT,), b"too many of this connection's calls still run\n")


class _Alarm:
    """What happens at a time, unless something else is set before, or nothing."""

    __slots__ = ("_timer", "_timers")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._timer: Timer | None = None

    def __bool__(self) -> bool:
        return self._timer is not None and self._timer.callback is not None

    def set(self, seconds: float, then: Callable[[], object]) -> None:
        self.stop()
        if seconds < math.inf:
            self._timer = self._timers.schedule(self._timers.now() + seconds, then)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Http1Connection(asyncio.Protocol):
    """One client's connection. ``closed`` is set when it is gone. A client that closes its half and one that is gone
    look the same, so neither gets an answer to what still runs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: ServerOptions,
        tls: TlsSettings | None,
        accept: HttpAccept,
        age_factor: float = 1.0,
    ) -> None:
        self.closed: asyncio.Future[None] = loop.create_future()
        self.peer = ""
        self.peer_identity: str | None = None
        self.timers = Timers.of(loop)
        self.running = 0
        self.now = loop.time
        self._loop = loop
        self._options = options
        self._tls = tls
        self._accept = accept
        self._age_factor = age_factor
        self._age = _Alarm(self.timers)
        self._wire = Http1Wire(options)
        self._transport: asyncio.Transport | None = None
        self._current: HttpStream | None = None
        self._ending = ""
        self._shutting = False
        self._blocked = False
        self._waiting = bytearray()
        self._taking = True  # the wire is ready for bytes: no answer is owed, or still to leave
        self._started = 0
        self._alarm = _Alarm(self.timers)

    def __repr__(self) -> str:
        return f"Http1Connection({self.peer}, {self._ending or 'open'}, {self._current or 'no request'})"

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer = peer_text(transport.get_extra_info("peername"))
        session = transport.get_extra_info("ssl_object")
        if session is not None and self._tls is not None:
            self.peer_identity = identity(session)
            if reason := refusal(session, self._tls, http1=True):
                LOG.warning("%s: %s", self.peer, reason)
                self._abort(reason)
                return
        self._within(self._options.limits.header_timeout, "its request took too long to come")
        self._age.set(self._options.max_connection_age * self._age_factor, self._old)

    def data_received(self, data: bytes) -> None:
        if self._shutting:
            return
        if self._taking:
            self._read(data)
            return
        self._waiting += data  # pipelined: it waits for its turn
        if len(self._waiting) > _PIPELINED and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ending = self._ending or (reason_of(exc) if exc is not None else "closed")
        self._alarm.stop()
        self._age.stop()
        unfinished = self._wire.reading.stream if self._wire.reading is not None else None
        for stream in (self._current, unfinished):
            if stream is not None:
                stream.cancel("connection")
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._next()

    # -- requests

    def _read(self, data: bytes = b"") -> None:
        try:
            stream = self._wire.read(self, data)
        except h11.RemoteProtocolError as error:
            LOG.debug("%s: not a request: %s", self.peer, error)
            self.write(self._wire.refusal(error))
            self._shut("it sent what is not HTTP")
            return
        if stream is None:
            self._wait_for_more()
            return
        self._alarm.stop()
        self._taking = False
        self._started += 1
        self.running += 1
        self._current = stream
        if self.running > (self._options.max_handlers or self._options.limits.max_concurrent_streams):
            stream.respond(*_BUSY)  # handlers of calls that are over, which do not end
            stream.release()
        else:
            self._accept(stream)

    def late(self, unfinished: UnfinishedRequest) -> None:
        """A body that comes too slowly: nobody sees the request."""
        self._wire.reading = None
        unfinished.stream.close()
        status, fields, body = TOO_SLOW
        self.write(self._wire.answer(status, fields, body, last=True))
        self._shut("its body came too slowly")

    def _wait_for_more(self) -> None:
        if self._wire.reading is not None:
            self._alarm.stop()  # the request has one of its own
        elif not self._wire.in_head:
            if self._started:
                self._within(min(_IDLE, self._options.max_connection_idle), "it was idle")
        elif not self._alarm:
            self._within(self._options.limits.header_timeout, "its request took too long to come")

    # -- answers (meshkit.net.http.Carrier)

    def answer(self, stream: HttpStream, status: int, fields: RawHeaders, body: bytes) -> None:
        """Write the whole answer, and go on with the next request."""
        if stream is not self._current:
            return
        self._current = None
        last = bool(self._ending) or not self._wire.whole  # what is unread cannot be told from a next request
        self.write(self._wire.answer(status, fields, body, last=last, head_only=stream.method == b"HEAD"))
        self._next()

    def released(self) -> None:
        """A handler has really ended."""
        self.running -= 1

    def write(self, data: bytes) -> None:
        """Give bytes to the socket."""
        if self._transport is not None:
            self._transport.write(data)

    def _next(self) -> None:
        """Wait until the answer has gone, then take the next request."""
        transport = self._transport
        if transport is None or self._taking or self._current is not None:
            return
        if self._blocked:
            self._within(self._options.write_timeout, "it does not read", transport.get_write_buffer_size())
        elif self._ending or not self._wire.again():
            self._shut(self._ending or "its last request is answered")
        else:
            self._alarm.stop()
            transport.resume_reading()
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._transport is not None and not self._shutting:
            data, self._waiting = bytes(self._waiting), bytearray()
            self._taking = True
            self._read(data)

    # -- time, and the end

    def _within(self, seconds: float, reason: str, unwritten: int = 0) -> None:
        """Cut the connection off after so long; where it was to write, unless some of that has gone by then."""

        def late() -> None:
            transport = self._transport
            if transport is not None and unwritten and transport.get_write_buffer_size() < unwritten:
                self._next()
            else:
                LOG.debug("%s: cut off: %s", self.peer, reason)
                self._abort(reason)

        self._alarm.set(seconds, late)

    def drain(self, reason: str) -> None:
        """Close after the answer to the present request."""
        self._ending = self._ending or reason
        if self._current is None and self._wire.reading is None and not self._wire.in_head:
            self._shut(reason)

    def _old(self) -> None:
        self.drain("it reached its greatest age")
        self._age.set(self._options.max_connection_age_grace, lambda: self.cut("it reached its greatest age"))

    def cut(self, reason: str) -> None:
        """Close now: what still runs ends with UNAVAILABLE, its handler cancelled."""
        self._ending = self._ending or reason
        if self._current is not None:
            sink = self._current.sink
            sink.finish(_UNAVAILABLE, reason)
            sink.on_cancel("connection")
        self._shut(reason)
        if self._transport is not None:
            self._transport.close()

    def _shut(self, reason: str) -> None:
        """Let the last bytes leave, for as long as a peer may take that does not read, and close. One that still sends
        may end that first: to close before would reset the connection, and the answer with it (RFC 9112 section 9.6).
        """
        self._ending = self._ending or reason
        self._shutting = True
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._wire.whole or self._wire.untouched:
            transport.close()
        else:
            transport.resume_reading()
            if transport.can_write_eof():
                transport.write_eof()
        self._within(_LINGER, reason)

    def _abort(self, reason: str) -> None:
        self._ending = self._ending or reason
        if self._transport is not None:
            self._transport.abort()

    def statistics(self) -> ServerStatistics:
        """Counters of this connection, as a frozen value."""
        queued = self._transport.get_write_buffer_size() if self._transport is not None else 0
        streams = int(self._current is not None or self._wire.reading is not None)
        unread = len(self._waiting) + self._wire.in_head
        return ServerStatistics(
            self.peer, self._ending, streams, self.running, self._started, 0, unread, queued, self._blocked
        )
