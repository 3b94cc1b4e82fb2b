"""What a unary call and a message of a stream cost, counted rather than timed, so that it cannot creep up."""

from __future__ import annotations

import asyncio
import cProfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from meshkit.rpc import Channel, Client, Context, Method, Server, Servicer
from tests.support.costs import OTHERS, functions_entered

ECHO = Method("/cost.v1.Cost/Echo", bytes, bytes, name="echo")
CHAT = Method("/cost.v1.Cost/Chat", bytes, bytes, client_streaming=True, server_streaming=True, name="chat")
CALLS = 3200
AT_ONCE = 64
CEILING = 33  # Python functions of this package per call, both ends together
RPC_CEILING = 18
TURN_CEILING = 28  # likewise per message of a chat and its answer


class _Echo(Servicer):
    __service_name__ = "cost.v1.Cost"
    __methods__ = (ECHO, CHAT)

    async def echo(self, request: bytes, ctx: Context, /) -> bytes:
        return request

    async def chat(self, requests: AsyncIterator[bytes], ctx: Context, /) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request


async def echo(client: Client, calls: int) -> None:
    for _ in range(calls):
        await client._mesh_unary(ECHO, b"x" * 20, 60.0, None, None)


async def chat(client: Client, turns: int) -> None:
    async with client._mesh_bidi(CHAT, None, 60.0, None, None) as call:
        for _ in range(turns):
            await call.send(b"x" * 20)
            await call.recv()


async def count(work: Callable[[Client, int], Awaitable[None]]) -> Counter[str]:
    """Calls of our Python functions per unary call or turn, by room."""
    server = Server([_Echo()], health=False, reflection=False)
    port = await server.listen()
    async with Channel(f"127.0.0.1:{port}") as channel:
        client = Client(channel)

        await asyncio.gather(*(work(client, 4) for _ in range(AT_ONCE)))
        profile = cProfile.Profile()
        profile.enable()
        await asyncio.gather(*(work(client, CALLS // AT_ONCE) for _ in range(AT_ONCE)))
        profile.disable()
    await server.close()
    counted = functions_entered(profile, CALLS)
    del counted[OTHERS]
    return counted


async def test_python_calls_per_unary_call() -> None:
    counted = await count(echo)
    assert counted["rpc"] <= RPC_CEILING, counted
    assert counted.total() <= CEILING, counted


async def test_python_calls_per_message_and_answer() -> None:
    counted = await count(chat)
    assert counted.total() <= TURN_CEILING, counted
