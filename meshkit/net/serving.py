"""One connection at a server.

Carries: GOAWAY at a server (RFC 9113 section 6.8, twice, so that streams already under way are served), keepalive and
its enforcement (gRFC A8, A9).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from meshkit.wire import ErrorCode, GoAway, PingReceived, Pong, Role, SettingsChanged, Terminated

from .admission import Admission
from .bodies import Bodies
from .chores import Keepalive
from .http import HttpAccept, HttpStream
from .keepalive import Pinger, PingPolice
from .link import LOG, Link
from .options import ServerOptions
from .server_stream import ServerStream
from .tls import TlsSettings, identity, refusal
from .upkeep import Upkeep

__all__ = ["ServerConnection", "ServerStatistics"]

_DRAIN = b"goodbye\0"
_ALL = 2**31 - 1
_UNAVAILABLE = 14


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
    """One client's connection; made by `Server`. ``running``: handlers that have not ended; ``last_call``: when the
    last request came, loop time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: ServerOptions,
        tls: TlsSettings | None,
        accept: Callable[[ServerStream], None],
        age_factor: float,
        http: HttpAccept | None = None,
    ) -> None:
        super().__init__(loop, Role.SERVER, options.limits, options.max_unread)
        self.peer_identity: str | None = None
        self.running = 0
        self.last_call = self.created
        self._tls = tls
        self._drain_timeout = options.drain_timeout
        self._drain_by = math.inf
        self._drained = False
        self._sent_at_ping = -1
        self._police = PingPolice(
            options.permit_keepalive_time,
            options.max_ping_strikes,
            without_calls=options.permit_keepalive_without_calls,
        )
        bodies = None if http is None else Bodies(self, options, http)
        self._admission = Admission(self, options, accept, bodies)
        pinger = Pinger(options.keepalive_time, options.keepalive_timeout, without_calls=True)
        self.chores.add(Keepalive(self, pinger, self._busy), self._drain_chore)
        self.chores.add(*Upkeep(self, options, age_factor).chores)
        self.handlers = {
            **self._admission.handlers,
            PingReceived: self._pinged,
            Pong: self._pong,
            GoAway: self._go_away,
            SettingsChanged: _ignore,
            Terminated: self.terminated,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        session = transport.get_extra_info("ssl_object")
        reason = ""
        if self._tls is not None and session is not None:
            reason = refusal(session, self._tls)
            self.peer_identity = identity(session)
        super().connection_made(transport)
        if reason:
            LOG.warning("%s: %s", self.peer, reason)
            self.abort(reason)

    def writable_again(self) -> None:
        for call in self._calls():
            if isinstance(call, ServerStream) and call.writable:
                call.sink.on_writable()

    def _calls(self) -> list[ServerStream | HttpStream]:
        contexts = [stream.context for stream in self.engine.streams.values()]
        return [call for call in contexts if call is not None and not call.over]

    def _deadlined(self) -> list[ServerStream]:
        contexts = [stream.context for stream in self.engine.streams.values()]
        return [call for call in contexts if isinstance(call, ServerStream) and not call.over]

    def _busy(self) -> bool:
        return bool(self.engine.streams)

    # -- control frames

    def _pinged(self, event: PingReceived) -> None:
        if self._sent_at_ping != self.engine.data_sent:
            self._sent_at_ping = self.engine.data_sent
            self._police.forgive()
        if self._police.abused(self.heard, self._busy()):
            LOG.warning("%s: too many pings", self.peer)
            self.engine.go_away(ErrorCode.ENHANCE_YOUR_CALM, debug=b"too_many_pings")
            self.loop.call_soon(self.close, "too many pings", None)

    def _pong(self, event: Pong) -> None:
        if event.payload == _DRAIN and self._drain_by < math.inf:
            self._name_the_last()

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
        self._drain_by = self.loop.time() + self._drain_timeout
        self.chores.at(self._drain_by)

    def _drain_chore(self, now: float) -> float:
        if now >= self._drain_by:
            self._name_the_last()
        return self._drain_by

    def _name_the_last(self) -> None:
        """The client has seen the first GOAWAY: what it had sent before has arrived."""
        self._drain_by = math.inf
        self._drained = True
        self.engine.go_away()
        self.wake()

    def flush(self) -> None:
        Link.flush(self)  # not by super(): that costs as much as a call of its own, and this is once per call
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

    def statistics(self) -> ServerStatistics:
        """Counters and queues of this connection, as a frozen value."""
        return ServerStatistics(
            self.peer,
            self.ending,
            len(self.engine.streams),
            self.running,
            self._admission.started,
            self._admission.refused,
            self.reading.unread,
            self.engine.queued,
            self.blocked,
        )


def _ignore(_: object) -> None:
    return None
