"""The one ADS stream on a real istiod: what is asked for, and what becomes of it in bad times."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from meshkit.mesh import Mesh
from tests.support.ads_relay import relayed
from tests.support.events import captured_events
from tests.support.gen.helloworld.v1.greeter_mesh import GreeterClient
from tests.support.istio_world import (
    DELTA,
    HOST,
    LIGHT,
    both,
    destination_rule,
    greeters,
    kubernetes,
    member,
    routes,
    settle,
    under_load,
    until_fails,
    virtual_service,
)
from tests.support.istiod import Istiod, running_istiod
from tests.support.waiting import until
from tests.support.world import who_answers

pytestmark = pytest.mark.interop

_TYPES = "type.googleapis.com/envoy.config."
_CDS, _EDS = f"{_TYPES}cluster.v3.Cluster", f"{_TYPES}endpoint.v3.ClusterLoadAssignment"
_RDS = f"{_TYPES}route.v3.RouteConfiguration"
_PODS = {"127.0.0.11": {"version": "v1"}, "127.0.0.12": {"version": "v2"}}
_NAMES = {"127.0.0.11": "v1", "127.0.0.12": "v2"}
_SUBSETS = destination_rule(subsets={"v1": {"version": "v1"}, "v2": {"version": "v2"}})
_SPLIT = virtual_service(routes({"v1": 50, "v2": 50}))
_DOMAIN = HOST.partition(".")[2]


async def _mesh_of_three(istiod: Istiod, port: int) -> None:
    """The greeter with two subsets, and two services that nobody here calls."""
    for name in ("other", "another"):
        await istiod.apply(name, *kubernetes(name, {}, port))
    await istiod.apply("greeter", *kubernetes("greeter", _PODS, port))
    await istiod.apply("rules", _SUBSETS, _SPLIT)


@pytest.mark.capability("delta ADS: CDS *, EDS per used cluster, RDS host:port, no LDS", peer="istiod delta")
async def test_the_default_generator_is_asked_for_what_is_used_over_one_delta_stream(istiod: Istiod) -> None:
    async with greeters(_NAMES) as port:
        await _mesh_of_three(istiod, port)
        async with member(istiod, DELTA) as mesh:
            await settle(GreeterClient(mesh), {"v1", "v2"})
            (client,) = await istiod.watchers()
            watches = client["watches"]
            assert f"outbound|80||another.{_DOMAIN}" in watches.pop(_CDS)  # what "*" stands for
            assert watches == {
                _EDS: [f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"],
                _RDS: [f"{HOST}:80"],
            }
            assert mesh._discovery.statistics().stream.nacks == 0


@pytest.mark.capability("SotW ADS: RDS, CDS, EDS by name, no LDS", peer="istiod grpc/SotW")
async def test_the_grpc_generator_is_asked_by_name_over_one_sotw_stream(istiod: Istiod) -> None:
    async with greeters(_NAMES) as port:
        await _mesh_of_three(istiod, port)
        async with member(istiod, LIGHT) as mesh:
            await settle(GreeterClient(mesh), {"v1", "v2"})
            (client,) = await istiod.watchers()
            subsets = [f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"]
            assert client["watches"] == {_CDS: subsets, _EDS: subsets, _RDS: [f"outbound|80||{HOST}"]}
            assert mesh._discovery.statistics().stream.nacks == 0


@pytest.mark.parametrize("signal", [SIGKILL, SIGTERM], ids=["SIGKILL", "SIGTERM"])
@both("istiod gone for seconds under load: no failed call, then full state on one stream")
async def test_an_istiod_that_goes_and_comes_back(own_istiod: Istiod, mode: Any, signal: Signals) -> None:
    async with greeters(_NAMES) as port, member(own_istiod, mode) as mesh:
        await _mesh_of_three(own_istiod, port)
        client = GreeterClient(mesh)
        await settle(client, {"v1", "v2"})
        with captured_events() as events:
            async with under_load(client, 10, 0.02) as failures:
                own_istiod.stop(signal)
                await own_istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1})))
                await asyncio.sleep(2)
                requests = mesh._discovery.statistics().stream.requests
                await own_istiod.start()
                await settle(client, {"v2"})
        figures = mesh._discovery.statistics().stream
        assert failures == []
        assert len(await own_istiod.watchers()) == 1
        assert (figures.streams, figures.nacks) == (2, 0)
        assert figures.requests - requests <= 12  # three types asked for, some in two steps, and their ACKs
        assert [event["event"] for event in events if event["log_level"] == "warning"] == ["control plane not reached"]


@both("many clients return to a restarted istiod that limits streams")
async def test_many_clients_come_back_to_an_istiod_that_limits_streams(tmp_path: Path, mode: Any) -> None:
    limit = {"PILOT_MAX_REQUESTS_PER_SECOND": "6"}
    async with (
        running_istiod(tmp_path, environment=limit) as istiod,
        greeters(_NAMES) as port,
        AsyncExitStack() as stack,
    ):
        await _mesh_of_three(istiod, port)
        meshes = [await stack.enter_async_context(member(istiod, mode, wait=30.0)) for _ in range(12)]
        clients = [GreeterClient(mesh) for mesh in meshes]
        await asyncio.gather(*(settle(client, {"v1", "v2"}) for client in clients))
        failed = [await stack.enter_async_context(under_load(client, 1, 0.02)) for client in clients]
        await istiod.restart()
        await until(lambda: _watched_by(istiod, 12))
        await asyncio.sleep(0.5)
        assert len(await istiod.watchers()) == 12
        assert [failures for failures in failed if failures] == []


async def _watched_by(istiod: Istiod, count: int) -> bool:
    return len(await istiod.watchers()) == count


@both("Service deleted while istiod was away")
async def test_what_was_deleted_while_istiod_was_away_is_gone(own_istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, member(own_istiod, mode, wait=0.5) as mesh:
        await _mesh_of_three(own_istiod, port)
        client = GreeterClient(mesh)
        await settle(client, {"v1", "v2"})
        own_istiod.stop()
        await own_istiod.delete("greeter")
        await own_istiod.delete("rules")
        await settle(client, {"v1", "v2"})
        await own_istiod.start()
        await until_fails(client, "nobody provides helloworld.v1.Greeter")
        await _mesh_of_three(own_istiod, port)
        await settle(client, {"v1", "v2"})


@both("istiod hangs: calls go on")
async def test_an_istiod_that_hangs_is_not_noticed(own_istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, member(own_istiod, mode) as mesh:
        await _mesh_of_three(own_istiod, port)
        client = GreeterClient(mesh)
        await settle(client, {"v1", "v2"})
        assert own_istiod.process is not None
        async with under_load(client) as failures:
            own_istiod.process.send_signal(SIGSTOP)
            await asyncio.sleep(1)
            own_istiod.process.send_signal(SIGCONT)
            await own_istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1})))
            await settle(client, {"v2"})
        assert failures == []
        assert mesh._discovery.statistics().stream.streams == 1


@both("rule that is refused: NACK with a reason, last good rule stays")
async def test_a_rule_that_we_cannot_obey_is_refused_with_a_reason(istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, member(istiod, mode) as mesh:
        await _mesh_of_three(istiod, port)
        client = GreeterClient(mesh)
        await settle(client, {"v1", "v2"})
        await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v1": 1})))
        await settle(client, {"v1"})
        greek = {"match": [{"uri": {"regex": "/\\p{Greek}+"}}]}
        with captured_events() as events:
            async with under_load(client) as failures:
                await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1}, **greek), routes({"v2": 1})))
                await until(lambda: _true(mesh._discovery.statistics().stream.nacks >= 1))
                await until(lambda: _says(istiod, "Greek"))
                await settle(client, {"v1"})
                await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1})))
                await settle(client, {"v2"})
        assert failures == []
        (said,) = [event for event in events if event["log_level"] == "warning"]
        assert said["event"] == "resources refused"
        assert "Greek" in said["reasons"]


@both("istiod ages connections: unseen by callers")
async def test_the_age_of_a_connection_is_nothing_to_callers(tmp_path: Path, mode: Any) -> None:
    """It says GOAWAY at that age, and cuts the connection ten seconds later."""
    async with running_istiod(tmp_path, max_age=0.5) as istiod, greeters(_NAMES) as port:
        await _mesh_of_three(istiod, port)
        async with member(istiod, mode) as mesh:
            client = GreeterClient(mesh)
            await settle(client, {"v1", "v2"})
            with captured_events() as events:
                async with under_load(client, 10, 0.02) as failures:
                    await until(lambda: _streams(mesh, 2))
                    await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1})))
                    await settle(client, {"v2"})
            assert failures == []
            assert [event for event in events if event["log_level"] not in ("debug", "info")] == []
            await until(lambda: _watched_by(istiod, 1))  # two for the moment in which one takes over from the other


@both("garbage from the control plane: refused, last good config stays, heals")
async def test_garbage_harms_no_running_traffic(istiod: Istiod, mode: Any) -> None:
    async with greeters(_NAMES) as port, relayed(istiod.address) as relay, member(relay.address, mode) as mesh:
        await _mesh_of_three(istiod, port)
        client = GreeterClient(mesh)
        await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v1": 1})))
        await settle(client, {"v1"})
        await istiod.apply("rules", _SUBSETS, _SPLIT)
        await settle(client, {"v1", "v2"})
        randomly = Random(1)
        with captured_events() as events:
            async with under_load(client, 10, 0.02) as failures:
                relay.damage = partial(_spoil, randomly, mode)
                for version in ("v1", "v2", "v1"):
                    nacks = mesh._discovery.statistics().stream.nacks
                    await istiod.apply("rules", _SUBSETS, virtual_service(routes({version: 1})))
                    relay.inject(_noise(randomly))
                    await until(lambda nacks=nacks: _true(mesh._discovery.statistics().stream.nacks > nacks))
                assert set(await who_answers(client, 60)) == {"v1", "v2"}
                relay.damage = bytes
                await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1})))
                await settle(client, {"v2"})
        assert failures == []
        said = {event["event"] for event in events if event["log_level"] == "warning"}
        assert said == {"resources refused", "ADS response cannot be decoded"}


@both("a resource that was refused is asked for again")
async def test_what_was_damaged_on_its_way_is_asked_for_again(istiod: Istiod, mode: Any) -> None:
    """istiod sends nothing again by itself that has not changed."""
    async with greeters(_NAMES) as port, relayed(istiod.address) as relay, member(relay.address, mode) as mesh:
        await _mesh_of_three(istiod, port)
        relay.damage = partial(_spoil, Random(2), mode)
        client = GreeterClient(mesh)
        mesh._interface("helloworld.v1.Greeter")
        await until(lambda: _true(mesh._discovery.statistics().stream.nacks > 0))
        relay.damage = bytes
        await settle(client, {"v1", "v2"})
        async with under_load(client) as failures:  # the wildcard is what it was: changes still come
            await istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1})))
            await settle(client, {"v2"})
        assert failures == []
        assert mesh._discovery.statistics().stream.streams == 1
        assert "mismatch" not in istiod.log()


async def test_what_was_given_up_is_not_refused(own_istiod: Istiod) -> None:
    """A NACK for a type of which nobody watches anything any more ends istiod (pkg/xds/server.go, ShouldRespond)."""
    bad = discovery_pb2.DiscoveryResponse(version_info="1", nonce="1", type_url=_EDS)
    bad.resources.add(type_url=_EDS, value=_noise(Random(3)))
    async with (
        greeters(_NAMES) as port,
        relayed(own_istiod.address) as relay,
        member(relay.address, LIGHT) as mesh,
    ):
        await _mesh_of_three(own_istiod, port)
        client = GreeterClient(mesh)
        await settle(client, {"v1", "v2"})
        await own_istiod.apply("rules", virtual_service({"directResponse": {"status": 403}}))
        await until_fails(client, "PERMISSION_DENIED")
        await until(lambda: _unwatched(own_istiod, _EDS))
        relay.inject(bad.SerializeToString())
        await until(lambda: _true(mesh._discovery.statistics().stream.nacks > 0))
        await own_istiod.apply("rules", _SUBSETS, virtual_service(routes({"v2": 1})))
        await settle(client, {"v2"})
        assert mesh._discovery.statistics().stream.streams == 1


async def _unwatched(istiod: Istiod, kind: str) -> bool:
    return all(kind not in watcher["watches"] for watcher in await istiod.watchers())


async def _says(istiod: Istiod, word: str) -> bool:
    """What `istioctl proxy-status` shows of a NACK."""
    return word in str(await istiod.debug("syncz"))


async def _streams(mesh: Mesh, count: int) -> bool:
    return mesh._discovery.statistics().stream.streams >= count


async def _true(value: bool) -> bool:
    return value


def _noise(randomly: Random) -> bytes:
    """Noise that is no message: without its first byte, which is no key of a field, it could be one by chance."""
    return b"\x0f" + randomly.randbytes(99)


def _spoil(randomly: Random, mode: Any, response: bytes) -> bytes:
    """Every resource of a response replaced by noise; name, nonce and version stay."""
    if mode is DELTA:
        delta = discovery_pb2.DeltaDiscoveryResponse.FromString(response)
        for resource in delta.resources:
            resource.resource.value = _noise(randomly)
        return delta.SerializeToString()
    sotw = discovery_pb2.DiscoveryResponse.FromString(response)
    for resource in sotw.resources:
        resource.value = _noise(randomly)
    return sotw.SerializeToString()
