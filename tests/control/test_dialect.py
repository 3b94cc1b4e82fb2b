"""What dubbo-go 3.1 is shown: who is taken for it, its clusters and endpoints, what is gone, and where it belongs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from envoy.config.core.v3.health_check_pb2 import HealthStatus

from meshkit.control.catalog import Catalog, View
from meshkit.control.dialect import Plane, Told, at_home, dialect_of, doubts, shown_metadata, view_for
from meshkit.control.library import Library
from meshkit.control.model import (
    Destination,
    DestinationRule,
    HttpRoute,
    Meta,
    Port,
    RouteDestination,
    ServiceEntry,
    Subset,
    VirtualService,
    WorkloadEntry,
)
from meshkit.control.naming import CDS, EDS, LDS, RDS, Proxy
from meshkit.control.node import Node
from meshkit.control.registration import read_registration
from meshkit.control.sotw import SotwMachine, SotwRequest
from meshkit.control.world import Endpoint, Provider, Service, World, join
from tests.support.ads_client import decoded

HOST = "greeter.default.svc.cluster.local"
IP = "192.0.2.7"
PLANE = Plane("istiod.istio-system.svc", 15010, "127.0.0.9")
V1, V2 = Endpoint("127.0.0.2", 1, {"version": "v1"}), Endpoint("127.0.0.3", 2, {"version": "v2"})


def node(pod: str = "greeter-1.default", agent: str = "gRPC Go 1.45.0", **labels: str) -> Node:
    metadata = {"CLUSTER_ID": "Kubernetes", "LABELS": labels or {"DUBBO_GO": ""}}
    return Node(f"sidecar~{IP}~{pod}~default.svc.cluster.local", metadata, agent=agent)


def world(*endpoints: Endpoint, subsets: Iterable[str] = ("v1", "v2"), **more: Any) -> World:
    services = [Service(HOST, "default", {80: Port(80, "tri", "GRPC")}, {80: endpoints})]
    named = tuple(Subset(name, {"version": name}) for name in subsets)
    rules = [DestinationRule(Meta("DestinationRule", "greeter", "default"), HOST, subsets=named)] if named else []
    return join(rules, services, **more)


def pods(*names: str) -> World:
    """Services of the names with a WorkloadEntry each, called <name>-1."""
    resources: list[Any] = []
    for name in names:
        meta = Meta("WorkloadEntry", f"{name}-1", "default")
        resources.append(WorkloadEntry(meta, "127.0.0.2", labels={"app": name}))
        host, port = f"{name}.default.svc.cluster.local", Port(20000, "tri", "GRPC")
        entry = Meta("ServiceEntry", name, "default")
        resources.append(ServiceEntry(entry, (host,), (port,), resolution="STATIC", selector={"app": name}))
    return join(resources)


def view(world: World, who: Node | None = None, told: Told | None = None, *, settled: bool = True) -> View:
    who = who or node()
    return view_for(View(Catalog(world), who.proxy, settled), who, PLANE, told or Told())


def endpoints(view: View, name: str) -> dict[tuple[str, int], str]:
    """Addresses with their health."""
    made = decoded(view.named(EDS, [name])[name])
    assert made.cluster_name == name
    assert all(one.HasField("locality") for one in made.endpoints)
    found = [one for locality in made.endpoints for one in locality.lb_endpoints]
    return {_address(one): HealthStatus.Name(one.health_status) for one in found}


def _address(one: Any) -> tuple[str, int]:
    socket = one.endpoint.address.socket_address
    return socket.address, socket.port_value


BASE, FIRST = f"outbound|80||{HOST}", f"outbound|80|v1|{HOST}"
OWN = "outbound|80||greeter-1.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("who", "dialect"),
    [
        (node(), "dubbo-go"),
        (node(DUBBO_GO=json.dumps({"providers:a.B::": "a:1"})), "dubbo-go"),
        (node(agent="gRPC Go 1.62.0"), ""),
        (node(agent="envoy 1.35.0"), ""),
        (node(app="greeter"), ""),
        (Node("greeter", {"LABELS": {"DUBBO_GO": ""}}, agent="gRPC Go 1.45.0"), ""),
    ],
)
def test_who_is_taken_for_it(who, dialect):
    assert dialect_of(who) == dialect


def test_all_others_keep_their_view():
    other = View(Catalog(world(V1)), Proxy())
    assert view_for(other, node(agent="envoy"), PLANE, Told()) is other


@pytest.mark.parametrize(
    ("authority", "listening", "plane"),
    [
        ("istiod.istio-system.svc:15010", "127.0.0.9", PLANE),
        ("10.0.0.5:15010", "0.0.0.0", Plane("10.0.0.5", 15010, "10.0.0.5")),
        ("localhost:15010", "localhost", Plane("localhost", 15010, "127.0.0.1")),
        ("", "", Plane("", 0, "127.0.0.1")),
    ],
)
def test_where_the_control_plane_is_to_a_client(authority, listening, plane):
    assert Plane.called(authority, listening) == plane


def test_clusters_are_by_eds_alone_with_the_control_plane_among_them():
    found = view(world(V1, V2)).everything(CDS)
    assert set(found) == {str(PLANE.cluster), OWN, BASE, FIRST, f"outbound|80|v2|{HOST}"}
    for name, resource in found.items():
        made = decoded(resource)
        assert (made.name, made.type) == (name, made.EDS)
        assert made.eds_cluster_config.eds_config.HasField("ads")
    assert endpoints(view(world(V1)), str(PLANE.cluster)) == {("127.0.0.9", 15010): "UNKNOWN"}


def test_there_is_nothing_of_other_types():
    assert view(world(V1)).everything(LDS) == {} == view(world(V1)).named(LDS, ["a"])
    assert view(world(V1)).named(CDS, [BASE]) == {}


@pytest.mark.parametrize("name", ["", "|", "outbound|x||a", "outbound|80||nobody", "a:b"])
def test_what_nobody_knows_is_answered_hollow(name):
    assert view(world(V1)).named(EDS, [name])[name].hollow
    assert view(world(V1)).named(RDS, [name])[name].hollow


def test_its_own_address_is_in_the_cluster_of_its_workload_and_never_called():
    found = view(pods("greeter", "other"), node("other-1.default"))
    assert endpoints(found, "outbound|20000||other.default.svc.cluster.local") == {
        ("127.0.0.2", 20000): "UNKNOWN",
        (IP, 1): "UNHEALTHY",
    }
    assert endpoints(found, f"outbound|20000||{HOST}") == {("127.0.0.2", 20000): "UNKNOWN"}
    assert endpoints(found, "outbound|80||other-1.default.svc.cluster.local") == {}


def test_routes_that_cannot_be_made_end_no_stream(caplog):
    rules = join([*_too_heavy()], world(V1, V2).services.values())
    assert view(rules).named(RDS, [f"{HOST}:80", "a:1"]).keys() == {"a:1"}
    assert "resource cannot be made" in caplog.text


def _too_heavy() -> Iterable[VirtualService]:
    parts = tuple(RouteDestination(Destination(HOST), 2**32 - 1) for _ in range(2))
    yield VirtualService(Meta("VirtualService", "greeter", "default"), (HOST,), (HttpRoute(route=parts),))


def test_its_own_address_tells_where_it_belongs_too_and_is_there_once():
    found = view(world(V1, Endpoint(IP, 5, {}), Endpoint(IP, 6, {})))
    assert endpoints(found, BASE) == {
        ("127.0.0.2", 1): "UNKNOWN",
        (f"::ffff:{IP}", 5): "UNKNOWN",
        (f"::ffff:{IP}", 6): "UNKNOWN",
        (IP, 1): "UNHEALTHY",
    }


def test_a_client_of_no_service_has_a_cluster_of_its_own():
    found = view(world(V1))
    assert endpoints(found, OWN) == {(IP, 1): "UNHEALTHY"}
    assert not found.named(EDS, [OWN])[OWN].hollow


def test_what_is_gone_is_said_to_be_unhealthy_and_comes_back():
    told = Told()
    assert endpoints(view(world(V1, V2), told=told), BASE) == {("127.0.0.2", 1): "UNKNOWN", ("127.0.0.3", 2): "UNKNOWN"}
    for _ in range(2):
        found = endpoints(view(world(V2), told=told), BASE)
        assert found == {("127.0.0.3", 2): "UNKNOWN", ("127.0.0.2", 1): "UNHEALTHY"}
    assert endpoints(view(world(V1), told=told), BASE) == {("127.0.0.2", 1): "UNKNOWN", ("127.0.0.3", 2): "UNHEALTHY"}
    many = world(*(Endpoint("127.0.0.2", 1000 + number, {}) for number in range(1000)))
    view(many, told=told).named(EDS, [BASE])
    view(world(V1), told=told).named(EDS, [BASE])
    assert len(told.endpoints[BASE]) == 257  # what is remembered has an end


def test_the_last_endpoint_goes_after_the_routes_and_at_once_though_others_may_come():
    told = Told()
    view(world(V1), told=told).named(EDS, [FIRST])
    early = view(world(V2), told=told, settled=False)
    gone = early.named(EDS, [FIRST])[FIRST]
    assert gone.hollow and endpoints(early, FIRST) == {("127.0.0.2", 1): "UNHEALTHY"}
    assert early.certain(EDS, FIRST)
    assert not early.certain(EDS, BASE) and not early.certain(RDS, f"{HOST}:80")


def test_clusters_never_go_nor_those_that_a_client_has_from_before():
    told = Told()
    before = set(view(world(V1), told=told).everything(CDS))
    assert set(view(world(V1, subsets=()), told=told).everything(CDS)) == before
    old = "outbound|80|v3|gone.default.svc.cluster.local"
    view(world(V1), told=told).named(EDS, [old, "", OWN, str(PLANE.cluster)])
    assert set(view(world(V1), told=told).everything(CDS)) == before | {old}
    other = set(view(World(), node("other.default"), told=told).everything(CDS))
    assert OWN not in other and old in other


def ask(machine: SotwMachine, kind: str, *names: str, nonce: str = "") -> list[list[str]]:
    responses = machine.receive(SotwRequest(kind, names, nonce=nonce))
    return [[one.name for one in response.resources] for response in responses]


def test_a_stream_as_it_comes_with_empty_nonces_and_old_ones():
    machine = SotwMachine(view(world(V1, V2)))
    assert len(ask(machine, CDS, "*")[0]) == 5
    assert ask(machine, EDS, BASE) == [[BASE]]
    assert ask(machine, EDS, BASE, FIRST) == [[BASE, FIRST]]
    old = machine.watches[EDS].last.nonce
    assert ask(machine, EDS, BASE, FIRST, "") == [[BASE, FIRST, ""]]
    assert ask(machine, EDS, BASE, FIRST, "", nonce=old) == []
    assert ask(machine, EDS, BASE, FIRST, "", OWN, nonce=machine.watches[EDS].last.nonce) == [[OWN]]


def test_a_push_takes_no_cluster_away_and_the_endpoints_after_the_routes():
    told, routes = Told(), f"{HOST}:80"
    machine = SotwMachine(view(world(V1, V2), told=told, settled=False))
    ask(machine, CDS, "*")
    ask(machine, EDS, BASE, FIRST)
    ask(machine, RDS, routes)
    pushed = machine.push(view(world(V2, subsets=()), told=told, settled=False))
    assert [(one.type_url, [found.name for found in one.resources]) for one in pushed] == [
        (EDS, [BASE]),  # V1 is not there any more
        (EDS, [FIRST]),
    ]


def test_after_a_start_of_the_control_plane_nothing_is_taken_away_that_may_come():
    machine = SotwMachine(view(World(), settled=False))
    assert ask(machine, EDS, BASE, FIRST, "") == []
    assert ask(machine, RDS, f"{HOST}:80") == []
    (clusters,) = ask(machine, CDS, "*")
    assert {BASE, FIRST} <= set(clusters)
    there = view(world(V1), settled=False)
    pushed = {one.type_url: [found.name for found in one.resources] for one in machine.push(there)}
    assert pushed[EDS] == [BASE, FIRST]
    assert [found.name for one in machine.resume() for found in one.resources] == [f"{HOST}:80"]


# -- what comes from it


def test_an_interface_of_a_pod_is_one_of_its_service():
    here = "greeter-1.default.svc.cluster.local"
    registered = {
        "a.b": (Provider(here, 80, 1), Provider(HOST, 20000, 2)),
        "c.d": (Provider("unknown-1.default.svc.cluster.local", 80, 1), Provider(here, 81, 1), Provider("x.y", 80, 1)),
    }
    resources = pods("greeter")
    found = at_home(World(resources.services, providers=registered)).providers
    assert found["a.b"] == (Provider(HOST, 20000, 3),)
    assert found["c.d"] == registered["c.d"]
    assert at_home(resources) is resources


def test_other_clients_read_the_service_of_an_interface_as_it_is_now():
    label = json.dumps({"providers:a.B::": "greeter-1.default.svc.cluster.local:80"}, separators=(",", ":"))
    who = node(DUBBO_GO=label, app="x")
    shown = shown_metadata(view(pods("greeter"), who), who)
    assert json.loads(shown["LABELS"]["DUBBO_GO"]) == {"providers:a.B::": f"{HOST}:20000"}
    assert shown["LABELS"]["app"] == "x" and shown["CLUSTER_ID"] == "Kubernetes"
    assert shown_metadata(view(world(V1), who), who) == who.metadata
    other = node(agent="envoy", DUBBO_GO=label)
    assert shown_metadata(view(pods("greeter"), other), other) == other.metadata


def test_what_keeps_it_from_being_found_is_said():
    label = json.dumps({"providers:a.B::": "greeter-1.default.svc.cluster.local:80"})
    who = node(DUBBO_GO=label)
    registration = read_registration(who.id, who.metadata)
    lost, found = view(world(V1), who), view(pods("greeter"), who)
    assert [text.partition(":")[2] for text in doubts(lost, registration, None)] == [
        " start with --debug-port 8080",
        " write a WorkloadEntry greeter-1 in default for it",
    ]
    assert not [*doubts(found, registration, 8080), *doubts(lost, read_registration(who.id, {}), 8080)]
    assert not list(doubts(View(Catalog(World()), Proxy()), registration, None))


def test_the_yaml_of_the_page_is_taken_as_it_is():
    page = (Path(__file__).parents[2] / "docs" / "dubbo.md").read_text()
    text = page.partition("# conf/greeter.yaml\n")[2].partition("```")[0]
    library = Library()
    library.update({"greeter.yaml": text.encode()})
    found = view(join(library.resources.values()), node("greeter-v1.default"))
    assert library.problems == () and not found.catalog.world.problems
    assert endpoints(found, f"outbound|20000||{HOST}") == {("127.0.0.2", 20000): "UNKNOWN", (IP, 1): "UNHEALTHY"}
