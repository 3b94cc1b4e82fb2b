"""Earliest deadline first: who is next when turns come at different rates (Envoy's EdfScheduler).

Each entry has a deadline in virtual time; the earliest is served and moved on by its step, the inverse of its weight.
Where in its first step an entry begins is a random point for the first and the golden ratio further for each that
follows. So clients begin differently, entries of one weight spread evenly over time instead of coming in bursts, and
any run of as many picks as the weights' sum serves every entry exactly by weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heapreplace

__all__ = ["Schedule"]

_GOLDEN = 0.618033988749895


class Schedule:
    """Entries 0 to n-1 by deadline; a heap, so a turn costs O(log n)."""

    __slots__ = ("_heap",)

    def __init__(self, steps: Sequence[float], random: Callable[[], float]) -> None:
        start = random()
        self._heap = [(step * ((start + index * _GOLDEN) % 1.0), index) for index, step in enumerate(steps)]
        heapify(self._heap)

    def first(self) -> int:
        """The entry whose turn it is."""
        return self._heap[0][1]

    def postpone(self, step: float) -> None:
        """Give the first entry its next turn ``step`` later."""
        deadline, index = self._heap[0]
        heapreplace(self._heap, (deadline + step, index))
