"""The frames that carry calls: DATA (RFC 9113 section 6.1), HEADERS (6.2) and CONTINUATION (6.10), and what they do to
a stream (5.1) and to windows (5.2).

The way of an ordinary frame is short: a header block that was seen before, a DATA frame that is one message. Everything
else takes the long way beside it. A block is remembered only if it neither reads nor changes the dynamic table: such a
block means the same whenever it comes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from . import codes
from .codes import END_HEADERS, END_STREAM, PADDED, WITH_PRIORITY, ErrorCode, Role
from .control import NEVER, Control
from .events import Body, HalfClosed, Headers, Message, Messages, Trailers
from .faults import ConnectionFault, StreamFault
from .headers import REQUESTS, RESPONSES, TRAILERS, HeaderBlock
from .hpack import Decoder, HeaderListTooLarge
from .limits import Limits
from .messages import PREFIX, add_pieces, whole
from .sending import BY_PEER, BY_US
from .stream import CLOSED, HALF_REMOTE, OPEN, REMOTE_END, Stream

__all__ = ["Receiving"]

_PREFIX: Final = Struct(">BL")
_unpack_message: Final = Struct(">LBLBL").unpack_from  # length (24 bits) and type, flags, stream, and a gRPC prefix
_BEFORE: Final = 9 + PREFIX
_MOST: Final = codes.MIN_FRAME_SIZE - PREFIX  # of a message in one frame
_REMEMBERED_BLOCKS: Final = 64
_LONGEST_BLOCK: Final = 1024
_UNREMARKABLE: Final = 1024  # a frame as large as this is not sent to make us work
_RESOURCE_EXHAUSTED: Final = 8
_SECOND_BLOCK: Final = "a second header block that does not end the stream"
_TOO_LARGE: Final = HeaderBlock((), malformed="too large")
_SPECIAL: Final = PADDED | WITH_PRIORITY | END_HEADERS


class Receiving(Control):
    """What the peer sends on streams."""

    def __init__(self, role: Role, limits: Limits, now: float) -> None:
        super().__init__(role, limits, now)
        self._decoder = Decoder(limits.header_table_size, limits.max_header_list_size)
        self._initial: dict[bytes, HeaderBlock] = {}
        self._trailing: dict[bytes, HeaderBlock] = {}
        self._seen: set[int] = set()
        self._check_initial = REQUESTS if self._is_server else RESPONSES
        self._open_block: tuple[int, int, list[bytes]] | None = None  # stream, flags, fragments
        self._header_by = NEVER
        self._ahead: list[HeaderBlock] = []  # read already, of the next HEADERS frames
        self._unusual = True  # not every frame may come now: before SETTINGS, inside of a header block
        self._window = max(limits.connection_window, codes.DEFAULT_WINDOW)
        self._recv_window = self._window
        self.bodies = False  # whether bodies that are not gRPC's are told of; their readers bound them

    # -- DATA (6.1)

    def _whole_messages(self, buffer: bytes, at: int) -> int:
        """Take the DATA frames that begin at ``at``, each one message within the windows, after which nothing is due.
        Gives where the first frame begins that is not one of these: it goes the frames' own way."""
        messages: list[tuple[Stream, bytes]] = []
        streams, last, window = self.streams, len(buffer) - _BEFORE, self._recv_window
        while at <= last and window * 2 >= self._window:
            head, flags, stream_id, flag, length = _unpack_message(buffer, at)
            stream = streams.get(stream_id)
            size = length + PREFIX
            if (
                head != size << 8  # and DATA, which is 0
                or flags
                or flag
                or stream is None
                or stream.state & 2
                or stream.partial is not None
                or stream.block is None
                or not stream.block.plain
                or at + length > last
                or length > _MOST
                or size > stream.recv_window
                or length > stream.max_message
            ):
                break
            window -= size
            stream.recv_window -= size
            stream.unacked_wire += size
            stream.unacked_app += length
            start = at + _BEFORE
            at = start + length
            messages.append((stream, buffer[start:at]))
        if messages:
            self._useful += len(messages)
            self._recv_window = window
            if window * 2 < self._window:
                self._credit_connection()
            self._events.append(Messages(messages) if len(messages) > 1 else Message(*messages[0]))
        return at

    def _on_data(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        length = end - start
        self._recv_window -= length
        if self._recv_window * 2 < self._window:
            self._credit_connection()
        if flags & PADDED:
            start, end = self._unpad(buffer, start, end)
        stream = self.streams.get(stream_id)
        if stream is None or stream.state & 2:
            self._after_end(stream_id, stream, length)
            return
        stream.recv_window -= length
        if stream.recv_window < 0 and length:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "DATA over the stream's window")
        size = end - start - PREFIX
        if (
            size >= 0
            and stream.block is not None
            and stream.block.plain
            and stream.partial is None
            and size <= stream.max_message
            and _PREFIX.unpack_from(buffer, start) == (0, size)
        ):
            self._useful += 1
            stream.unacked_wire += length
            stream.unacked_app += size
            self._events.append(Message(stream, buffer[start + PREFIX : end]))
        else:
            self._body(flags, stream, buffer[start:end], length)
        if flags & END_STREAM:
            self._remote_end(stream)

    def _body(self, flags: int, stream: Stream, chunk: bytes, length: int) -> None:
        """DATA that is not just one message."""
        if stream.block is None:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "DATA before the headers of the response")
        if chunk:
            self._useful += 1
        elif not flags & END_STREAM:
            self._spend(self.limits.empty_data_cost, "empty DATA frames")
        if stream.body_left >= 0:
            stream.body_left -= len(chunk)
            if stream.body_left < 0 or (flags & END_STREAM and stream.body_left):
                raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "DATA is not as long as content-length says")
        if stream.block.grpc:
            self._messages(stream, chunk, length)
        else:
            if self.bodies and chunk:
                self._events.append(Body(stream, chunk))
            self._credit_stream(stream, length)

    def _messages(self, stream: Stream, chunk: bytes, length: int) -> None:
        """Messages in pieces. While the application has all messages read, the pieces of the one it waits for are
        credited as they come, so that a message may be larger than the window; else they wait behind the others. What
        empty messages took of the window is not among it: nobody has read those either, though they hold no bytes."""
        stream.unacked_wire += length
        self._unfinished -= stream.partial.received if stream.partial is not None else 0
        messages = add_pieces(stream, chunk)
        rest = stream.partial.received if stream.partial is not None else 0
        self._unfinished += rest
        for flag, raw in messages:
            data = whole(stream, flag, raw)
            stream.unacked_app += len(data)
            self._events.append(Message(stream, data))
        if self._unfinished > self.limits.max_unfinished and self._unfinished != rest:
            reason = f"more than {self.limits.max_unfinished} bytes of unfinished messages on one connection"
            raise StreamFault(stream.id, ErrorCode.CANCEL, reason, _RESOURCE_EXHAUSTED)
        if not stream.unacked_app:
            credit = rest if messages else length
            stream.unacked_wire -= credit
            self._credit_stream(stream, credit)

    def _remote_end(self, stream: Stream) -> None:
        if stream.partial is not None:
            raise StreamFault(stream.id, ErrorCode.CANCEL, "the stream ends inside a message")
        self._events.append(HalfClosed(stream))
        if self._is_server and stream.state == OPEN:  # how most requests end
            stream.state = HALF_REMOTE
        else:
            self._close_remote(stream)

    def _close_remote(self, stream: Stream) -> None:
        """The peer's half is over. A client whose request still runs then has nobody to send it to (checklist 6)."""
        stream.state = REMOTE_END[stream.state]
        if stream.state == CLOSED:
            del self.streams[stream.id]  # no more: nothing waits on a stream whose two halves have ended
        elif not self._is_server:
            self.reset(stream, ErrorCode.NO_ERROR)

    def _unpad(self, buffer: bytes, start: int, end: int) -> tuple[int, int]:
        if start == end:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a length of padding")
        padding = buffer[start]
        if padding >= end - start:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding as long as its frame")
        return start + 1, end - padding

    def _credit_connection(self) -> None:
        """Connection credit goes back on receipt: streams' own windows are what holds a peer back."""
        if self._recv_window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "DATA over the connection's window")
        self._credit(0, self._window - self._recv_window)
        self._recv_window = self._window

    # -- HEADERS (6.2), CONTINUATION (6.10)

    def _on_headers(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        if flags & _SPECIAL != END_HEADERS:
            self._special_headers(flags, stream_id, buffer, start, end)
            return
        raw = buffer[start:end]
        self._useful += 1
        stream = self.streams.get(stream_id)
        known = self._initial if stream is None or stream.block is None else self._trailing
        block = self._ahead.pop(0) if self._ahead else known.get(raw) or self._decode(raw, known)
        if stream is None:
            self._request(flags, stream_id, block)
        elif stream.state & 2:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
        elif stream.block is not None:
            self._trailers(flags, stream, block)
        else:
            self._response(flags, stream, block)

    def _special_headers(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        """HEADERS with padding or priority, or whose block goes on in CONTINUATION."""
        if flags & PADDED:
            start, end = self._unpad(buffer, start, end)
        depends = 0
        if flags & WITH_PRIORITY:
            if end - start < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            depends = int.from_bytes(buffer[start : start + 4], "big") & codes.MAX_STREAM_ID
            start += 5
        if flags & END_HEADERS:
            self._on_headers(flags & (END_STREAM | END_HEADERS), stream_id, buffer, start, end)
        else:
            self._open_block, self._unusual = (stream_id, flags, [buffer[start:end]]), True
            self._header_by = self.now + self.limits.header_timeout
        if flags & WITH_PRIORITY and depends == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_continuation(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        if self._open_block is None or self._open_block[0] != stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        _, first, parts = self._open_block
        parts.append(buffer[start:end])
        if len(parts) > self.limits.max_continuations + 1:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"more than {len(parts) - 2} CONTINUATION frames")
        if flags & END_HEADERS:
            self._open_block, self._unusual, self._header_by = None, False, NEVER
            block = b"".join(parts)
            self._on_headers(first & END_STREAM | END_HEADERS, stream_id, block, 0, len(block))

    def _decode(self, raw: bytes, known: dict[bytes, HeaderBlock]) -> HeaderBlock:
        """Read a block that is not remembered; nor will it be, if it has to do with the dynamic table."""
        try:
            fields, lasting = self._decoder.decode(raw)
        except HeaderListTooLarge:
            return _TOO_LARGE
        block = TRAILERS(fields) if known is self._trailing else self._check_initial(fields)
        if lasting and len(raw) <= _LONGEST_BLOCK and not block.malformed:
            self._remember(raw, block, known)
        return block

    def _remember(self, raw: bytes, block: HeaderBlock, known: dict[bytes, HeaderBlock]) -> None:
        """The second time it is seen: a block that differs each time is not worth its memory."""
        mark = hash(raw)
        if mark not in self._seen:
            if len(self._seen) >= _REMEMBERED_BLOCKS:
                self._seen.clear()
            self._seen.add(mark)
            return
        if len(known) >= _REMEMBERED_BLOCKS:
            known.clear()  # blocks that differ each time push out those that repeat, which soon are back
        known[raw] = block

    def _request(self, flags: int, stream_id: int, block: HeaderBlock) -> None:
        """HEADERS on a stream that is not open: a new request, or something that is not allowed (section 5.1)."""
        if not self._is_server or stream_id <= self.highest_id or not stream_id & 1:
            if self._resets.get(stream_id) == BY_US and self._is_server and not flags & END_STREAM:
                raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, _SECOND_BLOCK)  # whatever came of the stream
            self._after_end(stream_id, None, 0)
            return
        self.highest_id = stream_id
        if stream_id > self.last_accepted:
            return  # above the last stream of our GOAWAY: the client will send it elsewhere (section 6.8)
        if len(self.streams) >= self.limits.max_concurrent_streams:
            self._spend_reset("streams over MAX_CONCURRENT_STREAMS")
            self._reset(stream_id, ErrorCode.REFUSED_STREAM)
            return
        if block.malformed and block is not _TOO_LARGE:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, block.malformed)
        stream = Stream(stream_id, self._stream_send_window, self._stream_window, self.limits.max_receive_message)
        self.streams[stream_id] = stream
        self._begin(flags, stream, block)

    def _response(self, flags: int, stream: Stream, block: HeaderBlock) -> None:
        if block.malformed and block is not _TOO_LARGE:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, block.malformed)
        if block.status[:1] == b"1":  # interim: the real one follows (section 8.1)
            if flags & END_STREAM:
                raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "an interim response that ends the stream")
            self._useful -= 1
            self._spend(self.limits.interim_cost, "interim responses")
            return
        self._begin(flags, stream, block)

    def _begin(self, flags: int, stream: Stream, block: HeaderBlock) -> None:
        """The first header block of a stream."""
        stream.block = block
        if block is _TOO_LARGE:
            reason = f"headers over the limit of {self.limits.max_header_list_size} bytes"
            raise StreamFault(stream.id, ErrorCode.CANCEL, reason, _RESOURCE_EXHAUSTED)
        stream.body_left = block.length
        if not flags & END_STREAM:
            self._events.append(Headers(stream, block.fields, False))
            return
        if block.length > 0 and self._is_server:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "no DATA, but a content-length")
        self._events.append(Headers(stream, block.fields, True))
        if self._is_server:
            self._events.append(HalfClosed(stream))
        self._close_remote(stream)

    def _trailers(self, flags: int, stream: Stream, block: HeaderBlock) -> None:
        if block.malformed or not flags & END_STREAM or stream.body_left > 0 or stream.partial is not None:
            raise self._bad_trailers(flags, stream, block)
        self._events.append(Trailers(stream, block.fields))
        self._close_remote(stream)

    def _bad_trailers(self, flags: int, stream: Stream, block: HeaderBlock) -> StreamFault:
        if block is _TOO_LARGE:
            reason = f"trailers over the limit of {self.limits.max_header_list_size} bytes"
            return StreamFault(stream.id, ErrorCode.CANCEL, reason, _RESOURCE_EXHAUSTED)
        if not flags & END_STREAM:
            return StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, _SECOND_BLOCK)
        if block.malformed:
            return StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, block.malformed)
        if stream.body_left > 0:
            return StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "DATA is not as long as content-length says")
        return StreamFault(stream.id, ErrorCode.CANCEL, "the stream ends inside a message")

    def _after_end(self, stream_id: int, stream: Stream | None, length: int) -> None:
        """DATA or HEADERS on a stream whose remote half is over, that is reset, or that never was (section 5.1)."""
        if stream is not None:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "a frame after END_STREAM")
        if self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which is idle")
        by = self._resets.get(stream_id)
        if by is None and self._forgotten_id < stream_id <= self.last_accepted:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"a frame on stream {stream_id}, which is closed")
        if by == BY_PEER:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "a frame after RST_STREAM")
        if length < _UNREMARKABLE:  # large ones were under way when we reset the stream
            self._spend(1, "frames on streams that were reset")
