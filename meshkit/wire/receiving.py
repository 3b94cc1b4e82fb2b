"""The receiving half of a connection: one handler for each frame type (RFC 9113 section 6), in a table.

A handler takes flags, stream identifier, and where the payload lies in the buffer. It adds events, answers into the
output, and raises a fault for what the RFC forbids; `Connection.receive` deals with faults.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import codes
from .budget import Budget
from .codes import ACK, END_HEADERS, END_STREAM, MAX_WINDOW, PADDED, WITH_PRIORITY, ErrorCode, Role, Setting
from .events import (
    Event,
    GoAway,
    HalfClosed,
    Headers,
    Message,
    PingReceived,
    Pong,
    Reset,
    SettingsChanged,
    Trailers,
    Writable,
)
from .faults import ConnectionFault, StreamFault
from .headers import HeaderBlock, check_request, check_response, check_trailers
from .hpack import Decoder, HeaderListTooLarge
from .limits import Limits
from .messages import PREFIX, check_size, split, whole
from .sending import BY_PEER, Sending
from .stream import CLOSED, REMOTE_END, Stream

__all__ = ["Receiving"]

_REMEMBERED_BLOCKS: Final = 512
_LONGEST_BLOCK: Final = 2048
_RESOURCE_EXHAUSTED: Final = 8
_TOO_LARGE: Final = HeaderBlock((), malformed="too large")


class Receiving(Sending):
    """What the peer did, and what it may still do."""

    def __init__(self, role: Role, limits: Limits, now: float) -> None:
        super().__init__(role, limits)
        self.now = now
        self.highest_id = 0  # of the streams that the peer opened
        self.peer_max_streams = MAX_WINDOW
        self.last_accepted = MAX_WINDOW  # of the last GOAWAY we sent
        self.peer_last_id = MAX_WINDOW  # of the last GOAWAY we received
        self._next_id = 1
        self._events: list[Event] = []
        self._decoder = Decoder(limits.header_table_size, limits.max_header_list_size)
        self._initial: dict[bytes, HeaderBlock] = {}
        self._trailing: dict[bytes, HeaderBlock] = {}
        self._check_initial = check_request if self._is_server else check_response
        self._open_block: tuple[int, int, list[bytes]] | None = None  # stream, flags, fragments
        self._header_by = self._settings_by = float("inf")
        self._recv_window = max(limits.connection_window, codes.DEFAULT_WINDOW)
        self._recv_credit = 0
        self._recv_credit_at = self._recv_window // 2
        self._stream_recv_window = max(limits.stream_window, codes.DEFAULT_WINDOW)
        self._settled = False
        self._overhead = Budget(limits.overhead_burst, limits.overhead_per_second, now)
        self._reset_budget = Budget(limits.resets_burst, limits.resets_per_second, now)
        self._sent_seen = 0
        self._handlers: tuple[Callable[[int, int, bytes, int, int], None], ...] = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_rst_stream,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )

    # -- DATA (6.1), flow control (6.9)

    def _on_data(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        length = end - start
        self._take_connection_window(length)
        stream = self.streams.get(stream_id)
        if stream is None or stream.state & 2:
            self._after_end(stream_id, stream)
            return
        stream.recv_window -= length
        if stream.recv_window < 0:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "DATA over the stream's window")
        if flags & PADDED:
            start, end = self._unpad(buffer, start, end)
        if not length and not flags & END_STREAM:
            self._spend(self.limits.empty_data_cost, "empty DATA frames")
        if stream.body_left >= 0:
            self._count_body(stream, end - start, flags & END_STREAM)
        if not stream.framed:
            self._credit_stream(stream, length)
        elif stream.parts is None and end - start >= PREFIX and self._is_whole(buffer, start, end):
            data = buffer[start + PREFIX : end]
            stream.unacked_wire += length
            stream.unacked_app += check_size(stream, end - start - PREFIX)
            self._events.append(Message(stream, data))
        else:
            self._messages(stream, buffer[start:end], length)
        self._overhead.earn(self.limits.overhead_per_frame)
        if flags & END_STREAM:
            self._remote_end(stream)

    def _is_whole(self, buffer: bytes, start: int, end: int) -> bool:
        """Whether the payload is exactly one message that is not compressed."""
        return buffer[start] == 0 and int.from_bytes(buffer[start + 1 : start + 5], "big") == end - start - PREFIX

    def _messages(self, stream: Stream, chunk: bytes, length: int) -> None:
        """Messages in pieces. While the application has all messages read, the pieces of the one it waits for are
        credited as they come, so that a message may be larger than the window; else they wait behind the others."""
        stream.unacked_wire += length
        for flag, raw in split(stream, chunk):
            data = whole(stream, flag, raw)
            stream.unacked_app += len(data)
            self._events.append(Message(stream, data))
        if not stream.unacked_app:
            credit, stream.unacked_wire = stream.unacked_wire, 0
            self._credit_stream(stream, credit)

    def _remote_end(self, stream: Stream) -> None:
        if stream.parts is not None:
            raise StreamFault(stream.id, ErrorCode.CANCEL, "the stream ends inside a message")
        self._events.append(HalfClosed(stream))
        self._close_remote(stream)

    def _close_remote(self, stream: Stream) -> None:
        """The peer's half is over. A client whose request still runs then has nobody to send it to (checklist 6)."""
        stream.state = REMOTE_END[stream.state]
        if stream.state == CLOSED:
            self._forget(stream)
        elif not self._is_server:
            self.reset(stream, ErrorCode.NO_ERROR)

    def _count_body(self, stream: Stream, size: int, ended: int) -> None:
        """content-length must be what comes (section 8.1.1)."""
        stream.body_left -= size
        if stream.body_left < 0 or (ended and stream.body_left):
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "DATA is not as long as content-length says")

    def _unpad(self, buffer: bytes, start: int, end: int) -> tuple[int, int]:
        if start == end:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a length of padding")
        padding = buffer[start]
        if padding >= end - start:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding as long as its frame")
        return start + 1, end - padding

    def _take_connection_window(self, length: int) -> None:
        """Connection credit goes back on receipt: streams' own windows are what holds a peer back."""
        self._recv_window -= length
        if self._recv_window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "DATA over the connection's window")
        self._recv_credit += length
        if self._recv_credit >= self._recv_credit_at:
            self._credit(0, self._recv_credit)
            self._recv_window += self._recv_credit
            self._recv_credit = 0

    def _credit_stream(self, stream: Stream, size: int) -> None:
        """Give back ``size`` bytes of a stream's window, in pieces of at least a quarter of it."""
        stream.recv_credit += size
        if stream.recv_credit * 4 >= self._stream_recv_window and not stream.state & 2:
            self._credit(stream.id, stream.recv_credit)
            stream.recv_window += stream.recv_credit
            stream.recv_credit = 0

    # -- HEADERS (6.2), CONTINUATION (6.10)

    def _on_headers(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        if flags & PADDED:
            start, end = self._unpad(buffer, start, end)
        depends = 0
        if flags & WITH_PRIORITY:
            if end - start < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            depends = int.from_bytes(buffer[start : start + 4], "big") & codes.MAX_STREAM_ID
            start += 5
        if flags & END_HEADERS:
            self._header_block(flags, stream_id, buffer[start:end])
        else:
            self._open_block = (stream_id, flags, [buffer[start:end]])
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
            self._open_block, self._header_by = None, float("inf")
            self._header_block(first, stream_id, b"".join(parts))

    def _header_block(self, flags: int, stream_id: int, raw: bytes) -> None:
        stream = self.streams.get(stream_id)
        trailing = stream is not None and stream.headers_received
        block = self._decode(raw, self._trailing if trailing else self._initial, trailing)
        self._overhead.earn(self.limits.overhead_per_frame)
        if stream is None:
            self._open_by_peer(flags, stream_id, block)
        elif stream.state & 2:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
        elif trailing:
            self._trailers(flags, stream, block)
        else:
            self._response(flags, stream, block)

    def _decode(self, raw: bytes, known: dict[bytes, HeaderBlock], trailing: bool) -> HeaderBlock:
        block = known.get(raw)
        if block is not None:
            return block
        try:
            fields, pure = self._decoder.decode(raw)
        except HeaderListTooLarge:
            return _TOO_LARGE
        block = check_trailers(fields) if trailing else self._check_initial(fields)
        if pure and len(raw) <= _LONGEST_BLOCK:
            if len(known) >= _REMEMBERED_BLOCKS:
                del known[next(iter(known))]
            known[raw] = block
        return block

    def _open_by_peer(self, flags: int, stream_id: int, block: HeaderBlock) -> None:
        """HEADERS on a stream that is not open: a new request, or something that is not allowed (section 5.1)."""
        if not self._is_server or stream_id <= self.highest_id or not stream_id & 1:
            self._after_end(stream_id, None)
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
        stream = self._new_stream(stream_id, self.limits.max_receive_message)
        self._begin(flags, stream, block)

    def _new_stream(self, stream_id: int, max_message: int) -> Stream:
        stream = Stream(stream_id, self._stream_send_window, self._stream_recv_window, max_message)
        self.streams[stream_id] = stream
        return stream

    def _response(self, flags: int, stream: Stream, block: HeaderBlock) -> None:
        if block.malformed and block is not _TOO_LARGE:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, block.malformed)
        if block.status[:1] == b"1":  # interim: the real one follows (section 8.1)
            if flags & END_STREAM:
                raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "an interim response that ends the stream")
            return
        self._begin(flags, stream, block)

    def _begin(self, flags: int, stream: Stream, block: HeaderBlock) -> None:
        """The first header block of a stream."""
        stream.headers_received = True
        if block is _TOO_LARGE:
            reason = f"headers over the limit of {self.limits.max_header_list_size} bytes"
            raise StreamFault(stream.id, ErrorCode.CANCEL, reason, _RESOURCE_EXHAUSTED)
        stream.framed, stream.recv_encoding, stream.body_left = block.grpc, block.encoding, block.length
        ended = flags & END_STREAM
        if ended and block.length > 0 and self._is_server:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "no DATA, but a content-length")
        self._events.append(Headers(stream, block.fields, ended != 0))
        if ended:
            if self._is_server:
                self._events.append(HalfClosed(stream))
            self._close_remote(stream)

    def _trailers(self, flags: int, stream: Stream, block: HeaderBlock) -> None:
        if not flags & END_STREAM:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "a second header block that does not end the stream")
        if block is _TOO_LARGE:
            reason = f"trailers over the limit of {self.limits.max_header_list_size} bytes"
            raise StreamFault(stream.id, ErrorCode.CANCEL, reason, _RESOURCE_EXHAUSTED)
        if block.malformed:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, block.malformed)
        if stream.body_left > 0:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "DATA is not as long as content-length says")
        if stream.parts is not None:
            raise StreamFault(stream.id, ErrorCode.CANCEL, "the stream ends inside a message")
        self._events.append(Trailers(stream, block.fields))
        self._close_remote(stream)

    def _after_end(self, stream_id: int, stream: Stream | None) -> None:
        """DATA or HEADERS on a stream whose remote half is over, that is reset, or that never was (section 5.1)."""
        if stream is not None:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "a frame after END_STREAM")
        if self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which is idle")
        by = self._resets.get(stream_id)
        if by is None and stream_id <= self.last_accepted:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"a frame on stream {stream_id}, which is closed")
        if by == BY_PEER:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "a frame after RST_STREAM")
        self._spend(1, "frames on streams that were reset")

    def _is_idle(self, stream_id: int) -> bool:
        if self._is_server:
            return stream_id > self.highest_id or not stream_id & 1
        return stream_id >= self._next_id or not stream_id & 1

    # -- the small frames: 6.3 to 6.9

    def _on_priority(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        self._spend(1, "PRIORITY frames")
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if end - start != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not 5 bytes long")
        if int.from_bytes(buffer[start : start + 4], "big") & codes.MAX_STREAM_ID == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_rst_stream(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        if end - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not 4 bytes long")
        if stream_id == 0 or self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._spend(1, "RST_STREAM frames on closed streams")
            return
        if not stream.headers_sent and self._is_server:
            self._spend_reset("streams reset before they were answered")
        code = int.from_bytes(buffer[start:end], "big")
        self._remember_reset(stream_id, BY_PEER)
        self._forget(stream)
        self._events.append(Reset(stream, code, True, code == ErrorCode.REFUSED_STREAM))

    def _on_settings(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        self._spend(1, "SETTINGS frames")
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if end != start:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
            self._settings_by = float("inf")
            self._stream_recv_window = self.limits.stream_window
            return
        if (end - start) % 6:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is not a multiple of 6 bytes long")
        for at in range(start, end, 6):
            self._setting(int.from_bytes(buffer[at : at + 2], "big"), int.from_bytes(buffer[at + 2 : at + 6], "big"))
        self._answer(codes.SETTINGS, b"")
        self._events.append(SettingsChanged())

    def _setting(self, name: int, value: int) -> None:
        """Section 6.5.2; unknown ones are ignored."""
        if name == Setting.INITIAL_WINDOW_SIZE:
            self._initial_window(value)
        elif name == Setting.MAX_CONCURRENT_STREAMS:
            self.peer_max_streams = value
        elif name == Setting.HEADER_TABLE_SIZE:
            if value < codes.DEFAULT_TABLE_SIZE:
                self._encoder.table_size_shrunk()
        elif name == Setting.MAX_FRAME_SIZE:
            if not codes.MIN_FRAME_SIZE <= value <= codes.MAX_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_MAX_FRAME_SIZE of {value}")
            self._frame_size = min(value, codes.MIN_FRAME_SIZE * 4)
        elif name == Setting.ENABLE_PUSH and value > self._is_server:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH of {value}")

    def _initial_window(self, value: int) -> None:
        """Changes the windows of open streams too, and may make them negative (section 6.9.2)."""
        if value > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE of {value}")
        change = value - self._stream_send_window
        self._stream_send_window = value
        for stream in list(self.streams.values()):
            stream.send_window += change
            if stream.send_window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window grew over 2**31 - 1")
            if change > 0:
                self._pump_and_tell(stream)

    def _on_push_promise(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody allowed")

    def _on_ping(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if end - start != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is not 8 bytes long")
        self._spend(1, "PING frames")
        if flags & ACK:
            self._events.append(Pong(buffer[start:end]))
        else:
            self._answer(codes.PING, buffer[start:end])
            self._events.append(PingReceived())

    def _on_goaway(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if end - start < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is shorter than 8 bytes")
        last_id = int.from_bytes(buffer[start : start + 4], "big") & codes.MAX_STREAM_ID
        code = ErrorCode(int.from_bytes(buffer[start + 4 : start + 8], "big"))
        if last_id > self.peer_last_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY raises its last stream to {last_id}")
        self.peer_last_id = last_id
        if not self._is_server:
            for stream in [stream for stream in self.streams.values() if stream.id > last_id]:
                self._forget(stream)
                self._events.append(Reset(stream, ErrorCode.REFUSED_STREAM, True, True))
        self._events.append(GoAway(last_id, code, buffer[start + 8 : end]))

    def _on_window_update(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        if end - start != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not 4 bytes long")
        self._spend(1, "WINDOW_UPDATE frames")
        size = int.from_bytes(buffer[start:end], "big") & MAX_WINDOW
        if stream_id == 0:
            self._send_window += size
            if size == 0 or self._send_window > MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if size else ErrorCode.PROTOCOL_ERROR
                raise ConnectionFault(code, f"WINDOW_UPDATE of {size} for the connection")
            for moved in self._pump_starved():
                self._tell_writable(moved)
            return
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._open_window(stream, size)
        elif self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle")

    def _open_window(self, stream: Stream, size: int) -> None:
        stream.send_window += size
        if size == 0:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        if stream.send_window > MAX_WINDOW:
            raise StreamFault(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "a window over 2**31 - 1")
        self._pump_and_tell(stream)

    def _pump_and_tell(self, stream: Stream) -> None:
        if stream.queued:
            self._pump(stream)
            self._tell_writable(stream)

    def _tell_writable(self, stream: Stream) -> None:
        if not stream.writable and stream.queued <= self.limits.write_low:
            stream.writable = True
            if stream.state != CLOSED:
                self._events.append(Writable(stream))

    # -- budgets

    def _answer(self, kind: int, payload: bytes) -> None:
        """Acknowledge; a peer that asks and does not read is not answered for ever."""
        self._answers += 1
        if self._answers > self.limits.max_queued_answers:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM, f"{self._answers} answers wait for a peer that asks more"
            )
        self._frame(kind, ACK, 0, payload)

    def _spend(self, amount: int, what: str) -> None:
        if self.data_sent != self._sent_seen:  # what we sent is worth answers too: WINDOW_UPDATEs, PINGs
            self._overhead.earn(self.limits.overhead_per_frame * (self.data_sent - self._sent_seen))
            self._sent_seen = self.data_sent
        if not self._overhead.spend(amount, self.now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    def _spend_reset(self, what: str) -> None:
        if not self._reset_budget.spend(1, self.now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")
