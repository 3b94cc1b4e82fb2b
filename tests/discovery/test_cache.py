"""Per-interface caches over the ADS machines: whatever the control plane does, in whatever order, a snapshot is whole.

Routes, clusters and endpoints carry the number of the state of the world that they belong to, so that a reader can tell
a mixture from a whole. A model control plane (tests/support/ads_model.py) is stepped by hand, message by message.
"""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshkit.clock import SYSTEM
from meshkit.discovery import InterfaceWatch, Snapshot, SnapshotState
from meshkit.discovery.assembly import Naming
from meshkit.discovery.cache import InterfaceCache
from meshkit.discovery.dns import HostNames
from meshkit.discovery.strategy import StandardResources
from meshkit.net import system_resolver
from meshkit.xds import (
    ASSIGNMENTS,
    CLUSTERS,
    ROUTES,
    AdsMachine,
    DeltaMachine,
    Request,
    ResourceType,
    Response,
    SotwMachine,
)
from meshkit.xds.entry import Resource, Update
from meshkit.xds.resources import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LocalityEndpoints,
    PathMatch,
    Route,
    RouteAction,
    RouteConfiguration,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)
from meshkit.xds.types import type_of
from tests.support.ads_model import DeltaStream, SotwStream, Stream, Table
from tests.support.events import captured_events

VARIANTS: list[tuple[type[AdsMachine], type[Stream]]] = [(SotwMachine, SotwStream), (DeltaMachine, DeltaStream)]
BOTH = pytest.mark.parametrize("variant", [0, 1], ids=["sotw", "delta"])
INTERFACES = ("p.A", "p.B")
NAMES = ("a", "b", "c")


def nobody() -> HostNames:
    """No cluster of these tests has host names."""
    return HostNames(system_resolver, SYSTEM, lambda cluster: None)


class World:
    """A cache, a machine, a model server, and which clusters each interface's routes lead to."""

    def __init__(self, variant: int) -> None:
        machine, self.stream_type = VARIANTS[variant]
        self.machine = machine()
        self.cache = InterfaceCache(self.machine, nobody(), [StandardResources()], Naming(), "cp:1", lambda: None)
        self.table = Table()
        self.targets: dict[str, tuple[str, ...]] = {}
        self.stream: Stream | None = None
        self.up: deque[Request] = deque()
        self.down: deque[Response] = deque()
        self.watches: dict[str, InterfaceWatch] = {}
        self.kind: ResourceType | None = None

    # -- what may happen

    def watch(self, interface: str) -> None:
        if interface not in self.watches:
            self.watches[interface] = self.cache.watch(interface)
            self.watches[interface].cell.listen(self.check)

    def release(self, interface: str) -> None:
        if interface in self.watches:
            self.watches.pop(interface).release()

    def route(self, interface: str, targets: tuple[str, ...], valid: bool) -> None:
        """Give an interface routes, make before break: clusters and endpoints are there first."""
        for name in targets:
            if (CLUSTERS, name) not in self.table.held:
                self.cluster(name)
        self.targets[f"{self.table.clock + 1}"] = targets
        self.put(ROUTES, f"{interface.lower()}:80", valid)

    def cluster(self, name: str) -> None:
        self.put(CLUSTERS, name, True)
        self.put(ASSIGNMENTS, name, True)

    def endpoints(self, name: str, valid: bool) -> None:
        if (CLUSTERS, name) in self.table.held:
            self.put(ASSIGNMENTS, name, valid)

    def put(self, kind: ResourceType, name: str, valid: bool) -> None:
        self.table.put(kind, name, valid)
        if self.stream is not None:
            self.down.extend(self.stream.on_change(kind, name))

    def connect(self) -> None:
        self.disconnect()
        self.stream = self.stream_type(self.table)
        self.machine.opened()

    def disconnect(self) -> None:
        self.machine.closed()
        self.stream = None
        self.up.clear()
        self.down.clear()

    def flush(self) -> None:
        self.up.extend(self.machine.requests())

    def deliver_up(self) -> None:
        if self.up and self.stream is not None:
            self.down.extend(self.stream.on_request(self.up.popleft()))

    def deliver_down(self) -> None:
        if self.down:
            response = self.down.popleft()
            self.kind = type_of(response.type_url)
            verdict = self.machine.receive(response, [self.update(r.value) for r in response.resources])
            if verdict.kind is not None:
                self.cache.update(verdict.kind, verdict.changed)

    def settle(self) -> None:
        if self.stream is None:
            self.connect()
        for _ in range(1000):
            self.flush()
            if not self.up and not self.down:
                return
            self.deliver_up()
            self.deliver_down()
        raise AssertionError("the two sides never come to rest")

    # -- what must hold

    def update(self, data: bytes) -> Update:
        name, version, valid = data.decode().split("=")
        if valid == "False":
            return Update(name, data, len(data), reason="bad")
        return Update(name, data, len(data), resource=self.resource(name, version))

    def resource(self, name: str, version: str) -> Resource:
        if self.kind is CLUSTERS:
            return Cluster(name, ClusterType.EDS)
        if self.kind is ASSIGNMENTS:
            return ClusterLoadAssignment(name, (LocalityEndpoints((Endpoint(f"127.0.0.1:{version}"),)),))
        weighted = tuple(WeightedCluster(target, 1) for target in self.targets[version])
        route = Route(PathMatch(StringMatch.PREFIX, "/"), RouteAction(weighted))
        return RouteConfiguration(name, (VirtualHost(version, ("*",), (route,)),))

    def check(self, snapshot: Snapshot) -> None:
        """A ready snapshot has everything its routes lead to, with endpoints unless all versions of them were bad."""
        if snapshot.state is not SnapshotState.READY:
            return
        assert snapshot.routes is not None
        (route,) = snapshot.routes.virtual_host.routes
        assert isinstance(route.action, RouteAction)
        for weighted in route.action.clusters:
            held = snapshot.clusters[weighted.name]
            assert held.cluster.name == weighted.name
            refused = snapshot.notes.get(weighted.name, "").endswith("refused, bad")
            assert bool(held.assignment.localities) != refused


