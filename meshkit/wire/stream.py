"""One stream: its two halves, its windows, and what waits to be sent.

The states of RFC 9113 section 5.1 that a stream can be in here (idle streams have no object, reserved ones do not
exist without push), and the two moves between them, as tables.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from meshkit.metadata import RawHeaders

__all__ = ["CLOSED", "HALF_LOCAL", "HALF_REMOTE", "LOCAL_END", "OPEN", "REMOTE_END", "Stream"]

OPEN: Final = 0
HALF_LOCAL: Final = 1  # we have ended our half
HALF_REMOTE: Final = 2  # the peer has ended its half
CLOSED: Final = 3

#                     OPEN         HALF_LOCAL  HALF_REMOTE  CLOSED
LOCAL_END: Final = (HALF_LOCAL, HALF_LOCAL, CLOSED, CLOSED)
REMOTE_END: Final = (HALF_REMOTE, CLOSED, HALF_REMOTE, CLOSED)

_NAMES = ("open", "half-closed (local)", "half-closed (remote)", "closed")


class Stream:
    """One stream of a connection.

    ``id``; ``context``: whatever its owner keeps there; ``queued``: bytes of DATA not yet in the output; ``writable``:
    little is queued; ``send_encoding`` and ``recv_encoding``: how messages with the compressed flag are compressed
    (b"gzip", b"deflate", b"identity").
    """

    __slots__ = (
        "body_left",
        "context",
        "credited",
        "end_queued",
        "framed",
        "headers_received",
        "headers_sent",
        "id",
        "max_message",
        "needed",
        "parts",
        "queue",
        "queued",
        "received",
        "recv_credit",
        "recv_encoding",
        "recv_window",
        "send_encoding",
        "send_window",
        "state",
        "trailers",
        "unacked_app",
        "unacked_wire",
        "writable",
    )

    def __init__(self, stream_id: int, send_window: int, recv_window: int, max_message: int) -> None:
        self.id = stream_id
        self.context: Any = None
        self.state = OPEN
        # sending
        self.send_window = send_window
        self.send_encoding = b"identity"
        self.queue: deque[memoryview] | None = None
        self.queued = 0
        self.writable = True
        self.end_queued = False
        self.trailers: RawHeaders = ()
        self.headers_sent = False
        # receiving
        self.recv_window = recv_window
        self.recv_credit = 0
        self.recv_encoding = b"identity"
        self.headers_received = False
        self.framed = True
        self.max_message = max_message
        self.body_left = -1  # of content-length; -1 where there is none
        self.parts: list[bytes] | None = None
        self.received = 0
        self.needed = 0
        self.credited = 0
        self.unacked_wire = 0
        self.unacked_app = 0

    def __repr__(self) -> str:
        return f"Stream({self.id}, {_NAMES[self.state]}, queued={self.queued}, send_window={self.send_window})"

    @property
    def closed(self) -> bool:
        """Whether nothing more goes either way."""
        return self.state == CLOSED
