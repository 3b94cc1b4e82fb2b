"""How long a server keeps a connection: idle, age and write limits (gRFC A9; slow readers, closed windows)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meshkit.wire import ErrorCode, Stream

from .link import LOG
from .options import ServerOptions

if TYPE_CHECKING:
    from .serving import ServerConnection

__all__ = ["Upkeep"]


class Upkeep:
    """The chores that end connections, or streams, which have lasted too long in one way or another."""

    __slots__ = (
        "_blocked_since",
        "_blocked_size",
        "_cut_at",
        "_link",
        "_old_at",
        "_options",
        "_stuck",
        "_stuck_since",
        "chores",
    )

    def __init__(self, link: ServerConnection, options: ServerOptions, age_factor: float) -> None:
        self._link = link
        self._options = options
        self._old_at = link.created + options.max_connection_age * age_factor
        self._cut_at = math.inf
        self._blocked_size = 0
        self._blocked_since = math.inf
        self._stuck: dict[int, int] = {}
        self._stuck_since = link.created
        self.chores = (self._idle, self._age, self._write, self._streams)

    def _idle(self, now: float) -> float:
        link, longest = self._link, self._options.max_connection_idle
        if link.engine.streams:
            link.last_call = now
        if now >= link.last_call + longest:
            link.drain("it was idle")
            return math.inf
        return link.last_call + longest

    def _age(self, now: float) -> float:
        if now < self._old_at < math.inf:
            return self._old_at
        if self._old_at < math.inf:
            self._old_at = math.inf
            self._cut_at = now + self._options.max_connection_age_grace
            self._link.drain("it reached its greatest age")
        if now >= self._cut_at:
            self._cut_at = math.inf
            self._link.cut("it reached its greatest age")
        return self._cut_at

    def _write(self, now: float) -> float:
        """Cut off a peer whose socket takes none of the bytes that wait for it."""
        link, longest = self._link, self._options.write_timeout
        size = link.unwritten if link.blocked else 0
        if size != self._blocked_size:
            self._blocked_size, self._blocked_since = size, now
        elif size and now >= self._blocked_since + longest:
            LOG.warning("%s: nothing could be written for %g s", link.peer, longest)
            link.abort("the peer does not read")
            return math.inf
        return now + longest / 2

    def _streams(self, now: float) -> float:
        """Reset streams whose window lets none of their bytes go."""
        due = self._stuck_since + self._options.stream_write_timeout
        if now < due:
            return due
        self._stuck_since = now
        streams = self._link.engine.streams
        waiting = {stream.id: stream.queued for stream in streams.values() if stream.queued}
        for identifier, queued in waiting.items():
            if self._stuck.get(identifier) == queued:
                self._drop(streams[identifier])
        self._stuck = waiting
        return now + self._options.stream_write_timeout

    def _drop(self, stream: Stream) -> None:
        LOG.warning("%s: stream %d: its window stayed shut for too long", self._link.peer, stream.id)
        self._link.engine.reset(stream, ErrorCode.CANCEL)
        call = stream.context
        if call is not None and not call.over:
            call.cancel("reset")
