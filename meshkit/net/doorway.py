"""Which HTTP a new connection speaks, at a server that answers plain HTTP too: told by its first bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

from .address import peer_text
from .http import HttpAccept
from .http1 import Http1Connection
from .options import ServerOptions
from .serving import ServerConnection, ServerStatistics
from .tls import TlsSettings

__all__ = ["Doorway"]

_PREFACE = b"PRI"  # how HTTP/2 begins, and no request of HTTP/1 (RFC 9113 section 3.4)


class Doorway(asyncio.Protocol):
    """A connection until it is known what it speaks, and its handle from then on. ``closed`` is set when it is gone.

    ``make_http2`` makes the connection of HTTP/2; that of HTTP/1.1 is made of the other arguments.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make_http2: Callable[[], ServerConnection],
        options: ServerOptions,
        tls: TlsSettings | None,
        accept: HttpAccept,
        age_factor: float,
    ) -> None:
        self.closed: asyncio.Future[None] = loop.create_future()
        self._make_http2 = make_http2
        self._make_http1 = partial(Http1Connection, loop, options, tls, accept, age_factor)
        self._chosen: ServerConnection | Http1Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._first = b""
        self._late = loop.call_later(options.limits.preface_timeout, self._abort)

    def __repr__(self) -> str:
        return f"Doorway({self._chosen or 'nothing has come'})"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._first += data
        if not _PREFACE.startswith(self._first[: len(_PREFACE)]):
            self._choose(self._make_http1())
        elif len(self._first) >= len(_PREFACE):
            self._choose(self._make_http2())

    def _choose(self, protocol: ServerConnection | Http1Connection) -> None:
        assert self._transport is not None
        self._late.cancel()
        self._chosen = protocol
        protocol.closed.add_done_callback(self._gone)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        first, self._first = self._first, b""
        protocol.data_received(first)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone(None)

    def _gone(self, _: object) -> None:
        self._late.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _do(self, what: Callable[[ServerConnection | Http1Connection], None]) -> None:
        if self._chosen is None:
            self._abort()
        else:
            what(self._chosen)

    def drain(self, reason: str) -> None:
        """Close gracefully; at once while nothing has come."""
        self._do(lambda connection: connection.drain(reason))

    def cut(self, reason: str) -> None:
        """Close now."""
        self._do(lambda connection: connection.cut(reason))

    def statistics(self) -> ServerStatistics:
        """Counters of the connection."""
        if self._chosen is not None:
            return self._chosen.statistics()
        peer = peer_text(self._transport.get_extra_info("peername")) if self._transport is not None else ""
        return ServerStatistics(peer, "", 0, 0, 0, 0, len(self._first), 0, False)
