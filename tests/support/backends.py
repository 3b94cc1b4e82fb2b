"""Backends for balancer tests, and counts of what a picker does with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from meshkit.balance import Picker

__all__ = ["FakeBackend", "backends", "counts"]


@dataclass(slots=True, eq=False)
class FakeBackend:
    name: int
    weight: int = 1
    in_flight: int = 0


def backends(weights: Iterable[int]) -> list[FakeBackend]:
    """One for each weight, named by its position."""
    return [FakeBackend(name, weight) for name, weight in enumerate(weights)]


def counts(picker: Picker[FakeBackend], picks: int) -> Counter[int]:
    """How often each backend is picked."""
    return Counter(picker.pick().name for _ in range(picks))
