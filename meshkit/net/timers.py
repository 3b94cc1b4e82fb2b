"""Many deadlines on one loop timer: a heap of ours, and one ``call_at`` for its head.

A call's deadline is almost always cancelled before it is due, so cancelling only marks the entry: it leaves the heap
when it reaches the head, or when cancelled entries are the majority.  The loop is not told of either.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from heapq import heapify, heappop, heappush

__all__ = ["Timer", "Timers"]

_COMPACT_AT = 512
_LATE = 0.001  # uvloop counts in whole milliseconds and rounds: ask for one more, and none comes early


class Timer:
    """One scheduled call; `cancel` makes sure that it never runs."""

    __slots__ = ("_timers", "callback", "deadline")

    def __init__(self, timers: Timers, deadline: float, callback: Callable[[], object]) -> None:
        self._timers = timers
        self.deadline = deadline
        self.callback: Callable[[], object] | None = callback

    def __repr__(self) -> str:
        return f"Timer(deadline={self.deadline:.3f}, {'done' if self.callback is None else 'pending'})"

    def __lt__(self, other: Timer) -> bool:
        return self.deadline < other.deadline

    def cancel(self) -> None:
        """Never call back. Does nothing when that has happened already."""
        if self.callback is not None:
            self.callback = None
            self._timers.cancelled += 1


class Timers:
    """The deadlines of one event loop. `of` gives the loop's own, shared by everything that runs in it."""

    __slots__ = ("__weakref__", "_due", "_handle", "_heap", "_loop", "cancelled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, Timer]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self.cancelled = 0

    def __repr__(self) -> str:
        return f"Timers(pending={len(self)})"

    def __len__(self) -> int:
        return len(self._heap) - self.cancelled

    @staticmethod
    def of(loop: asyncio.AbstractEventLoop) -> Timers:
        """The timers of ``loop``."""
        timers = _BY_LOOP.get(loop)
        if timers is None:
            timers = _BY_LOOP[loop] = Timers(loop)
        return timers

    def now(self) -> float:
        """The loop's time, which deadlines are in."""
        return self._loop.time()

    def schedule(self, deadline: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` when ``loop.time()`` has reached ``deadline``. The callback must not raise."""
        timer = Timer(self, deadline, callback)
        heappush(self._heap, (deadline, timer))
        if deadline < self._due:
            self._arm(deadline)
        elif self.cancelled > _COMPACT_AT and self.cancelled * 2 > len(self._heap):
            self._compact()
        return timer

    def _arm(self, deadline: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._due = deadline
        self._handle = self._loop.call_at(deadline + _LATE, self._run)

    def _run(self) -> None:
        self._handle, self._due = None, float("inf")
        for timer in self._due_by(self._loop.time()):
            callback, timer.callback = timer.callback, None
            if callback is None:
                self.cancelled -= 1
            else:
                self._fire(callback)
        self._rearm()

    def _due_by(self, now: float) -> list[Timer]:
        """Taken out before any runs: what they schedule anew waits for the next turn, however soon it is due."""
        heap, due = self._heap, list[Timer]()
        while heap and heap[0][0] <= now:
            due.append(heappop(heap)[1])
        return due

    def _rearm(self) -> None:
        heap = self._heap
        while heap and heap[0][1].callback is None:
            heappop(heap)
            self.cancelled -= 1
        if heap and heap[0][0] < self._due:
            self._arm(heap[0][0])

    def _fire(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception as error:
            self._loop.call_exception_handler({"message": f"timer {callback!r} failed", "exception": error})

    def _compact(self) -> None:
        self._heap[:] = [entry for entry in self._heap if entry[1].callback is not None]
        heapify(self._heap)
        self.cancelled = 0


_BY_LOOP: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Timers] = weakref.WeakKeyDictionary()
