"""Host names of clusters: resolved while in use, again and again, and never forgotten because of a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from meshkit.clock import SYSTEM
from meshkit.discovery import Discovery, DiscoveryOptions
from meshkit.discovery.dns import HostNames
from meshkit.xds.resources import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    DnsFamily,
    DnsLookups,
    Endpoint,
    LocalityEndpoints,
)
from tests.support.ads_server import AdsServer, endpoints, routes
from tests.support.ads_server import cluster as eds_cluster
from tests.support.events import captured_events
from tests.support.waiting import until

OFTEN = DnsLookups(refresh=0.01, failure=(0.01, 0.01))


class World:
    """A hosts file to change, and the names of the clusters that changed. ``None`` for a host that nobody knows."""

    def __init__(self) -> None:
        self.hosts: dict[str, Sequence[str] | None] = {}
        self.asked: list[str] = []
        self.changes: list[str] = []
        self.told = asyncio.Event()
        self.names = HostNames(self.resolve, SYSTEM, self.note)

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        found = self.hosts.get(host)
        if found is None:
            raise OSError("Name or service not known")
        if not found:
            await asyncio.Event().wait()
        return found

    def note(self, cluster: str) -> None:
        self.changes.append(cluster)
        self.told.set()

    async def next_change(self) -> None:
        async with asyncio.timeout(30):
            await self.told.wait()
        self.told.clear()

    async def asked_again(self, times: int = 2) -> None:
        wanted = len(self.asked) + times
        await holds(lambda: len(self.asked) >= wanted)


async def holds(condition: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return condition()

    await until(asked)


@asynccontextmanager
async def world(**hosts: Sequence[str] | None) -> AsyncIterator[World]:
    made = World()
    made.hosts.update({name.replace("_", "."): addresses for name, addresses in hosts.items()})
    try:
        yield made
    finally:
        await made.names.close()


def cluster(*addresses: str, kind: ClusterType = ClusterType.STRICT_DNS, how: DnsLookups = OFTEN) -> Cluster:
    group = LocalityEndpoints(tuple(Endpoint(address, weight=2) for address in addresses))
    return Cluster("c", kind, assignment=ClusterLoadAssignment("c", (group,)), dns=how)


def addresses(names: HostNames, of: Cluster) -> list[str] | None:
    made = names.assignment(of)
    return None if made is None else [end.address for group in made.localities for end in group.endpoints]


async def test_every_address_is_an_endpoint_with_the_weight_of_its_name() -> None:
    async with world(a_example=["10.0.0.1", "10.0.0.2"]) as w:
        one = cluster("a.example:80", "192.0.2.1:81")
        w.names.use(one)
        assert addresses(w.names, one) is None
        await w.next_change()
        made = w.names.assignment(one)
        assert made is not None
        assert [(e.address, e.weight) for e in made.localities[0].endpoints] == [
            ("10.0.0.1:80", 2),
            ("10.0.0.2:80", 2),
            ("192.0.2.1:81", 2),
        ]
        assert w.names.assignment(one) is made


async def test_names_are_asked_for_again_and_only_news_are_told() -> None:
    async with world(a_example=["10.0.0.1", "10.0.0.2"]) as w:
        one = cluster("a.example:80")
        w.names.use(one)
        await w.next_change()
        w.hosts["a.example"] = ["10.0.0.2", "10.0.0.1"]  # as resolvers turn lists
        await w.asked_again()
        assert w.changes == ["c"]
        w.hosts["a.example"] = ["10.0.0.3"]
        await w.next_change()
        assert addresses(w.names, one) == ["10.0.0.3:80"]


async def test_a_failure_keeps_the_last_good_addresses_and_is_said_once() -> None:
    with captured_events() as events:
        async with world(a_example=["10.0.0.1"]) as w:
            one = cluster("a.example:80")
            w.names.use(one)
            await w.next_change()
            w.hosts["a.example"] = None
            await w.next_change()
            await w.asked_again(3)
            assert addresses(w.names, one) == ["10.0.0.1:80"]
            assert w.names.problem(one) == (
                "a.example is not resolved: Name or service not known, so 10.0.0.1 as before"
            )
            w.hosts["a.example"] = ["10.0.0.1"]
            await w.next_change()
            assert w.names.problem(one) == ""
    assert [event["event"] for event in events] == ["host name not resolved", "host name resolved again"]


async def test_a_name_that_never_resolves_leaves_the_others() -> None:
    async with world(a_example=["10.0.0.1"]) as w:
        one = cluster("a.example:80", "nowhere.example:80")
        w.names.use(one)
        await holds(lambda: addresses(w.names, one) is not None)
        assert addresses(w.names, one) == ["10.0.0.1:80"]
        assert w.names.problem(one) == "nowhere.example is not resolved: Name or service not known"


async def test_a_silent_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshkit.discovery.dns._SLOW", 0.01)
    async with world(a_example=[]) as w:
        one = cluster("a.example:80")
        w.names.use(one)
        await w.next_change()
        assert addresses(w.names, one) == []
        assert "no answer within" in w.names.problem(one)
        assert w.asked == ["a.example"]


async def test_a_resolver_may_fail_in_any_way() -> None:
    async def broken(host: str) -> Sequence[str]:
        raise RuntimeError(f"no idea of {host}")

    told = asyncio.Event()
    names = HostNames(broken, SYSTEM, lambda _: told.set())
    try:
        names.use(cluster("a.example:80"))
        async with asyncio.timeout(30):
            await told.wait()
        assert "no idea of a.example" in names.problem(cluster("a.example:80"))
    finally:
        await names.close()


async def test_a_logical_cluster_is_one_endpoint_whose_next_connection_goes_to_the_first_address() -> None:
    async with world(a_example=["10.0.0.1", "10.0.0.2"]) as w:
        one = cluster("a.example:80", kind=ClusterType.LOGICAL_DNS)
        w.names.use(one)
        await w.next_change()
        assert addresses(w.names, one) == ["a.example:80"]
        assert await w.names.resolve("a.example") == ("10.0.0.1",)
        w.hosts["a.example"] = ["10.0.0.2", "10.0.0.1"]
        await w.asked_again()
        assert await w.names.resolve("a.example") == ("10.0.0.2",)
        w.hosts["a.example"] = None
        await w.asked_again()
        assert await w.names.resolve("a.example") == ("10.0.0.2",)
        assert w.names.figures("c")[0].state == "received"


async def test_only_names_in_use_are_asked_for() -> None:
    async with world(a_example=["10.0.0.1"], b_example=["10.0.0.2"]) as w:
        w.names.use(cluster("a.example:80"))
        await w.next_change()
        w.names.use(cluster("b.example:80"))
        await w.next_change()
        w.asked.clear()
        await w.asked_again(3)
        assert set(w.asked) == {"b.example"}
        w.names.drop("c")
        await asyncio.sleep(0.05)
        w.asked.clear()
        await asyncio.sleep(0.05)
        assert w.asked == []


async def test_two_clusters_with_one_name_ask_once() -> None:
    async with world(a_example=["10.0.0.1"]) as w:
        how = DnsLookups()
        w.names.use(cluster("a.example:80", how=how))
        other = Cluster("d", ClusterType.STRICT_DNS, assignment=cluster("a.example:81").assignment, dns=how)
        w.names.use(other)
        await w.next_change()
        assert addresses(w.names, other) == ["10.0.0.1:81"]
        assert w.asked == ["a.example"]
        assert sorted(w.changes) == ["c", "d"]


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (DnsFamily.AUTO, ["[::1]:80"]),
        (DnsFamily.V4_ONLY, ["10.0.0.1:80"]),
        (DnsFamily.V6_ONLY, ["[::1]:80"]),
        (DnsFamily.V4_PREFERRED, ["10.0.0.1:80"]),
        (DnsFamily.ALL, ["10.0.0.1:80", "[::1]:80"]),
    ],
)
async def test_families(family: DnsFamily, expected: list[str]) -> None:
    async with world(a_example=["10.0.0.1", "::1"]) as w:
        one = cluster("a.example:80", how=DnsLookups(family))
        w.names.use(one)
        await w.next_change()
        assert addresses(w.names, one) == expected


async def test_a_resolver_that_never_answers_holds_up_its_own_interface_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshkit.discovery.dns._SLOW", 2.0)
    w = World()
    w.hosts["slow.example"] = []
    named = cluster_pb2.Cluster(name="d", type=cluster_pb2.Cluster.STRICT_DNS)
    named.load_assignment.CopyFrom(endpoints("d", "slow.example:80"))
    async with AdsServer() as server:
        server.put(routes("p.a:80", ("a", 1)), eds_cluster("a"), endpoints("a", "127.0.0.1:1"))
        server.put(routes("p.d:80", ("d", 1)), named)
        discovery = Discovery(DiscoveryOptions(server.address), resolver=w.resolve)
        await discovery.start()
        try:
            waiting, ready = discovery.watch("p.D"), discovery.watch("p.A")
            async with asyncio.timeout(30):
                await ready.cell.wait(lambda snapshot: snapshot.ready)
                assert not waiting.cell.value.ready
                assert "no answer yet for DNS d" in waiting.explain()
                snapshot = await waiting.cell.wait(lambda snapshot: snapshot.ready)
            assert "slow.example is not resolved: no answer within" in snapshot.notes["d"]
            assert [one.state for one in waiting.statistics().resources if one.name == "slow.example"] == ["absent"]
        finally:
            await discovery.close()
            await w.names.close()


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_a_cluster_of_no_names_has_no_endpoints(mode: str) -> None:
    """And takes nothing down with it: the stream goes on, and brings names later."""
    empty = cluster_pb2.Cluster(name="d", type=cluster_pb2.Cluster.STRICT_DNS)
    named = cluster_pb2.Cluster(name="d", type=cluster_pb2.Cluster.STRICT_DNS)
    named.load_assignment.CopyFrom(endpoints("d", "127.0.0.1:80"))
    async with AdsServer() as server:
        server.put(routes("p.d:80", ("d", 1)), empty)
        discovery = Discovery(DiscoveryOptions(server.address, mode=mode))
        await discovery.start()
        try:
            watch = discovery.watch("p.D")
            async with asyncio.timeout(30):
                snapshot = await watch.cell.wait(lambda snapshot: snapshot.ready)
                assert snapshot.clusters["d"].assignment == ClusterLoadAssignment("d")
                server.put(named)
                await watch.cell.wait(lambda snapshot: bool(snapshot.clusters["d"].assignment.localities))
            assert len(server.streams) == 1
        finally:
            await discovery.close()
