"""The queue between a stream and its reader."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.rpc.inbox import Inbox


async def test_what_is_put_is_got_in_order() -> None:
    inbox: Inbox[int] = Inbox()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put(1)
    inbox.put(2)
    inbox.end()
    assert [await reader, await inbox.get(), await inbox.get(), await inbox.get()] == [1, 2, None, None]


async def test_an_error_comes_after_what_is_there_or_at_once() -> None:
    for discard, before in ((False, [1]), (True, [])):
        inbox: Inbox[int] = Inbox()
        inbox.put(1)
        inbox.end(KeyError("first"), discard=discard)
        inbox.end(KeyError("second"))
        assert [await inbox.get() for _ in before] == before
        with pytest.raises(KeyError, match="first"):
            await inbox.get()


async def test_one_reader_at_a_time() -> None:
    inbox: Inbox[int] = Inbox()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task is reading"):
        await inbox.get()
    inbox.put(1)
    assert await reader == 1


@given(st.lists(st.sampled_from(["put", "read", "give up"]), max_size=40))
def test_giving_up_loses_nothing(steps: list[str]) -> None:
    async def run() -> None:
        inbox: Inbox[int] = Inbox()
        put = 0
        got: list[int | None] = []
        for step in steps:
            if step == "put":
                inbox.put(put)
                put += 1
            reader = asyncio.create_task(inbox.get())
            await asyncio.sleep(0)
            if step == "give up" or not reader.done():
                reader.cancel()
            await asyncio.wait([reader])
            if not reader.cancelled():
                got.append(reader.result())
        inbox.end()
        while (rest := await inbox.get()) is not None:
            got.append(rest)
        assert got == list(range(put))

    asyncio.run(run())
