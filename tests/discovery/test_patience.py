"""The time to answer, on a clock that is turned by hand."""

from __future__ import annotations

import asyncio

from meshkit.discovery.patience import Patience
from meshkit.xds import ASSIGNMENTS, ROUTES, EntryState, ResourceType, Response, SotwMachine
from meshkit.xds.entry import Update
from meshkit.xds.resources import RouteConfiguration


class Hand:
    """A clock whose sleepers wake when it is turned."""

    def __init__(self) -> None:
        self.time = 100.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._sleepers.append((self.time + seconds, future))
            await future

    async def turn(self, seconds: float) -> None:
        await settled()
        self.time += seconds
        for until, future in self._sleepers:
            if until <= self.time and not future.done():
                future.set_result(None)
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_only_what_was_asked_for_and_not_answered_is_given_up() -> None:
    machine, clock, given_up = SotwMachine(), Hand(), list[tuple[ResourceType, str]]()
    patience = Patience(machine, 15.0, clock, lambda kind, name: given_up.append((kind, name)))
    task = asyncio.ensure_future(patience.run())
    for name in ("slow", "quick"):
        machine.subscribe(ROUTES, name)
    machine.opened()
    machine.requests()
    patience.note()
    await clock.turn(10)
    machine.receive(
        Response(ROUTES.url, "1", "n"), [Update("quick", b"k", 1, resource=RouteConfiguration("quick", ()))]
    )
    machine.subscribe(ASSIGNMENTS, "later")
    machine.requests()
    patience.note()
    assert given_up == []
    await clock.turn(6)
    assert given_up == [(ROUTES, "slow")]
    entry = machine.entry(ROUTES, "slow")
    assert entry is not None
    assert (entry.state, entry.error) == (EntryState.ABSENT, "no answer within 15 s")
    await clock.turn(10)
    assert given_up == [(ROUTES, "slow"), (ASSIGNMENTS, "later")]
    task.cancel()


async def test_without_a_stream_nobody_is_given_up() -> None:
    machine, clock, given_up = SotwMachine(), Hand(), list[str]()
    patience = Patience(machine, 15.0, clock, lambda _, name: given_up.append(name))
    task = asyncio.ensure_future(patience.run())
    machine.subscribe(ROUTES, "a")
    machine.opened()
    machine.requests()
    patience.note()
    machine.closed()
    await clock.turn(20)
    assert given_up == []
    machine.opened()
    machine.requests()
    patience.note()
    await clock.turn(14)
    assert given_up == []
    await clock.turn(2)
    assert given_up == ["a"]
    task.cancel()
