"""What a big mesh on a real istiod costs a client: 500 services of 2 ports each, and istiod gone under load.

``python -m benchmarks.istiod ROLE ADDRESS`` measures in a process of its own; istiod (tests/peers/istiod, built once
with Go) and the greeter are the parent's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Row, at_most
from meshkit.discovery import Snapshot
from meshkit.errors import RpcError
from meshkit.mesh import Mesh
from tests.support.ads_relay import relayed
from tests.support.gen.helloworld.v1 import HelloRequest
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import destination_rule, greeters, kubernetes, member
from tests.support.istiod import Istiod, running_istiod

__all__ = ["rows"]

_RUN = (sys.executable, "-W", "ignore", "-m", "benchmarks.istiod")
_SERVICES = 500
_PORTS = ({"name": "grpc-a", "port": 80}, {"name": "grpc-b", "port": 9090})
_ADA = HelloRequest(name="Ada")
_RATE = 500  # calls per second while istiod is gone


def rows(quick: bool) -> list[Row]:
    """The medians of several client processes, and one outage."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_rows(Path(folder), quick))


async def _rows(folder: Path, quick: bool) -> list[Row]:
    pods = {"127.0.0.11": {"version": "v1"}}
    async with running_istiod(folder) as istiod, greeters({"127.0.0.11": "one"}) as port:
        for name, text in _mesh(port).items():
            await istiod.apply(name, *text)
        await istiod.apply("greeter", *kubernetes("greeter", pods, port, ports=_PORTS))
        await istiod.apply("rule", destination_rule(loadBalancer={"simple": "LEAST_REQUEST"}))
        await asyncio.sleep(1)
        starts = [await _run("start", istiod.address) for _ in range(3 if quick else 7)]
        edits = await _edits(istiod, 5 if quick else 20)
        outage = await _outage(istiod, 5 if quick else 30)
    return [*_start_rows(starts), *_edit_rows(edits), *_outage_rows(outage)]


def _start_rows(runs: list[dict[str, float]]) -> list[Row]:
    def middle(name: str) -> float:
        return median(run[name] for run in runs)

    return [
        Row(f"istiod, {_SERVICES} services of 2 ports: CDS and all else received", middle("bytes") / 1e6, "MB"),
        at_most("istiod: from opening the stream to the first reply", middle("wall"), "s", 1),
        at_most("istiod: CPU until then", middle("cpu"), "s", 0.3),
        at_most("istiod: memory that came with it", middle("rss") / 1e6, "MB", 15),
    ]


def _edit_rows(edits: list[float]) -> list[Row]:
    return [
        at_most("istiod: DestinationRule edit, from its push to the picker", median(edits) * 1e3, "ms", 50),
        Row("istiod: the slowest of these edits", max(edits) * 1e3, "ms"),
    ]


def _outage_rows(outage: dict[str, float]) -> list[Row]:
    away = f"istiod killed for {outage['away']:.0f} s at {outage['rate']:.0f} calls/s"
    return [
        at_most(f"{away}: failed calls", outage["failed"], "", 0),
        at_most(f"{away}: streams after its return", outage["streams"], "", 1),
        Row(f"{away}: requests on the new stream", outage["requests"], ""),
        Row(f"{away}: from its return to an edit made meanwhile", outage["recovery"], "s"),
    ]


def _mesh(target: int) -> dict[str, list[dict[str, Any]]]:
    """Services in files of fifty, each with a pod that nobody calls."""
    files: dict[str, list[dict[str, Any]]] = {}
    for number in range(_SERVICES - 1):
        pods = {f"10.1.{number // 250}.{number % 250 + 1}": {"version": "v1"}}
        objects = kubernetes(f"service-{number}", pods, target, ports=_PORTS)
        objects[0]["spec"]["clusterIP"] = f"10.96.{number // 250 + 1}.{number % 250 + 1}"
        files.setdefault(f"services-{number // 50}", []).extend(objects)
    return files


# -- the parts --------------------------------------------------------------------------------------------------------


