"""Discovery against a real gRPC server that speaks ADS in both variants."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshkit.discovery import (
    Discovery,
    DiscoveryOptions,
    HostPort,
    InterfaceWatch,
    Location,
    NodeIdentity,
    Registration,
    Snapshot,
    Unknown,
)
from meshkit.discovery.snapshot import SnapshotState
from meshkit.errors import ConfigError
from meshkit.net import BackoffPolicy
from tests.support.ads_server import CDS, EDS, RDS, AdsServer, cluster, endpoints, routes
from tests.support.waiting import until

GREETER = "helloworld.v1.Greeter"
NAME = "helloworld.v1.greeter:80"
FAST = BackoffPolicy(initial=0.02, multiplier=1.6, jitter=0.2, maximum=0.1)
MODES = pytest.mark.parametrize("mode", ["delta", "sotw"])


@asynccontextmanager
async def running(server: AdsServer | str, **options: Any) -> AsyncIterator[Discovery]:
    address = server if isinstance(server, str) else server.address
    options.setdefault("identity", NodeIdentity("client"))
    discovery = Discovery(DiscoveryOptions(address=address, backoff=FAST, **options))
    await discovery.start()
    try:
        yield discovery
    finally:
        await discovery.close()


async def ready(watch: InterfaceWatch, predicate: Callable[[Snapshot], bool] = lambda s: s.ready) -> Snapshot:
    return await asyncio.wait_for(watch.cell.wait(predicate), 30)


def addresses(snapshot: Snapshot) -> dict[str, list[str]]:
    return {
        name: [e.address for locality in c.assignment.localities for e in locality.endpoints]
        for name, c in snapshot.clusters.items()
    }


def service(*names: str) -> list[Any]:
    found: list[Any] = [cluster(name) for name in names]
    found += [endpoints(name, f"127.0.0.1:{7000 + index}") for index, name in enumerate(names)]
    return found


@MODES
async def test_interface_becomes_ready(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a", "b"), routes(NAME, ("a", 90), ("b", 10)))
        watch = discovery.watch(GREETER)
        snapshot = await ready(watch)
        assert addresses(snapshot) == {"a": ["127.0.0.1:7000"], "b": ["127.0.0.1:7001"]}
        assert snapshot.routes is not None
        assert snapshot.routes.select("/helloworld.v1.Greeter/SayHello") is not None
        assert snapshot.authority == NAME
        await until(lambda: server.streams[0].names == {CDS: ["*"], RDS: [NAME], EDS: ["a", "b"]})


@MODES
async def test_fifty_interfaces_share_one_stream_and_nothing_else_is_asked_for(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a", "unused"), *(routes(f"pkg.svc{i}:80", ("a", 1)) for i in range(50)))
        watches = [discovery.watch(f"pkg.Svc{i}") for i in range(50)]
        for watch in watches:
            await ready(watch)
        (stream,) = server.streams
        assert stream.names[EDS] == ["a"]
        assert len(stream.names[RDS]) == 50
        assert sum(request.HasField("node") for request in stream.requests) == 1
        assert len(stream.requests) < 20
        for watch in watches:
            watch.release()
        await until(lambda: not stream.names[RDS] and not stream.names[EDS])


@MODES
async def test_no_half_configuration_is_seen(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1)))
        watch = discovery.watch(GREETER)
        first = await ready(watch)
        server.quiet.add((EDS, "b"))
        server.put(cluster("b"), endpoints("b", "127.0.0.1:7009"), routes(NAME, ("b", 1)))
        await until(lambda: "b" in server.streams[0].names[EDS])
        await asyncio.sleep(0.05)
        assert watch.cell.value is first
        assert watch.statistics().missing == ("EDS b",)
        server.put(endpoints("a", "127.0.0.1:7005"))  # what is published stays fresh meanwhile
        await ready(watch, lambda s: addresses(s) == {"a": ["127.0.0.1:7005"]})
        server.quiet.clear()
        server.put(endpoints("b", "127.0.0.1:7009"))
        await ready(watch, lambda s: addresses(s) == {"b": ["127.0.0.1:7009"]})
        await until(lambda: server.streams[0].names[EDS] == ["b"])


@MODES
async def test_consumer_before_provider_and_provider_gone(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(routes(NAME))
        watch = discovery.watch(GREETER)
        absent = await ready(watch, lambda s: s.state is SnapshotState.ABSENT)
        assert f"standard: asked {server.address} for RDS {NAME}: it has no routes" in absent.reason
        assert "static: the interface is not in the static map" in absent.reason
        assert absent.reason in watch.explain()
        server.put(*service("a"), routes(NAME, ("a", 1)))
        await ready(watch)
        server.put(endpoints("a"))
        await ready(watch, lambda s: addresses(s) == {"a": []})
        server.put(routes(NAME))
        await ready(watch, lambda s: s.state is SnapshotState.ABSENT)


@MODES
async def test_cluster_that_does_not_exist_is_noted_and_heals(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1), ("nowhere", 1)))
        watch = discovery.watch(GREETER)
        snapshot = await ready(watch)
        assert snapshot.notes == {"nowhere": "cluster nowhere: the control plane does not have it"}
        assert "nowhere" in watch.explain()
        server.put(*service("nowhere"))
        healed = await ready(watch, lambda s: "nowhere" in s.clusters and not s.notes)
        assert healed.routes is snapshot.routes
        assert healed.clusters["a"] is snapshot.clusters["a"]
        server.delete(CDS, "nowhere")
        await ready(watch, lambda s: "nowhere" in s.notes)


@MODES
async def test_bad_resource_keeps_the_last_good_one_and_is_refused_by_name(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1)))
        watch = discovery.watch(GREETER)
        good = await ready(watch)
        bad = routes(NAME, ("a", 1))
        bad.virtual_hosts[0].routes[0].match.safe_regex.regex = "(?=x)"
        server.put(bad)
        await until(lambda: server.streams[0].errors)
        (error,) = server.streams[0].errors
        assert NAME in error
        assert "(?=x)" in error
        assert watch.cell.value is good
        assert any("(?=x)" in figures.error for figures in watch.statistics().resources)
        assert discovery.statistics().stream.nacks == 1
        server.put(*service("b"), routes(NAME, ("b", 1)))
        await ready(watch, lambda s: "b" in s.clusters)


class Damaged:
    """A message for `AdsServer.put` whose bytes have ``before`` replaced by ``after``."""

    def __init__(self, message: Any, before: bytes, after: bytes) -> None:
        self.DESCRIPTOR = message.DESCRIPTOR
        self.name = self.cluster_name = message.cluster_name
        self._data = message.SerializeToString().replace(before, after)

    def SerializeToString(self, deterministic: bool | None = None) -> bytes:  # protobuf's name
        return self._data


@MODES
async def test_bytes_that_do_not_decode_are_refused_by_resource_path_and_byte(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1)))
        watch = discovery.watch(GREETER)
        good = await ready(watch)
        server.put(Damaged(endpoints("a", "127.0.0.1:7009"), b"127.0.0.1", b"127.0.0.\xff"))
        await until(lambda: server.streams[0].errors)
        (error,) = server.streams[0].errors
        path = r"endpoints\.lb_endpoints\.Endpoint\.Address\.SocketAddress\.address"
        assert re.search(rf"\ba: ClusterLoadAssignment\.{path}: invalid UTF-8 at byte \d+", error)
        assert watch.cell.value is good
        server.put(endpoints("a", "127.0.0.1:7010"))  # mended: the stream goes on
        await ready(watch, lambda s: addresses(s) == {"a": ["127.0.0.1:7010"]})
        assert len(server.streams) == 1


@MODES
async def test_routes_to_what_is_refused_do_not_replace_what_works(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1)))
        watch = discovery.watch(GREETER)
        good = await ready(watch)
        server.put(cluster("b"), endpoints("b", "127.0.0.1:7002", weight=0), routes(NAME, ("b", 1)))
        await until(lambda: server.streams[0].errors)
        assert watch.cell.value is good
        assert "endpoints of b: refused" in watch.explain()
        server.put(endpoints("a", "127.0.0.1:7001"))  # what stays in force stays fresh
        fresh = await ready(watch, lambda s: addresses(s) == {"a": ["127.0.0.1:7001"]})
        server.put(endpoints("a"))  # now nothing works by the old routes
        await ready(watch, lambda s: s is not fresh and addresses(s) == {"b": []})
        server.put(endpoints("b", "127.0.0.1:7002"))
        await ready(watch, lambda s: addresses(s) == {"b": ["127.0.0.1:7002"]})


@MODES
async def test_control_plane_away_and_back(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1)))
        watch = discovery.watch(GREETER)
        kept = await ready(watch)
        await server.stop()
        await until(lambda: "not reached" in discovery.condition())
        assert watch.cell.value is kept
        other = discovery.watch("pkg.Other")
        server.resources[RDS]["pkg.other:80"] = routes("pkg.other:80", ("a", 1))
        server.resources[EDS]["a"] = endpoints("a", "127.0.0.1:7777")
        server.streams.clear()
        await server.start()
        await ready(other)
        await ready(watch, lambda s: addresses(s) == {"a": ["127.0.0.1:7777"]})
        assert len(server.streams) == 1
        assert sorted(server.streams[0].names[RDS]) == [NAME, "pkg.other:80"]


@MODES
async def test_stream_that_ends_is_replaced_at_once_and_nobody_notices(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1)))
        watch = discovery.watch(GREETER)
        first = await ready(watch)
        seen: list[Snapshot] = []
        watch.cell.listen(seen.append)
        server.end_streams()
        await until(lambda: len(server.streams) == 2 and len(server.streams[1].names) == 3)
        server.put(endpoints("a", "127.0.0.1:7001"))
        await ready(watch, lambda s: s is not first)
        assert len(seen) == 1
        assert discovery.statistics().stream.streams == 2
        assert server.streams[1].node.id == server.streams[0].node.id


@MODES
async def test_removed_while_away(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode) as discovery:
        server.put(*service("a", "b"), routes(NAME, ("a", 1), ("b", 1)))
        watch = discovery.watch(GREETER)
        await ready(watch)
        await server.stop()
        del server.resources[CDS]["b"]
        await server.start()
        await ready(watch, lambda s: set(s.clusters) == {"a"} and set(s.notes) == {"b"})


async def test_silence_counts_as_absent() -> None:
    async with AdsServer() as server, running(server, patience=0.1) as discovery:
        server.quiet.add((RDS, NAME))
        watch = discovery.watch(GREETER)
        absent = await ready(watch, lambda s: s.state is SnapshotState.ABSENT)
        assert "no answer within 0.1 s" in absent.reason
        server.quiet.clear()
        server.put(*service("a"), routes(NAME, ("a", 1)))
        await ready(watch)


async def test_nobody_there_is_explained() -> None:
    async with AdsServer() as server:
        address = server.address
    async with running(address) as discovery:
        watch = discovery.watch(GREETER)
        await until(lambda: "no answer yet" not in watch.explain().rpartition("reached: ")[2])
        assert watch.cell.value.state is SnapshotState.PENDING
        assert f"RDS {NAME}: no answer yet" in watch.explain()
        assert f"The control plane {address} is not reached" in watch.explain()


async def test_static_map_by_host_and_by_address() -> None:
    static = {GREETER: "greeter.default.svc.cluster.local:8080", "pkg.Direct": "static:127.0.0.1:1,127.0.0.1:2"}
    async with AdsServer() as server, running(server, static=static) as discovery:
        name = "greeter.default.svc.cluster.local:8080"
        server.put(*service("a"), routes(name, ("a", 1)))
        direct = discovery.watch("pkg.Direct").cell.value
        assert direct.ready
        assert addresses(direct) == {"static|pkg.Direct": ["127.0.0.1:1", "127.0.0.1:2"]}
        snapshot = await ready(discovery.watch(GREETER))
        assert snapshot.authority == name
        await until(lambda: server.streams[0].names[RDS] == [name])


async def test_direct_addresses_need_no_control_plane() -> None:
    async with AdsServer() as server, running(server, static={GREETER: "static:127.0.0.1:1"}) as discovery:
        assert discovery.watch(GREETER).cell.value.ready
        await asyncio.sleep(0.05)
        assert not server.streams


@MODES
async def test_port_without_routes_falls_back_to_its_cluster(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode, static={GREETER: "greeter.ns:9000"}) as discovery:
        server.put(*service("outbound|9000||greeter.ns"), routes("greeter.ns:9000"))
        snapshot = await ready(discovery.watch(GREETER))
        assert addresses(snapshot) == {"outbound|9000||greeter.ns": ["127.0.0.1:7000"]}


async def test_light_mode_asks_for_clusters_by_name() -> None:
    identity = NodeIdentity("client", generator="grpc")
    name = "outbound|80||helloworld.v1.greeter"
    async with AdsServer() as server, running(server, mode="sotw", identity=identity) as discovery:
        server.put(*service("a", "b"), routes(name, ("a", 1)))
        watch = discovery.watch(GREETER)
        assert addresses(await ready(watch)) == {"a": ["127.0.0.1:7000"]}
        assert server.streams[0].names == {RDS: [name], CDS: ["a"], EDS: ["a"]}
        assert server.streams[0].node.metadata["GENERATOR"] == "grpc"


async def test_light_mode_knows_soon_that_a_cluster_does_not_exist() -> None:
    identity = NodeIdentity("client", generator="grpc")
    name = "outbound|80||helloworld.v1.greeter"
    async with AdsServer() as server, running(server, mode="sotw", identity=identity) as discovery:
        server.put(*service("a"), routes(name, ("a", 1), ("nowhere", 1)))
        snapshot = await ready(discovery.watch(GREETER))
        assert set(snapshot.clusters) == {"a"}
        assert snapshot.notes == {"nowhere": "cluster nowhere: the control plane does not have it"}


async def test_light_mode_over_delta_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="grpc generator"):
        DiscoveryOptions(identity=NodeIdentity("client", generator="grpc"))
    with pytest.raises(ConfigError, match="delta, sotw"):
        DiscoveryOptions(mode="both")


def registration(name: str, port: int = 80) -> Registration:
    return Registration(f"{name}.default.svc.cluster.local", "127.0.0.1:43121", (f"pkg.{name}",), port)


@MODES
async def test_registrations_travel_in_the_node_and_cost_one_stream_per_change(mode: str) -> None:
    async with AdsServer() as server, running(server, mode=mode, identity=NodeIdentity("greeter")) as discovery:
        discovery.publish(registration("One"))
        await asyncio.wait_for(discovery.announced(), 30)
        (first,) = server.streams
        assert (
            first.node.metadata["LABELS"]["DUBBO_GO"] == '{"providers:pkg.One::": "One.default.svc.cluster.local:80"}'
        )
        assert first.node.metadata["MESHKIT"]["endpoints"][0]["address"] == "127.0.0.1:43121"
        discovery.publish(registration("Two"))
        discovery.publish(registration("Two"))
        discovery.publish(registration("Three", 90))
        await asyncio.wait_for(discovery.announced(), 30)
        assert len(server.streams) == 2
        assert len(server.streams[1].node.metadata["MESHKIT"]["endpoints"]) == 3
        discovery.withdraw()
        await asyncio.wait_for(discovery.announced(), 30)
        assert len(server.streams) == 3
        assert "MESHKIT" not in server.streams[2].node.metadata
        assert server.streams[2].node.id == first.node.id


async def test_re_registration_keeps_the_watches(caplog: pytest.LogCaptureFixture) -> None:
    async with AdsServer() as server, running(server) as discovery:
        server.put(*service("a"), routes(NAME, ("a", 1)))
        watch = discovery.watch(GREETER)
        first = await ready(watch)
        discovery.publish(registration("One"))
        await asyncio.wait_for(discovery.announced(), 30)
        server.put(endpoints("a", "127.0.0.1:7001"))
        await ready(watch, lambda s: s is not first)
        assert len(server.streams) == 2


async def test_light_mode_server_asks_for_its_own_routes_only() -> None:
    identity = NodeIdentity("greeter", generator="grpc")
    async with AdsServer() as server, running(server, mode="sotw", identity=identity) as discovery:
        discovery.publish(registration("One"))
        await asyncio.wait_for(discovery.announced(), 30)
        assert server.streams[0].names == {RDS: ["outbound|80||One.default.svc.cluster.local"]}


async def test_own_services_are_read_from_the_inbound_cluster() -> None:
    async with AdsServer() as server, running(server) as discovery:
        inbound = cluster("inbound|19080||")
        services = inbound.metadata.filter_metadata["istio"].fields["services"].list_value
        services.values.add().struct_value.fields["host"].string_value = "reviews.demo.svc.cluster.local"
        server.put(inbound)
        server.put(cluster("outbound|9080||reviews.demo.svc.cluster.local"))
        local = discovery.local("127.0.0.1", 19080)
        await until(lambda: local.cell.value.hosts)
        assert local.cell.value.hosts == (HostPort("reviews.demo.svc.cluster.local", 9080),)
        other = discovery.local("127.0.0.1", 1).cell.value
        assert other.note.startswith("no service selects 127.0.0.1:1, says the control plane")


class Told:
    """A strategy that learns: what a reader of an interface map would be."""

    name = "told"

    def __init__(self) -> None:
        self.places: dict[str, Location] = {}
        self.changed: Callable[[], object] = lambda: None

    def locate(self, interface: str) -> Location:
        return self.places.get(interface, Unknown("nobody has told"))

    def listen(self, changed: Callable[[], object]) -> None:
        self.changed = changed

    async def run(self) -> None:
        pass

    def tell(self, interface: str, host: str, port: int) -> None:
        self.places[interface] = HostPort(host, port)
        self.changed()


async def test_a_strategy_that_learns_moves_an_interface() -> None:
    told = Told()
    async with AdsServer() as server:
        server.put(*service("a", "b"), routes("one.ns:80", ("a", 1)), routes("two.ns:90", ("b", 1)))
        discovery = Discovery(DiscoveryOptions(server.address, backoff=FAST), strategies=(told,))
        await discovery.start()
        watch = discovery.watch(GREETER)
        assert watch.cell.value.reason == "told: nobody has told"
        told.tell(GREETER, "one.ns", 80)
        await ready(watch, lambda s: set(s.clusters) == {"a"})
        seen: list[Snapshot] = []
        watch.cell.listen(seen.append)
        told.tell(GREETER, "two.ns", 90)
        await ready(watch, lambda s: set(s.clusters) == {"b"})
        assert all(snapshot.ready for snapshot in seen)
        await until(lambda: server.streams[0].names[RDS] == ["two.ns:90"])
        await discovery.close()


async def test_an_earlier_strategy_takes_over_when_it_finds_the_interface() -> None:
    static = {GREETER: "greeter.ns:9000"}
    async with AdsServer() as server, running(server, strategies=("standard", "static"), static=static) as discovery:
        server.put(*service("a", "b"), routes(NAME), routes("greeter.ns:9000", ("a", 1)))
        watch = discovery.watch(GREETER)
        await ready(watch, lambda s: set(s.clusters) == {"a"})
        server.put(routes(NAME, ("b", 1)))
        await ready(watch, lambda s: set(s.clusters) == {"b"})
        await until(lambda: server.streams[0].names[RDS] == [NAME])
        server.put(routes(NAME))
        await ready(watch, lambda s: set(s.clusters) == {"a"})
