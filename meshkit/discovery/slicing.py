"""Big work in small turns: a generator driven for a moment at a time, so that the event loop never stalls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from time import perf_counter
from typing import TypeVar

__all__ = ["Slicer"]

T = TypeVar("T")


class Slicer:
    """Runs generators one after the other, giving the loop a turn whenever ``pause_after`` seconds of work are done.

    ``slices`` counts turns taken, ``longest`` is the longest in seconds. ``now`` must count what the processor spends,
    so it is not the clock of timers, which tests turn by hand.
    """

    __slots__ = ("_lock", "_now", "_pause_after", "longest", "slices")

    def __init__(self, pause_after: float, now: Callable[[], float] = perf_counter) -> None:
        self._pause_after = pause_after
        self._now = now
        self._lock = asyncio.Lock()  # two slices in one turn of the loop would be one long one
        self.slices = 0
        self.longest = 0.0

    def __repr__(self) -> str:
        return f"Slicer({self.slices} slices, longest {self.longest * 1000:.1f} ms)"

    async def run(self, work: Generator[object, None, T]) -> T:
        """The generator's result. The generator is closed if the caller is cancelled meanwhile."""
        try:
            async with self._lock:
                return await self._run(work)
        finally:
            work.close()

    async def _run(self, work: Generator[object, None, T]) -> T:
        start = self._now()
        try:
            while True:
                next(work)
                if self._now() - start >= self._pause_after:
                    self._ended(start)
                    await asyncio.sleep(0)
                    start = self._now()
        except StopIteration as end:
            self._ended(start)
            result: T = end.value
            return result

    def _ended(self, start: float) -> None:
        self.slices += 1
        self.longest = max(self.longest, self._now() - start)
