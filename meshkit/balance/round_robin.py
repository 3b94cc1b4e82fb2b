"""ROUND_ROBIN: every backend in turn, from a random start so that many clients do not all begin with the same one.

Where weights differ: earliest deadline first, as in Envoy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from meshkit.xds.resources import LbPolicy

from .picker import B, Picker, weights_of
from .schedule import Schedule

__all__ = ["RoundRobin", "WeightedRoundRobin", "build"]


class RoundRobin(Generic[B]):
    """Each backend once in every round."""

    __slots__ = ("_backends", "_next")

    def __init__(self, backends: Sequence[B], random: Callable[[], float]) -> None:
        self._backends = list(backends)
        self._next = int(random() * len(backends))

    def pick(self) -> B:
        """The next in turn."""
        index = self._next
        self._next = index + 1 if index + 1 < len(self._backends) else 0
        return self._backends[index]


class WeightedRoundRobin(Generic[B]):
    """Each backend ``weight`` times in every round of as many picks as the weights' sum, evenly spread."""

    __slots__ = ("_backends", "_schedule", "_steps")

    def __init__(self, backends: Sequence[B], weights: Sequence[int], random: Callable[[], float]) -> None:
        self._backends = list(backends)
        self._steps = [1 / weight for weight in weights]
        self._schedule = Schedule(self._steps, random)

    def pick(self) -> B:
        """The one whose turn is most overdue."""
        index = self._schedule.first()
        self._schedule.postpone(self._steps[index])
        return self._backends[index]


def build(policy: LbPolicy, backends: Sequence[B], random: Callable[[], float]) -> Picker[B]:
    """Round robin, weighted if weights differ. No parameters."""
    weights = weights_of(backends)
    return RoundRobin(backends, random) if weights is None else WeightedRoundRobin(backends, weights, random)
