"""Priorities and localities above the endpoint policy (gRFC A27, A56; endpoint.v3.LocalityLbEndpoints).

The highest priority that has usable backends takes all calls. Within it calls are shared among localities by the
localities' weights, and within a locality by the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Generic

from meshkit.xds.resources import LbPolicy

from .picker import B, Even, Picker
from .registry import build_picker
from .schedule import Schedule

__all__ = ["LocalityPicker", "build_locality_picker"]


class LocalityPicker(Generic[B]):
    """Localities in weighted turns, each with a picker of its own."""

    __slots__ = ("_pickers", "_schedule", "_steps")

    def __init__(self, pickers: Sequence[Picker[B]], weights: Sequence[int], random: Callable[[], float]) -> None:
        self._pickers = list(pickers)
        self._steps = [1 / weight for weight in weights]
        self._schedule = Schedule(self._steps, random)

    def pick(self) -> B:
        """A backend of the locality whose turn it is."""
        index = self._schedule.first()
        self._schedule.postpone(self._steps[index])
        return self._pickers[index].pick()


def build_locality_picker(
    localities: Sequence[tuple[int | None, int, Sequence[B]]],
    policy: LbPolicy,
    random: Callable[[], float],
    *,
    even: bool = False,
) -> Picker[B] | None:
    """A picker over ``localities``, given as (weight or None, priority with 0 the highest, usable backends); None
    where no backend is usable. ``even``: all backends are known to weigh the same.

    If no locality in use has a weight, they count as one. If some have, those without are left out (gRFC A27), unless
    they are all there is. Raises as `build_picker` does.
    """
    usable = [locality for locality in localities if locality[2]]
    if not usable:
        return None
    highest = min(priority for _, priority, _ in usable)
    active = [(weight or 0, backends) for weight, priority, backends in usable if priority == highest]
    weighted = [(weight, backends) for weight, backends in active if weight]
    if not weighted or _proportional(weighted):
        return build_picker(policy, _gathered((backends for _, backends in weighted or active), even), random)
    pickers = [build_picker(policy, _gathered((backends,), even), random) for _, backends in weighted]
    return LocalityPicker(pickers, [weight for weight, _ in weighted], random)


def _gathered(parts: Iterable[Sequence[B]], even: bool) -> list[B]:
    backends = chain.from_iterable(parts)
    return Even(backends) if even else list(backends)


def _proportional(localities: Sequence[tuple[int, Sequence[B]]]) -> bool:
    """Whether the localities' weights say no more than their endpoints' weights do, as Istio's always do.

    One picker over everything then gives the same shares, and a least-request policy the whole choice.
    """
    first, backends = localities[0]
    first_sum = _sum(backends)
    return all(weight * first_sum == first * _sum(backends) for weight, backends in localities)


def _sum(backends: Sequence[B]) -> int:
    return sum(backend.weight for backend in backends)
