"""A budget of nonsense: what a peer may do that costs us work and brings nothing."""

from __future__ import annotations

__all__ = ["Budget"]


class Budget:
    """A token bucket. `spend` takes from it, time and `earn` fill it up to ``burst``."""

    __slots__ = ("_at", "_burst", "_left", "_per_second")

    def __init__(self, burst: float, per_second: float, now: float) -> None:
        self._burst = float(burst)
        self._left = float(burst)
        self._per_second = per_second
        self._at = now

    def earn(self, amount: float) -> None:
        """Something came that is worth it."""
        self._left += amount

    def spend(self, amount: float, now: float) -> bool:
        """Take ``amount``; False when that is more than there was."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second) - amount
        self._at = now
        return self._left >= 0
