"""How a call ended, as its client sees it: gRPC trailers, or what HTTP and the connection said in their place.

Carries: HTTP to gRPC status (grpc/doc/http-grpc-status-mapping.md; only where grpc-status is absent), RST_STREAM code
to gRPC status (PROTOCOL-HTTP2.md "Errors"), and the anomalies at a stream's end.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from ..metadata import RawHeaders
from ..wire import ErrorCode, decode_status_message, http_to_grpc, rst_to_grpc

__all__ = ["Outcome"]

_OK, _UNKNOWN, _INTERNAL, _UNAVAILABLE = 0, 2, 13, 14


@dataclass(slots=True)
class Outcome:
    """The end of a call.

    ``status`` is a gRPC code and ``message`` its text; ``trailers`` are the fields of the last header block;
    ``details`` is the decoded ``grpc-status-details-bin``.  ``unprocessed``: the peer's application surely never saw the
    request, so that it may be sent again whatever it does.  ``trailers_only``: the response was one header block.
    ``headers_received``: initial metadata arrived, so the call is committed (gRFC A6).
    """

    status: int
    message: str = ""
    trailers: RawHeaders = ()
    details: bytes | None = None
    unprocessed: bool = False
    trailers_only: bool = False
    headers_received: bool = False
