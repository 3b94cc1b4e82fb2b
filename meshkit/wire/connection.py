"""The engine: bytes in, events and bytes out (RFC 9113, and gRPC's framing over it).

    engine = Connection(Role.CLIENT, now=clock())
    stream = engine.open_stream(fields)
    engine.send_message(stream, request, end=True)
    transport.write(engine.take_output())
    for event in engine.receive(data, clock()): ...

`Sending` writes frames, `Receiving` reads them, `Calls` opens streams; here is what holds them together: the loop over
a buffer, faults, time and GOAWAY.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final

from . import codes
from .calls import Calls
from .codes import CONTINUATION, HEADERS, MAX_STREAM_ID, MIN_FRAME_SIZE, PREFACE, ErrorCode, Role, Setting
from .control import NEVER
from .events import Event, Fault, Reset, Terminated
from .faults import ConnectionFault, StreamFault
from .grpc import encode_status_message
from .limits import Limits
from .stream import Stream

__all__ = ["Connection", "ConnectionStatistics"]

_FRAME: Final = Struct(">LBL")  # length (24 bits) and type, flags, stream
_HEADER: Final = 9
_RESPONSE: Final = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_DEFAULTS: Final = Limits()
_TYPE_AT: Final = 3  # of the type in a frame
_GOAWAY: Final = Struct(">LL")


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """An engine at one moment: streams open, bytes queued behind windows, bytes not written, why it ended."""

    role: str
    streams: int
    queued: int
    output: int
    highest_id: int
    termination: str


class Connection(Calls):
    """One HTTP/2 connection of either role.

    Times given (``now``) are seconds of any clock that only goes forward. ``next_deadline`` is when `tick` wants to be
    called, infinity for never. ``termination`` says why the connection ended; empty while it lives.
    """

    def __init__(self, role: Role, limits: Limits = _DEFAULTS, *, now: float = 0.0) -> None:
        super().__init__(role, limits, now)
        self.termination = ""
        self._buffer = b""
        self._preface_by = now + limits.preface_timeout
        self._settings_by = now + limits.settings_timeout
        self._preface_left = len(PREFACE) if self._is_server else 0
        self.next_deadline = min(self._preface_by, self._settings_by)
        self._handlers = self._table()
        if not self._is_server:
            self._out.append(PREFACE)
            self.output_size += len(PREFACE)
        self._frame(codes.SETTINGS, 0, 0, self._our_settings())
        if limits.connection_window > codes.DEFAULT_WINDOW:
            self._credit(0, limits.connection_window - codes.DEFAULT_WINDOW)

    def __repr__(self) -> str:
        return repr(self.statistics())

    def _table(self) -> tuple[Callable[[int, int, bytes, int, int], None], ...]:
        """A handler for each frame type, in the order of section 6."""
        known = (
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
        return known + (self._on_unknown,) * (256 - len(known))

    def _our_settings(self) -> bytes:
        limits = self.limits
        settings = {
            Setting.HEADER_TABLE_SIZE: limits.header_table_size,
            Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
            Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_size,
        }
        if self._is_server:
            settings[Setting.MAX_CONCURRENT_STREAMS] = limits.max_concurrent_streams
        else:
            settings[Setting.ENABLE_PUSH] = 0
        return b"".join([name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in settings.items()])

    # -- receiving

    def receive(self, data: bytes | bytearray | memoryview, now: float) -> list[Event]:
        """What ``data`` means. The peer's faults do not raise: they are answered in the output, and end a stream
        (`Reset`) or the connection (`Terminated`). Nothing is read any more after that."""
        events: list[Event] = []
        if self.termination:
            return events
        self.now = now
        self._events = events
        buffer = data if type(data) is bytes else bytes(data)
        if self._buffer:
            buffer = self._buffer + buffer
        at = 0
        try:
            if self._preface_left:
                at = self._check_preface(buffer)
            at = self._frames(buffer, at)
            self._buffer = buffer[at:] if at < len(buffer) else b""
            if self._buffer or self._header_by < NEVER:
                self._watch_headers(at > 0)
        except ConnectionFault as fault:
            self._terminate(fault.code, fault.reason)
        if self.next_deadline < NEVER or self._buffer or self._unusual:
            self._rearm()
        return events

    def _frames(self, buffer: bytes, at: int) -> int:
        """Handle the whole frames from ``at`` on; gives where the rest begins."""
        end = len(buffer)
        unpack, handlers, wholes = _FRAME.unpack_from, self._handlers, self._whole
        while end - at >= _HEADER:
            whole = wholes.get(buffer[at + _TYPE_AT])
            if whole is not None and not self._unusual and (after := whole(buffer, at)) != at:
                at = after
                continue
            size, flags, stream_id = unpack(buffer, at)
            kind, size = size & 255, size >> 8
            start = at + _HEADER
            if size > MIN_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            if start + size > end:
                break
            at = start + size
            if self._unusual:
                self._expect(kind, flags)
            try:
                handlers[kind](flags, stream_id & MAX_STREAM_ID, buffer, start, at)
            except StreamFault as fault:
                self._refuse(fault)
        return at

    def _expect(self, kind: int, flags: int) -> None:
        """What may come first (section 3.4), and inside of a header block (6.10)."""
        if self._open_block is not None and kind != CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame between HEADERS and its CONTINUATION")
        if self._preface_by < NEVER:
            if kind != codes.SETTINGS or flags & codes.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._preface_by = NEVER
            self._unusual = False

    def _on_unknown(self, flags: int, stream_id: int, buffer: bytes, start: int, end: int) -> None:
        """Frames of types that we do not know are passed over (section 4.1)."""
        self._spend(1, "frames of unknown types")

    def _check_preface(self, buffer: bytes) -> int:
        """How much of the client's preface (section 3.4) ``buffer`` begins with."""
        took = len(PREFACE) - self._preface_left
        part = buffer[: self._preface_left]
        if PREFACE[took : took + len(part)] != part:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"not HTTP/2: the connection begins with {part!r}")
        self._preface_left -= len(part)
        return len(part)

    # -- faults

    def _refuse(self, fault: StreamFault) -> None:
        """End a stream for the peer's fault, in gRPC's words where they help, within the budget of such faults."""
        self._spend_reset("streams reset for faults of the peer")
        stream = self.streams.get(fault.stream_id)
        if stream is None:
            self._reset(fault.stream_id, fault.code)
            self._events.append(Fault(fault.stream_id, fault.code, fault.reason))
            return
        if self._is_server and fault.code is ErrorCode.CANCEL and not stream.state & 1 and stream.outbox is None:
            self._say_status(stream, fault)
        else:
            self.reset(stream, fault.code)
        self._events.append(Reset(stream, fault.code, False, False, fault.status, fault.reason))

    def _say_status(self, stream: Stream, fault: StreamFault) -> None:
        status = ((b"grpc-status", b"%d" % fault.status), (b"grpc-message", encode_status_message(fault.reason)))
        self.send_headers(stream, status if stream.headers_sent else _RESPONSE + status, end=True)
        self.reset(stream, ErrorCode.NO_ERROR)

    def _terminate(self, code: ErrorCode, reason: str) -> None:
        self.termination = reason
        self._may_open = False
        self.go_away(code, debug=reason.encode()[:200])
        for stream in list(self.streams.values()):
            self._forget(stream)
            self._events.append(Reset(stream, code, False, False, 14, reason))
        self._events.append(Terminated(code, reason))

    # -- streams

    def acknowledge(self, stream: Stream, size: int) -> bool:
        """The application consumed messages of ``size`` bytes: the peer may send as much again. Gives whether it is
        told so now; it is once a quarter of the window is owed."""
        if stream.state & 2:
            return False
        if size >= stream.unacked_app:
            credit = stream.unacked_wire
            stream.unacked_app = stream.unacked_wire = 0
        else:
            credit = min(size, stream.unacked_wire)
            stream.unacked_app -= size
            stream.unacked_wire -= credit
        stream.recv_credit += credit
        if stream.recv_credit < self._credit_at:
            return False
        self._credit_stream(stream, 0)
        return True

    # -- the connection

    def ping(self, payload: bytes) -> None:
        """Ask for a sign of life; ``payload`` is 8 bytes, and comes back in `Pong`."""
        self._frame(codes.PING, 0, 0, payload)

    def go_away(self, code: ErrorCode = ErrorCode.NO_ERROR, *, last_id: int | None = None, debug: bytes = b"") -> None:
        """Say that no streams above ``last_id`` are served; without it, none above the highest so far. 2**31 - 1 is a
        warning only: streams are still accepted (section 6.8)."""
        self.last_accepted = min(self.last_accepted, self.highest_id if last_id is None else last_id)
        self._frame(codes.GOAWAY, 0, 0, _GOAWAY.pack(self.last_accepted, code) + debug)

    def tick(self, now: float) -> list[Event]:
        """What the time means: a peer that is too slow with its preface, SETTINGS or headers loses the connection."""
        self._events = []
        self.now = now
        for deadline, reason in (
            (self._preface_by, "no preface"),
            (self._header_by, "an unfinished header block"),
            (self._settings_by, "our SETTINGS were not acknowledged"),
        ):
            if now >= deadline and not self.termination:
                self._terminate(_SLOW.get(reason, ErrorCode.PROTOCOL_ERROR), f"{reason} in time")
        self._rearm()
        return self._events

    def _watch_headers(self, moved: bool) -> None:
        """HEADERS of which only a part came count as an unfinished block, from when they began."""
        if self._open_block is not None:
            return
        if len(self._buffer) <= _TYPE_AT or self._buffer[_TYPE_AT] != HEADERS:
            self._header_by = NEVER
        elif moved or self._header_by == NEVER:
            self._header_by = self.now + self.limits.header_timeout

    def _rearm(self) -> None:
        self.next_deadline = NEVER if self.termination else min(self._preface_by, self._header_by, self._settings_by)

    def statistics(self) -> ConnectionStatistics:
        """Counters and queues as a frozen value."""
        return ConnectionStatistics(
            self.role.value, len(self.streams), self.queued, self.output_size, self.highest_id, self.termination
        )


_SLOW: Final = {"our SETTINGS were not acknowledged": ErrorCode.SETTINGS_TIMEOUT}
