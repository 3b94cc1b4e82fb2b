"""Endpoints: what istiod makes of the same file, localities and priorities, odd addresses."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.endpoint.v3 import endpoint_pb2

from meshkit.control.endpoints import assignment_bytes, locality_of
from meshkit.control.naming import Proxy
from meshkit.control.world import Endpoint, Port, Service, World, join
from meshkit.xds.naming import ClusterName
from tests.support.istio_captures import ENVOY, GRPC, captured, comparable, input_world


def made(world: World, name: str, proxy: Proxy = ENVOY) -> Any:
    parsed = ClusterName.parse(name)
    assert parsed is not None
    return endpoint_pb2.ClusterLoadAssignment.FromString(assignment_bytes(world, parsed, proxy))


@pytest.mark.parametrize("name", list(captured("sidecar_eds")))
def test_the_default_generator_is_istiods(name):
    assert comparable(made(input_world(), name)) == comparable(captured("sidecar_eds")[name])


@pytest.mark.parametrize("name", list(captured("grpc_eds")))
def test_the_grpc_generator_is_istiods(name):
    assert comparable(made(input_world(), name, GRPC)) == comparable(captured("grpc_eds")[name])


@pytest.mark.parametrize(
    ("own", "priorities"),
    [
        (("r1", "z1", "s1"), [0, 1, 2]),
        (("r1", "z9", ""), [0, 0, 1]),
        (("r2", "z1", ""), [0, 1, 1]),
        (("", "", ""), [0, 0, 0]),
        (("r9", "", ""), [0, 0, 0]),
    ],
)
def test_priorities_are_those_of_the_client_without_gaps(own, priorities):
    found = made(input_world(), "outbound|9080||reviews.demo.svc.cluster.local", Proxy(locality=own))
    assert [part.priority for part in found.endpoints] == priorities


def test_localities_are_taken_apart():
    assert [locality_of(text) for text in ("", "r", "r/z", "r/z/s", "r/z/s/t")] == [
        ("", "", ""),
        ("r", "", ""),
        ("r", "z", ""),
        ("r", "z", "s"),
        ("r", "z", "s/t"),
    ]


def test_sockets_by_path_are_pipes_and_names_are_left_out():
    endpoints = tuple(
        Endpoint(address, 9, {}, weight=weight)
        for address, weight in (("unix:///run/a.sock", 1), ("::1", 0), ("some.name", 1))
    )
    world = join([], [Service("a.b", "demo", {80: Port(80, "grpc", "GRPC")}, {80: endpoints})])
    (part,) = made(world, "outbound|80||a.b").endpoints
    assert part.lb_endpoints[0].endpoint.address.pipe.path == "/run/a.sock"
    assert part.lb_endpoints[1].endpoint.address.socket_address.address == "::1"
    assert part.lb_endpoints[1].load_balancing_weight.value == 1
    assert (len(part.lb_endpoints), part.load_balancing_weight.value) == (2, 2)
