"""One call at its server."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from meshkit.metadata import RawHeaders
from meshkit.wire import ErrorCode, Stream, encode_status_message

from .link import OUTPUT_HIGH
from .requests import Request
from .sinks import CancelReason, ServerSink

if TYPE_CHECKING:
    from .serving import ServerConnection

__all__ = ["ServerStream"]

_DEADLINE_EXCEEDED = 4
_STATUS_200 = (b":status", b"200")
_ACCEPT = (b"grpc-accept-encoding", b"identity,deflate,gzip")
_HEADERS = (_STATUS_200, (b"content-type", b"application/grpc"), _ACCEPT)
_OK_TRAILERS = ((b"grpc-status", b"0"),)
_STATUS = tuple((b"grpc-status", b"%d" % code) for code in range(17))


class _Nobody:
    """The sink of a call that is over."""

    def on_message(self, data: bytes) -> None: ...
    def on_half_close(self) -> None: ...
    def on_unary(self, data: bytes) -> None: ...
    def on_cancel(self, reason: CancelReason) -> None: ...
    def on_writable(self) -> None: ...


_NOBODY = _Nobody()


class ServerStream:
    """One call at its server. `accept` sets ``sink`` before it returns; `release` is called when its work has ended.

    ``path`` is such as "/helloworld.v1.Greeter/SayHello"; ``fields`` are all header fields of the request;
    ``deadline`` is the loop time after which the call is cancelled, None without ``grpc-timeout``; ``content_type`` is
    the request's.  ``encoding`` compresses what is sent with ``compress=True``: set it before headers are sent, to one
    of `accept_encodings`.
    """

    __slots__ = (
        "_link", "_released", "_stream", "content_type", "deadline", "encoding", "fields", "headers_sent",
        "over", "path", "sink", "unread",
    )  # fmt: skip

    def __init__(self, link: ServerConnection, stream: Stream, request: Request, fields: RawHeaders) -> None:
        self._link = link
        self._stream = stream
        self._released = False
        self.path = request.path
        self.content_type = request.content_type
        self.fields = fields
        self.deadline: float | None = None
        self.encoding: bytes | None = None
        self.sink: ServerSink = _NOBODY
        self.headers_sent = False
        self.over = False
        self.unread = 0

    def __repr__(self) -> str:
        return f"ServerStream({self.path}, {self.peer}, id={self._stream.id}{', over' if self.over else ''})"

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._link.peer

    @property
    def peer_identity(self) -> str | None:
        """What the client's certificate says: its first URI (SPIFFE) name, else DNS name, else subject."""
        return self._link.peer_identity

    @property
    def connection(self) -> ServerConnection:
        """The connection that carries the call."""
        return self._link

    @property
    def accept_encodings(self) -> tuple[bytes, ...]:
        """What the client's ``grpc-accept-encoding`` lists."""
        lists = [value for name, value in self.fields if name == b"grpc-accept-encoding"]
        return tuple(part.strip() for value in lists for part in value.split(b",") if part.strip())

    @property
    def writable(self) -> bool:
        """Whether little is queued. When false, `ServerSink.on_writable` tells of the change."""
        return self._stream.writable and not self._link.full

    def send_headers(self, fields: RawHeaders = ()) -> None:
        """Send initial metadata, once; `send` does it with none where this was not called."""
        if self.over or self.headers_sent:
            return
        self.headers_sent = True
        self._link.engine.send_headers(self._stream, (*self._head(), *fields) if fields else self._head())
        self._link.wake_later()

    def _head(self) -> RawHeaders:
        if self.encoding is None and self.content_type == b"application/grpc":
            return _HEADERS
        head = (_STATUS_200, (b"content-type", self.content_type), _ACCEPT)
        if self.encoding is None:
            return head
        self._stream.send_encoding = self.encoding
        return (*head, (b"grpc-encoding", self.encoding))

    def send(self, data: bytes, *, compress: bool = False) -> bool:
        """Send one message; gives `writable`. Does nothing once the call is over."""
        if self.over:
            return True
        if not self.headers_sent:
            self.send_headers()
        stream, link = self._stream, self._link
        link.engine.send_message(stream, data, compressed=compress)
        if not link.waking:
            link.wake()
        return stream.writable and not link.blocked and link.engine.output_size < OUTPUT_HIGH

    def finish(self, status: int, message: str = "", trailers: RawHeaders = (), details: bytes | None = None) -> None:
        """End the call: trailers, or Trailers-Only where no headers were sent. Does nothing once it is over.

        ``details`` is a serialized ``google.rpc.Status`` for ``grpc-status-details-bin``.
        """
        if self.over:
            return
        fields = _end(status, message, trailers, details)
        if not self.headers_sent:
            fields = (*self._head()[:2], *fields)
        self._finish(fields)

    def reply(self, data: bytes, compress: bool = False, trailers: RawHeaders = ()) -> None:
        """Headers if not sent, one message and OK trailers in one step: the whole answer of a unary call."""
        if self.over:
            return
        link = self._link
        engine, stream = link.engine, self._stream
        last = (*_OK_TRAILERS, *trailers) if trailers else _OK_TRAILERS
        if not self.headers_sent and not compress:
            self.headers_sent = True
            plain = self.encoding is None and self.content_type == b"application/grpc"
            self.close()
            engine.send_unary(stream, _HEADERS if plain else self._head(), data, last)
            if not link.waking:
                link.wake()
            return
        self.send_headers()
        engine.send_message(stream, data, compressed=compress)
        self._finish(last)

    def _finish(self, fields: RawHeaders) -> None:
        self.close()
        link = self._link
        link.engine.send_headers(self._stream, fields, end=True)
        if not link.waking:
            link.wake()

    def acknowledge(self, size: int) -> None:
        """The application consumed messages of ``size`` bytes: the client may send as many more."""
        if self.over:
            return
        link = self._link
        taken = size if size < self.unread else self.unread  # a request that came in one piece is not among it
        self.unread -= taken
        reading = link.reading
        reading.unread -= taken
        if reading.paused:
            reading.consumed()
        if link.engine.acknowledge(self._stream, size):
            link.wake_later()

    def release(self) -> None:
        """The handler has really ended: frees its place among the connection's handlers. To be called once."""
        if not self._released:
            self._released = True
            self._link.running -= 1

    # -- for the connection

    def expire(self) -> None:
        """The deadline passed: tell the client, by trailers if they can leave at once, and stop the handler."""
        sink, link, stream = self.sink, self._link, self._stream
        if stream.queued:
            self.close()
            link.engine.reset(stream, ErrorCode.CANCEL)
            link.wake()
        else:
            self.finish(_DEADLINE_EXCEEDED, "the deadline passed")
        sink.on_cancel("deadline")

    def cancel(self, reason: CancelReason) -> None:
        """The call is over before its handler finished it."""
        sink = self.sink
        self.close()
        sink.on_cancel(reason)

    def close(self) -> None:
        """Nothing is sent or told from now on."""
        self.over = True
        self.sink = _NOBODY
        self._stream.context = None  # it refers to this call and this call to it: leave no cycle behind
        if self.unread:
            self._link.reading.consumed(self.unread)
            self.unread = 0


def _end(status: int, message: str, trailers: RawHeaders, details: bytes | None) -> RawHeaders:
    fields = [_STATUS[status] if 0 <= status < len(_STATUS) else (b"grpc-status", b"%d" % status)]
    if message:
        fields.append((b"grpc-message", encode_status_message(message)))
    if details is not None:
        fields.append((b"grpc-status-details-bin", binascii.b2a_base64(details, newline=False).rstrip(b"=")))
    fields.extend(trailers)
    return tuple(fields)
