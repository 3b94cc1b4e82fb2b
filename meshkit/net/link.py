"""The asyncio half of a connection, the same at both ends: bytes between a transport and an engine.

All streams of a connection share one ``transport.write`` per turn of the loop: whoever produces output calls `wake`.
Reading pauses for two reasons, each of which must go before it resumes: the peer makes us answer while it does not read
(``_FLOODED``), or the application has not consumed what was read (``_BEHIND``).  Output of the application's own never
pauses reading: two ends that both wait for the other to read would wait for ever.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Callable
from typing import Any, cast

from meshkit.wire import Connection, ErrorCode, Limits, Role, Terminated

from .address import peer_text
from .failures import reason_of
from .timers import Timer, Timers

__all__ = ["LOG", "OUTPUT_HIGH", "Link"]

LOG = logging.getLogger("meshkit.net")

_FLOODED, _BEHIND = 1, 2
_MAX_INDUCED = 16 << 10  # bytes of answers to a peer that does not read
_WRITE_HIGH = 256 << 10  # bytes in the transport at which it is full
OUTPUT_HIGH = 256 << 10  # bytes of output in one turn of the loop at which streams should wait for the next
_LINGER = 2.0  # seconds for the last bytes of a closed connection to leave

Chore = Callable[[float], float]
"""Does what is due at a time (loop seconds), and says when it wants to be asked again (infinity: never)."""


class Link(asyncio.Protocol):
    """One connection. Subclasses give `handlers`, a function for each kind of event, and `chores`."""

    handlers: dict[type, Callable[[Any], None]]
    chores: tuple[Chore, ...]

    def __init__(self, loop: asyncio.AbstractEventLoop, role: Role, limits: Limits, max_unread: int) -> None:
        self.loop = loop
        self.created = self.heard = loop.time()
        self.engine = Connection(role, limits, now=self.created)
        self.peer = ""
        self.closed: asyncio.Future[None] = loop.create_future()
        self.ending = ""
        self.unread = 0
        self.blocked = False
        self.opened_id = 0
        self.flushed_id = 0
        self._transport: asyncio.Transport | None = None
        self.waking = False
        self._induced = 0
        self._paused = 0
        self._max_unread = max_unread
        self.timers = Timers.of(loop)
        self._timer: Timer | None = None
        self._blocked_size = 0
        self._blocked_since = 0.0
        self._closing_by = math.inf

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.peer}, {self.ending or 'open'}, streams={len(self.engine.streams)})"

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self.peer = peer_text(transport.get_extra_info("peername"))
        self.flush()
        self._do_chores()

    def data_received(self, data: bytes) -> None:
        self.heard = now = self.loop.time()
        engine, handlers = self.engine, self.handlers
        before = engine.output_size if self.blocked else 0
        waking, self.waking = self.waking, True  # what the events make us say is written below
        for event in engine.receive(data, now):
            handlers[type(event)](event)
        self.waking = waking
        if self.blocked:
            self._note_induced(engine.output_size - before)
        elif engine.output_size:
            self.flush()
        if engine.next_deadline < (self._timer.deadline if self._timer is not None else math.inf):
            self.check_at(engine.next_deadline)

    def eof_received(self) -> bool:
        self.lost("the peer closed it")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self.lost(reason_of(exc) if exc is not None else "closed")
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self.blocked = True
        self._blocked_size, self._blocked_since = self._unwritten(), self.loop.time()

    def resume_writing(self) -> None:
        self.blocked = False
        self._induced = 0
        self._resume(_FLOODED)
        self.flush()
        if not self.blocked:
            self.writable_again()

    # -- writing

    def wake(self) -> None:
        """There is output: write it at the end of this turn of the loop."""
        if not self.waking:
            self.waking = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the engine has now."""
        self.waking = False
        transport = self._transport
        if transport is None or self.blocked or transport.is_closing():
            return
        data = self.engine.take_output()
        if data:
            self.flushed_id = self.opened_id
            transport.write(data)
            if len(data) >= OUTPUT_HIGH and not self.blocked:
                self.writable_again()

    @property
    def full(self) -> bool:
        """Whether no stream should send now: the transport is full, or this turn's output is large enough."""
        return self.blocked or self.engine.output_size >= OUTPUT_HIGH

    def writable_again(self) -> None:
        """The transport takes bytes again. Subclasses tell their streams."""

    def write_stalled(self, now: float, timeout: float) -> bool:
        """Whether the socket has taken no byte for ``timeout`` seconds although some wait. To be asked now and then."""
        if not self.blocked:
            return False
        size = self._unwritten()
        if size != self._blocked_size:
            self._blocked_size, self._blocked_since = size, now
        return now >= self._blocked_since + timeout

    def _unwritten(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _note_induced(self, size: int) -> None:
        self._induced += size
        if self._induced > _MAX_INDUCED:
            self._pause(_FLOODED)

    # -- reading

    def took(self, size: int) -> None:
        """A message of ``size`` bytes went to the application."""
        self.unread += size
        if self.unread > self._max_unread:
            self._pause(_BEHIND)

    def consumed(self, size: int) -> None:
        """The application is done with ``size`` bytes."""
        self.unread -= size
        if self._paused & _BEHIND and self.unread * 2 <= self._max_unread:
            self._resume(_BEHIND)

    def _pause(self, reason: int) -> None:
        if not self._paused and self._transport is not None:
            self._transport.pause_reading()
        self._paused |= reason

    def _resume(self, reason: int) -> None:
        if self._paused == reason and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._paused &= ~reason

    # -- time

    def check_at(self, deadline: float) -> None:
        """Do the chores no later than ``deadline``."""
        if self._timer is not None:
            if self._timer.deadline <= deadline:
                return
            self._timer.cancel()
        self._timer = self.timers.schedule(deadline, self._do_chores) if deadline < math.inf else None

    def _do_chores(self) -> None:
        self._timer = None
        if self._transport is None:
            return
        now = self.loop.time()
        due = min(chore(now) for chore in self.chores)
        self.check_at(due)
        if self.engine.output_size:
            self.flush()

    def engine_chore(self, now: float) -> float:
        """The engine's own deadlines: preface, SETTINGS acknowledgement, header blocks."""
        if self.engine.next_deadline <= now:
            for event in self.engine.tick(now):
                self.handlers[type(event)](event)
        return self.engine.next_deadline

    def closing_chore(self, now: float) -> float:
        """Cut a closed connection whose last bytes the peer does not take: none of them for `_LINGER` seconds."""
        if now >= self._closing_by:
            left, before = self._unwritten(), self._blocked_size
            if left >= before:
                self.abort(self.ending)
                return math.inf
            self._blocked_size, self._closing_by = left, now + _LINGER
        return self._closing_by

    # -- the end

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session, None for plaintext."""
        found = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return cast("ssl.SSLObject | None", found)

    def terminated(self, event: Terminated) -> None:
        """The engine gave the connection up: let its last bytes leave, then close."""
        self.close(event.reason, code=None)

    def lost(self, reason: str) -> None:
        """The connection is over. Subclasses end their streams, then call this."""
        if not self.ending:
            self.ending = reason

    def close(self, reason: str, code: ErrorCode | None = ErrorCode.NO_ERROR) -> None:
        """Say GOAWAY with ``code`` (None: the engine said it), write everything, and close."""
        if self._transport is None or self._closing_by < math.inf:
            return
        if code is not None:
            self.engine.go_away(code)
        self.lost(reason)
        rest = self.engine.take_output()
        if rest:
            self._transport.write(rest)
        self._blocked_size = self._unwritten()
        self._transport.close()
        self._closing_by = self.loop.time() + _LINGER
        self.check_at(self._closing_by)

    def abort(self, reason: str) -> None:
        """Close without another byte."""
        self.lost(reason)
        if self._transport is not None:
            self._transport.abort()
