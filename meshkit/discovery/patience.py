"""How long a resource may stay unanswered before it counts as absent (gRFC A57: 15 s).

The time starts when the control plane was asked, and ends nothing while there is no stream to answer on. A control
plane that answers later is believed then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshkit.clock import Clock
from meshkit.xds import TYPES, AdsMachine, EntryState, ResourceType

__all__ = ["Patience"]


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
        waiting = {
            (kind, entry.name): self._due.get((kind, entry.name), now + self._seconds)
            for kind in TYPES
            for entry in self._machine.entries(kind)
            if entry.state is EntryState.REQUESTED and self._machine.asked(kind, entry.name)
        }
        self._due = waiting
        if waiting:
            self._wake.set()

    async def run(self) -> None:
        """Give up what is due, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                await self._clock.sleep(min(self._due.values()) - self._clock.now())
                self._expire()

    def _expire(self) -> None:
        now = self._clock.now()
        for (kind, name), due in tuple(self._due.items()):
            if due <= now:
                del self._due[kind, name]
                reason = f"no answer within {self._seconds:g} s"
                if self._machine.asked(kind, name) and self._machine.silence(kind, name, reason):
                    self._silent(kind, name)
