"""A server: listening, the connections it has, and letting go of them gracefully."""

from __future__ import annotations

from collections.abc import Callable

from ..metadata import RawHeaders
from .options import ServerOptions
from .sinks import ServerSink
from .tls import TlsSettings

__all__ = ["Server", "ServerStream"]


class ServerStream:
    """One call at its server. `accept` sets ``sink`` before it returns, and calls `release` when its work has ended."""

    sink: ServerSink
    path: str
    """Such as "/helloworld.v1.Greeter/SayHello"."""
    fields: RawHeaders
    """The request's header fields, pseudo-headers included."""
    deadline: float | None
    """Loop time after which the call is cancelled, None without ``grpc-timeout``."""
    peer: str
    """The client's address."""
    peer_identity: str | None
    """What the client's certificate says: its first URI (SPIFFE) name, else DNS name, else subject; None without one."""
    content_type: bytes
    """Such as b"application/grpc+proto"."""
    accept_encodings: tuple[bytes, ...]
    """What the client's ``grpc-accept-encoding`` lists."""
    encoding: bytes | None
    """The ``grpc-encoding`` of messages sent with ``compress=True``; set it before `send_headers`, to one accepted."""

    @property
    def writable(self) -> bool:
        """Whether little is queued. When false, `ServerSink.on_writable` tells of the change."""
        raise NotImplementedError

    def send_headers(self, fields: RawHeaders = ()) -> None:
        """Send initial metadata; `send` does it with none where this was not called."""
        raise NotImplementedError

    def send(self, data: bytes, *, compress: bool = False) -> None:
        """Send one message. Does nothing once the call is over."""
        raise NotImplementedError

    def finish(self, status: int, message: str = "", trailers: RawHeaders = (), details: bytes | None = None) -> None:
        """End the call: trailers, or Trailers-Only where no headers were sent. Does nothing once it is over."""
        raise NotImplementedError

    def reply(self, data: bytes, *, compress: bool = False, trailers: RawHeaders = ()) -> None:
        """Headers if not sent, one message and OK trailers in one step: the whole answer of a unary call."""
        raise NotImplementedError

    def acknowledge(self, size: int) -> None:
        """The application consumed messages of ``size`` bytes: the client may send as many more."""
        raise NotImplementedError

    def release(self) -> None:
        """The handler has really ended: frees its place among the connection's handlers. Must be called exactly once."""
        raise NotImplementedError


class Server:
    """Serves gRPC over HTTP/2: ``accept`` is called with each new stream, on the loop; it must not block or raise."""

    def __init__(
        self,
        accept: Callable[[ServerStream], None],
        *,
        options: ServerOptions | None = None,
        tls: TlsSettings | None = None,
    ) -> None:
        raise NotImplementedError

    async def listen(self, host: str | None = "127.0.0.1", port: int = 0, *, path: str | None = None) -> int:
        """Listen on ``host`` (None: all interfaces) and ``port`` (0: a free one), or on the unix socket ``path``.

        Returns the port (0 for a unix socket). May be called several times. Raises OSError with the address.
        """
        raise NotImplementedError

    async def close(self, grace: float = 0.0) -> None:
        """Stop: no new connections, a double GOAWAY to the present ones, ``grace`` seconds for their calls, then cut."""
        raise NotImplementedError
