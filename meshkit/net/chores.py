"""What a connection must do in time. A chore does what is due and says when it wants to be asked again; all chores of a
connection share one timer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from meshkit.wire import Connection

from .keepalive import Pinger, Pulse
from .timers import Timer, Timers

__all__ = ["Chore", "Chores", "Keepalive"]

_PING = b"meshkit\0"

Chore = Callable[[float], float]
"""Does what is due at a time (loop seconds), and says when it wants to be asked again (infinity: never)."""


class Chores:
    """The chores of one connection; ``done`` is called after each round. ``due`` is when the next round is."""

    __slots__ = ("_chores", "_done", "_timer", "_timers", "due")

    def __init__(self, timers: Timers, chores: tuple[Chore, ...], done: Callable[[], None]) -> None:
        self._timers = timers
        self._chores = chores
        self._done = done
        self._timer: Timer | None = None
        self.due = math.inf

    def __repr__(self) -> str:
        return f"Chores({len(self._chores)}, due={self.due})"

    def add(self, *chores: Chore) -> None:
        """More to do, from the next round on."""
        self._chores += chores

    def at(self, deadline: float) -> None:
        """Have a round no later than ``deadline``."""
        if deadline < self.due:
            self.stop()
            self.due = deadline
            self._timer = self._timers.schedule(deadline, self.run)

    def stop(self) -> None:
        """No round until `at` is called."""
        self.due = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def run(self) -> None:
        """A round, now."""
        self.stop()
        now = self._timers.now()
        self.at(min(chore(now) for chore in self._chores))
        self._done()


class _Kept(Protocol):
    """A connection, as keepalive needs it."""

    engine: Connection
    heard: float

    def abort(self, reason: str) -> None: ...


class Keepalive:
    """A `Pinger` at work on a connection; ``busy`` tells whether calls run."""

    __slots__ = ("_busy", "_link", "_pinger")

    def __init__(self, link: _Kept, pinger: Pinger, busy: Callable[[], bool]) -> None:
        self._link = link
        self._pinger = pinger
        self._busy = busy

    def __call__(self, now: float) -> float:
        link, pinger = self._link, self._pinger
        pulse = pinger.check(link.heard, now, self._busy())
        if pulse is Pulse.DEAD:
            link.abort(f"no answer to a keepalive PING within {pinger.timeout:g} s")
            return math.inf
        if pulse is Pulse.PING:
            link.engine.ping(_PING)
        return pinger.due(link.heard, now)
