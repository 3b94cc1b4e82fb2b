"""A mesh of 500 services with 2 ports each: what a client is sent, what it asks for, and what it does not notice.

What it costs in seconds and bytes of memory is measured by ``python -m benchmarks istiod``.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import DELTA, HOST, destination_rule, greeters, kubernetes, member, settle, under_load
from tests.support.istiod import Istiod
from tests.support.waiting import until

pytestmark = pytest.mark.interop

_PORTS = ({"name": "grpc-a", "port": 80}, {"name": "grpc-b", "port": 9090})
_GREETER = "helloworld.v1.Greeter"


def _others(first: int, count: int, target: int, second_pod: bool = False) -> list[dict[str, Any]]:
    """Services that nobody here calls."""
    objects: list[dict[str, Any]] = []
    for number in range(first, first + count):
        pods: dict[str, dict[str, str]] = {f"10.1.{number // 250}.{number % 250 + 1}": {}}
        if second_pod:
            pods[f"10.2.{number // 250}.{number % 250 + 1}"] = {}
        objects += kubernetes(f"service-{number}", pods, target, ports=_PORTS)
    return objects


@pytest.mark.capability("500 services of 2 ports: others' changes cost nothing", peer="istiod delta")
async def test_a_big_mesh(istiod: Istiod) -> None:
    async with greeters({"127.0.0.11": "one"}) as port, member(istiod, DELTA) as mesh:
        for first in range(0, 500, 100):
            await istiod.apply(f"services-{first}", *_others(first, 100, port))
        await istiod.apply("greeter", *kubernetes("greeter", {"127.0.0.11": {}}, port, ports=_PORTS))
        await istiod.apply("rule", destination_rule(loadBalancer={"simple": "ROUND_ROBIN"}))
        client = GreeterClient(mesh)
        await settle(client, {"one"})
        watch = mesh._discovery.watch(_GREETER)
        await asyncio.wait_for(watch.cell.wait(partial(_balanced, "ROUND_ROBIN")), 60)  # the last that was applied
        await _quiet(mesh)
        figures = mesh._discovery.statistics()
        assert figures.stream.bytes > 1_000_000
        assert len(figures.resources["CDS"]) > 1000
        assert [entry.name for entry in figures.resources["EDS"]] == [f"outbound|80||{HOST}"]

        snapshot, responses = watch.cell.value, figures.stream.responses
        async with under_load(client) as failures:
            await istiod.apply("services-0", *_others(0, 100, port, second_pod=True))  # nobody's endpoints
            await asyncio.sleep(0.3)
            assert mesh._discovery.statistics().stream.responses == responses
            await istiod.apply("one-more", *_others(500, 1, port))  # clusters come, and only they
            await until(lambda: _has_cluster(mesh, "service-500"))
            assert watch.cell.value is snapshot
            # The 100 services of before may be pushed again with it; not all 500, which are more than a million.
            assert mesh._discovery.statistics().stream.bytes < figures.stream.bytes + 500_000
            await istiod.apply("rule", destination_rule(loadBalancer={"simple": "RANDOM"}))
            await asyncio.wait_for(watch.cell.wait(partial(_balanced, "RANDOM")), 60)
            await istiod.restart()
            await until(lambda: _restarted(mesh))
        assert failures == []
        assert watch.cell.value.clusters.keys() == snapshot.clusters.keys()
        watch.release()


async def _quiet(mesh: Any) -> None:
    """Wait until all clusters are there and nothing has been pushed for a second: istiod tells of what was applied
    in as many pushes as it takes."""

    async def still() -> bool:
        figures = mesh._discovery.statistics()
        await asyncio.sleep(1)
        pushed = mesh._discovery.statistics().stream.responses - figures.stream.responses
        return len(figures.resources["CDS"]) > 1000 and not pushed

    await until(still)


async def _has_cluster(mesh: Any, name: str) -> bool:
    return any(name in entry.name for entry in mesh._discovery.statistics().resources["CDS"])


async def _restarted(mesh: Any) -> bool:
    return mesh._discovery.statistics().stream.streams >= 2


def _balanced(name: str, snapshot: Any) -> bool:
    return {cluster.cluster.lb.name for cluster in snapshot.clusters.values()} == {name}
