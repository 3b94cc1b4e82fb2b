"""Asking again for what was refused: a control plane that was told so (NACK) sends it again when it changes, which may
be never, though the fault was in one message only.

Only what somebody needs is asked for, more and more seldom: Istio answers with all clusters it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import random

from meshkit.clock import Clock
from meshkit.net import Backoff, BackoffPolicy
from meshkit.xds import TYPES, AdsMachine, ResourceType

from .subscriptions import Subscriptions

__all__ = ["Reminder"]


class Reminder:
    """Asks ``machine`` again for the refused resources that ``subscriptions`` know a user of. ``changed`` is called
    when the machine has something to send."""

    def __init__(
        self,
        machine: AdsMachine,
        subscriptions: Subscriptions,
        policy: BackoffPolicy,
        clock: Clock,
        changed: Callable[[], object],
    ) -> None:
        self._machine = machine
        self._subscriptions = subscriptions
        self._backoff = Backoff(policy, random)
        self._clock = clock
        self._changed = changed
        self._wake = asyncio.Event()

    def note(self) -> None:
        """Requests went out: something may have been refused, or be needed now."""
        if any(self._machine.state(kind).nacks for kind in TYPES):
            self._wake.set()

    async def run(self) -> None:
        """Ask for what is due, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while any(self._refused(kind) for kind in TYPES):
                await self._clock.sleep(self._backoff.next())
                for kind in TYPES:
                    self._machine.again(kind, self._refused(kind))
                self._changed()
            self._backoff.reset()

    def _refused(self, kind: ResourceType) -> list[str]:
        refused = [entry.name for entry in self._machine.entries(kind) if entry.refused]
        return [name for name in refused if self._subscriptions.users(kind, (name,))]
