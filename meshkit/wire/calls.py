"""Opening streams, and the short way of what most of them are: a unary call, whole.

Its request is two frames and its reply three. Where they are the usual ones (one message within the windows, all of it
in one piece) each is written in one step here, once its headers were encoded, and as many as came one after the other
are read in one. The same in any other form takes the frames' own ways (`Sending`, `Receiving`), with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from meshkit.metadata import RawHeaders

from .codes import DATA, END_STREAM, HEADERS, MAX_STREAM_ID, MAX_WINDOW, MIN_FRAME_SIZE, Role
from .events import UnaryRequests, UnaryResponses
from .faults import HeadersTooLarge, StreamsExhausted
from .headers import HeaderBlock
from .hpack_table import OVERHEAD
from .layout import FIRST, LAST, lay_out
from .limits import Limits
from .messages import PREFIX
from .receiving import Receiving
from .stream import CLOSED, HALF_LOCAL, HALF_REMOTE, Stream

__all__ = ["Calls"]

_FRAME: Final = 9
_LENGTH_AT: Final = 2  # in a frame: the last octet of its length


class Calls(Receiving):
    """What opens streams, and writes and reads unary calls in one step."""

    def __init__(self, role: Role, limits: Limits, now: float) -> None:
        super().__init__(role, limits, now)
        self._whole: dict[int, Callable[[bytes, int], int]] = {  # by the type of the first frame
            DATA: self._whole_messages,
            HEADERS: self._whole_requests if self._is_server else self._whole_responses,
        }

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
        self,
        fields: Sequence[Any],
        message: bytes,
        context: Any = None,
        make: Callable[..., RawHeaders] | None = None,
    ) -> Stream:
        """`open_stream`, and `send_message` with ``end``. With ``make``, ``fields`` is what it makes header fields of,
        always the same: where their frame is remembered, it is found by ``fields`` and nothing is made."""
        frame = self._encoder.frames.get(fields)
        stream_id = self._next_id
        length = len(message)
        size = length + PREFIX
        if (
            frame is None
            or size > self._frame_size
            or size > self._stream_send_window
            or size > self._send_window
            or len(self.streams) >= self.peer_max_streams
            or not self._may_open
            or stream_id > MAX_STREAM_ID
        ):
            made: RawHeaders = fields if make is None else make(*fields)
            stream = self.open_stream(made, context=context)
            self.send_message(stream, message, end=True)
            if make is not None:
                self._encoder.name(fields, made)
            return stream
        self._next_id = stream_id + 2
        most = self.limits.max_receive_message
        stream = Stream(stream_id, self._stream_send_window - size, self._stream_window, most)
        stream.context = context
        stream.headers_sent = True
        stream.state = HALF_LOCAL
        self.streams[stream_id] = stream
        self._send_window -= size
        self.data_sent += 2
        layout = frame.layout
        head = layout.pack_message(layout.open, stream_id, frame.block, size << 8, END_STREAM, stream_id, 0, length)
        self._out += (head, message)
        self.output_size += layout.message_at + length
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
        before, behind, stream_id = first.layout, last.layout, stream.id
        head = before.pack_message(before.open, stream_id, first.block, size << 8, 0, stream_id, 0, length)
        self._out += (head, message, behind.pack(behind.ending, stream_id, last.block))
        self.output_size += before.message_at + length + behind.size

    # -- reading

    def _whole_requests(self, buffer: bytes, at: int) -> int:
        """Take the requests that begin at ``at``, each a header block with all of the DATA behind it. Gives
        where the first frame begins that is not one of these: it goes the frames' own way."""
        calls: list[tuple[Stream, RawHeaders, bytes]] = []
        streams, limits, initial = self.streams, self.limits, self._initial
        size_of_buffer, window, last_id = len(buffer), self._recv_window, self.highest_id
        while at + _FRAME <= size_of_buffer:
            layout = FIRST[buffer[at + _LENGTH_AT]]
            start = at + layout.message_at
            if start > size_of_buffer or (found := layout.unpack_message(buffer, at))[0] != layout.open:
                if lay_out(FIRST, buffer, at):
                    continue
                break
            _, stream_id, raw, head, last, of_stream, flag, length = found
            size = length + PREFIX
            after = start + length
            if (
                head != size << 8  # and DATA, which is 0
                or last != END_STREAM
                or of_stream != stream_id
                or flag
                or after > size_of_buffer
                or length > self._whole_most
                or size > window
                or not last_id < stream_id <= self.last_accepted
                or not stream_id & 1
                or len(streams) >= limits.max_concurrent_streams
            ):
                break
            block = initial.get(raw) or self._read_ahead(not calls, raw, initial)
            if block is None or not block.plain:
                break
            window -= size
            last_id = stream_id
            stream = Stream(stream_id, self._stream_send_window, self._stream_window - size, limits.max_receive_message)
            stream.state = HALF_REMOTE
            stream.block = block
            streams[stream_id] = stream
            calls.append((stream, block.fields, buffer[start:after]))
            at = after
        if calls:
            self.highest_id = last_id
            self._tell(UnaryRequests(calls), 2 * len(calls), window)
        return at

    def _whole_responses(self, buffer: bytes, at: int) -> int:
        """Take responses likewise, with the DATA and the trailers behind their first header blocks."""
        calls: list[tuple[Stream, RawHeaders, bytes, RawHeaders]] = []
        streams, initial, trailing = self.streams, self._initial, self._trailing
        size_of_buffer, window = len(buffer), self._recv_window
        while at + _FRAME <= size_of_buffer:
            layout = FIRST[buffer[at + _LENGTH_AT]]
            start: int = at + layout.message_at
            if start > size_of_buffer or (found := layout.unpack_message(buffer, at))[0] != layout.open:
                if lay_out(FIRST, buffer, at):
                    continue
                break
            _, stream_id, raw, head, last, of_stream, flag, length = found
            stream = streams.get(stream_id)
            size = length + PREFIX
            end: int = start + length
            if (
                stream is None
                or stream.state != HALF_LOCAL
                or stream.block is not None
                or head != size << 8  # and DATA, which is 0
                or last
                or of_stream != stream_id
                or flag
                or end + _FRAME > size_of_buffer
                or size > MIN_FRAME_SIZE
                or size > window
                or size > stream.recv_window
                or length > stream.max_message
            ):
                break
            behind = LAST[buffer[end + _LENGTH_AT]]
            after = end + behind.size
            if after > size_of_buffer or (found := behind.unpack(buffer, end))[0] != behind.ending:
                if lay_out(LAST, buffer, end):
                    continue
                break
            _, of_stream, last_raw = found
            if of_stream != stream_id:
                break
            block = initial.get(raw) or self._read_ahead(not calls, raw, initial)
            if block is None or not block.plain:
                break
            trailers = trailing.get(last_raw) or self._read_ahead(not calls, last_raw, trailing, block)
            if trailers is None or trailers.malformed:
                break
            window -= size
            stream.block = block
            stream.state = CLOSED
            del streams[stream_id]
            calls.append((stream, block.fields, buffer[start:end], trailers.fields))
            at = after
        if calls:
            self._tell(UnaryResponses(calls), 3 * len(calls), window)
        return at

    def _tell(self, event: UnaryRequests | UnaryResponses, frames: int, window: int) -> None:
        """Tell of calls that were so many frames, and left so much of the connection's window."""
        self._events.append(event)
        self._ahead.clear()
        self._useful += frames
        self._recv_window = window
        if window * 2 < self._window:
            self._credit_connection()

    def _read_ahead(
        self, first: bool, raw: bytes, known: dict[bytes, HeaderBlock], *before: HeaderBlock
    ) -> HeaderBlock | None:
        """Read a block that is not remembered before it is sure that its frame is taken here: where it is not, the
        frame's own way finds it, and those ``before`` it, read. None unless it belongs to the ``first`` call told."""
        if not first:
            return None
        block = self._decode(raw, known)
        self._ahead = [*before, block]
        return block
