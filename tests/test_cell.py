import asyncio

from meshkit.cell import Cell


async def test_a_waiter_gets_the_value_that_satisfies_it() -> None:
    cell = Cell(0)
    waiter = asyncio.ensure_future(cell.wait(lambda value: value > 1))
    await asyncio.sleep(0)
    cell.set(1)
    await asyncio.sleep(0)
    assert not waiter.done()
    cell.set(2)
    cell.set(0)  # a later store takes nothing back from one who was told
    assert await waiter == 2


async def test_a_value_that_holds_already_is_given_at_once() -> None:
    assert await Cell("ready").wait(lambda value: value == "ready") == "ready"


async def test_listeners_hear_each_store_in_order_until_they_stop() -> None:
    cell = Cell(0)
    heard: list[tuple[str, int]] = []
    stop = cell.listen(lambda value: heard.append(("a", value)))
    cell.listen(lambda value: heard.append(("b", value)))
    cell.set(1)
    stop()
    cell.set(2)
    assert heard == [("a", 1), ("b", 1), ("b", 2)]


async def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    cell = Cell(0)
    waiter = asyncio.ensure_future(cell.wait(bool))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    cell.set(1)
    assert cell._waiters == []
