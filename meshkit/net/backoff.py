"""When to try to connect again (grpc/doc/connection-backoff.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Backoff", "BackoffPolicy"]


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Seconds between the starts of attempts: ``initial`` x ``multiplier``^n up to ``maximum``, +-``jitter``."""

    initial: float = 1.0
    multiplier: float = 1.6
    jitter: float = 0.2
    maximum: float = 120.0


class Backoff:
    """The delay after each failure in a row; ``random`` gives values in [0, 1)."""

    __slots__ = ("_current", "_policy", "_random", "failures")

    def __init__(self, policy: BackoffPolicy, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._current = policy.initial
        self.failures = 0

    def __repr__(self) -> str:
        return f"Backoff(failures={self.failures}, next={self._current:.3g}s)"

    def next(self) -> float:
        """Seconds from the start of the attempt that just failed to the start of the next."""
        policy = self._policy
        delay = self._current
        self.failures += 1
        self._current = min(delay * policy.multiplier, policy.maximum)
        return delay * (1.0 + policy.jitter * (2.0 * self._random() - 1.0))

    def reset(self) -> None:
        """A connection was good: the next failure starts from the beginning."""
        self._current = self._policy.initial
        self.failures = 0
