"""What a server learns of its own port: services by the default generator, demands on callers by the grpc one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from meshkit.clock import SYSTEM
from meshkit.discovery import HostPort, LocalWatch
from meshkit.discovery.assembly import Naming
from meshkit.discovery.dns import HostNames
from meshkit.discovery.local import LocalPorts
from meshkit.discovery.subscriptions import Subscriptions
from meshkit.net import system_resolver
from meshkit.trust import MutualTls
from meshkit.xds import ASSIGNMENTS, CLUSTERS, LISTENERS, Listener, ResourceType, Response, SotwMachine, Update
from meshkit.xds.listeners import FilterChain
from meshkit.xds.resources import Cluster, ClusterLoadAssignment, ClusterType, Endpoint, LocalityEndpoints

IP, PORT = "127.0.0.1", 50051
TEMPLATE = "xds.istio.io/grpc/lds/inbound/%s"
_VERSIONS = itertools.count(1)


class World:
    """A machine whose answers are given by hand."""

    def __init__(self, generator: str = "") -> None:
        self.machine = SotwMachine()
        naming = Naming(generator)
        names = HostNames(system_resolver, SYSTEM, lambda cluster: None)
        self.subscriptions = Subscriptions(self.machine, names, naming, lambda: None)
        self.ports = LocalPorts(self.machine, self.subscriptions, naming, "")
        self.machine.opened()

    def watch(self) -> LocalWatch:
        watch = self.ports.watch(IP, PORT)
        self.machine.requests()
        return watch

    def answer(self, kind: ResourceType, *resources: Any) -> None:
        """All resources of the type are now these."""
        self.machine.requests()
        version = str(next(_VERSIONS))
        updates = [
            Update(getattr(one, "cluster_name", "") or one.name, version.encode(), 1, resource=one) for one in resources
        ]
        verdict = self.machine.receive(Response(kind.url, version, version), updates)
        for user in self.subscriptions.users(kind, verdict.changed):
            user.refresh()
        if kind is CLUSTERS:
            self.ports.update(verdict.changed)


def inbound(*hosts: str) -> Cluster:
    return Cluster(f"inbound|{PORT}||", ClusterType.ORIGINAL_DST, hosts=hosts)


def outbound(port: int, host: str) -> Cluster:
    return Cluster(f"outbound|{port}||{host}", ClusterType.EDS)


def ends(cluster: str, *addresses: str) -> ClusterLoadAssignment:
    return ClusterLoadAssignment(cluster, (LocalityEndpoints(tuple(map(Endpoint, addresses))),))


def test_a_service_with_one_port_needs_no_endpoints() -> None:
    world = World()
    watch = world.watch()
    assert watch.cell.value.note == "no answer yet"
    world.answer(CLUSTERS, inbound("a.b", "c.d"), outbound(80, "a.b"), outbound(81, "c.d"), outbound(82, "e.f"))
    assert watch.cell.value.hosts == (HostPort("a.b", 80), HostPort("c.d", 81))
    assert watch.cell.value.unplaced == ()
    assert not world.machine.state(ASSIGNMENTS).names


def test_the_port_of_a_service_with_several_is_found_by_its_endpoints() -> None:
    world = World()
    watch = world.watch()
    world.answer(CLUSTERS, inbound("a.b", "c.d"), outbound(80, "a.b"), outbound(90, "a.b"), outbound(81, "c.d"))
    assert watch.cell.value.hosts == ()  # none of them before all are known: each change costs a stream
    world.answer(ASSIGNMENTS, ends("outbound|80||a.b", f"{IP}:1"), ends("outbound|90||a.b", f"{IP}:{PORT}"))
    assert watch.cell.value.hosts == (HostPort("a.b", 90), HostPort("c.d", 81))
    world.answer(ASSIGNMENTS, ends("outbound|90||a.b", "127.0.0.2:1"))
    assert watch.cell.value.hosts == (HostPort("c.d", 81),)
    assert watch.cell.value.unplaced == ("a.b",)


def test_services_come_and_go() -> None:
    world = World()
    watch = world.watch()
    world.answer(CLUSTERS, outbound(80, "a.b"))
    assert watch.cell.value.note.startswith(f"no service selects {IP}:{PORT}")
    world.answer(CLUSTERS, inbound("a.b"), outbound(80, "a.b"))
    assert watch.cell.value.hosts == (HostPort("a.b", 80),)
    world.answer(CLUSTERS, inbound("a.b"), outbound(99, "a.b"))
    assert watch.cell.value.hosts == (HostPort("a.b", 99),)
    world.answer(CLUSTERS, outbound(99, "a.b"))
    assert watch.cell.value.hosts == ()


def test_what_concerns_others_changes_nothing() -> None:
    world = World()
    watch = world.watch()
    world.answer(CLUSTERS, inbound("a.b"), outbound(80, "a.b"))
    seen: list[Any] = []
    watch.cell.listen(seen.append)
    world.answer(CLUSTERS, inbound("a.b"), outbound(80, "a.b"), outbound(80, "e.f"))
    assert seen == []


def test_demands_are_read_from_the_listener_of_the_grpc_generator() -> None:
    world = World("grpc")
    watch = world.watch()
    name = TEMPLATE % f"{IP}:{PORT}"
    assert list(world.machine.state(LISTENERS).names) == [name]
    assert watch.cell.value.inbound.note == f"{name}: no answer yet"
    assert "set service" in watch.cell.value.note
    world.answer(LISTENERS, Listener(name, (FilterChain("c", tls=True, client_certificate=True),)))
    assert watch.cell.value.inbound.mtls is MutualTls.STRICT
    world.answer(LISTENERS)
    assert watch.cell.value.inbound.mtls is MutualTls.UNKNOWN
    assert "does not exist" in watch.cell.value.inbound.note


@pytest.mark.parametrize("generator", ["", "grpc"])
def test_no_listeners_at_all_are_never_asked_for_because_that_means_all(generator: str) -> None:
    world = World(generator)
    watch = world.watch()
    before = list(world.machine.state(LISTENERS).names)
    watch.release()
    assert list(world.machine.state(LISTENERS).names) == before
    assert watch.needs == frozenset()
