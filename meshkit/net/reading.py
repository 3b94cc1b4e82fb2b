"""Whether a connection reads from its socket.

Reading pauses for two reasons, each of which must go before it resumes: the peer makes us answer while it does not read
(`_FLOODED`), or the application has not consumed what was read (`_BEHIND`).  Output of the application's own never
pauses reading: two ends that both wait for the other to read would wait for ever.
"""

from __future__ import annotations

import asyncio

__all__ = ["Reading"]

_FLOODED, _BEHIND = 1, 2
_MAX_INDUCED = 16 << 10  # bytes of answers to a peer that does not read


class Reading:
    """What makes reading pause. ``unread``: bytes of messages that the application has not consumed; ``paused``:
    whether nothing is read now."""

    __slots__ = ("_induced", "_max_unread", "_reasons", "paused", "transport", "unread")

    def __init__(self, max_unread: int) -> None:
        self.transport: asyncio.Transport | None = None
        self.unread = 0
        self._max_unread = max_unread
        self._induced = 0
        self._reasons = 0
        self.paused = False

    def __repr__(self) -> str:
        return f"Reading(unread={self.unread}, {'paused' if self.paused else 'on'})"

    def took(self, size: int) -> None:
        """A message of ``size`` bytes went to the application."""
        self.unread += size
        if self.unread > self._max_unread:
            self._pause(_BEHIND)

    def consumed(self, size: int = 0) -> None:
        """The application is done with ``size`` bytes, or with those that the caller has taken off ``unread``: where
        nothing is paused, that is all there is to do."""
        self.unread -= size
        if self._reasons & _BEHIND and self.unread * 2 <= self._max_unread:
            self._resume(_BEHIND)

    def induced(self, size: int) -> None:
        """What was read made us say ``size`` bytes, although nothing can be written."""
        self._induced += size
        if self._induced > _MAX_INDUCED:
            self._pause(_FLOODED)

    def relieved(self) -> None:
        """What there was to say can be written."""
        self._induced = 0
        self._resume(_FLOODED)

    def _pause(self, reason: int) -> None:
        if not self._reasons and self.transport is not None:
            self.transport.pause_reading()
        self._reasons |= reason
        self.paused = True

    def _resume(self, reason: int) -> None:
        if self._reasons == reason and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        self._reasons &= ~reason
        self.paused = self._reasons != 0
