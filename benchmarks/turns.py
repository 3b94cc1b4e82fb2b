"""Functions of one process measured in turns: each round measures them all, so that noise meets all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import process_time
from typing import Any

__all__ = ["over", "plus", "times", "turns"]

Rounds = list[float]


def turns(calls: Mapping[str, Callable[[], Any]], rounds: int, repeat: int) -> dict[str, Rounds]:
    """CPU seconds of one call of each, by round; a round before them warms up and does not count."""
    figures: dict[str, Rounds] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            start = process_time()
            for _ in range(repeat):
                call()
            figures[name].append((process_time() - start) / repeat)
    return {name: seconds[1:] for name, seconds in figures.items()}


def over(above: Sequence[float], below: Sequence[float]) -> Rounds:
    """Ratios, round by round."""
    return [one / other for one, other in zip(above, below, strict=True)]


def plus(some: Sequence[float], more: Sequence[float]) -> Rounds:
    """Sums, round by round."""
    return [one + other for one, other in zip(some, more, strict=True)]


def times(rounds: Sequence[float], factor: float) -> Rounds:
    """In another unit."""
    return [figure * factor for figure in rounds]
