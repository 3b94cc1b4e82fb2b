"""Keepalive, both ends of it, as values: when to ask a peer for a sign of life, and when its asking is abuse.

Carries: client keepalive (gRFC A8, A18), server keepalive and enforcement (gRFC A9, grpc/doc/keepalive.md).
"""

from __future__ import annotations

import math
from enum import Enum

__all__ = ["PingPolice", "Pinger", "Pulse"]

_NO_CALLS_PERMIT = 7200.0  # grpc/doc/keepalive.md: without calls, two hours between pings


class Pulse(Enum):
    """What a `Pinger` wants done."""

    REST = 0
    PING = 1
    DEAD = 2


class Pinger:
    """Asks after ``interval`` seconds of silence, gives up ``timeout`` seconds later. Any byte is a sign of life.

    While no call runs it stays quiet, unless ``without_calls``.
    """

    __slots__ = ("_asked", "interval", "timeout", "without_calls")

    def __init__(self, interval: float, timeout: float, *, without_calls: bool) -> None:
        self.interval = interval
        self.timeout = timeout
        self.without_calls = without_calls
        self._asked: float | None = None

    def __repr__(self) -> str:
        return f"Pinger(interval={self.interval}, timeout={self.timeout}, asked={self._asked})"

    def due(self, heard: float, now: float) -> float:
        """When to call `check` next; ``heard`` is when the last byte came."""
        if self._asked is not None and heard < self._asked:
            return self._asked + self.timeout
        after = heard + self.interval
        return after if after > now else now + self.interval

    def check(self, heard: float, now: float, calls: bool) -> Pulse:
        """What to do now."""
        if self._asked is not None:
            if heard < self._asked:
                return Pulse.DEAD if now >= self._asked + self.timeout else Pulse.REST
            self._asked = None
        if now < heard + self.interval or not (calls or self.without_calls):
            return Pulse.REST
        self._asked = now
        return Pulse.PING


class PingPolice:
    """Counts a client's PINGs that come closer together than permitted; one over ``max_strikes`` is abuse."""

    __slots__ = ("_last", "_max", "_permit", "_permit_idle", "_strikes")

    def __init__(self, permit: float, max_strikes: int, *, without_calls: bool) -> None:
        self._permit = permit
        self._permit_idle = permit if without_calls else max(permit, _NO_CALLS_PERMIT)
        self._max = max_strikes
        self._strikes = 0
        self._last = -math.inf

    def __repr__(self) -> str:
        return f"PingPolice(strikes={self._strikes} of {self._max})"

    def forgive(self) -> None:
        """HEADERS or DATA were sent: pings before that do not count."""
        self._strikes = 0
        self._last = -math.inf

    def abused(self, now: float, calls: bool) -> bool:
        """A PING came. Whether that was one too many."""
        permitted = self._last + (self._permit if calls else self._permit_idle)
        self._last = now
        if now < permitted:
            self._strikes += 1
        return self._strikes > self._max
