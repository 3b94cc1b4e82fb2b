"""Real clients of our control plane, Envoy (both variants of ADS) and grpcio's xDS client, carry calls by the rules."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import sqrt
from pathlib import Path

import grpc.aio
import pytest

from meshkit.control import ControlPlane
from meshkit.mesh import Mesh
from meshkit.rpc import Method, UnaryCall
from tests.support.ads_client import CDS, EDS, RDS, DeltaClient, node
from tests.support.echo import EchoBackend, call, shares
from tests.support.envoy_proxy import EnvoyProxy
from tests.support.files import save
from tests.support.istio_captures import FOLDER
from tests.support.ports import free_port
from tests.support.xds_caller import XdsCaller
from tests.support.xds_server import XdsServer

HOST = "reviews.demo.svc.cluster.local"


def service(*backends: EchoBackend) -> str:
    lines = [
        f"  - {{address: {one.host}, ports: {{grpc: {one.port}}}, labels: {{version: {one.name}}}}}" for one in backends
    ]
    return f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: reviews, namespace: demo}}
spec:
  hosts: [{HOST}]
  resolution: STATIC
  location: MESH_INTERNAL
  ports: [{{number: 9080, name: grpc, protocol: GRPC}}]
  endpoints:
""" + "\n".join(lines)


def rules(first: int) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews, namespace: demo}}
spec:
  host: reviews
  trafficPolicy: {{loadBalancer: {{simple: ROUND_ROBIN}}}}
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: reviews, namespace: demo}}
spec:
  hosts: [reviews]
  http:
  - match: [{{headers: {{user: {{exact: admin}}}}}}]
    route: [{{destination: {{host: reviews, subset: v2}}}}]
  - match: [{{uri: {{prefix: /helloworld.v1.Broken/}}}}]
    fault: {{abort: {{percentage: {{value: 100}}, grpcStatus: ABORTED}}}}
    route: [{{destination: {{host: reviews, subset: v1}}}}]
  - route:
    - {{destination: {{host: reviews, subset: v1}}, weight: {first}}}
    - {{destination: {{host: reviews, subset: v2}}, weight: {100 - first}}}
