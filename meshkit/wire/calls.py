"""Opening streams, and the short way of what most of them are: a unary call, whole.

Its request is two frames and its reply three. Where they are the usual ones (header blocks seen before, one message
within the windows, all of it in one piece) each is written and read in one step here. The same in any other form takes
the frames' own ways (`Sending`, `Receiving`), with the same result.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from meshkit.metadata import RawHeaders

from .codes import END_HEADERS, END_STREAM, HEADERS, MAX_STREAM_ID, MAX_WINDOW, MIN_FRAME_SIZE, Role
from .events import UnaryRequest, UnaryResponse
from .faults import HeadersTooLarge, StreamsExhausted
from .hpack_table import OVERHEAD
from .limits import Limits
from .messages import PREFIX
from .receiving import Receiving
from .stream import CLOSED, HALF_LOCAL, HALF_REMOTE, Stream

__all__ = ["Calls"]

_HEAD: Final = Struct(">LBL")  # length (24 bits) and type, flags, stream
_FRAME: Final = 9
_MESSAGE: Final = Struct(">LBLBL")  # the same, and a gRPC prefix
_BEFORE: Final = _FRAME + PREFIX
_LAST: Final = END_HEADERS | END_STREAM


class Calls(Receiving):
    """What opens streams, and writes and reads unary calls in one step."""

    def __init__(self, role: Role, limits: Limits, now: float) -> None:
        super().__init__(role, limits, now)
        self._whole: Callable[[int, int, bytes, int, int], int] = (
            self._whole_request if self._is_server else self._whole_response
        )

    # -- writing

    @property
    def can_open(self) -> bool:
        """Whether `open_stream` may be called: the peer's limit is not reached, no side goes away, ids are left."""
        return len(self.streams) < self.peer_max_streams and self._may_open and self._next_id <= MAX_STREAM_ID

    def open_stream(
        self, fields: RawHeaders, *, end: bool = False, context: Any = None, max_message: int | None = None
    ) -> Stream:
        """Open a stream with a request's header fields (a tuple). ``context`` becomes the stream's; ``max_message``
        replaces ``limits.max_receive_message`` for it. Raises StreamsExhausted where `can_open` is False, and
        HeadersTooLarge."""
        self._check_list(fields)
        stream = self._open(context, max_message)
        self.send_headers(stream, fields, end=end)
        return stream

    def _check_list(self, fields: RawHeaders) -> None:
        """Hold a header list against the peer's limit; those among the encoder's frames were."""
        limit = self.peer_max_header_list
        if limit < MAX_WINDOW:
            size = sum([len(name) + len(value) + OVERHEAD for name, value in fields])
            if size > limit:
                raise HeadersTooLarge(size, limit)

    def _open(self, context: Any, max_message: int | None) -> Stream:
        stream_id = self._next_id
        if len(self.streams) >= self.peer_max_streams or not self._may_open or stream_id > MAX_STREAM_ID:
            raise StreamsExhausted
        self._next_id = stream_id + 2
        if max_message is None:
            max_message = self.limits.max_receive_message
        stream = Stream(stream_id, self._stream_send_window, self._stream_window, max_message)
        self.streams[stream_id] = stream
        stream.context = context
        return stream

    def open_unary(
        self, fields: RawHeaders, message: bytes, context: Any = None, max_message: int | None = None
    ) -> Stream:
        """`open_stream`, and `send_message` with ``end``."""
        frame = self._encoder.frames.get(fields)
        if frame is None:
            self._check_list(fields)
        stream = self._open(context, max_message)
        length = len(message)
        size = length + PREFIX
        if frame is None or size > self._frame_size or size > stream.send_window or size > self._send_window:
            self.send_headers(stream, fields)
            self.send_message(stream, message, end=True)
            return stream
        stream.headers_sent = True
        stream.state = HALF_LOCAL
        stream.send_window -= size
        self._send_window -= size
        self.data_sent += 2
        head = _MESSAGE.pack(size << 8, END_STREAM, stream.id, 0, length)
        self._out += (frame.open, stream.tag, frame.block, head, message)
        self.output_size += frame.size + _FRAME + size
        return stream

    def send_unary(self, stream: Stream, fields: RawHeaders, message: bytes, trailers: RawHeaders) -> None:
        """`send_headers`, `send_message`, and `send_headers` with ``end``."""
        frames = self._encoder.frames
        first, last = frames.get(fields), frames.get(trailers)
        length = len(message)
        size = length + PREFIX
        if (
            first is None
            or last is None
            or stream.state != HALF_REMOTE
            or stream.outbox is not None
            or size > self._frame_size
            or size > stream.send_window
            or size > self._send_window
        ):
            self.send_headers(stream, fields)
            self.send_message(stream, message)
            self.send_headers(stream, trailers, end=True)
            return
        stream.headers_sent = True
        stream.state = CLOSED
        del self.streams[stream.id]
        stream.send_window -= size
        self._send_window -= size
        self.data_sent += 3
        tag, head = stream.tag, _MESSAGE.pack(size << 8, 0, stream.id, 0, length)
        self._out += (first.open, tag, first.block, head, message, last.ending, tag, last.block)
        self.output_size += first.size + _FRAME + size + last.size

    # -- reading

    def _whole_request(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> int:
        """Take a request whose header block lies from ``start`` to ``end``, with the DATA behind it. Gives where the
        next frame begins; 0, with nothing done, where frames are to be taken one by one."""
        block = self._initial.get(buffer[start:end])
        if block is None or not block.plain or flags != END_HEADERS or end + _BEFORE > len(buffer):
            return 0
        head, last, of_stream, flag, length = _MESSAGE.unpack_from(buffer, end)
        size = length + PREFIX
        after: int = end + _BEFORE + length
        if (
            head != size << 8  # and DATA, which is 0
            or last != END_STREAM
            or of_stream != stream_id
            or flag
            or after > len(buffer)
            or length > self._whole_most
            or not self.highest_id < stream_id <= self.last_accepted
            or not stream_id & 1
            or len(self.streams) >= self.limits.max_concurrent_streams
        ):
            return 0
        self._recv_window -= size
        if self._recv_window * 2 < self._window:
            self._credit_connection()
        self.highest_id = stream_id
        self._useful += 2
        stream = Stream(
            stream_id, self._stream_send_window, self._stream_window - size, self.limits.max_receive_message
        )
        stream.state = HALF_REMOTE
        stream.block = block
        self.streams[stream_id] = stream
        self._events.append(UnaryRequest(stream, block.fields, buffer[end + _BEFORE : after]))
        return after

    def _whole_response(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> int:
        """Take a response likewise, with the DATA and the trailers behind its first header block."""
        block = self._initial.get(buffer[start:end])
        if block is None or not block.plain or flags != END_HEADERS or end + _BEFORE > len(buffer):
            return 0
        stream = self.streams.get(stream_id)
        head, last, of_stream, flag, length = _MESSAGE.unpack_from(buffer, end)
        size = length + PREFIX
        after: int = end + _BEFORE + length
        if (
            stream is None
            or stream.state != HALF_LOCAL
            or stream.block is not None
            or head != size << 8  # and DATA, which is 0
            or last
            or of_stream != stream_id
            or flag
            or after + _FRAME > len(buffer)
            or size > MIN_FRAME_SIZE
            or size > stream.recv_window
            or length > stream.max_message
        ):
            return 0
        head, last, of_stream = _HEAD.unpack_from(buffer, after)
        at = after + _FRAME
        after = at + (head >> 8)
        trailers = self._trailing.get(buffer[at:after])
        if trailers is None or head & 255 != HEADERS or last != _LAST or of_stream != stream_id or after > len(buffer):
            return 0
        self._recv_window -= size
        if self._recv_window * 2 < self._window:
            self._credit_connection()
        self._useful += 3
        stream.block = block
        stream.state = CLOSED
        del self.streams[stream_id]
        message = buffer[end + _BEFORE : end + _BEFORE + length]
        self._events.append(UnaryResponse(stream, block.fields, message, trailers.fields))
        return after
