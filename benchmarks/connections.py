"""A thousand connections with ten calls a second each: what they cost the server in CPU and memory."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import uvloop

from benchmarks import cores
from benchmarks.process import KNOWN, cpu, memory
from benchmarks.report import Row, absent, at_most, figure
from benchmarks.rounds import Load, Run, Serving, serving
from benchmarks.stack import ratios
from benchmarks.stacks.flock import Answers, connected, offer, settled

_COUNT, _RATE = 1_000, 10
_STACKS = ("meshkit", "grpc.aio")
_NAME = f"{_COUNT:,} connections, {_RATE} calls/s each"


@dataclass(frozen=True, slots=True)
class _Found:
    """One round. ``cpu``: microseconds of the server per call, answered or refused. ``idle`` and ``busy``: KiB of the
    server's memory per connection after one call on each, and at the end of the load. ``share``: percent of the due
    calls answered by then. ``refused``: percent of the calls that got a status without a message. ``p50``: milliseconds
    from when a call was due to its answer."""

    cpu: float
    idle: float
    busy: float
    share: float
    refused: float
    p50: float


def rows(quick: bool) -> list[Row]:
    """CPU per call and memory per connection; and how many of the due calls the server managed, how late."""
    if lacking := _lacking():
        return [absent(_NAME, lacking)]
    seconds, count = (3.0, 1) if quick else (8.0, 3)
    found: dict[str, list[_Found]] = {stack: [] for stack in _STACKS}
    for _ in range(count):
        for stack in _STACKS:
            with serving(Run(stack, Load())) as server:
                found[stack].append(_round(server, seconds))
    return list(_shown(found))


def _round(server: Serving, seconds: float) -> _Found:
    with cores.on(cores.CLIENT), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(server, seconds))


def _lacking() -> str:
    if not KNOWN:
        return "needs Linux's /proc to see what a server process uses"
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most[1] != resource.RLIM_INFINITY and most[1] < _COUNT + 200:
        return f"needs {_COUNT + 200} open files in a process (ulimit -n {_COUNT + 200}), here are {most[1]}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(most[0], _COUNT + 200), most[1]))
    return ""


async def _measure(server: Serving, seconds: float) -> _Found:
    first, load = Answers(), Answers()
    (warm,) = await connected(server.port, 1, first)
    await offer([warm], 1_000, 0.5)
    before = memory(server.pid)
    connections = await connected(server.port, _COUNT, first)
    await offer(connections, 0.5, 2.0)  # one call each
    await settled(first)
    idle, used = memory(server.pid), cpu(server.pid)
    for connection in connections:
        connection.answers = load
    await offer(connections, _RATE, seconds)
    busy, share = memory(server.pid), 100 * load.answered / load.due
    await settled(load)
    for connection in (warm, *connections):
        connection.close()
    return _Found(
        cpu=(cpu(server.pid) - used) / load.over * 1e6,
        idle=(idle - before) / _COUNT / 1024,
        busy=(busy - before) / _COUNT / 1024,
        share=share,
        refused=100 * load.refused / load.over,
        p50=median(load.late) * 1e3,
    )


def _shown(found: dict[str, list[_Found]]) -> Iterator[Row]:
    cost = {stack: [one.cpu for one in runs] for stack, runs in found.items()}
    yield from (figure(f"{_NAME}, server CPU: {stack}", values, "us/call") for stack, values in cost.items())
    yield at_most(f"{_NAME}, server CPU: meshkit / grpc.aio", ratios(cost["meshkit"], cost["grpc.aio"]), "x", 1)
    for stack, runs in found.items():
        name, values = f"{_NAME}, server memory: {stack}", [one.busy for one in runs]
        idle = f"with one call each so far {min(one.idle for one in runs):.3g}"
        if stack == "meshkit":
            yield at_most(name, values, "KiB/connection", 40, idle)
        else:
            yield figure(name, values, "KiB/connection", idle)
    for stack, runs in found.items():
        late = f"p50 {median(one.p50 for one in runs):.3g} ms after the call was due"
        if refused := median(one.refused for one in runs):
            late += f"; {refused:.3g}% refused"
        yield figure(f"{_NAME}, answered: {stack}", [one.share for one in runs], "% of due", late)
