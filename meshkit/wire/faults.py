"""The peer's faults, as frame handlers raise them; `Connection.receive` turns them into events and frames."""

from __future__ import annotations

from .codes import ErrorCode

__all__ = ["ConnectionFault", "HeadersTooLarge", "StreamFault", "StreamsExhausted"]

_INTERNAL = 13


class ConnectionFault(Exception):
    """The connection cannot go on (RFC 9113 section 5.4.1)."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamFault(Exception):
    """One stream cannot go on (RFC 9113 section 5.4.2). ``status`` is what it means in gRPC."""

    def __init__(self, stream_id: int, code: ErrorCode, reason: str, status: int = _INTERNAL) -> None:
        super().__init__(reason)
        self.stream_id = stream_id
        self.code = code
        self.reason = reason
        self.status = status


class StreamsExhausted(Exception):
    """No stream can be opened now: the peer's limit is reached, a side is going away, or identifiers ran out."""


class HeadersTooLarge(Exception):
    """A request's header list is larger than the peer takes (RFC 9113 section 6.5.2); nothing of it was sent."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the request's headers are {size} bytes, and the server takes {limit} at most")