STEPS = st.one_of(
    st.tuples(st.just("watch"), st.sampled_from(INTERFACES)),
    st.tuples(st.just("release"), st.sampled_from(INTERFACES)),
    st.tuples(
        st.just("route"),
        st.sampled_from(INTERFACES),
        st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple),
        st.booleans(),
    ),
    st.tuples(st.just("endpoints"), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("flush")),
    st.tuples(st.just("deliver_up")),
    st.tuples(st.just("deliver_down")),
    st.tuples(st.just("connect")),
    st.tuples(st.just("disconnect")),
)


@BOTH
@given(steps=st.lists(STEPS, max_size=50))
@settings(max_examples=200, deadline=None)
def test_no_half_configuration_and_no_lost_interface(variant: int, steps: list[tuple[object, ...]]) -> None:
    world = World(variant)
    for name, *arguments in steps:
        getattr(world, str(name))(*arguments)
    for interface in INTERFACES:
        if f"{interface.lower()}:80" not in {name for kind, name in world.table.held if kind is ROUTES}:
            world.release(interface)  # nobody ever says that it does not exist; the time for an answer is not modelled
    world.settle()
    for interface, watch in world.watches.items():
        check_final(world, interface, watch)
    wanted = {need for watch in world.watches.values() for need in watch.needs if need[0] is not CLUSTERS}
    held = {(kind, entry.name) for kind in (ROUTES, ASSIGNMENTS) for entry in world.machine.entries(kind)}
    assert held == wanted


def check_final(world: World, interface: str, watch: InterfaceWatch) -> None:
    """The newest valid routes are in force, with the newest valid endpoints."""
    version, valid = world.table.held[ROUTES, f"{interface.lower()}:80"]
    snapshot = watch.cell.value
    if valid:
        assert snapshot.routes is not None
        assert snapshot.routes.virtual_host.name == str(version)
    for name, cluster in snapshot.clusters.items():
        newest, good = world.table.held[ASSIGNMENTS, name]
        if good:
            assert cluster.assignment.localities[0].endpoints[0].address == f"127.0.0.1:{newest}"


@BOTH
def test_users_share_one_watch(variant: int) -> None:
    world = World(variant)
    first, second = world.cache.watch("p.A"), world.cache.watch("p.A")
    assert first is second
    world.route("p.A", ("a",), True)
    world.settle()
    first.release()
    assert world.cache.watches
    assert second.cell.value.ready
    assert second.statistics().users == 1
    second.release()
    world.settle()
    assert not world.cache.watches
    assert not list(world.machine.entries(ROUTES))
    second.release()


@BOTH
def test_what_did_not_change_stays_the_same_object(variant: int) -> None:
    world = World(variant)
    world.route("p.A", ("a", "b"), True)
    watch = world.cache.watch("p.A")
    world.settle()
    before = watch.cell.value
    world.endpoints("a", True)
    world.settle()
    after = watch.cell.value
    assert after.version == before.version + 1
    assert after.routes is before.routes
    assert after.clusters["b"] is before.clusters["b"]
    assert after.clusters["a"] is not before.clusters["a"]
    assert after.clusters["a"].cluster is before.clusters["a"].cluster


@BOTH
def test_a_listener_that_fails_harms_nobody_else(variant: int) -> None:
    world = World(variant)
    world.route("p.A", ("a",), True)
    world.route("p.B", ("a",), True)
    first, second = world.cache.watch("p.A"), world.cache.watch("p.B")
    first.cell.listen(lambda snapshot: snapshot.clusters["no such cluster"])
    with captured_events() as logs:
        world.settle()
    assert first.cell.value.ready
    assert second.cell.value.ready
    assert [(entry["event"], entry["interface"]) for entry in logs] == [("a listener of an interface failed", "p.A")]


@BOTH
def test_a_listener_may_release_and_watch(variant: int) -> None:
    world = World(variant)
    world.route("p.A", ("a",), True)
    world.route("p.B", ("a",), True)
    first, second = world.cache.watch("p.A"), world.cache.watch("p.B")
    first.cell.listen(lambda _: second.release() if second.users else None)
    world.settle()
    assert first.cell.value.ready
    assert set(world.cache.watches) == {"p.A"}
    assert [entry.name for entry in world.machine.entries(ROUTES)] == ["p.a:80"]
