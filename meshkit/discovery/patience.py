"""How long a resource may stay unanswered before it counts as absent (gRFC A57: 15 s).

A response that should hold everything and came without a resource shortens its time to a second: Istio answers at once,
also for what does not exist, but a response may have crossed our request.

The time starts when the control plane was asked, and ends nothing while there is no stream to answer on. A control
plane that answers later is believed then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshkit.clock import Clock
from meshkit.xds import TYPES, AdsMachine, EntryState, ResourceType

__all__ = ["Patience"]

_CROSSING = 1.0  # seconds in which the answer to a request that crossed a push arrives
_TICK = 0.5  # seconds between looks, for a due time may come nearer


class Patience:
    """Watches the unanswered resources of ``machine``; ``silent`` is told of each one that was given up."""

    def __init__(
        self, machine: AdsMachine, seconds: float, clock: Clock, silent: Callable[[ResourceType, str], None]
    ) -> None:
        self._machine = machine
        self._seconds = seconds
        self._clock = clock
        self._silent = silent
        self._due: dict[tuple[ResourceType, str], float] = {}
        self._wake = asyncio.Event()

    def note(self) -> None:
        """Requests went out: note what is unanswered now."""
        now = self._clock.now()
        waiting: dict[tuple[ResourceType, str], float] = {}
        for kind in TYPES:
            for entry in self._machine.entries(kind):
                if entry.state is EntryState.REQUESTED and self._machine.asked(kind, entry.name):
                    due = self._due.get((kind, entry.name), now + self._seconds)
                    waiting[kind, entry.name] = min(due, now + _CROSSING) if entry.missed else due
        self._due = waiting
        if waiting:
            self._wake.set()

    async def run(self) -> None:
        """Give up what is due, for ever."""
        while True:
            await self._wake.wait()
            while self._due:
                await self._clock.sleep(min(_TICK, min(self._due.values()) - self._clock.now()))
                self._expire()
            self._wake.clear()

    def _expire(self) -> None:
        now = self._clock.now()
        for (kind, name), due in tuple(self._due.items()):
            if due <= now:
                del self._due[kind, name]
                if self._machine.asked(kind, name) and self._machine.silence(kind, name, self._reason(kind, name)):
                    self._silent(kind, name)

    def _reason(self, kind: ResourceType, name: str) -> str:
        entry = self._machine.entry(kind, name)
        missed = entry is not None and entry.missed
        return "the control plane does not have it" if missed else f"no answer within {self._seconds:g} s"
