"""The demo's client: a steady rate of calls, and the count of who answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from meshkit.errors import RpcError
from meshkit.tasks import Scope

__all__ = ["Load", "Tally"]

RATE = 500
_TICK = 0.02
_PER_TICK = round(RATE * _TICK)
_MOST = 200  # calls that run at once


class Tally:
    """Who answered, among the calls started since it was made; ``admin`` counts those that carried ``user: admin``."""

    def __init__(self) -> None:
        self.plain: Counter[str] = Counter()
        self.admin: Counter[str] = Counter()
        self.errors: list[str] = []

    @property
    def calls(self) -> int:
        return self.plain.total() + self.admin.total() + len(self.errors)

    def share(self, word: str) -> float:
        """The part of plain calls answered by whoever carries ``word`` in its name; 0 without calls."""
        hits = sum(count for who, count in self.plain.items() if word in who.split())
        return hits / max(1, self.plain.total())

    def answered_by(self, word: str) -> int:
        """How many different servers that carry ``word`` answered plain calls."""
        return sum(word in who.split() for who in self.plain)


class Load:
    """`RATE` calls a second, every fifth with ``user: admin``; fewer where the machine cannot do as many."""

    def __init__(self, call: Callable[[bool], Coroutine[Any, Any, str]]) -> None:
        self._call = call
        self._running = 0
        self.total = 0
        self.failed = 0
        self.last_error = ""
        self.tally = Tally()

    def fresh(self) -> Tally:
        """A new tally for the calls started from now on."""
        self.tally = Tally()
        return self.tally

    async def warm_up(self) -> None:
        """One call, which waits for the mesh to know the interface."""
        await self._call(False)

    async def run(self) -> None:
        """Call until cancelled; running calls are then given up uncounted."""
        loop = asyncio.get_running_loop()
        async with Scope("load") as scope:
            due = loop.time()
            while True:
                for index in range(_PER_TICK if self._running < _MOST else 0):
                    scope.start(self._one(index % 5 == 0, self.tally))
                due = max(due + _TICK, loop.time())  # what was missed is not made up for
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _one(self, admin: bool, tally: Tally) -> None:
        self._running += 1
        try:
            who = await self._call(admin)
        except RpcError as error:
            self.failed += 1
            self.last_error = str(error)
            tally.errors.append(str(error))
        else:
            (tally.admin if admin else tally.plain)[who] += 1
        self._running -= 1
        self.total += 1
