"""What a server asks of a request before anybody sees it (PROTOCOL-HTTP2.md; grpc-go's http2_server.go refuses alike).

The engine has checked the HTTP/2 rules (RFC 9113 section 8.3): pseudo-headers are there, once, and first.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshkit.deadline import decode_timeout
from meshkit.metadata import RawHeaders
from meshkit.wire import encode_status_message, is_grpc

__all__ = ["ENCODINGS", "Refusal", "Request", "read_request"]

ENCODINGS = (b"identity", b"deflate", b"gzip")
_ACCEPT = (b"grpc-accept-encoding", b",".join(ENCODINGS))
_INTERNAL, _UNIMPLEMENTED = 13, 12
_GRPC = b"application/grpc"


@dataclass(slots=True)
class Request:
    """What the header fields of a request say. ``timeout`` is in seconds, None where there is none."""

    path: str
    content_type: bytes
    timeout: float | None
    encoding: bytes | None


@dataclass(slots=True)
class Refusal:
    """Why a request goes no further, as HTTP and as gRPC see it. ``body``: what a client that is not gRPC's may read;
    to others the header block is all there is (Trailers-Only)."""

    http: int
    status: int
    message: str
    body: bytes = b""

    def fields(self) -> RawHeaders:
        """The header block of the answer."""
        return (
            (b":status", b"%d" % self.http),
            (b"content-type", b"text/plain; charset=utf-8" if self.body else _GRPC),
            (b"grpc-status", b"%d" % self.status),
            (b"grpc-message", encode_status_message(self.message)),
            _ACCEPT,
        )


def read_request(fields: RawHeaders) -> Request | Refusal:
    """The request that ``fields`` make, or why they make none."""
    found = dict(fields)
    kind = found.get(b"content-type", b"")
    grpc = is_grpc(kind)
    if found.get(b":method") != b"POST":
        return _refuse(405, f"method {_text(found.get(b':method'))} is not POST", grpc)
    if not grpc:
        return _refuse(415, f"content-type {_text(kind)} is not application/grpc", grpc)
    timeout = found.get(b"grpc-timeout")
    try:
        seconds = None if timeout is None else decode_timeout(timeout)
    except ValueError as error:
        return Refusal(400, _INTERNAL, str(error))
    encoding = found.get(b"grpc-encoding")
    if encoding is not None and encoding not in ENCODINGS:
        known = ", ".join(name.decode() for name in ENCODINGS)
        return Refusal(200, _UNIMPLEMENTED, f"grpc-encoding {_text(encoding)} is not one of {known}")
    return Request(found[b":path"].decode("ascii", "replace"), kind, seconds, encoding)


def _refuse(http: int, message: str, grpc: bool) -> Refusal:
    return Refusal(http, _INTERNAL, message, b"" if grpc else f"This is a gRPC server: {message}\n".encode())


def _text(value: bytes | None) -> str:
    return repr((value or b"").decode("ascii", "replace")[:100])
