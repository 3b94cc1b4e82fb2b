"""The ADS machines against model control planes: whatever happens in whatever order, no watch is lost."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshkit.xds.ads import AdsMachine, Request, Response
from meshkit.xds.delta import DeltaMachine
from meshkit.xds.entry import EntryState, fingerprint
from meshkit.xds.resources import RouteConfiguration
from meshkit.xds.sotw import SotwMachine
from meshkit.xds.types import ASSIGNMENTS, CLUSTERS, ROUTES, TYPES, WILDCARD, ResourceType
from tests.support.ads_model import DeltaStream, SotwStream, Stream, Table, updates_of

VARIANTS: list[tuple[type[AdsMachine], type[Stream]]] = [(SotwMachine, SotwStream), (DeltaMachine, DeltaStream)]


class World:
    """A machine, a server and the two directions of a connection between them, stepped by hand."""

    def __init__(self, variant: int) -> None:
        machine, self.stream_type = VARIANTS[variant]
        self.machine = machine()
        self.table = Table()
        self.stream: Stream | None = None
        self.up: deque[Request] = deque()
        self.down: deque[Response] = deque()
        self.good: dict[tuple[ResourceType, str], str] = {}

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
            verdict = self.machine.receive(response, updates_of(response))
            assert len(verdict.reasons) == sum("False" in str(r.value) for r in response.resources)

    def change(self, kind: ResourceType, name: str, present: bool, valid: bool) -> None:
        if present:
            self.table.put(kind, name, valid)
        else:
            self.table.delete(kind, name)
        if self.stream is not None:
            self.down.extend(self.stream.on_change(kind, name))

    def again(self, kind: ResourceType, name: str) -> None:
        self.machine.again(kind, [name])

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


def version_of(world: World, kind: ResourceType, name: str) -> str | None:
    entry = world.machine.entry(kind, name)
    if entry is None or entry.resource is None:
        return None
    assert isinstance(entry.resource, RouteConfiguration)
    return next(iter(entry.resource.unobeyed))


KINDS = st.sampled_from(TYPES)
NAMES = st.sampled_from("abc")
STEPS = st.one_of(
    st.tuples(st.just("subscribe"), KINDS, NAMES),
    st.tuples(st.just("unsubscribe"), KINDS, NAMES),
    st.tuples(st.just("change"), KINDS, NAMES, st.booleans(), st.booleans()),
    st.tuples(st.just("again"), KINDS, NAMES),
    st.tuples(st.just("flush")),
    st.tuples(st.just("deliver_up")),
    st.tuples(st.just("deliver_down")),
    st.tuples(st.just("connect")),
    st.tuples(st.just("disconnect")),
)


@pytest.mark.parametrize("variant", [0, 1], ids=["sotw", "delta"])
@pytest.mark.parametrize("wildcard", [False, True])
@given(steps=st.lists(STEPS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_no_watch_is_lost(variant: int, wildcard: bool, steps: list[tuple[object, ...]]) -> None:
    world = World(variant)
    wanted: set[tuple[ResourceType, str]] = set()
    if wildcard:
        world.machine.subscribe(CLUSTERS, WILDCARD)
    for name, *arguments in steps:
        if name in ("subscribe", "unsubscribe"):
            kind, resource = arguments
            if wildcard and kind is CLUSTERS:
                continue
            getattr(world.machine, str(name))(kind, resource)
            (wanted.add if name == "subscribe" else wanted.discard)((kind, resource))
        else:
            getattr(world, str(name))(*arguments)
    world.settle()
    check(world, wanted, wildcard)


def check(world: World, wanted: set[tuple[ResourceType, str]], wildcard: bool) -> None:
    assert world.stream is not None
    for kind in TYPES:
        names = {name for held, name in wanted if held is kind}
        told = set(world.stream.names.get(kind, []))
        assert told == (names | {WILDCARD} if wildcard and kind is CLUSTERS else names)
        if not (wildcard and kind is CLUSTERS):
            assert {entry.name for entry in world.machine.entries(kind)} == names
    for kind, name in wanted | ({(CLUSTERS, n) for n in "abc"} if wildcard else set()):
        truth = world.table.held.get((kind, name))
        held = version_of(world, kind, name)
        if truth is not None and truth[1]:
            assert held == str(truth[0]), (kind.name, name)
        elif truth is None and (kind.whole or isinstance(world.machine, DeltaMachine)):
            assert held is None


@pytest.mark.parametrize("variant", [0, 1], ids=["sotw", "delta"])
def test_bad_version_keeps_the_last_good_one_and_names_itself(variant: int) -> None:
    world = World(variant)
    for name in "ab":
        world.table.put(ROUTES, name, True)
        world.machine.subscribe(ROUTES, name)
    world.settle()
    assert (version_of(world, ROUTES, "a"), version_of(world, ROUTES, "b")) == ("1", "2")
    world.change(ROUTES, "a", True, False)
    world.settle()
    assert version_of(world, ROUTES, "a") == "1"
    assert world.stream is not None
    assert world.stream.nacks == ["a: version 3 is bad"]
    assert world.machine.state(ROUTES).nacks == 1
    world.change(ROUTES, "a", True, True)
    world.settle()
    assert version_of(world, ROUTES, "a") == "4"


@pytest.mark.parametrize("variant", [0, 1], ids=["sotw", "delta"])
@pytest.mark.parametrize("names", [("a", "b"), (WILDCARD,)], ids=["names", "wildcard"])
def test_what_was_refused_comes_again_when_it_is_asked_for(variant: int, names: tuple[str, ...]) -> None:
    world = World(variant)
    for name in names:
        world.machine.subscribe(CLUSTERS, name)
    world.table.put(CLUSTERS, "a", False)
    world.table.put(CLUSTERS, "b", True)
    world.settle()
    entry = world.machine.entry(CLUSTERS, "a")
    assert entry is not None
    assert (entry.state, entry.refused) == (EntryState.REFUSED, True)
    world.table.held[CLUSTERS, "a"] = (1, True)  # the fault was in the message, so there is nothing new to push
    world.settle()
    assert entry.refused
    world.machine.again(CLUSTERS, ["a", "never asked for"] if WILDCARD not in names else ["a"])
    world.settle()
    assert (version_of(world, CLUSTERS, "a"), entry.refused) == ("1", False)
    assert world.stream is not None
    assert set(world.stream.names[CLUSTERS]) == set(names)


def test_a_removed_resource_that_was_refused_is_refused_for_its_own_reason() -> None:
    world = World(1)
    world.machine.subscribe(ROUTES, "a")
    world.table.put(ROUTES, "a", False)
    world.settle()
    bad = world.table.held[ROUTES, "a"]
    world.change(ROUTES, "a", False, False)
    world.settle()
    entry = world.machine.entry(ROUTES, "a")
    assert entry is not None
    assert (entry.state, entry.refused) == (EntryState.ABSENT, False)
    world.table.held[ROUTES, "a"] = bad
    assert world.stream is not None
    key = fingerprint(world.table.named(ROUTES, "a")[0].value)
    assert entry.recall(key, 1) is None


@pytest.mark.parametrize("variant", [0, 1], ids=["sotw", "delta"])
def test_node_goes_out_once_per_stream(variant: int) -> None:
    world = World(variant)
    for kind in TYPES:
        world.machine.subscribe(kind, "a")
    for _ in range(3):
        world.connect()
        world.settle()
        assert world.stream is not None
        assert world.stream.nodes == 1


def test_changed_mind_costs_no_request() -> None:
    world = World(1)
    world.machine.subscribe(ROUTES, "a")
    world.settle()
    world.machine.unsubscribe(ROUTES, "a")
    world.machine.subscribe(ROUTES, "a")
    world.machine.subscribe(ROUTES, "b")
    world.machine.unsubscribe(ROUTES, "b")
    assert world.machine.requests() == []


def test_stale_nonce_is_repaired_by_the_next_ack() -> None:
    """Istio ignores new names in a request that crosses a push."""
    world = World(0)
    for name in "ab":
        world.table.put(ROUTES, name, True)
    world.machine.subscribe(ROUTES, "a")
    world.settle()
    world.change(ROUTES, "a", True, True)  # its push is under way
    world.machine.subscribe(ROUTES, "b")
    world.flush()
    world.deliver_up()
    world.settle()
    assert (version_of(world, ROUTES, "a"), version_of(world, ROUTES, "b")) == ("3", "2")


def test_a_name_that_crosses_a_bad_push_is_not_lost() -> None:
    """Istio ignores the request, whose nonce is stale, and then the names in the NACK; the bad resource stays bad."""
    world = World(0)
    world.table.put(ROUTES, "b", True)
    world.machine.subscribe(ROUTES, "a")
    world.settle()
    world.change(ROUTES, "a", True, False)  # its push is under way
    world.machine.subscribe(ROUTES, "b")
    world.flush()
    world.deliver_up()
    world.settle()
    assert world.stream is not None
    assert (version_of(world, ROUTES, "b"), world.stream.nacks) == ("1", ["a: version 2 is bad"])


def test_a_name_that_comes_up_with_a_bad_push_is_not_lost() -> None:
    world = World(0)
    world.table.put(ROUTES, "b", True)
    world.machine.subscribe(ROUTES, "a")
    world.settle()
    world.change(ROUTES, "a", True, False)
    world.machine.subscribe(ROUTES, "b")
    world.deliver_down()  # before anything is sent
    world.settle()
    assert version_of(world, ROUTES, "b") == "1"


@pytest.mark.parametrize("wanted_again", [False, True])
def test_what_was_given_up_is_not_refused(wanted_again: bool) -> None:
    """A NACK of what nobody watches any more ends Istio's control plane."""
    world = World(0)
    world.machine.subscribe(ASSIGNMENTS, "a")
    world.settle()
    world.change(ASSIGNMENTS, "a", True, False)
    world.machine.unsubscribe(ASSIGNMENTS, "a")
    world.flush()
    world.deliver_up()
    if wanted_again:
        world.table.put(ASSIGNMENTS, "b", True)
        world.machine.subscribe(ASSIGNMENTS, "b")
    world.deliver_down()
    world.settle()
    assert world.stream is not None
    assert world.stream.nacks == []
    assert version_of(world, ASSIGNMENTS, "b") == ("2" if wanted_again else None)


