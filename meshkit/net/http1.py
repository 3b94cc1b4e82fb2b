"""HTTP/1.1 at a server that answers plain HTTP too, by h11 (RFC 9112): one request at a time on a connection, in turn.

What a slow or endless client may do is bounded as on HTTP/2: headers come whole within ``limits.header_timeout`` and
fit into ``limits.max_header_list_size``, a body into ``limits.max_receive_message``, and a peer that neither sends what
it announced nor takes what it asked for during ``write_timeout`` is cut off.
"""

from __future__ import annotations

import asyncio
import math
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import h11

from meshkit.metadata import RawHeaders
from meshkit.wire import Limits

from .address import peer_text
from .failures import reason_of
from .http import HttpAccept, HttpStream, UnfinishedRequest
from .link import LOG
from .options import ServerOptions
from .serving import ServerStatistics
from .timers import Timer, Timers
from .tls import TlsSettings, identity, refusal

if TYPE_CHECKING:
    from h11 import Event

__all__ = ["Http1Connection"]

_REASONS: dict[int, bytes] = {status.value: status.phrase.encode() for status in HTTPStatus}
_IDLE = 120.0  # seconds that a connection is kept for another request
_LINGER = 2.0  # seconds that the last bytes may take
_UNAVAILABLE = 14
_FIELD = 32  # what a header field counts beside its bytes, as in HTTP/2 (RFC 9113 section 10.5.1)
_PIPELINED = 64 << 10  # bytes of later requests that may wait


class _Wire:
    """The protocol without the socket: bytes to requests, answers to bytes."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_header_list_size)
        self.reading: UnfinishedRequest | None = None

    @property
    def in_head(self) -> bool:
        """Whether a part of a request's head has come."""
        return bool(self._http.trailing_data[0])

    @property
    def whole(self) -> bool:
        """Whether all of the present request was read."""
        return self._http.their_state is h11.DONE

    def read(self, carrier: Http1Connection, data: bytes = b"") -> HttpStream | None:
        """The next request that is whole, or too large. Raises `h11.RemoteProtocolError` for what is none."""
        if data:
            self._http.receive_data(data)
        while (event := self._http.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
            if isinstance(event, h11.Request):
                fields = [(name, value) for name, value in event.headers]
                if sum(len(name) + len(value) + _FIELD for name, value in fields) > self._limits.max_header_list_size:
                    raise h11.RemoteProtocolError("its headers are too large", error_status_hint=431)
                stream = HttpStream(carrier, event.method, event.target, fields, carrier.now())
                self.reading = UnfinishedRequest(stream, self._limits.max_receive_message)
                if self._http.they_are_waiting_for_100_continue:
                    carrier.write(self._bytes(h11.InformationalResponse(status_code=100, headers=[])))
            elif (reading := self.reading) is not None:
                ended = isinstance(event, h11.EndOfMessage)
                if not ended and not reading.add(bytes(cast("h11.Data", event).data)):
                    reading.give_up()
                if ended or reading.too_large:
                    self.reading = None
                    return reading.whole()
        return None

    def answer(self, status: int, fields: RawHeaders, body: bytes, *, last: bool, head_only: bool = False) -> bytes:
        """An answer as bytes; ``last``: the connection ends with it."""
        more = [(b"date", formatdate(usegmt=True).encode()), (b"content-length", b"%d" % len(body))]
        if last:
            more.append((b"connection", b"close"))
        reason = _REASONS.get(status, b"")
        said = [(name, value.strip()) for name, value in fields if name != b"content-length"]  # h11 refuses others
        events: list[Event] = [h11.Response(status_code=status, reason=reason, headers=[*said, *more])]
        if body and not head_only:
            events.append(h11.Data(data=body))
        return self._bytes(*events, h11.EndOfMessage())

    def refusal(self, error: h11.RemoteProtocolError) -> bytes:
        """What is said about what is not HTTP; nothing where an answer is out already."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        fields = ((b"content-type", b"text/plain; charset=utf-8"),)
        return self.answer(error.error_status_hint, fields, f"not a request: {error}\n".encode(), last=True)

    def again(self) -> bool:
        """Begin with the next request, if one may follow."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _bytes(self, *events: Event) -> bytes:
        return b"".join([self._http.send(event) or b"" for event in events])


class Http1Connection(asyncio.Protocol):
    """One client's connection. ``closed`` is set when it is gone."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: ServerOptions, tls: TlsSettings | None, accept: HttpAccept
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
        self._wire = _Wire(options.limits)
        self._transport: asyncio.Transport | None = None
        self._current: HttpStream | None = None
        self._ending = ""
        self._shutting = False
        self._blocked = False
        self._waiting = bytearray()
        self._taking = True  # the wire is ready for bytes: no answer is owed, or still to leave
        self._started = 0
        self._timer: Timer | None = None

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

    def data_received(self, data: bytes) -> None:
        if self._shutting:
            return
        if self._taking:
            self._read(data)
            return
        self._waiting += data  # pipelined: it waits for its turn
        if len(self._waiting) > _PIPELINED and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False  # a client that closes half and one that is gone look the same: neither gets an answer

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._ending = self._ending or (reason_of(exc) if exc is not None else "closed")
        self._stop_timer()
        if self._current is not None:
            self._current.cancel("connection")
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
        self._stop_timer()
        self._taking = False
        self._started += 1
        self.running += 1
        self._current = stream
        self._accept(stream)

    def _wait_for_more(self) -> None:
        if self._wire.reading is not None:
            self._within(self._options.write_timeout, "its request does not go on")
        elif not self._wire.in_head:
            if self._started:
                self._within(min(_IDLE, self._options.max_connection_idle), "it was idle")
        elif self._timer is None:
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
            self._stop_timer()
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
        self._stop_timer()

        def late() -> None:
            self._timer = None
            transport = self._transport
            if transport is not None and unwritten and transport.get_write_buffer_size() < unwritten:
                self._next()
            else:
                LOG.debug("%s: cut off: %s", self.peer, reason)
                self._abort(reason)

        if seconds < math.inf:
            self._timer = self.timers.schedule(self._loop.time() + seconds, late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drain(self, reason: str) -> None:
        """Close after the answer to the present request."""
        self._ending = self._ending or reason
        if self._current is None and self._wire.reading is None:
            self._shut(reason)

    def cut(self, reason: str) -> None:
        """Close now: what still runs ends with UNAVAILABLE, its handler cancelled."""
        self._ending = self._ending or reason
        if self._current is not None:
            sink = self._current.sink
            sink.finish(_UNAVAILABLE, reason)
            sink.on_cancel("connection")
        self._shut(reason)

    def _shut(self, reason: str) -> None:
        """Let the last bytes leave, for as long as a peer may take that does not read, and close."""
        self._ending = self._ending or reason
        self._shutting = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._within(_LINGER, reason)

    def _abort(self, reason: str) -> None:
        self._ending = self._ending or reason
        if self._transport is not None:
            self._transport.abort()

    def statistics(self) -> ServerStatistics:
        """Counters of this connection, as a frozen value."""
        queued = self._transport.get_write_buffer_size() if self._transport is not None else 0
        streams = int(self._current is not None or self._wire.reading is not None)
        unread = len(self._waiting)
        return ServerStatistics(
            self.peer, self._ending, streams, self.running, self._started, 0, unread, queued, self._blocked
        )
