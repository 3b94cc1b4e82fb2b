"""The asyncio half of a connection, the same at both ends: bytes between a transport and an engine.

All streams of a connection share one ``transport.write`` per turn of the loop: whoever produces output calls `wake`.
Where there is nobody to share with, the first output after something was read is written at once: one turn of the loop
less, which a lone call would wait for.
"""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Sequence
from typing import cast

from meshkit.wire import Connection, ErrorCode, Limits, Role, Terminated

from .address import peer_text
from .chores import Chores
from .deadlines import Deadlined, Deadlines
from .events import Handlers
from .failures import reason_of
from .reading import Reading
from .timers import Timers

__all__ = ["LOG", "OUTPUT_HIGH", "Link"]

LOG = logging.getLogger("meshkit.net")
OUTPUT_HIGH = 256 << 10  # bytes of output in one turn of the loop at which streams should wait for the next

_WRITE_HIGH = 256 << 10  # bytes in the transport at which it is full
_LINGER = 2.0  # seconds within which a closed connection's peer must take some of the last bytes
_FAREWELL = 0.2  # seconds for the peer's TLS close_notify when no bytes are left; grpcio never sends it


class Link(asyncio.Protocol):
    """One connection. Subclasses set ``handlers``, and add their `chores`.

    ``heard``: when the last byte came (loop time); ``blocked``: the transport is full; ``ending``: why the connection
    is over or will be, empty while nothing is wrong; ``opened_id`` and ``flushed_id``: the last stream opened here, and
    the last one of which anything went to the transport; ``timers``: those of the loop.
    """

    handlers: Handlers

    def __init__(self, loop: asyncio.AbstractEventLoop, role: Role, limits: Limits, max_unread: int) -> None:
        self.loop = loop
        self.created = self.heard = loop.time()
        self.engine = Connection(role, limits, now=self.created)
        self.reading = Reading(max_unread)
        self.timers = Timers.of(loop)
        self.chores = Chores(self.timers, (self._engine_chore, self._closing_chore), self.flush)
        self.closed: asyncio.Future[None] = loop.create_future()
        self.peer = ""
        self.ending = ""
        self.blocked = False
        self.waking = False
        self.opened_id = 0
        self.flushed_id = 0
        self._transport: asyncio.Transport | None = None
        self.deadlines = Deadlines(self.chores, self._deadlined)
        self.chores.add(self.deadlines)
        self._prompt = True  # nothing was written at once since the last bytes came
        self._closing_by = math.inf
        self._closing_left = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.peer}, {self.ending or 'open'}, streams={len(self.engine.streams)})"

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self.reading.transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self.peer = peer_text(transport.get_extra_info("peername"))
        self.flush()
        self.chores.run()

    def data_received(self, data: bytes) -> None:
        self.heard = now = self.loop.time()
        self._prompt = True
        engine, handlers = self.engine, self.handlers
        before = engine.output_size if self.blocked else 0
        waking, self.waking = self.waking, True  # what the events make us say is written below
        for event in engine.receive(data, now):
            handlers[type(event)](event)
        self.waking = waking
        if self.blocked:
            self.reading.induced(engine.output_size - before)
        elif engine.output_size:
            self.flush()
        if engine.next_deadline < self.chores.due:
            self.chores.at(engine.next_deadline)

    def eof_received(self) -> bool:
        self.lost("the peer closed it")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = self.reading.transport = None
        self.chores.stop()
        self.lost(reason_of(exc) if exc is not None else "closed")
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False
        self.reading.relieved()
        self.flush()
        if not self.blocked:
            self.writable_again()

    # -- writing

    def wake(self) -> None:
        """There is output: write it at the end of this turn of the loop, or now if no other stream can add to it."""
        if self.waking:
            return
        if self._prompt and len(self.engine.streams) <= 1:
            self._prompt = False
            self.flush()
        else:
            self.wake_later()

    def wake_later(self) -> None:
        """There is output, and likely more to come: write it at the end of this turn of the loop."""
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

    @property
    def unwritten(self) -> int:
        """Bytes in the transport that the socket has not taken."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _deadlined(self) -> Sequence[Deadlined]:
        """The calls that are not over."""
        return ()

    def writable_again(self) -> None:
        """`full` was true and is not. Subclasses tell their streams."""

    # -- time

    def _engine_chore(self, now: float) -> float:
        """The engine's own deadlines: preface, SETTINGS acknowledgement, header blocks."""
        if self.engine.next_deadline <= now:
            for event in self.engine.tick(now):
                self.handlers[type(event)](event)
        return self.engine.next_deadline

    def _closing_chore(self, now: float) -> float:
        """Cut a closed connection whose peer does not take the last bytes."""
        if now >= self._closing_by:
            left = self.unwritten
            if left >= self._closing_left:
                self.abort(self.ending)
                return math.inf
            self._closing_left, self._closing_by = left, now + _LINGER
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
        """Say GOAWAY with ``code`` (None: it has been said), write everything, and close."""
        if self._transport is None or self._closing_by < math.inf:
            return
        if code is not None:
            self.engine.go_away(code)
        self.lost(reason)
        rest = self.engine.take_output()
        if rest:
            self._transport.write(rest)
        self._closing_left = self.unwritten
        self._transport.close()
        self._closing_by = self.loop.time() + (_LINGER if self._closing_left else _FAREWELL)
        self.chores.at(self._closing_by)

    def abort(self, reason: str) -> None:
        """Close without another byte."""
        self.lost(reason)
        if self._transport is not None:
            self._transport.abort()
