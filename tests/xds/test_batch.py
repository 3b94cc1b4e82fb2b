"""Responses as they come: damaged, wrapped, unknown, identical. Only reasons come out, never an exception."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from meshkit.codec import finish
from meshkit.xds import ASSIGNMENTS, CLUSTERS, ROUTES, WILDCARD, AdsMachine, DeltaMachine, Named, Response, SotwMachine
from meshkit.xds.batch import decode_updates, peek_name
from meshkit.xds.entry import Update
from meshkit.xds.messages import decode_delta, decode_sotw
from meshkit.xds.resources import ClusterLoadAssignment
from meshkit.xds.types import type_of
from tests.support.ads_server import cluster, endpoints, routes

FIXTURES = Path(__file__).parent.parent / "fixtures" / "istio"
CAPTURES = {
    kind: [(r.type_url, r.value) for r in discovery_pb2.DiscoveryResponse.FromString(path.read_bytes()).resources]
    for kind in ("cds", "eds", "rds")
    for path in [FIXTURES / f"sidecar_{kind}.bin"]
}


def run(work: Generator[int, None, list[Update]]) -> tuple[list[Update], int]:
    slices = 0
    try:
        while True:
            next(work)
            slices += 1
    except StopIteration as end:
        return end.value, slices


def updates(response: Response, machine: AdsMachine | None = None) -> list[Update]:
    return finish(decode_updates(response, machine or SotwMachine()))


def response(*resources: tuple[str, bytes]) -> Response:
    return Response(resources[0][0], "1", "n", tuple(Named(url, data) for url, data in resources))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_resources_become_reasons(data: st.DataObject) -> None:
    url, raw = data.draw(st.sampled_from([item for items in CAPTURES.values() for item in items]))
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for broken in (bytes(damaged), bytes(damaged[:cut])):
        (update,) = updates(response((url, broken)))
        assert (update.resource is None) == bool(update.reason)


@given(st.sampled_from([CLUSTERS, ASSIGNMENTS, ROUTES]), st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_becomes_reasons(kind: Any, noise: bytes) -> None:
    for update in updates(response((kind.url, noise))):
        assert (update.resource is None) == bool(update.reason)


@given(st.binary(max_size=12))
def test_peeking_never_fails(data: bytes) -> None:
    assert isinstance(peek_name(data), str)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 300, 16383])
def test_names_are_peeked(size: int) -> None:
    name = "n" * size
    assert peek_name(cluster_pb2.Cluster(name=name, alt_stat_name="x").SerializeToString()) == name


def test_good_resources_of_a_bad_response_are_used_and_all_bad_ones_are_named() -> None:
    bad_routes = routes("bad", ("a", 1))
    bad_routes.virtual_hosts[0].routes[0].match.ClearField("prefix")
    good = routes("good", ("a", 1))
    machine = SotwMachine()
    for name in ("good", "bad", "worse"):
        machine.subscribe(ROUTES, name)
    machine.opened()
    machine.requests()
    worse = b"\x0a\x05worse\x12\xff"
    got = response(
        (ROUTES.url, good.SerializeToString()), (ROUTES.url, bad_routes.SerializeToString()), (ROUTES.url, worse)
    )
    verdict = machine.receive(got, updates(got, machine))
    (nack,) = machine.requests()
    assert nack.version == ""
    assert nack.nonce == "n"
    assert "bad: virtual host 'bad': routes[0] 'default': match has no path specifier" in nack.error
    assert "worse: " in nack.error
    assert len(verdict.reasons) == 2
    entry = machine.entry(ROUTES, "good")
    assert entry is not None
    assert entry.resource is not None


def test_a_resource_of_another_type_is_refused() -> None:
    got = Response(ROUTES.url, "1", "n", (Named(CLUSTERS.url, cluster("a").SerializeToString()),))
    (update,) = updates(got)
    assert update.name == "a"
    assert CLUSTERS.url in update.reason


@pytest.mark.parametrize("held", [True, False])
def test_bytes_that_came_as_another_type_are_good_as_their_own(held: bool) -> None:
    """They were remembered as refused, for as long as the resource stayed as it was."""
    machine = SotwMachine()
    machine.subscribe(CLUSTERS, "a")
    machine.opened()
    machine.requests()
    good = cluster("a").SerializeToString()
    if held:
        machine.receive(right := response((CLUSTERS.url, good)), updates(right, machine))
    wrong = Response(CLUSTERS.url, "1", "n", (Named(ROUTES.url, good),))
    assert machine.receive(wrong, updates(wrong, machine)).reasons == (
        f"a: a {ROUTES.url} in a response of {CLUSTERS.url}",
    )
    entry = machine.entry(CLUSTERS, "a")
    assert entry is not None
    assert (entry.refused, entry.resource is not None) == (True, held)
    right = response((CLUSTERS.url, good))
    assert machine.receive(right, updates(right, machine)).reasons == ()
    assert (entry.refused, entry.resource is not None) == (False, True)


def test_wrapped_resources_are_unwrapped_in_both_variants() -> None:
    wrapper = discovery_pb2.Resource(name="a", version="7")
    wrapper.resource.Pack(endpoints("a", "127.0.0.1:1"))
    sotw = discovery_pb2.DiscoveryResponse(type_url=ASSIGNMENTS.url)
    sotw.resources.add().Pack(wrapper)
    delta = discovery_pb2.DeltaDiscoveryResponse(type_url=ASSIGNMENTS.url, resources=[wrapper], removed_resources=["b"])
    for decoded in (decode_sotw(sotw.SerializeToString()), decode_delta(delta.SerializeToString())):
        (update,) = updates(decoded)
        assert (update.name, update.version) == ("a", "7")
        assert isinstance(update.resource, ClusterLoadAssignment)
    assert decode_delta(delta.SerializeToString()).removed == ("b",)


@pytest.mark.parametrize(
    ("kind", "resource"), [(CLUSTERS, cluster("b")), (ASSIGNMENTS, endpoints("b")), (ROUTES, routes("b"))]
)
def test_a_resource_under_another_ones_name_is_refused(kind: Any, resource: Any) -> None:
    machine = DeltaMachine()
    machine.subscribe(kind, "a")
    named = Named(kind.url, resource.SerializeToString(), name="a")
    (update,) = updates(Response(kind.url, "1", "n", (named,)), machine)
    assert update.reason == "it calls itself 'b'"


def test_a_wrapper_without_a_resource_says_nothing_new() -> None:
    delta = discovery_pb2.DeltaDiscoveryResponse(type_url=ROUTES.url, resources=[discovery_pb2.Resource(name="a")])
    assert updates(decode_delta(delta.SerializeToString())) == []


def test_refused_bytes_are_not_decoded_again() -> None:
    machine = DeltaMachine()
    machine.subscribe(ROUTES, "bad")
    machine.opened()
    machine.requests()
    got = response((ROUTES.url, b"\x0a\x03bad\x12\xff"))
    first = updates(got, machine)
    machine.receive(got, first)
    (again,) = updates(got, machine)
    assert again.reason == first[0].reason
    assert machine.receive(got, [again]).changed == ()


def many(count: int, changed: int | None = None) -> bytes:
    message = endpoints("a", *(f"10.0.{number >> 8}.{number & 255}:80" for number in range(count)))
    if changed is not None:
        message.endpoints[0].lb_endpoints[changed].load_balancing_weight.value = 7
    return message.SerializeToString()


@pytest.mark.parametrize("changed", [None, 1000])
def test_big_resources_are_recognised_by_their_bytes_too(changed: int | None) -> None:
    machine = SotwMachine()
    machine.subscribe(ASSIGNMENTS, "a")
    machine.opened()
    machine.requests()
    kept: list[object] = []
    for number in (None, changed, changed):
        got = response((ASSIGNMENTS.url, many(2000, number)))
        found = updates(got, machine)
        machine.receive(got, found)
        kept.append(found[0].resource)
    assert kept[1] is kept[2]
    assert (kept[0] is kept[1]) == (changed is None)
    entry = machine.entry(ASSIGNMENTS, "a")
    assert entry is not None and entry.updates == (1 if changed is None else 2)


def test_a_big_refused_resource_is_recognised_and_leaves_what_is_held_recognisable() -> None:
    machine = SotwMachine()
    machine.subscribe(ASSIGNMENTS, "a")
    machine.opened()
    machine.requests()
    good, held = response((ASSIGNMENTS.url, many(2000))), None
    gap = endpoint_pb2.ClusterLoadAssignment.FromString(many(2000, 3))
    gap.endpoints[0].priority = 1  # decoded well and then refused: the memo has seen it
    for bad in (response((ASSIGNMENTS.url, gap.SerializeToString())), response((ASSIGNMENTS.url, many(2000, 3)[:-1]))):
        machine.receive(good, updates(good, machine))
        entry = machine.entry(ASSIGNMENTS, "a")
        assert entry is not None and held in (None, entry.resource)
        held = entry.resource
        (first,) = updates(bad, machine)
        assert first.reason
        assert machine.receive(bad, [first]).changed == ("a",)
        (again,) = updates(bad, machine)
        assert again.key is first.key
        assert machine.receive(bad, [again]).changed == ()
        assert entry.resource is held


def test_big_assignments_come_in_slices_and_keep_unchanged_endpoints() -> None:
    machine = SotwMachine()
    machine.subscribe(ASSIGNMENTS, "a")
    machine.opened()
    machine.requests()
    held: list[ClusterLoadAssignment] = []
    for changed in (None, 1000):
        got = response((ASSIGNMENTS.url, many(2000, changed)))
        found, slices = run(decode_updates(got, machine))
        assert slices >= (20 if changed is None else 1)
        machine.receive(got, found)
        entry = machine.entry(ASSIGNMENTS, "a")
        assert entry is not None
        assert isinstance(entry.resource, ClusterLoadAssignment)
        held.append(entry.resource)
    before, after = (assignment.localities[0].endpoints for assignment in held)
    same = sum(old is new for old, new in zip(before, after, strict=True))
    assert same >= 2000 - 128
    assert after[1000].weight == 7


def test_unobeyed_fields_of_endpoints_are_counted() -> None:
    message = endpoints("a", "127.0.0.1:1", "127.0.0.1:2")
    message.policy.overprovisioning_factor.value = 140
    for item in message.endpoints[0].lb_endpoints:
        item.endpoint.hostname = "h"
    (update,) = updates(response((ASSIGNMENTS.url, message.SerializeToString())))
    assert update.resource is not None
    counts = update.resource.unobeyed
    assert counts["policy"] == 1
    assert counts["endpoints.lb_endpoints.endpoint.hostname"] == 2


def test_every_type_asked_for_has_a_decoder() -> None:
    for message in (cluster_pb2.Cluster(), endpoint_pb2.ClusterLoadAssignment(), route_pb2.RouteConfiguration()):
        assert type_of(f"type.googleapis.com/{message.DESCRIPTOR.full_name}") is not None
    assert type_of(WILDCARD) is None
