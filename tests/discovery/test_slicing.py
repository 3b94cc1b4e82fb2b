"""Work in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from meshkit.discovery.slicing import Slicer


class Counter:
    """A processor clock on which every step of work takes a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def work(clock: Counter, steps: int, ended: list[str]) -> Generator[int, None, str]:
    try:
        for _ in range(steps):
            clock.now += 0.001
            yield 1
        return "done"
    finally:
        ended.append("closed")


async def test_the_loop_gets_turns_between_slices() -> None:
    clock = Counter()
    slicer = Slicer(0.002, clock)
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.ensure_future(tick())
    assert await slicer.run(work(clock, 10, [])) == "done"
    ticker.cancel()
    assert turns >= 4
    assert slicer.slices == 6
    assert slicer.longest == pytest.approx(0.002)
    assert "6 slices" in repr(slicer)


async def test_cancelled_work_is_closed() -> None:
    clock, ended = Counter(), list[str]()
    task = asyncio.ensure_future(Slicer(0.001, clock).run(work(clock, 1000, ended)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["closed"]
