"""The deadlines of a connection's calls, without a timer for each.

Hardly any call lives to see its deadline. So a call only notes it; the earliest one has a round of the connection's
chores, which looks at the calls that there are then. When every call waits that long, a round costs a look at each of
them: rounds are spaced so that they cannot take more than a few percent of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from .chores import Chores

__all__ = ["Deadlined", "Deadlines"]

_A_LOOK = 2e-6  # seconds between rounds for each call that a round looks at


class Deadlined(Protocol):
    """A call. ``deadline`` is in loop time, None where there is none."""

    deadline: float | None

    def expire(self) -> None:
        """The deadline has passed."""
        ...


class Deadlines:
    """Expires calls; a chore. ``earliest``: no call that is noted ends sooner."""

    __slots__ = ("_calls", "_chores", "earliest")

    def __init__(self, chores: Chores, calls: Callable[[], Sequence[Deadlined]]) -> None:
        self._chores = chores
        self._calls = calls
        self.earliest = math.inf

    def __repr__(self) -> str:
        return f"Deadlines(earliest={self.earliest})"

    def note(self, deadline: float) -> None:
        """A call has this deadline; needed only where it is before `earliest`."""
        self.earliest = deadline
        self._chores.at(deadline)

    def __call__(self, now: float) -> float:
        if now < self.earliest:
            return self.earliest
        calls, left = self._calls(), math.inf
        for call in calls:
            deadline = call.deadline
            if deadline is None:
                continue
            if deadline <= now:
                call.expire()
            elif deadline < left:
                left = deadline
        self.earliest = max(left, now + _A_LOOK * len(calls))
        return self.earliest
