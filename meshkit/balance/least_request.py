"""LEAST_REQUEST: the less busy of a few random backends (gRFC A48; Envoy's least request balancer).

Parameters: ``choice_count`` (default 2, taken as at most 10: A48), ``active_request_bias`` (default 1.0, used where
weights differ).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from meshkit.xds.resources import LbPolicy

from .picker import B, Picker, weights_of
from .schedule import Schedule

__all__ = ["LeastRequest", "WeightedLeastRequest", "build"]

_MOST_CHOICES = 10


class LeastRequest(Generic[B]):
    """The least busy of ``choices`` random backends.

    Envoy and gRPC may draw one backend twice, which leaves a call in four of two backends to chance; here the others
    are drawn from those that are not the first.
    """

    __slots__ = ("_backends", "_choices", "_count", "_random")

    def __init__(self, backends: Sequence[B], random: Callable[[], float], choices: int = 2) -> None:
        self._backends = list(backends)
        self._count = len(self._backends)
        self._choices = choices
        self._random = random

    def pick(self) -> B:
        """The chosen one; the first drawn where several are equally busy."""
        count, random, backends = self._count, self._random, self._backends
        first = int(random() * count)
        best = backends[first]
        for _ in range(1, self._choices):
            other = backends[(first + 1 + int(random() * (count - 1))) % count]
            if other.in_flight < best.in_flight:
                best = other
        return best


class WeightedLeastRequest(Generic[B]):
    """Weighted turns where a busy backend counts for less: weight / (in_flight + 1) ** bias, as in Envoy."""

    __slots__ = ("_backends", "_bias", "_schedule", "_steps")

    def __init__(self, backends: Sequence[B], weights: Sequence[int], random: Callable[[], float], bias: float) -> None:
        self._backends = list(backends)
        self._steps = [1 / weight for weight in weights]
        self._bias = bias
        self._schedule = Schedule(self._steps, random)

    def pick(self) -> B:
        """The one whose turn it is; its next turn comes the later the busier it is."""
        index = self._schedule.first()
        backend = self._backends[index]
        self._schedule.postpone(self._steps[index] * (backend.in_flight + 1) ** self._bias)
        return backend


def build(policy: LbPolicy, backends: Sequence[B], random: Callable[[], float]) -> Picker[B]:
    """Least request, by Envoy's weighted form if weights differ."""
    weights = weights_of(backends)
    if weights is not None:
        return WeightedLeastRequest(backends, weights, random, float(policy.parameters.get("active_request_bias", 1.0)))
    choices = min(max(int(policy.parameters.get("choice_count", 2)), 2), _MOST_CHOICES)
    return LeastRequest(backends, random, choices)
