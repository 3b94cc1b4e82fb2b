"""The small frames (RFC 9113 sections 6.3 to 6.9): what a peer says about streams, settings and windows; and the
budgets that its nonsense is paid from.

A handler takes flags, stream identifier, and where the payload lies in the buffer. It adds events, answers into the
output, and raises a fault for what the RFC forbids; `Connection.receive` deals with faults.
"""

from __future__ import annotations

from typing import Final

from . import codes
from .budget import Budget
from .codes import ACK, MAX_WINDOW, ErrorCode, Role, Setting
from .events import Event, GoAway, PingReceived, Pong, Reset, SettingsChanged, Writable
from .faults import ConnectionFault, StreamFault
from .grpc import rst_to_grpc
from .limits import Limits
from .messages import PREFIX
from .sending import BY_PEER, Sending
from .stream import CLOSED, Stream

__all__ = ["NEVER", "Control"]

NEVER: Final = float("inf")
_LARGEST_SENT_FRAME: Final = 4 * codes.MIN_FRAME_SIZE  # larger ones would keep other streams waiting


class Control(Sending):
    """What the peer said, and what it may still say.

    ``now``: the time of what is being received. ``highest_id``: of the streams that the peer opened.
    ``peer_max_streams`` and ``peer_max_header_list``: its SETTINGS of how many streams, and how large a header list.
    ``last_accepted`` and ``peer_last_id``: the last streams of the GOAWAYs we sent and received; 2**31 - 1 before.
    """

    def __init__(self, role: Role, limits: Limits, now: float) -> None:
        super().__init__(role, limits)
        self.now = now
        self.highest_id = 0
        self.peer_max_streams = MAX_WINDOW
        self.peer_max_header_list = MAX_WINDOW
        self.last_accepted = MAX_WINDOW
        self.peer_last_id = MAX_WINDOW
        self._next_id = 1
        self._may_open = True  # neither side goes away
        self._events: list[Event] = []
        # Until the peer acknowledges our settings it may use either window.
        self._set_window(max(limits.stream_window, codes.DEFAULT_WINDOW))
        self._settings_by = NEVER
        self._overhead = Budget(limits.overhead_burst, limits.overhead_per_second, now)
        self._reset_budget = Budget(limits.resets_burst, limits.resets_per_second, now)
        self._useful: int = 0  # frames received that carry something, not yet in the budget
        self._sent_seen = 0

    # -- PRIORITY (6.3), RST_STREAM (6.4)

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
            if stream_id in self._resets:
                self._resets[stream_id] = BY_PEER  # whoever was first: after its own reset the peer has nothing to send
            return
        if stream.headers_sent:
            self._spend(1, "RST_STREAM frames")
        else:
            self._spend_reset("streams reset before they were answered")
        number = int.from_bytes(buffer[start:end], "big")
        self._remember_reset(stream_id, BY_PEER)
        self._forget(stream)
        unprocessed = number == ErrorCode.REFUSED_STREAM and stream.block is None
        code = ErrorCode(number) if number <= ErrorCode.HTTP_1_1_REQUIRED else number
        self._events.append(Reset(stream, code, True, unprocessed, rst_to_grpc(number)))

    # -- SETTINGS (6.5)

    def _on_settings(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        self._spend(1, "SETTINGS frames")
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & ACK:
            if end != start:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with a payload")
            if self._settings_by < NEVER:
                self._settings_by = NEVER
                self._settled()
            return
        if (end - start) % 6:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is not a multiple of 6 bytes long")
        if end - start > 6 * self.limits.max_settings:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"{(end - start) // 6} entries in one SETTINGS")
        self._answer(codes.SETTINGS, b"")  # before any DATA that a larger window lets go: some peers apply it only then
        for at in range(start, end, 6):
            self._setting(int.from_bytes(buffer[at : at + 2], "big"), int.from_bytes(buffer[at + 2 : at + 6], "big"))
        self._events.append(SettingsChanged())

    def _settled(self) -> None:
        """The peer knows our settings: from here on its windows are as we say (section 6.9.2)."""
        change = self.limits.stream_window - self._stream_window
        self._set_window(self.limits.stream_window)
        for stream in self.streams.values():
            stream.recv_window += change
            self._credit_stream(stream, 0)

    def _set_window(self, size: int) -> None:
        self._stream_window = size
        self._whole_most = min(size - PREFIX, codes.MIN_FRAME_SIZE - PREFIX, self.limits.max_receive_message)
        self._credit_at = max(size // 4, 1)

    def _credit_stream(self, stream: Stream, size: int) -> None:
        """Give back ``size`` bytes of a stream's window, in pieces of at least a quarter of it."""
        stream.recv_credit += size
        if stream.recv_credit >= self._credit_at and not stream.state & 2:
            self._credit(stream.id, stream.recv_credit)
            stream.recv_window += stream.recv_credit
            stream.recv_credit = 0

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
            self._frame_size = min(value, _LARGEST_SENT_FRAME)
        elif name == Setting.MAX_HEADER_LIST_SIZE:
            self.peer_max_header_list = value
            self._encoder.frames.clear()  # lists are held against the limit where they are encoded
        elif name == Setting.ENABLE_PUSH and value > self._is_server:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS_ENABLE_PUSH of {value}")

    def _initial_window(self, value: int) -> None:
        """Changes the windows of open streams too, and may make them negative (section 6.9.2)."""
        if value > MAX_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"SETTINGS_INITIAL_WINDOW_SIZE of {value}")
        self._spend(len(self.streams) // 16, "changes of windows")
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

    # -- PING (6.7), GOAWAY (6.8)

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
        self._spend(1, "GOAWAY frames")
        last_id = int.from_bytes(buffer[start : start + 4], "big") & codes.MAX_STREAM_ID
        code = ErrorCode(int.from_bytes(buffer[start + 4 : start + 8], "big"))
        if not self._is_server and last_id and not last_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY names stream {last_id}, which is not ours")
        if last_id > self.peer_last_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY raises its last stream to {last_id}")
        self.peer_last_id = last_id
        self._may_open = False
        if not self._is_server:
            for stream in [stream for stream in self.streams.values() if stream.id > last_id]:
                self._forget(stream)
                self._events.append(Reset(stream, ErrorCode.REFUSED_STREAM, True, True, 14))
        self._events.append(GoAway(last_id, code, buffer[start + 8 : end]))

    # -- WINDOW_UPDATE (6.9)

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
        if stream.outbox is not None:
            self._pump(stream, stream.outbox)
            self._tell_writable(stream)

    def _tell_writable(self, stream: Stream) -> None:
        if not stream.writable and stream.queued <= self.limits.write_low:
            stream.writable = True
            if stream.state != CLOSED:
                self._events.append(Writable(stream))

    def _is_idle(self, stream_id: int) -> bool:
        if self._is_server:
            return stream_id > self.highest_id or not stream_id & 1
        return stream_id >= self._next_id or not stream_id & 1

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
        """Pay for a frame that carries nothing. What carried something since, either way, is earned first: it is worth
        answers too, WINDOW_UPDATEs and PINGs."""
        useful = self._useful + self.data_sent - self._sent_seen
        if useful:
            self._overhead.earn(self.limits.overhead_per_frame * useful)
            self._useful, self._sent_seen = 0, self.data_sent
        if not self._overhead.spend(amount, self.now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    def _spend_reset(self, what: str) -> None:
        if not self._reset_budget.spend(1, self.now):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")