async def _run(role: str, *arguments: str) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(*_RUN, role, *arguments, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    out = await process.stdout.read()
    assert await process.wait() == 0
    return dict(json.loads(out))


async def _edits(istiod: Istiod, count: int) -> list[float]:
    """Seconds from the response of each edit, as it leaves the relay, to a picker of the new policy."""
    times: list[float] = []
    async with relayed(istiod.address) as relay, member(relay.address) as mesh:
        client = GreeterClient(mesh)
        await client.say_hello(_ADA, timeout=10)
        await asyncio.sleep(0.5)
        for number in range(count):
            await asyncio.sleep(0.2)  # the last of the former push's responses have passed
            policy = ("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")[number % 3]
            sent = relay.arrival()
            picked = asyncio.get_running_loop().create_task(_picks(mesh, policy))
            await istiod.apply("rule", destination_rule(loadBalancer={"simple": policy}))
            times.append(await picked - await sent)
    return times


async def _picks(mesh: Mesh, policy: str) -> float:
    watch = mesh._discovery.watch("helloworld.v1.Greeter")

    def there(snapshot: Snapshot) -> bool:
        return {cluster.cluster.lb.name for cluster in snapshot.clusters.values()} == {policy}

    await asyncio.wait_for(watch.cell.wait(there), 20)
    for cluster in mesh._views["helloworld.v1.Greeter"].clusters.values():
        assert cluster.pick() is not None
    watch.release()
    return time.perf_counter()


async def _outage(istiod: Istiod, away: float) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        *(*_RUN, "load", istiod.address), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    await process.stdout.readline()  # it calls
    istiod.stop()
    await istiod.apply("rule", destination_rule(loadBalancer={"simple": "RANDOM"}))
    await asyncio.sleep(away)
    await istiod.start()
    returned = time.perf_counter()
    process.stdin.write(b"RANDOM\n")
    await process.stdin.drain()
    found = json.loads(await process.stdout.read())
    return {**found, "away": away, "recovery": time.perf_counter() - returned}


# -- the client's process ---------------------------------------------------------------------------------------------


async def _start(address: str) -> dict[str, float]:
    """The first call of a process: everything that it needs is imported, and nothing asked for, before it."""
    async with member(address) as mesh:
        await asyncio.sleep(0.1)
        gc.collect()
        rss, cpu, wall = _rss(), time.process_time(), time.perf_counter()
        await GreeterClient(mesh).say_hello(_ADA, timeout=10)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        await asyncio.sleep(0.5)
        gc.collect()
        received = mesh._discovery.statistics().stream.bytes
        return {"wall": wall, "cpu": cpu, "rss": _rss() - rss, "bytes": received}


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _load(address: str) -> dict[str, float]:
    """Calls at a steady rate until the policy that stdin names is in force, and a while longer."""
    async with member(address) as mesh:
        client = GreeterClient(mesh)
        await client.say_hello(_ADA, timeout=10)
        counts = {"done": 0, "failed": 0}
        started = time.perf_counter()
        calls = [asyncio.ensure_future(_call(client, counts, 20 / _RATE)) for _ in range(20)]
        print("calling", flush=True)
        policy = (await asyncio.to_thread(sys.stdin.readline)).strip()
        before = mesh._discovery.statistics().stream
        while _policies(mesh) != {policy}:  # noqa: ASYNC110  a moment more or less does not matter
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        after = mesh._discovery.statistics().stream
        for call in calls:
            call.cancel()
        return {
            "failed": counts["failed"],
            "rate": counts["done"] / (time.perf_counter() - started),
            "streams": after.streams - 1,
            "requests": after.requests - (before.requests if before.streams == 1 else 0),
        }


async def _call(client: GreeterClient, counts: dict[str, int], period: float) -> None:
    due = time.perf_counter()
    while True:
        try:
            await client.say_hello(_ADA, timeout=10)
            counts["done"] += 1
        except RpcError:
            counts["failed"] += 1
        due += period
        await asyncio.sleep(max(0.0, due - time.perf_counter()))


def _policies(mesh: Mesh) -> set[str]:
    view = mesh._views["helloworld.v1.Greeter"]
    return {runtime.cluster.lb.name for runtime in view.clusters.values() if runtime.cluster is not None}


_ROLES: dict[str, Callable[[str], Coroutine[Any, Any, dict[str, float]]]] = {"start": _start, "load": _load}

if __name__ == "__main__":
    print(json.dumps(asyncio.run(_ROLES[sys.argv[1]](sys.argv[2]))), flush=True)
