"""One connection to a server, and the calls on it."""

from __future__ import annotations

import ssl
from typing import Any

from ..metadata import RawHeaders
from ..wire import ErrorCode
from .sinks import ClientSink

__all__ = ["ClientConnection", "ClientStream"]


class ClientStream:
    """One call at its client. Everything is immediate: what cannot be sent yet is queued."""

    __slots__ = ()

    @property
    def writable(self) -> bool:
        """Whether little is queued. When false, `ClientSink.on_writable` tells of the change."""
        raise NotImplementedError

    def send(self, data: bytes, *, end: bool = False, compress: bool = False) -> None:
        """Send one message, and half-close with ``end``. Does nothing once the call is over."""
        raise NotImplementedError

    def end(self) -> None:
        """Half-close: no message follows."""
        raise NotImplementedError

    def cancel(self, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Give the call up with RST_STREAM ``code``; the sink is not called any more. Does nothing once it is over."""
        raise NotImplementedError

    def acknowledge(self, size: int) -> None:
        """The application consumed messages of ``size`` bytes: the server may send as many more."""
        raise NotImplementedError


class ClientConnection:
    """One TCP, TLS or unix-socket connection; made by `Pool`."""

    peer: str
    """The address at the other end."""
    ready: bool
    """Takes new calls: the server's SETTINGS arrived, and neither side is going away."""
    in_flight: int
    """Calls opened or queued, and not over."""

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

        ``fields``: encoded custom metadata, ``grpc-timeout`` first where there is one; pseudo-headers, te, content-type,
        user-agent, grpc-encoding and grpc-accept-encoding are added here.  ``message`` is the first message;
        ``encoding`` compresses messages (b"gzip", b"deflate").  ``max_receive`` overrides the receive limit in bytes.
        Where the server's MAX_CONCURRENT_STREAMS is reached the call waits its turn (first come, first served).
        Raises `ConnectionLost` when closed or going away.
        """
        raise NotImplementedError

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session, None for plaintext."""
        raise NotImplementedError

    def statistics(self) -> Any:
        """Counters and queues of this connection, as a frozen value."""
        raise NotImplementedError
