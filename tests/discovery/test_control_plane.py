"""Discovery against the embedded control plane: servers that register are found by the interfaces they serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshkit.control import ControlPlane
from meshkit.discovery import Discovery, DiscoveryOptions, InterfaceWatch, NodeIdentity, Registration, Snapshot
from meshkit.discovery.snapshot import SnapshotState
from meshkit.net import BackoffPolicy
from tests.support.waiting import until

GREETER = "helloworld.v1.Greeter"
FAST = BackoffPolicy(initial=0.02, multiplier=1.6, jitter=0.2, maximum=0.1)
MODES = pytest.mark.parametrize("mode", ["delta", "sotw"])

SPLIT = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: greeter, namespace: default}
spec:
  host: greeter.default.svc.cluster.local
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter, namespace: default}
spec:
  hosts: [greeter.default.svc.cluster.local]
  http:
  - route:
    - {destination: {host: greeter.default.svc.cluster.local, subset: v1}, weight: 90}
    - {destination: {host: greeter.default.svc.cluster.local, subset: v2}, weight: 10}
"""


@asynccontextmanager
async def process(plane: ControlPlane, service: str, **options: Any) -> AsyncIterator[Discovery]:
    identity = NodeIdentity(service, labels=options.pop("labels", {}), generator=options.pop("generator", ""))
    discovery = Discovery(DiscoveryOptions(f"127.0.0.1:{plane.port}", identity, backoff=FAST, **options))
    await discovery.start()
    try:
        yield discovery
    finally:
        await discovery.close()


def serving(service: str, port: int, *interfaces: str) -> Registration:
    return Registration(f"{service}.default.svc.cluster.local", f"127.0.0.1:{port}", interfaces or (GREETER,))


async def wait(watch: InterfaceWatch, predicate: Callable[[Snapshot], bool]) -> Snapshot:
    try:
        return await asyncio.wait_for(watch.cell.wait(predicate), 30)
    except TimeoutError:
        raise AssertionError(f"{watch.cell.value!r}; {watch.explain()}") from None


def addresses(snapshot: Snapshot) -> set[str]:
    found = (c.assignment.localities for c in snapshot.clusters.values())
    return {endpoint.address for localities in found for locality in localities for endpoint in locality.endpoints}


def at(*expected: str) -> Callable[[Snapshot], bool]:
    return lambda snapshot: snapshot.ready and addresses(snapshot) == set(expected)


@MODES
async def test_server_is_found_by_its_interface_and_gone_when_it_withdraws(mode: str, tmp_path: Path) -> None:
    async with (
        ControlPlane(tmp_path, port=0, hold=0.1) as plane,
        process(plane, "client", mode=mode) as client,
        process(plane, "greeter", mode=mode) as server,
    ):
        watch = client.watch(GREETER)
        await wait(watch, lambda s: s.state is SnapshotState.ABSENT)
        server.publish(serving("greeter", 50001))
        await wait(watch, at("127.0.0.1:50001"))
        async with process(plane, "greeter", mode=mode) as second:
            second.publish(serving("greeter", 50002))
            await wait(watch, at("127.0.0.1:50001", "127.0.0.1:50002"))
            second.withdraw()
            await wait(watch, at("127.0.0.1:50001"))
        server.withdraw()
        await wait(watch, lambda s: not addresses(s))


@MODES
async def test_rules_apply_to_registered_servers_and_follow_edits(mode: str, tmp_path: Path) -> None:
    async with (
        ControlPlane(tmp_path, port=0) as plane,
        process(plane, "client", mode=mode) as client,
        process(plane, "greeter", labels={"version": "v1"}, mode=mode) as one,
        process(plane, "greeter", labels={"version": "v2"}, mode=mode) as two,
    ):
        one.publish(serving("greeter", 50001))
        two.publish(serving("greeter", 50002))
        watch = client.watch(GREETER)
        await wait(watch, at("127.0.0.1:50001", "127.0.0.1:50002"))
        (tmp_path / "split.yaml").write_text(SPLIT)
        snapshot = await wait(watch, lambda s: len(s.clusters) == 2 and s.ready)
        by_subset = {name.split("|")[2]: c.assignment.localities[0].endpoints for name, c in snapshot.clusters.items()}
        assert {subset: [e.address for e in found] for subset, found in by_subset.items()} == {
            "v1": ["127.0.0.1:50001"],
            "v2": ["127.0.0.1:50002"],
        }


@MODES
async def test_an_interface_moves_to_another_service(mode: str, tmp_path: Path) -> None:
    async with (
        ControlPlane(tmp_path, port=0, hold=0.05) as plane,
        process(plane, "client", mode=mode) as client,
        process(plane, "old", mode=mode) as old,
        process(plane, "new", mode=mode) as new,
    ):
        watch = client.watch(GREETER)
        old.publish(serving("old", 50001, GREETER, "pkg.Other"))
        await wait(watch, at("127.0.0.1:50001"))
        new.publish(serving("new", 50002))
        await wait(watch, at("127.0.0.1:50001", "127.0.0.1:50002"))
        old.withdraw()
        old.publish(serving("old", 50001, "pkg.Other"))
        await wait(watch, at("127.0.0.1:50002"))
        await wait(client.watch("pkg.Other"), at("127.0.0.1:50001"))


@MODES
async def test_server_that_dies_is_gone_after_the_hold(mode: str, tmp_path: Path) -> None:
    async with ControlPlane(tmp_path, port=0, hold=0.1) as plane, process(plane, "client", mode=mode) as client:
        watch = client.watch(GREETER)
        async with process(plane, "greeter", mode=mode) as server:
            server.publish(serving("greeter", 50001))
            await wait(watch, at("127.0.0.1:50001"))
        await wait(watch, lambda s: not addresses(s))


@pytest.mark.capability("light mode finds the same as the default", peer="embedded")
async def test_light_mode_finds_the_same(tmp_path: Path) -> None:
    light = {"mode": "sotw", "generator": "grpc"}
    async with (
        ControlPlane(tmp_path, port=0) as plane,
        process(plane, "client", **light) as client,
        process(plane, "greeter", **light) as server,
    ):
        server.publish(serving("greeter", 50001))
        await asyncio.wait_for(server.announced(), 30)
        await wait(client.watch(GREETER), at("127.0.0.1:50001"))


@MODES
async def test_control_plane_restarts_and_all_registrations_come_back(mode: str, tmp_path: Path) -> None:
    async with process_pair(tmp_path, mode) as (client, plane):
        watch = client.watch(GREETER)
        await wait(watch, at("127.0.0.1:50001"))
        port = plane.port
        seen: list[Snapshot] = []
        watch.cell.listen(seen.append)
        await plane.close()
        async with ControlPlane(tmp_path, port=port) as again:
            await asyncio.wait_for(client.announced(), 30)
            await until(lambda: not client.condition())
            assert again.port == port
            await asyncio.sleep(0.3)
            assert all(at("127.0.0.1:50001")(snapshot) for snapshot in (*seen, watch.cell.value))


@asynccontextmanager
async def process_pair(tmp_path: Path, mode: str) -> AsyncIterator[tuple[Discovery, ControlPlane]]:
    async with (
        ControlPlane(tmp_path, port=0) as plane,
        process(plane, "client", mode=mode) as client,
        process(plane, "greeter", mode=mode) as server,
    ):
        server.publish(serving("greeter", 50001))
        yield client, plane