def test_silence_makes_absent_until_an_answer_comes() -> None:
    world = World(0)
    world.machine.subscribe(ASSIGNMENTS, "a")
    world.settle()
    entry = world.machine.entry(ASSIGNMENTS, "a")
    assert entry is not None
    assert entry.state is EntryState.REQUESTED
    assert world.machine.silence(ASSIGNMENTS, "a", "no answer")
    assert (entry.state, entry.error) == (EntryState.ABSENT, "no answer")
    world.change(ASSIGNMENTS, "a", True, True)
    world.settle()
    assert entry.state is EntryState.RECEIVED
    assert not world.machine.silence(ASSIGNMENTS, "a", "no answer")


def test_types_nobody_asked_for_are_ignored() -> None:
    machine = SotwMachine()
    machine.opened()
    assert machine.receive(Response("type.googleapis.com/x.Y", "1", "n"), []).kind is None
    assert machine.receive(Response(ROUTES.url, "1", "n"), []).kind is None
    assert machine.requests() == []


def test_statistics_tell_version_error_and_bytes() -> None:
    world = World(0)
    world.table.put(ROUTES, "a", True)
    world.machine.subscribe(ROUTES, "a")
    world.settle()
    (watch,) = world.machine.statistics()["RDS"]
    assert (watch.name, watch.state, watch.version, watch.updates, watch.bytes) == ("a", "received", "v1", 1, 8)
    assert "RDS=1" in repr(world.machine)
