"""What a handler knows of its call, and what calls made inside the handler inherit from it.

The context of the running handler is a context variable: it follows into tasks that the handler starts, and nested
client calls take deadline and trace headers from it (gRPC: "Deadline Propagation", W3C Trace Context, B3).
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, Protocol

from meshkit.errors import Internal
from meshkit.metadata import Metadata, MetadataLike, RawHeaders, decode_metadata, encode_metadata

from .method import Method

__all__ = ["CURRENT", "Context", "Transport", "current_context"]

_TRACE = frozenset(
    {
        b"traceparent",
        b"tracestate",
        b"baggage",
        b"b3",
        b"x-b3-traceid",
        b"x-b3-spanid",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-flags",
        b"x-request-id",
        b"grpc-trace-bin",
    }
)


class Transport(Protocol):
    """What a context needs of the stream below it; `meshkit.net.ServerStream` is one."""

    fields: RawHeaders
    deadline: float | None
    peer: str
    peer_identity: str | None

    def send_headers(self, fields: RawHeaders = ()) -> None:
        """Send initial metadata."""
        ...


class Context:
    """One call, as its handler sees it.

    ``method`` is the rpc; ``cancelled`` becomes true when the caller gave up, the deadline passed or the connection
    ended (the handler's task is cancelled then).  ``compression``: set it to "gzip" or "deflate" to compress replies
    for a caller that accepts it.
    """

    __slots__ = (
        "_headers_sent",
        "_initial",
        "_metadata",
        "_stream",
        "_trace",
        "_trailing",
        "cancelled",
        "compression",
        "method",
    )

    def __init__(self, method: Method[Any, Any], stream: Any) -> None:
        self.method = method
        self._stream = stream
        self.cancelled = False
        self.compression: str | None = None
        self._headers_sent = False
        self._initial: RawHeaders = ()
        self._trailing: RawHeaders = ()
        self._metadata: Metadata | None = None
        self._trace: RawHeaders | None = None

    def __repr__(self) -> str:
        return f"Context({self.method.path!r}, peer={self.peer!r}{', cancelled' if self.cancelled else ''})"

    @property
    def metadata(self) -> Metadata:
        """The metadata of the request. Raises `Internal` when the caller sent a ``-bin`` value that is not base64."""
        if self._metadata is None:
            try:
                self._metadata = decode_metadata(self._stream.fields)
            except ValueError as error:
                raise Internal(str(error)) from None
        return self._metadata

    def header(self, name: bytes) -> str | None:
        """The first header field ``name`` of the request, such as b"user-agent"; None without one."""
        return next((value.decode("latin-1") for key, value in self._stream.fields if key == name), None)

    def replace_metadata(self, metadata: Metadata) -> None:
        """Let the handler see ``metadata`` as the request's; for interceptors."""
        self._metadata = metadata

    @property
    def deadline(self) -> float | None:
        """When the call ends at the latest, in seconds of ``time.monotonic()``; None without a limit."""
        deadline: float | None = self._stream.deadline
        return deadline

    def time_remaining(self) -> float | None:
        """Seconds until `deadline`, never below zero; None without a limit."""
        deadline = self._stream.deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    @property
    def peer(self) -> str:
        """The address of the caller."""
        peer: str = self._stream.peer
        return peer

    @property
    def peer_identity(self) -> str | None:
        """Who the caller proved to be with its certificate, such as "spiffe://td/ns/default/sa/web"; None without."""
        identity: str | None = self._stream.peer_identity
        return identity

    def set_initial_metadata(self, metadata: MetadataLike) -> None:
        """Metadata to send before the first reply. Raises RuntimeError once it is sent."""
        if self._headers_sent:
            raise RuntimeError("initial metadata has been sent already")
        self._initial = encode_metadata(metadata)

    async def send_initial_metadata(self, metadata: MetadataLike | None = None) -> None:
        """Send the initial metadata now rather than with the first reply. Raises RuntimeError once it is sent."""
        if metadata is not None:
            self.set_initial_metadata(metadata)
        elif self._headers_sent:
            raise RuntimeError("initial metadata has been sent already")
        self.send_headers()

    def set_trailing_metadata(self, metadata: MetadataLike) -> None:
        """Metadata to send with the status, whether the call ends well or not."""
        self._trailing = encode_metadata(metadata)

    def send_headers(self) -> None:
        """Send the initial metadata, if it is not sent yet; for those who write replies."""
        if not self._headers_sent:
            self._headers_sent = True
            self._stream.send_headers(self._initial)

    def trace_fields(self) -> RawHeaders:
        """The trace headers of the request, as nested calls carry them on."""
        if self._trace is None:
            self._trace = tuple([field for field in self._stream.fields if field[0] in _TRACE])
        return self._trace


CURRENT: ContextVar[Context | None] = ContextVar("meshkit.rpc.context", default=None)


def current_context() -> Context | None:
    """The context of the handler that runs here; None outside of handlers."""
    return CURRENT.get()
