"""Mistakes in what a user sends, as the server sees them: nothing of the mistake, and the end of the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from meshkit.rpc import Channel
from tests.support import h2peer as h2
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.waiting import until

CANCEL = 8


class UsersOwn(Exception):
    """What a user's iterator raises."""


async def good_then(bad: object, arrived: asyncio.Event) -> AsyncIterator[EchoRequest]:
    yield EchoRequest(text="good")
    await arrived.wait()
    if isinstance(bad, Exception):
        raise bad
    yield bad  # type: ignore[misc]  # the mistake under test


async def wrong_unary(echo: EchoClient, arrived: asyncio.Event) -> None:
    await echo.unary(EchoReply())  # type: ignore[arg-type]  # the mistake under test


async def wrong_in_an_iterator(echo: EchoClient, arrived: asyncio.Event) -> None:
    await echo.join(good_then(EchoReply(), arrived))


async def raising_iterator(echo: EchoClient, arrived: asyncio.Event) -> None:
    await echo.join(good_then(UsersOwn("x"), arrived))


async def wrong_by_hand(echo: EchoClient, arrived: asyncio.Event) -> None:
    async with echo.chat() as call:
        await call.send(EchoRequest(text="good"))
        await arrived.wait()
        await call.send(EchoReply())  # type: ignore[arg-type]  # the mistake under test


async def after_the_end(echo: EchoClient, arrived: asyncio.Event) -> None:
    async with echo.chat() as call:
        await call.send(EchoRequest(text="good"))
        await arrived.wait()
        await call.end()
        await call.send(EchoRequest(text="late"))


@pytest.mark.parametrize(
    "mistake, error",
    [
        (wrong_unary, TypeError),
        (wrong_in_an_iterator, TypeError),
        (raising_iterator, UsersOwn),
        (wrong_by_hand, TypeError),
        (after_the_end, RuntimeError),
    ],
)
async def test_a_mistake_raises_sends_nothing_and_cancels_the_call(
    mistake: Callable[[EchoClient, asyncio.Event], Awaitable[None]], error: type[Exception]
) -> None:
    seen: list[h2.Frame] = []
    arrived = asyncio.Event()

    async def play(peer: h2.Peer) -> None:
        while (frame := await peer.next()) is not None:
            if frame.kind in (h2.HEADERS, h2.DATA, h2.RST_STREAM):
                seen.append(frame)
            if frame.kind == h2.DATA:
                arrived.set()

    async with h2.scripted(play) as port:
        channel = Channel(f"127.0.0.1:{port}")
        with pytest.raises(error):
            await asyncio.wait_for(mistake(EchoClient(channel), arrived), 30)
        await channel.close()
        if mistake is not wrong_unary:
            await until(lambda: seen[-1].kind == h2.RST_STREAM)
    good = h2.message(bytes(EchoRequest(text="good")))
    assert b"".join(frame.payload for frame in seen if frame.kind == h2.DATA) == (
        b"" if mistake is wrong_unary else good
    )
    assert not seen or int.from_bytes(seen[-1].payload, "big") == CANCEL
