"""What balancers balance over, and what a balancer is."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol, TypeVar

__all__ = ["B", "Backend", "Even", "Picker", "weights_of"]


_WEIGHT = attrgetter("weight")


class Backend(Protocol):
    """An endpoint as balancers see it. ``weight`` (1 or more) is read when a picker is built, ``in_flight`` (calls
    running now) at every pick by the policies that look at load."""

    @property
    def weight(self) -> int: ...

    @property
    def in_flight(self) -> int: ...


B = TypeVar("B", bound=Backend)
B_co = TypeVar("B_co", bound=Backend, covariant=True)
K = TypeVar("K", bound=type)


class Picker(Protocol[B_co]):
    """Chooses a backend for one attempt of a call. What it costs does not depend on the number of backends."""

    def pick(self) -> B_co:
        """The backend to use; never fails, as a picker is never built over nothing."""
        ...


def _interpreted(kind: K) -> K:
    """mypyc leaves a class with a decorator as it is; what it compiles cannot be a list (`.hatch_build.py`)."""
    return kind


@_interpreted
class Even(list[B]):
    """Backends that are known to weigh the same, so that nobody has to look at each of ten thousand."""

    __slots__ = ()


def weights_of(backends: Sequence[Backend]) -> list[int] | None:
    """The weights of ``backends``; None where all are equal, so that weights need no thought.

    Raises ValueError for a weight below 1.
    """
    weights = list(map(_WEIGHT, backends[:1] if isinstance(backends, Even) else backends))
    equal = weights.count(weights[0]) == len(weights)  # there may be ten thousand: C counts them in 50 us
    if (weights[0] if equal else min(weights)) < 1:
        raise ValueError("a backend's weight must be 1 or more")
    return None if equal else weights
