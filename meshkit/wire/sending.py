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
from .stream import CLOSED, LOCAL_END, Stream

__all__ = ["BY_PEER", "BY_US", "Sending"]

_FRAME: Final = Struct(">HBBBL")  # length (24 bits), type, flags, stream
_MESSAGE: Final = Struct(">HBBBLBL")  # the same, and a gRPC prefix
_PREFIX: Final = Struct(">BL")
_RST: Final = Struct(">HBBBLL")
_WORD: Final = Struct(">L")

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
        self.output_size = 0
        self.data_sent = 0
        self._is_server = role is Role.SERVER
        self._out: list[bytes] = []
        self._answers = 0
        self._encoder = Encoder()
        self._frame_size = MIN_FRAME_SIZE
        self._send_window = DEFAULT_WINDOW
        self._stream_send_window = DEFAULT_WINDOW
        self._starved: dict[int, Stream] = {}
        self._resets: dict[int, int] = {}
        self._reset_order: deque[int] = deque()

    # -- output

    @property
    def has_output(self) -> bool:
        """Whether `take_output` would give anything."""
        return self.output_size > 0

    def take_output(self) -> bytes:
        """Everything to write now, in one piece."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self.output_size = self._answers = 0
        return data

    def _write(self, data: bytes) -> None:
        self._out.append(data)
        self.output_size += len(data)

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._write(_FRAME.pack(size >> 8, size & 255, kind, flags, stream_id) + payload)

    def _credit(self, stream_id: int, size: int) -> None:
        self._frame(codes.WINDOW_UPDATE, 0, stream_id, _WORD.pack(size))

    # -- headers and messages

    def send_headers(self, stream: Stream, fields: RawHeaders, *, end: bool = False) -> None:
        """Send a header block; with ``end`` it is the last of our half, and follows whatever is queued.

        ``fields``: a tuple, pseudo-headers first. Does nothing once our half is over, as does every sending method.
        """
        if stream.state & 1 or stream.end_queued:
            return
        stream.headers_sent = True
        if end and stream.queued:
            stream.trailers, stream.end_queued = tuple(fields), True
            return
        self._block(stream.id, self._encoder.encode(fields), END_STREAM if end else 0)
        if end:
            self._ended(stream)

    def _block(self, stream_id: int, block: bytes, flags: int) -> None:
        size, most = len(block), self._frame_size
        self.data_sent += 1
        if size <= most:
            self._write(_FRAME.pack(size >> 8, size & 255, codes.HEADERS, flags | END_HEADERS, stream_id) + block)
            return
        self._frame(codes.HEADERS, flags, stream_id, block[:most])
        for at in range(most, size, most):
            last = END_HEADERS if at + most >= size else 0
            self._frame(codes.CONTINUATION, last, stream_id, block[at : at + most])

    def send_message(self, stream: Stream, data: bytes, *, end: bool = False, compressed: bool = False) -> None:
        """Send one gRPC message, and with ``end`` no more; ``compressed``: by the stream's ``send_encoding``, if that
        makes it smaller."""
        if stream.state & 1 or stream.end_queued:
            return
        flag = 0
        if compressed and (packed := compress(data, stream.send_encoding)) is not None:
            data, flag = packed, 1
        length = len(data)
        size = length + 5
        if stream.queued or size > self._frame_size or size > stream.send_window or size > self._send_window:
            self._queue(stream, _PREFIX.pack(flag, length) + data, end)
            return
        stream.send_window -= size
        self._send_window -= size
        self.data_sent += 1
        flags = END_STREAM if end else 0
        self._out.append(_MESSAGE.pack(size >> 8, size & 255, codes.DATA, flags, stream.id, flag, length) + data)
        self.output_size += size + 9
        if end:
            self._ended(stream)

    def send_data(self, stream: Stream, data: bytes, *, end: bool = False) -> None:
        """Send bytes that are not a gRPC message: the body of a plain HTTP answer."""
        if not (stream.state & 1 or stream.end_queued):
            self._queue(stream, data, end)

    def end(self, stream: Stream) -> None:
        """No more from us on this stream."""
        if stream.state & 1 or stream.end_queued:
            return
        if stream.queued:
            stream.end_queued = True
            return
        self._frame(codes.DATA, END_STREAM, stream.id, b"")
        self._ended(stream)

    # -- flow control

    def _queue(self, stream: Stream, data: bytes, end: bool) -> None:
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(memoryview(data))
        stream.queued += len(data)
        self.queued += len(data)
        stream.end_queued = end
        self._pump(stream)
        if stream.queued >= self.limits.write_high:
            stream.writable = False

    def _pump(self, stream: Stream) -> None:
        """Move what the windows allow from the stream's queue to the output."""
        queue = stream.queue
        while queue:
            most = min(self._frame_size, stream.send_window, self._send_window)
            if most <= 0:
                if stream.send_window > 0:
                    self._starved[stream.id] = stream
                return
            chunk = queue.popleft()
            if len(chunk) > most:
                queue.appendleft(chunk[most:])
                chunk = chunk[:most]
            self._data(stream, chunk, last=not queue)
        if stream.end_queued and not stream.state & 1:
            self._block(stream.id, self._encoder.encode(stream.trailers), END_STREAM)
            self._ended(stream)

    def _data(self, stream: Stream, chunk: memoryview, *, last: bool) -> None:
        size = len(chunk)
        stream.send_window -= size
        self._send_window -= size
        stream.queued -= size
        self.queued -= size
        self.data_sent += 1
        ends = last and stream.end_queued and not stream.trailers
        self._frame(codes.DATA, END_STREAM if ends else 0, stream.id, bytes(chunk))
        if ends:
            self._ended(stream)

    def _pump_starved(self) -> list[Stream]:
        """The connection's window opened: every stream that waited for it has its turn. Gives those that moved."""
        starved, self._starved = self._starved, {}
        moved: list[Stream] = []
        for stream in starved.values():
            if self._send_window <= 0:
                break
            self._pump(stream)
            moved.append(stream)
        left = {stream_id: stream for stream_id, stream in starved.items() if stream not in moved}
        self._starved = left | self._starved  # who had no turn is first next time
        return moved

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
        self._write(_RST.pack(0, 4, codes.RST_STREAM, 0, stream_id, code))
        self._remember_reset(stream_id, BY_US)

    def _remember_reset(self, stream_id: int, by: int) -> None:
        """What the peer sends on a stream after its reset is judged by who reset it (section 5.1, closed)."""
        if stream_id not in self._resets:
            self._reset_order.append(stream_id)
            if len(self._reset_order) > _REMEMBERED_RESETS:
                del self._resets[self._reset_order.popleft()]
        self._resets[stream_id] = by

    def _forget(self, stream: Stream) -> None:
        stream.state = CLOSED
        self.streams.pop(stream.id, None)
        if stream.queued:
            self.queued -= stream.queued
            stream.queued = 0
            stream.queue = None
            self._starved.pop(stream.id, None)
