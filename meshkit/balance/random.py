"""RANDOM: any backend, by weight."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Generic

from meshkit.xds.resources import LbPolicy

from .picker import B, Picker, weights_of

__all__ = ["Random", "WeightedRandom", "build"]


class Random(Generic[B]):
    """All backends alike."""

    __slots__ = ("_backends", "_count", "_random")

    def __init__(self, backends: Sequence[B], random: Callable[[], float]) -> None:
        self._backends = list(backends)
        self._count = len(self._backends)
        self._random = random

    def pick(self) -> B:
        """Any of them."""
        return self._backends[int(self._random() * self._count)]


class WeightedRandom(Generic[B]):
    """Each backend in proportion to its weight."""

    __slots__ = ("_backends", "_bounds", "_random", "_total")

    def __init__(self, backends: Sequence[B], weights: Sequence[int], random: Callable[[], float]) -> None:
        self._backends = list(backends)
        bounds = list(accumulate(weights))
        # Without the last bound no rounding of `random() * total` can point past the last backend.
        self._total = bounds.pop()
        self._bounds = bounds
        self._random = random

    def pick(self) -> B:
        """Any of them, by weight."""
        return self._backends[bisect_right(self._bounds, self._random() * self._total)]


def build(policy: LbPolicy, backends: Sequence[B], random: Callable[[], float]) -> Picker[B]:
    """Random, weighted if weights differ. No parameters."""
    weights = weights_of(backends)
    return Random(backends, random) if weights is None else WeightedRandom(backends, weights, random)
