"""Our own discovery as a client: servers register, consumers follow, and a restart takes nothing away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meshkit.control import ControlPlane
from meshkit.discovery import Discovery, DiscoveryOptions, InterfaceWatch, NodeIdentity, Registration, SnapshotState
from meshkit.net import BackoffPolicy

IFACE = "helloworld.v1.Greeter"
HOST = "greeter.default.svc.cluster.local"
RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: greeter}
spec: {host: greeter, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter}
spec:
  hosts: [greeter]
  http:
  - match: [{headers: {user: {exact: admin}}}]
    route: [{destination: {host: greeter, subset: v2}}]
  - route: [{destination: {host: greeter, subset: v1}}]
"""


def discovery(port: int, mode: str, service: str = "client", **labels: str) -> Discovery:
    identity = NodeIdentity(service=service, labels=labels)
    backoff = BackoffPolicy(initial=0.05, multiplier=1.0, jitter=0.0, maximum=0.05)
    return Discovery(DiscoveryOptions(f"127.0.0.1:{port}", identity, mode=mode, backoff=backoff))


async def serve(port: int, mode: str, version: str, address: str, host: str = HOST) -> Discovery:
    found = discovery(port, mode, "greeter", version=version)
    await found.start()
    found.publish(Registration(host, address, (IFACE,)))
    return found


def endpoints(watch: InterfaceWatch) -> dict[str, list[str]]:
    """By cluster the addresses of a snapshot."""
    clusters = watch.cell.value.clusters
    return {
        name: [one.address for part in snapshot.assignment.localities for one in part.endpoints]
        for name, snapshot in clusters.items()
    }


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_consumers_follow_servers_and_rules_and_a_restart_takes_nothing_away(tmp_path: Path, mode: str):
    (tmp_path / "rules.yaml").write_text(RULES)
    v1, v2 = f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"
    plane = ControlPlane(tmp_path, port=0, hold=0.2, settle=0)
    await plane.start()
    consumer = discovery(plane.port, mode)
    await consumer.start()
    watch = consumer.watch(IFACE)
    await watch.cell.wait(lambda snapshot: snapshot.state is SnapshotState.ABSENT)  # before its provider
    servers = [
        await serve(plane.port, mode, "v1", "127.0.0.1:4001"),
        await serve(plane.port, mode, "v2", "127.0.0.1:4002"),
    ]
    both = {v1: ["127.0.0.1:4001"], v2: ["127.0.0.1:4002"]}
    await asyncio.wait_for(watch.cell.wait(lambda snapshot: endpoints(watch) == both), 30)
    assert watch.cell.value.state is SnapshotState.READY
    lost: list[str] = []
    stop = watch.cell.listen(lambda snapshot: lost.append(snapshot.reason) if not snapshot.ready else None)
    port = plane.port
    await plane.close()
    await asyncio.sleep(0.2)
    again = ControlPlane(tmp_path, port=port, hold=0.2)
    await again.start()
    while len(again.hub.sessions) < 3:  # noqa: ASYNC110 - streams of other objects, which tell nobody
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert (lost, endpoints(watch)) == ([], both)
    stop()
    servers[1].withdraw()
    gone = {v1: ["127.0.0.1:4001"], v2: []}
    await asyncio.wait_for(watch.cell.wait(lambda snapshot: endpoints(watch) == gone), 30)
    (tmp_path / "rules.yaml").unlink()
    await asyncio.wait_for(watch.cell.wait(lambda snapshot: f"outbound|80||{HOST}" in endpoints(watch)), 30)
    for one in (*servers, consumer):
        await one.close()
    await again.close()


async def test_an_interface_moves_to_another_service_without_the_consumer_noticing(tmp_path: Path):
    other = "welcome.default.svc.cluster.local"
    async with ControlPlane(tmp_path, port=0, hold=0.1, settle=0) as plane:
        consumer = discovery(plane.port, "delta")
        await consumer.start()
        watch = consumer.watch(IFACE)
        old = await serve(plane.port, "delta", "v1", "127.0.0.1:4001")
        await asyncio.wait_for(watch.cell.wait(lambda snapshot: snapshot.ready), 30)
        lost: list[str] = []
        watch.cell.listen(lambda snapshot: lost.append(snapshot.reason) if not snapshot.ready else None)
        new = await serve(plane.port, "delta", "v1", "127.0.0.1:4002", host=other)
        shared = {f"outbound|80||{HOST}": ["127.0.0.1:4001"], f"outbound|80||{other}": ["127.0.0.1:4002"]}
        await asyncio.wait_for(watch.cell.wait(lambda snapshot: endpoints(watch) == shared), 30)
        old.withdraw()
        moved = {f"outbound|80||{other}": ["127.0.0.1:4002"]}
        await asyncio.wait_for(watch.cell.wait(lambda snapshot: endpoints(watch) == moved), 30)
        assert lost == []
        for one in (old, new, consumer):
            await one.close()
