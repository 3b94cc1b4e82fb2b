"""The sending half of a connection: frames into the output, within the windows that the peer grants.

Carries: HEADERS and CONTINUATION (RFC 9113 sections 6.2, 6.10), DATA under flow control (5.2, 6.9), the end of our half
of a stream (5.1, 8.1). What windows do not allow waits in its stream; streams that wait for the connection's window
take turns.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

from meshkit.metadata import RawHeaders

from . import codes
from .codes import DEFAULT_WINDOW, END_HEADERS, END_STREAM, MIN_FRAME_SIZE, ErrorCode, Role
from .compression import compress
from .hpack import Encoder
from .limits import Limits
from .stream import CLOSED, HALF_LOCAL, HALF_REMOTE, LOCAL_END, OPEN, Outbox, Stream

__all__ = ["BY_PEER", "BY_US", "Sending"]

_HEAD: Final = Struct(">LBL")  # length (24 bits) and type, flags, stream
_MESSAGE: Final = Struct(">LBLBL")  # the same, and a gRPC prefix
_PREFIX: Final = Struct(">BL")
_RST: Final = Struct(">LBLL")
_WORD: Final = Struct(">L")
_RST_HEAD: Final = 4 << 8 | codes.RST_STREAM

BY_US: Final = 1
BY_PEER: Final = 2
_REMEMBERED_RESETS: Final = 1000


class Sending:
    """Streams, windows and output. ``streams``: by identifier, those not closed. ``queued``: bytes of DATA that wait
    for windows. ``output_size``: bytes that wait for `take_output`. ``data_sent``: DATA and HEADERS frames written."""

    def __init__(self, role: Role, limits: Limits) -> None:
        self.role = role
        self.limits = limits
        self.streams: dict[int, Stream] = {}
        self.queued = 0
        self.output_size: int = 0
        self.data_sent: int = 0
        self._is_server = role is Role.SERVER
        self._out: list[bytes | bytearray | memoryview] = []
        self._answers = 0
        self._unfinished = 0  # bytes of messages that have only begun to arrive
        self._encoder = Encoder()
        self._frame_size = MIN_FRAME_SIZE
        self._send_window: int = DEFAULT_WINDOW
        self._stream_send_window = DEFAULT_WINDOW
        self._starved: dict[int, Stream] = {}
        self._resets: dict[int, int] = {}
        self._reset_order: deque[int] = deque()
        self._forgotten_id = 0  # streams up to this one may have been reset without our remembering it

    # -- output

    @property
    def has_output(self) -> bool:
        """Whether `take_output` would give anything."""
        return self.output_size > 0

    def take_output(self) -> bytes:
        """Everything to write now, in one piece."""
        if not self.output_size:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        self.output_size = self._answers = 0
        return data

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        self._out.append(_HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload)
        self.output_size += len(payload) + 9

    def _credit(self, stream_id: int, size: int) -> None:
        self._frame(codes.WINDOW_UPDATE, 0, stream_id, _WORD.pack(size))

    # -- headers and messages

    def send_headers(self, stream: Stream, fields: RawHeaders, *, end: bool = False) -> None:
        """Send a header block; with ``end`` it is the last of our half, and follows whatever is queued.

        ``fields``: a tuple, pseudo-headers first. Does nothing once our half is over, as does every sending method.
        """
        if stream.state & 1:
            return
        outbox = stream.outbox
        if outbox is not None and (end or outbox.ended):
            if not outbox.ended:
                outbox.trailers, outbox.ended = fields, True
            return
        stream.headers_sent = True
        frame = self._encoder.frames.get(fields)
        if frame is None:
            self._block(stream.id, self._encoder.encode(fields), END_STREAM if end else 0)
        else:
            self.data_sent += 1
            layout = frame.layout
            self._out.append(layout.pack(layout.ending if end else layout.open, stream.id, frame.block))
            self.output_size += layout.size
        if not end:
            return
        if stream.state == HALF_REMOTE and stream.partial is None:  # how most calls end at a server
            stream.state = CLOSED
            del self.streams[stream.id]
        else:
            self._ended(stream)

    def _block(self, stream_id: int, block: bytes, flags: int) -> None:
        self.data_sent += 1
        size, most = len(block), self._frame_size
        self._frame(codes.HEADERS, flags | (END_HEADERS if size <= most else 0), stream_id, block[:most])
        for at in range(most, size, most):
            last = END_HEADERS if at + most >= size else 0
            self._frame(codes.CONTINUATION, last, stream_id, block[at : at + most])

    def send_message(self, stream: Stream, data: bytes, *, end: bool = False, compressed: bool = False) -> None:
        """Send one gRPC message, and with ``end`` no more; ``compressed``: by the stream's ``send_encoding``, if that
        makes it smaller."""
        if stream.state & 1:
            return
        flag = 0
        if compressed and (packed := compress(data, stream.send_encoding)) is not None:
            data, flag = packed, 1
        length = len(data)
        size = length + 5
        if (
            size > self._frame_size
            or size > stream.send_window
            or size > self._send_window
            or stream.outbox is not None
        ):
            self._queue(stream, _PREFIX.pack(flag, length), data, end)
            return
        stream.send_window -= size
        self._send_window -= size
        self.data_sent += 1
        self._out += (_MESSAGE.pack(size << 8, END_STREAM if end else 0, stream.id, flag, length), data)
        self.output_size += size + 9
        if not end:
            return
        if stream.state == OPEN and not self._is_server:  # how most requests end
            stream.state = HALF_LOCAL
        else:
            self._ended(stream)

    def send_data(self, stream: Stream, data: bytes, *, end: bool = False) -> None:
        """Send bytes that are not a gRPC message: the body of a plain HTTP answer."""
        if data and not stream.state & 1:
            self._queue(stream, b"", data, end)
        elif end:
            self.end(stream)

    def end(self, stream: Stream) -> None:
        """No more from us on this stream."""
        if stream.state & 1:
            return
        if stream.outbox is not None:
            stream.outbox.ended = True
            return
        self._frame(codes.DATA, END_STREAM, stream.id, b"")
        self._ended(stream)

    # -- flow control

    def _queue(self, stream: Stream, prefix: bytes, data: bytes, end: bool) -> None:
        outbox = stream.outbox
        if outbox is None:
            outbox = stream.outbox = Outbox()
        elif outbox.ended:
            return
        outbox.add(prefix, data)
        outbox.ended = end
        stream.queued += len(prefix) + len(data)
        self.queued += len(prefix) + len(data)
        self._pump(stream, outbox)
        if stream.queued >= (self.limits.write_high if self.queued < self.limits.max_queued else 1):
            stream.writable = False

    def _pump(self, stream: Stream, outbox: Outbox) -> None:
        """Move what the windows allow from the stream's outbox to the output."""
        while stream.queued:
            most = min(self._frame_size, stream.send_window, self._send_window)
            if most <= 0:
                if stream.send_window > 0:
                    self._starved[stream.id] = stream
                return
            self._data(stream, outbox, min(most, stream.queued))
        stream.outbox = None
        if outbox.trailers:
            self._block(stream.id, self._encoder.encode(outbox.trailers), END_STREAM)
        if outbox.ended:
            self._ended(stream)

    def _data(self, stream: Stream, outbox: Outbox, size: int) -> None:
        """One DATA frame of ``size`` bytes, out of as many pieces as that takes."""
        stream.send_window -= size
        self._send_window -= size
        stream.queued -= size
        self.queued -= size
        self.data_sent += 1
        ends = outbox.ended and not stream.queued and not outbox.trailers
        self._out.append(_HEAD.pack(size << 8, END_STREAM if ends else 0, stream.id))
        self.output_size += size + 9
        pieces = outbox.pieces
        while size:
            piece = pieces.popleft()
            if len(piece) > size:
                piece = memoryview(piece)
                pieces.appendleft(piece[size:])
                piece = piece[:size]
            self._out.append(piece)
            size -= len(piece)

    def _pump_starved(self) -> list[Stream]:
        """The connection's window opened: every stream that waited for it has its turn. Gives those that moved."""
        waiting, self._starved = list(self._starved.values()), {}
        moved = 0
        while moved < len(waiting) and self._send_window > 0:
            stream = waiting[moved]
            if stream.outbox is not None:
                self._pump(stream, stream.outbox)
            moved += 1
        first = {stream.id: stream for stream in waiting[moved:]}  # who had no turn is first next time
        self._starved = first | self._starved
        return waiting[:moved]

    # -- the end of streams

    def _ended(self, stream: Stream) -> None:
        """Our half is over. A server that answered before the client ended its half asks it to stop (section 8.1)."""
        stream.state = LOCAL_END[stream.state]
        if stream.state == CLOSED:
            self._forget(stream)
        elif self._is_server:
            self.reset(stream, ErrorCode.NO_ERROR)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End the stream at once with RST_STREAM."""
        if stream.state != CLOSED:
            self._forget(stream)
            self._reset(stream.id, code)

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        self._out.append(_RST.pack(_RST_HEAD, 0, stream_id, code))
        self.output_size += 13
        self._remember_reset(stream_id, BY_US)

    def _remember_reset(self, stream_id: int, by: int) -> None:
        """What the peer sends on a stream after its reset is judged by who reset it (section 5.1, closed)."""
        if stream_id not in self._resets:
            self._reset_order.append(stream_id)
            if len(self._reset_order) > _REMEMBERED_RESETS:
                oldest = self._reset_order.popleft()
                del self._resets[oldest]
                self._forgotten_id = max(self._forgotten_id, oldest)
        self._resets[stream_id] = by

    def _forget(self, stream: Stream) -> None:
        stream.state = CLOSED
        self.streams.pop(stream.id, None)
        if stream.outbox is not None:
            self.queued -= stream.queued
            stream.queued = 0
            stream.outbox = None
            self._starved.pop(stream.id, None)
        if stream.partial is not None:
            self._unfinished -= stream.partial.received
            stream.partial = None
