"""One stream: its two halves, its windows, and what waits to be sent or to become a message.

The states of RFC 9113 section 5.1 that a stream can be in here (idle streams have no object, reserved ones do not
exist without push), and the two moves between them, as tables.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from meshkit.metadata import RawHeaders

from .headers import HeaderBlock

__all__ = [
    "CLOSED",
    "HALF_LOCAL",
    "HALF_REMOTE",
    "LOCAL_END",
    "NO_PREFIX",
    "OPEN",
    "REMOTE_END",
    "Outbox",
    "Partial",
    "Stream",
]

OPEN: Final = 0
HALF_LOCAL: Final = 1  # we have ended our half
HALF_REMOTE: Final = 2  # the peer has ended its half
CLOSED: Final = 3

#                     OPEN         HALF_LOCAL  HALF_REMOTE  CLOSED
LOCAL_END: Final = (HALF_LOCAL, HALF_LOCAL, CLOSED, CLOSED)
REMOTE_END: Final = (HALF_REMOTE, CLOSED, HALF_REMOTE, CLOSED)

NO_PREFIX: Final = -1  # in place of a flag: the prefix is not whole
_SMALL: Final = 512  # of a piece of a message, or a message
_TOGETHER: Final = 4096
_NAMES = ("open", "half-closed (local)", "half-closed (remote)", "closed")


class Outbox:
    """DATA that windows did not allow yet. ``ended``: our half ends after it, with ``trailers`` if there are some."""

    __slots__ = ("ended", "pieces", "trailers")

    def __init__(self) -> None:
        self.pieces: deque[memoryview | bytearray] = deque()
        self.trailers: RawHeaders = ()
        self.ended = False

    def add(self, prefix: bytes, data: bytes) -> None:
        """One more message. Small ones are put together: as objects they would take many times their size."""
        pieces = self.pieces
        if len(data) >= _SMALL:
            pieces.append(memoryview(prefix))
            pieces.append(memoryview(data))
        elif pieces and isinstance(last := pieces[-1], bytearray) and len(last) < _TOGETHER:
            last += prefix
            last += data
        else:
            pieces.append(bytearray(prefix + data))


class Partial:
    """The beginning of a message: ``flag`` of its prefix, ``received`` bytes of the ``size`` that it has. While not
    even the prefix is whole, ``flag`` is NO_PREFIX, and the pieces are of the prefix."""

    __slots__ = ("_pieces", "flag", "received", "size")

    def __init__(self, flag: int, size: int, piece: bytes) -> None:
        self._pieces: list[bytes | bytearray] = [piece]
        self.flag = flag
        self.size = size
        self.received = len(piece)

    def joined(self) -> bytes:
        """What there is, in one piece."""
        return b"".join(self._pieces)

    def add(self, piece: bytes) -> None:
        """One more piece. Small ones are put together: as objects they would take many times their size."""
        self.received += len(piece)
        last = self._pieces[-1]
        if len(piece) >= _SMALL:
            self._pieces.append(piece)
        elif isinstance(last, bytearray):
            last += piece
        else:
            self._pieces.append(bytearray(piece))


class Stream:
    """One stream of a connection.

    ``id``; ``context``: whatever its owner keeps there; ``queued``: bytes of DATA not yet in the output; ``writable``:
    little is queued; ``max_message``: the largest message taken; ``block``: the peer's first header block, None
    before it came; ``send_encoding``: how messages with the compressed flag are compressed (b"gzip", b"deflate",
    b"identity").
    """

    __slots__ = (
        "block",
        "body_left",
        "context",
        "headers_sent",
        "id",
        "max_message",
        "outbox",
        "partial",
        "queued",
        "recv_credit",
        "recv_window",
        "send_encoding",
        "send_window",
        "state",
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
        self.queued = 0
        self.outbox: Outbox | None = None
        self.writable = True
        self.headers_sent = False
        # receiving
        self.recv_window = recv_window
        self.recv_credit = 0  # consumed, not yet given back
        self.unacked_wire = 0  # of messages that the application has not consumed: bytes in frames,
        self.unacked_app = 0  # and bytes as it counts them
        self.block: HeaderBlock | None = None
        self.body_left = -1  # of content-length; -1 where there is none
        self.max_message = max_message
        self.partial: Partial | None = None

    def __repr__(self) -> str:
        return f"Stream({self.id}, {_NAMES[self.state]}, queued={self.queued}, send_window={self.send_window})"

    @property
    def closed(self) -> bool:
        """Whether nothing more goes either way."""
        return self.state == CLOSED
