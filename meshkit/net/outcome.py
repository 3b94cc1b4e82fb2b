"""How a call ended, as its client sees it: gRPC trailers, or what HTTP and the connection said in their place.

Carries: HTTP to gRPC status (grpc/doc/http-grpc-status-mapping.md; only where grpc-status is absent), RST_STREAM code
to gRPC status (PROTOCOL-HTTP2.md "Errors"), and the anomalies at a stream's end.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from meshkit.metadata import RawHeaders
from meshkit.wire import ErrorCode, decode_status_message, http_to_grpc, is_grpc, rst_to_grpc

__all__ = ["Outcome", "from_http", "from_loss", "from_reset", "from_trailers", "not_grpc", "without_trailers"]

_OK, _UNKNOWN, _INTERNAL, _UNAVAILABLE = 0, 2, 13, 14
_LEGIBLE = 200  # characters of a body in a message
_OK_TRAILERS = ((b"grpc-status", b"0"),)


@dataclass(slots=True)
class Outcome:
    """The end of a call.

    ``status`` is a gRPC code and ``message`` its text; ``trailers`` are the fields of the last header block;
    ``details`` is the decoded ``grpc-status-details-bin``.  ``unprocessed``: the peer's application surely never saw
    the request, so that it may be sent again whatever it does.  ``trailers_only``: the response was one header block.
    ``headers_received``: initial metadata arrived, so the call is committed (gRFC A6).
    """

    status: int
    message: str = ""
    trailers: RawHeaders = ()
    details: bytes | None = None
    unprocessed: bool = False
    trailers_only: bool = False
    headers_received: bool = False


def from_trailers(fields: RawHeaders, *, trailers_only: bool) -> Outcome:
    """The outcome of a last header block: its grpc-status, which precedes :status; without one, what HTTP said."""
    if len(fields) == 1 and fields[0] == _OK_TRAILERS[0]:  # the common end, in one step
        return Outcome(_OK, "", fields, headers_received=not trailers_only)
    found = dict(reversed(fields))
    raw = found.get(b"grpc-status")
    if raw is None:
        return from_http(fields) if trailers_only else without_trailers("trailers without grpc-status", fields)
    status, message = _status(raw), decode_status_message(found.get(b"grpc-message", b""))
    if status is None:
        status, message = _UNKNOWN, f"malformed grpc-status {raw.decode('ascii', 'replace')!r} {message}".rstrip()
    details = _details(found.get(b"grpc-status-details-bin"))
    return Outcome(status, message, fields, details, trailers_only=trailers_only, headers_received=not trailers_only)


def _status(raw: bytes) -> int | None:
    return int(raw) if raw.isdigit() and len(raw) <= 9 else None


def _details(raw: bytes | None) -> bytes | None:
    if raw is None:
        return None
    text = raw.rstrip(b"=")
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        return None  # the status itself still stands


def not_grpc(fields: RawHeaders) -> str:
    """Why initial headers are not those of a gRPC response; empty if they are."""
    found = dict(fields)
    status, kind = found.get(b":status", b""), found.get(b"content-type", b"")
    if status == b"200" and is_grpc(kind):
        return ""
    return f"HTTP status {status.decode('ascii', 'replace')}, content-type {kind.decode('ascii', 'replace')!r}"


def from_http(fields: RawHeaders, body: bytes = b"") -> Outcome:
    """The outcome of a response that is HTTP but not gRPC; the beginning of its ``body`` often says why."""
    raw = dict(fields).get(b":status", b"")
    status = http_to_grpc(int(raw)) if raw.isdigit() and len(raw) == 3 else _UNKNOWN
    said = _legible(body)
    message = f"unexpected response: {not_grpc(fields) or 'no grpc-status'}" + (f": {said}" if said else "")
    return Outcome(status, message, fields, trailers_only=True)


def _legible(body: bytes) -> str:
    """The beginning of a body as one printable line."""
    text = body.decode("utf-8", "replace")
    words = "".join([char if char.isprintable() else " " for char in text]).split()
    line = " ".join(words)
    return line if len(line) <= _LEGIBLE else f"{line[:_LEGIBLE]}..."


def without_trailers(reason: str, fields: RawHeaders = ()) -> Outcome:
    """The outcome of a response whose end breaks the protocol."""
    return Outcome(_INTERNAL, f"server closed the stream: {reason}", fields, headers_received=True)


def from_reset(code: int, *, unprocessed: bool, headers_received: bool) -> Outcome:
    """The outcome of RST_STREAM with ``code`` from the server."""
    unprocessed = unprocessed and not headers_received  # who answered has seen the request, whatever the code says
    name = ErrorCode(code).name if code in _CODES else f"error code {code:#x}"
    status = _UNAVAILABLE if unprocessed else rst_to_grpc(code)
    return Outcome(
        status, f"stream reset by server: {name}", unprocessed=unprocessed, headers_received=headers_received
    )


_CODES = frozenset(int(code) for code in ErrorCode)


def from_loss(peer: str, reason: str, *, unprocessed: bool, headers_received: bool) -> Outcome:
    """The outcome of a call whose connection ended under it."""
    message = f"connection to {peer} is lost: {reason}"
    return Outcome(_UNAVAILABLE, message, unprocessed=unprocessed, headers_received=headers_received)
