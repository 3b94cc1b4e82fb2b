"""The load, the same for all Python stacks: a bounded number of calls, some in flight, timed from the client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave: calls a second, microseconds at the median and the 99th percentile, microseconds of client
    CPU per call, and how many calls there were, those to warm up included. ``served``: the server's CPU per call, which
    `benchmarks.rounds` adds where the system tells."""

    rate: float
    p50: float
    p99: float
    cpu: float
    made: int
    served: float | None = None


async def drive(call: Callable[[], Awaitable[object]], in_flight: int, calls: int, limit: float = 20.0) -> Figures:
    """Run ``calls`` calls (fewer if ``limit`` seconds pass first), ``in_flight`` at a time, after some to warm up."""
    warm = min(200, calls // 10 + 1)
    for _ in range(warm):
        await call()
    taken: list[float] = []
    left = calls
    stop = time.perf_counter() + limit

    async def worker() -> None:
        nonlocal left
        while left > 0 and (before := time.perf_counter()) < stop:
            left -= 1
            await call()
            taken.append(time.perf_counter() - before)

    cpu, start = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    seconds = time.perf_counter() - start
    taken.sort()
    count = len(taken)
    return Figures(
        rate=count / seconds,
        p50=taken[count // 2] * 1e6,
        p99=taken[min(count - 1, count * 99 // 100)] * 1e6,
        cpu=(time.process_time() - cpu) / count * 1e6,
        made=warm + count,
    )


def idle_cost(in_flight: int, calls: int = 50_000) -> float:
    """Microseconds of CPU that `drive` itself takes per call: of calls that do nothing."""

    async def nothing() -> None:
        pass

    return asyncio.run(drive(nothing, in_flight, calls)).cpu
