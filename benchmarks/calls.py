"""Python functions entered per unary call of the whole stack, at the client and at the server, counted by cProfile."""

from __future__ import annotations

import asyncio
import cProfile
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import uvloop

from benchmarks.report import Row, figure
from benchmarks.rounds import Load, Run, client, server
from benchmarks.stacks import meshkit_stack
from benchmarks.stacks.load import drive
from tests.support.costs import functions_entered

_WARM = 200  # calls that `drive` makes before those asked for


def rows(quick: bool) -> list[Row]:
    """A count, so the same however busy the machine is; with one call in flight, and with 64."""
    calls = 2_000 if quick else 10_000
    found: list[Row] = []
    for in_flight in (1, 64):
        name = f"Python calls per unary call, {in_flight} in flight"
        load = Load(in_flight=in_flight, calls=calls)
        found += [_row(f"{name}: client", _run(_client(load))), _row(f"{name}: server", _run(_server(load)))]
    return found


def _run(work: Coroutine[Any, Any, Counter[str]]) -> Counter[str]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def _client(load: Load) -> Counter[str]:
    """This process is the client."""
    profile = cProfile.Profile()
    with server("meshkit") as port:
        end = meshkit_stack.Client(port)
        await end.unary("x" * load.size)()
        with profile:
            await drive(end.unary("x" * load.size), load.in_flight, load.calls)
        await end.close()
    return functions_entered(profile, load.calls + _WARM)


async def _server(load: Load) -> Counter[str]:
    """This process is the server."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    profile = cProfile.Profile()
    serving = asyncio.create_task(meshkit_stack.serve(port.set_result))
    found = await port
    with profile:
        await asyncio.to_thread(client, Run("meshkit", load), found)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return functions_entered(profile, load.calls + _WARM)


def _row(name: str, counted: Counter[str]) -> Row:
    rooms = ", ".join(f"{room} {count:.3g}" for room, count in counted.most_common() if count >= 0.05)
    return figure(name, counted.total(), "functions", rooms)