"""


def within(count: int, calls: int, share: float) -> bool:
    """Whether a count is within 6.5 standard deviations of its expectation, as all but one in 10^10 are."""
    return abs(count - calls * share) <= 6.5 * sqrt(calls * share * (1 - share))


async def until(count: Callable[[], Awaitable[Counter[str]]], expected: dict[str, int]) -> None:
    """Call until the shares are these."""
    async with asyncio.timeout(60):
        while await count() != expected:
            pass


@pytest.fixture
async def world(tmp_path):
    folder = tmp_path / "conf"
    folder.mkdir()
    async with EchoBackend("v1", "127.0.0.2") as v1, EchoBackend("v2", "127.0.0.3") as v2:
        (folder / "service.yaml").write_text(service(v1, v2))
        (folder / "rules.yaml").write_text(rules(90))
        async with ControlPlane(folder, port=0, settle=0) as plane:
            yield plane, v1, v2


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_envoy_obeys_the_rules_and_their_edits(world, tmp_path, delta):
    plane, v1, v2 = world
    async with (
        EnvoyProxy(tmp_path, plane.port, f"{HOST}:9080", delta=delta) as envoy,
        grpc.aio.insecure_channel(f"127.0.0.1:{envoy.port}") as channel,
    ):
        assert (await shares(channel, 30, user="admin")) == {"v2": 30}
        counts = await shares(channel, 400)
        assert within(counts["v1"], 400, 0.9), counts
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel, "/helloworld.v1.Broken/Fails")
        assert caught.value.code() == grpc.StatusCode.ABORTED
        save(plane.directory / "rules.yaml", rules(0))
        await until(partial(shares, channel, 10), {"v2": 10})
        assert (await shares(channel, 50)) == {"v2": 50}
        async with EchoBackend("v2", "127.0.0.4") as other:
            save(plane.directory / "service.yaml", service(v1, other))
            while not other.calls:
                await call(channel)
            before = len(v2.calls), len(other.calls)
            assert (await shares(channel, 20)) == {"v2": 20}
            assert (len(v2.calls), len(other.calls)) == (before[0], before[1] + 20)
        for name in ("cluster_manager.cds", "http.in.rds.*"):
            assert await envoy.counter(f"{name}.update_rejected") == 0, envoy.log()
        (session,) = plane.hub.sessions.values()
        assert [watch.last.error for watch in session.machine.watches.values()] == [""] * 3


async def test_grpcio_obeys_the_rules_and_their_edits(world):
    plane, _, _ = world
    async with XdsCaller(f"xds:///{HOST}:9080", plane.port) as caller:
        assert (await caller.shares(30, user="admin")) == {"v2": 30}
        counts = await caller.shares(400)
        assert within(counts["v1"], 400, 0.9), counts
        save(plane.directory / "rules.yaml", rules(0))
        await until(partial(caller.shares, 10), {"v2": 10})
        assert (await caller.shares(50)) == {"v2": 50}
        (session,) = plane.hub.sessions.values()
        assert [watch.last.error for watch in session.machine.watches.values()] == [""] * 4


@pytest.mark.capability("VirtualService: header, method, weight, timeout, retries; edited live", peer="Envoy")
async def test_envoy_grpcio_and_our_client_obey_one_folder_alike(world, tmp_path):
    plane, _, _ = world
    say_hello = Method("/helloworld.v1.Greeter/SayHello", bytes, bytes)
    async with (
        EnvoyProxy(tmp_path, plane.port, f"{HOST}:9080", delta=True) as envoy,
        grpc.aio.insecure_channel(f"127.0.0.1:{envoy.port}") as channel,
        XdsCaller(f"xds:///{HOST}:9080", plane.port) as caller,
        Mesh(f"127.0.0.1:{plane.port}", interfaces={say_hello.service: f"{HOST}:9080"}) as mesh,
    ):

        async def ours(count, **metadata):
            return Counter([(await UnaryCall(mesh, say_hello, b"", 30, metadata)).decode() for _ in range(count)])

        clients = {"envoy": partial(shares, channel), "grpcio": caller.shares, "meshkit": ours}
        for name, client in clients.items():
            assert await client(30, user="admin") == {"v2": 30}, name
            counts = await client(1000)
            assert within(counts["v1"], 1000, 0.9), (name, counts)
        save(plane.directory / "rules.yaml", rules(50))
        for name, client in clients.items():
            async with asyncio.timeout(60):
                while (await client(60))["v2"] < 22:  # under the old rule 6 of 60
                    pass
            counts = await client(1000)
            assert within(counts["v1"], 1000, 0.5), (name, counts)


async def test_grpcio_finds_a_short_name(world):
    plane, _, _ = world
    async with XdsCaller("xds:///reviews:9080", plane.port) as caller:
        assert (await caller.shares(10, user="admin")) == {"v2": 10}


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_no_call_through_envoy_fails_while_clusters_come_and_go(world, tmp_path, delta):
    plane, _, _ = world
    async with (
        EnvoyProxy(tmp_path, plane.port, f"{HOST}:9080", delta=delta) as envoy,
        grpc.aio.insecure_channel(f"127.0.0.1:{envoy.port}") as channel,
    ):
        edits = asyncio.create_task(_edit(plane.directory / "rules.yaml"))
        answered = Counter[str]()
        while not edits.done():
            answered += await shares(channel, 20)
        assert set(answered) == {"v1", "v2"}


async def _edit(path: Path) -> None:
    """Take the subsets away and bring them back, a few times."""
    for _ in range(4):
        path.unlink()
        await asyncio.sleep(0.12)
        save(path, rules(50))
        await asyncio.sleep(0.12)


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
async def test_envoy_takes_everything_that_istiod_was_given(tmp_path, delta):
    """Hashing, warm-up, pools, outliers, DNS, rewrites, redirects, faults, mirrors: every resource is accepted."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "all.yaml").write_bytes((FOLDER / "input_config.yaml").read_bytes())
    async with (
        ControlPlane(tmp_path / "conf", port=0, settle=0) as plane,
        EnvoyProxy(tmp_path, plane.port, f"{HOST}:9080", delta=delta) as envoy,
    ):
        (session,) = plane.hub.sessions.values()
        errors = {url: watch.last.error for url, watch in session.machine.watches.items()}
        assert errors == dict.fromkeys([CDS, EDS, RDS], ""), envoy.log()
        clusters = await envoy.page("/clusters")
        assert "outbound|9080|v2|reviews.demo.svc.cluster.local::127.0.0.13:19080::" in clusters
        async with grpc.aio.insecure_channel(f"127.0.0.1:{envoy.port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(channel, "/direct/Response")
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE  # HTTP 503


@pytest.mark.capability("server configured by listeners of the embedded control plane", peer="grpcio")
async def test_a_grpcio_server_serves_by_our_listener(world):
    plane, _, _ = world
    port = free_port()  # grpcio does not tell which port an xDS server got
    async with XdsServer(port, plane.port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        reply = await channel.unary_unary("/a.B/C")(b"", timeout=60, wait_for_ready=True)
        assert reply == b"xds-server"


def registered(plane: ControlPlane, backend: EchoBackend) -> DeltaClient:
    """A server of the Greeter that registers with the control plane while the client is open."""
    host = "greeter.demo.svc.cluster.local"
    labels = {"app": "greeter", "DUBBO_GO": json.dumps({"providers:helloworld.v1.Greeter::": f"{host}:80"})}
    listed = [{"host": host, "port": 80, "address": backend.address}]
    return DeltaClient(plane.port, node(backend.name, "demo", MESHKIT={"endpoints": listed}, LABELS=labels))


@pytest.mark.capability("interface found where servers registered it", peer="Envoy")
async def test_envoy_finds_an_interface_where_live_servers_provide_it(tmp_path):
    (tmp_path / "conf").mkdir()
    async with (
        EchoBackend("one") as one,
        EchoBackend("two") as two,
        ControlPlane(tmp_path / "conf", port=0, hold=0.1, settle=0) as plane,
        EnvoyProxy(tmp_path, plane.port, "helloworld.v1.greeter:80", delta=True) as envoy,
        grpc.aio.insecure_channel(f"127.0.0.1:{envoy.port}") as channel,
        registered(plane, one) as first,
    ):
        await first.fetch(CDS, "*")
        async with registered(plane, two) as second:
            await second.fetch(CDS, "*")
            while not two.calls:
                with suppress(grpc.aio.AioRpcError):  # before the first server is known there is no route
                    await call(channel)
            assert set(await shares(channel, 60)) == {"one", "two"}
        # Of two servers that both answer, one is picked at random: ten times the same one is no rare thing.
        await until(partial(shares, channel, 40), {"one": 40})
        assert await shares(channel, 40) == {"one": 40}


@pytest.mark.parametrize("delta", [False, True], ids=["sotw", "delta"])
@pytest.mark.capability("control plane gone and back: no call fails", peer="Envoy")
async def test_envoy_keeps_what_it_has_when_the_control_plane_starts_anew(tmp_path, delta):
    folder = tmp_path / "conf"
    folder.mkdir()
    async with (
        EchoBackend("one") as one,
        ControlPlane(folder, port=0, settle=0) as plane,
        registered(plane, one) as server,
    ):
        await server.fetch(CDS, "*")
        async with (
            EnvoyProxy(tmp_path, plane.port, "helloworld.v1.greeter:80", delta=delta) as envoy,
            grpc.aio.insecure_channel(f"127.0.0.1:{envoy.port}") as channel,
        ):
            assert await shares(channel, 5) == {"one": 5}
            await plane.close()
            async with ControlPlane(folder, port=plane.port) as again:
                while not again.hub.sessions:
                    assert await call(channel) == "one"
                assert await shares(channel, 100) == {"one": 100}
                async with registered(again, one) as back:
                    await back.fetch(CDS, "*")
                    assert await shares(channel, 100) == {"one": 100}
