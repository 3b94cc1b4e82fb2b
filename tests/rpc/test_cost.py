"""What a unary call costs, counted rather than timed, so that it cannot creep up."""

from __future__ import annotations

import asyncio
import cProfile
from collections import Counter

from meshkit.rpc import Channel, Client, Context, Method, Server, Servicer
from tests.support.costs import OTHERS, functions_entered

ECHO = Method("/cost.v1.Cost/Echo", bytes, bytes, name="echo")
CALLS = 3200
AT_ONCE = 64
CEILING = 35  # Python functions of this package per call, both ends together
RPC_CEILING = 18


class _Echo(Servicer):
    __service_name__ = "cost.v1.Cost"
    __methods__ = (ECHO,)

    async def echo(self, request: bytes, ctx: Context, /) -> bytes:
        return request


async def count() -> Counter[str]:
    """Calls of our Python functions per unary call, by room."""
    server = Server([_Echo()], health=False, reflection=False)
    port = await server.listen()
    async with Channel(f"127.0.0.1:{port}") as channel:
        client = Client(channel)

        async def work(calls: int) -> None:
            for _ in range(calls):
                await client._mesh_unary(ECHO, b"x" * 20, 5.0, None, None)

        await asyncio.gather(*(work(4) for _ in range(AT_ONCE)))
        profile = cProfile.Profile()
        profile.enable()
        await asyncio.gather(*(work(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
        profile.disable()
    await server.close()
    counted = functions_entered(profile, CALLS)
    del counted[OTHERS]
    return counted


async def test_python_calls_per_unary_call() -> None:
    counted = await count()
    assert counted["rpc"] <= RPC_CEILING, counted
    assert counted.total() <= CEILING, counted
