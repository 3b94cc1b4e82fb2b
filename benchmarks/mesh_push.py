"""Pushes of 10,000 endpoints into a mesh that is in use, from the bytes on the stream to the pick of a call.

``python -m benchmarks.mesh_push client PORT`` measures in a process of its own, with its control plane (grpc.aio) in
another. The cluster that is pushed is the one that is called: one of its endpoints is real and, where calls are made,
weighs 2^30 times the others, so that calls find it and yet every endpoint is in the picker.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.report import Row, at_most, figure
from benchmarks.rounds import server

__all__ = ["rows"]

_HOST = "echo.default.svc.cluster.local"
_CLUSTER = f"outbound|80||{_HOST}"
_RUN = [sys.executable, "-W", "ignore", "-m", "benchmarks.mesh_push"]
_COUNT = 10_000
_HEAVY = 2**30


def rows(quick: bool) -> list[Row]:
    """Of several processes."""
    rounds = 3 if quick else 7
    with server("meshkit") as port:
        idle = [_run("idle", port) for _ in range(rounds)]
        busy = [_run("busy", port) for _ in range(rounds)]

    def spent(runs: list[dict[str, float]], name: str) -> list[float]:
        return [run[name] * 1e3 for run in runs]

    return [
        at_most("mesh: push of 10,000 endpoints, CPU", spent(idle, "first"), "ms", 200),
        at_most("mesh: push with one of 10,000 changed, CPU from message to pick", spent(idle, "changed"), "ms", 2),
        figure("mesh: the same with reading its 1.9 MB off the socket", spent(idle, "whole"), "ms"),
        at_most("mesh: push of 10,000 at 1,000 calls/s, longest stall", spent(busy, "first"), "ms", 10),
        at_most("mesh: one of 10,000 changed at 1,000 calls/s, longest stall", spent(busy, "changed"), "ms", 10),
        at_most("mesh: calls that failed during these pushes", sum(run["failed"] for run in busy), "", 0),
    ]


def _run(role: str, port: int) -> dict[str, float]:
    done = subprocess.run([*_RUN, role, str(port)], stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return dict(json.loads(done.stdout))


# -- the control plane


async def _serve_plane(port: int, weight: int) -> None:
    """Pushes 10,000 endpoints at the first line of stdin, one of them changed at every other line."""
    from tests.support.ads_server import AdsServer, cluster, endpoints, routes

    async with AdsServer() as plane:
        plane.put(cluster(_CLUSTER, lb_policy=1), routes(f"{_HOST}:80", (_CLUSTER, 1)))
        plane.put(endpoints(_CLUSTER, f"127.0.0.1:{port}"))
        many = _assignment(port, weight)
        print(plane.port, flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            plane.put(many)
            item = many.endpoints[0].lb_endpoints[5_000]
            item.endpoint.address.socket_address.port_value += 1


def _assignment(port: int, weight: int) -> Any:
    from benchmarks.pushes import assignment

    message = assignment(_CLUSTER, _COUNT)
    real = message.endpoints[0].lb_endpoints[_COUNT // 2 + 100]
    real.endpoint.address.socket_address.address = "127.0.0.1"
    real.endpoint.address.socket_address.port_value = port
    real.load_balancing_weight.value = weight
    return message


@contextmanager
def _plane(port: int, weight: int) -> Iterator[tuple[int, Any]]:
    """The control plane in a process; gives its port and what pushes."""
    words = [*_RUN, "plane", str(port), str(weight)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    try:
        yield int(process.stdout.readline()), process.stdin
    finally:
        process.kill()
        process.communicate()


# -- the client


class _Watched:
    """A mesh that calls the echo service, and what happens to its configuration."""

    def __init__(self, plane: int, push: Any) -> None:
        from benchmarks.stacks.meshkit_stack import SERVICE, EchoClient
        from meshkit.mesh import Mesh

        self.mesh = Mesh(f"127.0.0.1:{plane}", interfaces={SERVICE: f"{_HOST}:80"})
        self.client = EchoClient(self.mesh)
        self._push = push
        self._service = SERVICE
        self.failed = 0
        self.longest = 0.0
        self.arrived = 0.0
        stream = self.mesh._discovery._stream
        receive = stream._receive

        async def timed(data: bytes) -> None:
            self.arrived = time.process_time()
            await receive(data)

        stream._receive = timed  # type: ignore[method-assign]

    async def call(self) -> None:
        from benchmarks.stacks.meshkit_stack import Note
        from meshkit.errors import RpcError

        try:
            await self.client.unary(Note(text="x", number=1), 10.0)
        except RpcError:
            self.failed += 1

    async def push(self) -> None:
        """One push, until a call was able to pick by it."""
        view = self.mesh._views[self._service]
        self._push.write("\n")
        self._push.flush()
        view = await self.mesh._interface(self._service).changed(view)
        for cluster in view.clusters.values():
            cluster.pick()


async def _measure_idle(world: _Watched) -> dict[str, float]:
    """CPU seconds of the first push, and of one with one endpoint changed: in all, and from the message on."""
    await world.call()
    whole: list[float] = []
    ours: list[float] = []
    for _ in range(6):
        await asyncio.sleep(0.1)
        start = time.process_time()
        await world.push()
        end = time.process_time()
        whole.append(end - start)
        ours.append(end - world.arrived)
    return {"first": whole[0], "whole": median(whole[1:]), "changed": median(ours[1:])}


async def _measure_busy(world: _Watched) -> dict[str, float]:
    """The longest turn of the loop during pushes while 1,000 calls a second are made."""
    await world.call()
    gc.collect()
    gc.freeze()  # as docs/performance.md advises: a full collection of what was imported takes 10 ms by itself
    async with asyncio.TaskGroup() as group:
        ticker = group.create_task(_tick(world))
        load = group.create_task(_load(world, group))
        await asyncio.sleep(0.5)
        stalls: list[float] = []
        for _ in range(4):
            world.longest = 0.0
            await world.push()
            await asyncio.sleep(0.2)
            stalls.append(world.longest)
        load.cancel()
        ticker.cancel()
    return {"first": stalls[0], "changed": median(stalls[1:]), "failed": world.failed}


async def _load(world: _Watched, group: asyncio.TaskGroup) -> None:
    due = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        while due < time.perf_counter():
            due += 0.001
            group.create_task(world.call())


async def _tick(world: _Watched) -> None:
    """Time of this thread: what other processes take of the processor is no stall of ours."""
    last = time.thread_time()
    while True:
        await asyncio.sleep(0)
        now = time.thread_time()
        world.longest, last = max(world.longest, now - last), now


async def _client(role: str, port: int) -> None:
    measure, weight = {"idle": (_measure_idle, 1), "busy": (_measure_busy, _HEAVY)}[role]
    with _plane(port, weight) as (plane, push):
        world = _Watched(plane, push)
        async with world.mesh:
            print(json.dumps(await measure(world)), flush=True)


def _main(role: str, port: str, *weight: str) -> None:
    if role == "plane":
        asyncio.run(_serve_plane(int(port), int(weight[0])))
    else:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_client(role, int(port)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
