"""Routes: what istiod makes of the same file, and the cases that its capture does not hold."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

import pytest
from envoy.config.route.v3 import route_pb2

from meshkit.control.encoding import encode
from meshkit.control.library import Library
from meshkit.control.naming import Proxy
from meshkit.control.routes import hosts_read, route_configuration
from meshkit.control.world import Endpoint, Port, Provider, Service, World, join
from tests.support.istio_captures import ENVOY, GRPC, captured, comparable, input_world

HOST = "a.demo.svc.cluster.local"


def routes(world: World, name: str, proxy: Proxy = ENVOY) -> Any:
    return route_pb2.RouteConfiguration.FromString(encode(route_configuration(world, name, proxy)))


@pytest.mark.parametrize(
    "name", ["reviews.demo.svc.cluster.local:9080", "plain.demo.svc.cluster.local:20000", "com.example.greeter:80"]
)
def test_the_default_generator_is_istiods(name):
    assert comparable(routes(input_world(), name)) == comparable(captured("sidecar_rds")[name])


@pytest.mark.parametrize(
    "name",
    [
        "outbound|9080||reviews.demo.svc.cluster.local",
        "outbound|20000||plain.demo.svc.cluster.local",
        "outbound|20001||plain.demo.svc.cluster.local",
        "outbound|20880||com.example.order",
        "outbound|80||com.example.greeter",
        "outbound|1||nope.demo.svc.cluster.local",
    ],
)
def test_the_grpc_generator_is_istiods(name):
    theirs = comparable(captured("grpc_rds")[name])
    del theirs.virtual_hosts[1:]  # 1.30 sent every host of the port; 1.31 sends one, and so do we
    assert comparable(routes(input_world(), name, GRPC)) == theirs


def test_a_port_holds_every_host_of_it_and_nothing_else():
    ours, theirs = routes(input_world(), "9080"), captured("sidecar_rds")["9080"]
    assert comparable(ours).virtual_hosts[0] == comparable(theirs).virtual_hosts[0]
    assert (ours.virtual_hosts[1].name, ours.virtual_hosts[1].routes[0].direct_response.status) == ("block_all", 502)
    assert [one.name for one in routes(input_world(), "80").virtual_hosts] == [
        "api.example.com:80",
        "com.example.greeter:80",
        "reviews.demo.svc.cluster.local:80",
        "block_all",
    ]


def test_short_names_are_those_of_the_client_s_namespace():
    full = routes(input_world(), "reviews.demo.svc.cluster.local:9080").virtual_hosts
    assert routes(input_world(), "reviews:9080").virtual_hosts == full
    assert routes(input_world(), "reviews.demo:9080").virtual_hosts == full
    assert not routes(input_world(), "reviews:9080", Proxy(namespace="other")).virtual_hosts
    elsewhere = routes(input_world(), "outbound|9080||reviews.demo.svc.cluster.local", Proxy(True, "other"))
    assert "reviews" not in elsewhere.virtual_hosts[0].domains
    assert "reviews.demo" in elsewhere.virtual_hosts[0].domains


def world_of(http: str, *, ports: str = "[{number: 80, name: grpc, protocol: GRPC}]", more: str = "") -> World:
    text = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: a, namespace: demo}}
spec: {{hosts: [{HOST}], resolution: STATIC, ports: {ports}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: a, namespace: demo}}
spec:
  hosts: [a]
  http:
{indent(dedent(http), "  ")}
---
{dedent(more)}
"""
    library = Library()
    library.update({"a.yaml": text.encode()})
    assert library.problems == ()
    return join(library.resources.values())


def only(world: World, proxy: Proxy = ENVOY, port: int = 80) -> list[Any]:
    found = routes(world, f"{HOST}:{port}", proxy).virtual_hosts
    return list(found[0].routes) if found else []


def test_conditions_on_the_caller_are_decided_here():
    world = world_of("""
        - name: web
          match: [{sourceLabels: {app: web}}]
          route: [{destination: {host: b}}]
        - name: other
          match: [{sourceNamespace: other}]
          route: [{destination: {host: c}}]
        - name: gateway
          match: [{gateways: [some-gateway]}]
          route: [{destination: {host: d}}]
        - name: port
          match: [{port: 81}]
          route: [{destination: {host: e}}]
        - name: rest
          route: [{destination: {host: f}}]
        """)
    assert world.by_source
    assert [one.name for one in only(world, Proxy(labels=(("app", "web"), ("x", "y"))))] == ["web"]
    assert [one.name for one in only(world, Proxy(namespace="other"))] == ["other"]
    assert [one.name for one in only(world)] == ["rest"]


def test_rules_that_leave_nothing_leave_the_default():
    world = world_of("- match: [{sourceNamespace: other}]\n  route: [{destination: {host: b}}]")
    assert [(one.name, one.route.cluster) for one in only(world)] == [("default", f"outbound|80||{HOST}")]


def test_nothing_follows_a_route_that_takes_every_call():
    world = world_of("""
        - match: [{uri: {prefix: /x}, name: one}, {uri: {prefix: /}}, {uri: {prefix: /y}}]
          name: first
          route: [{destination: {host: b}}]
        - route: [{destination: {host: c}}]
        """)
    assert [(one.name, one.match.prefix) for one in only(world)] == [("first.one", "/x"), ("first", "/")]


def test_a_destination_without_a_port_means_the_only_one_or_the_one_called():
    ports = "[{number: 80, name: grpc, protocol: GRPC}, {number: 81, name: other, protocol: GRPC}]"
    more = """
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: b, namespace: demo}
        spec: {hosts: [b.demo.svc.cluster.local], resolution: STATIC, ports: [{number: 7, name: grpc, protocol: GRPC}]}
        """
    world = world_of(
        "- match: [{headers: {x: {}}}]\n  route: [{destination: {host: b}}]\n- route: [{destination: {host: a}}]",
        ports=ports,
        more=more,
    )
    assert [one.route.cluster for one in only(world, port=81)] == [
        "outbound|7||b.demo.svc.cluster.local",
        f"outbound|81||{HOST}",
    ]


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        ("{attempts: 0}", None),
        ("{attempts: 5}", (5, "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes", [])),
        ('{attempts: 1, retryOn: "503, unavailable"}', (1, "unavailable,retriable-status-codes", [503])),
        ('{attempts: 1, retryOn: "retriable-status-codes,429"}', (1, "retriable-status-codes", [429])),
    ],
)
def test_retries(retries, expected):
    (route,) = only(world_of(f"- retries: {retries}\n  route: [{{destination: {{host: a}}}}]"))
    policy = route.route.retry_policy
    if expected is None:
        assert not route.route.HasField("retry_policy")
    else:
        assert (policy.num_retries.value, policy.retry_on, list(policy.retriable_status_codes)) == expected


def test_weights_of_nothing_are_left_out_and_headers_stay_with_their_destination():
    world = world_of("""
        - route:
          - {destination: {host: a, subset: v1}, weight: 3, headers: {request: {set: {x: "1", Host: other.host}}}}
          - {destination: {host: a, subset: v2}, weight: 0}
          - {destination: {host: a, subset: v3}, weight: 1}
        """)
    (route,) = only(world)
    clusters = route.route.weighted_clusters.clusters
    assert [(one.name.split("|")[2], one.weight.value) for one in clusters] == [("v1", 3), ("v3", 1)]
    assert [one.header.key for one in clusters[0].request_headers_to_add] == ["x"]
    assert clusters[0].host_rewrite_literal == "other.host"
    assert not clusters[1].request_headers_to_add


def provided(*providers: Provider) -> World:
    services = [
        Service(one.host, "demo", {80: Port(80, "grpc", "GRPC")}, {80: (Endpoint("127.0.0.1", 1, {}),)})
        for one in providers
    ]
    rules = input_world()
    return join([*rules.rules.values()], services, {"pkg.iface": providers})


def test_an_interface_has_the_routes_of_its_only_provider():
    world = provided(Provider("reviews.demo.svc.cluster.local", 80, 3))
    ours = routes(world, "pkg.iface:80").virtual_hosts[0]
    assert (ours.name, list(ours.domains)) == ("pkg.iface:80", ["*"])
    assert list(ours.routes) == list(routes(world, "reviews.demo.svc.cluster.local:80").virtual_hosts[0].routes)
    assert len(ours.routes) == 5
    assert list(routes(world, "Pkg.Iface:80").virtual_hosts[0].routes) == list(ours.routes)
    assert set(hosts_read(world, "pkg.iface")) == {"pkg.iface", "reviews.demo.svc.cluster.local"}


def test_an_interface_of_several_providers_has_a_share_of_each():
    world = provided(Provider("b.demo.svc.cluster.local", 80, 3), Provider("c.demo.svc.cluster.local", 80, 1))
    (route,) = routes(world, "pkg.iface:80").virtual_hosts[0].routes
    assert [(one.name, one.weight.value) for one in route.route.weighted_clusters.clusters] == [
        ("outbound|80||b.demo.svc.cluster.local", 3),
        ("outbound|80||c.demo.svc.cluster.local", 1),
    ]
    assert routes(world, "outbound|80||pkg.iface", GRPC).virtual_hosts[0].domains[:] == ["pkg.iface", "pkg.iface:80"]


def test_providers_with_groups_and_versions_take_the_calls_that_ask_for_them():
    world = provided(
        Provider("b.demo.svc.cluster.local", 80, 3, "g", "1.0"),
        Provider("c.demo.svc.cluster.local", 80, 1, "g"),
        Provider("d.demo.svc.cluster.local", 80, 1),
        Provider("e.demo.svc.cluster.local", 80, 1, "", "2.0"),
    )
    found = [
        (
            [(header.name, header.string_match.exact) for header in route.match.headers],
            route.route.cluster.split("|")[3][0],
        )
        for route in routes(world, "pkg.iface:80").virtual_hosts[0].routes
    ]
    assert found == [
        ([("tri-service-group", "g"), ("tri-service-version", "1.0")], "b"),
        ([("tri-service-version", "2.0")], "e"),
        ([("tri-service-group", "g")], "c"),
        ([], "d"),
    ]


def test_who_asks_for_a_pair_that_nobody_has_is_told_so_by_a_server():
    pairs = [Provider("b.demo.svc.cluster.local", 80, 3, "g"), Provider("c.demo.svc.cluster.local", 80, 1, "h")]
    *_, last = routes(provided(*pairs), "pkg.iface:80").virtual_hosts[0].routes
    assert [(one.name.split("|")[3][0], one.weight.value) for one in last.route.weighted_clusters.clusters] == [
        ("b", 3),
        ("c", 1),
    ]
    assert not last.match.headers


def test_a_place_that_serves_all_pairs_needs_no_headers():
    place = "reviews.demo.svc.cluster.local"
    world = provided(Provider(place, 80, 3, "g", "1.0"), Provider(place, 80, 3))
    plain = provided(Provider(place, 80, 3))
    assert routes(world, "pkg.iface:80") == routes(plain, "pkg.iface:80")


def test_a_wildcard_rule_does_not_name_an_interface():
    world = provided(Provider("b.demo.svc.cluster.local", 80, 3))
    rules = world_of("- route: [{destination: {host: elsewhere}}]").rules[HOST]
    world = World(world.services, {"*": rules}, {}, world.providers)
    (route,) = routes(world, "pkg.iface:80").virtual_hosts[0].routes
    assert route.route.cluster == "outbound|80||elsewhere.demo.svc.cluster.local"  # it rules its provider
    world = World(world.services, {"*.iface": rules}, {}, world.providers)
    (route,) = routes(world, "pkg.iface:80").virtual_hosts[0].routes
    assert route.route.cluster == "outbound|80||b.demo.svc.cluster.local"


def test_an_entry_for_the_interface_answers_port_80_whatever_its_port_is():
    (route,) = routes(input_world(), "com.example.order:80").virtual_hosts[0].routes
    assert route.route.cluster == "outbound|20880||com.example.order"


def test_rules_that_lead_in_a_circle_of_providers_end():
    world = join([], (), {"a.b": (Provider("c.d", 80, 1),), "c.d": (Provider("a.b", 80, 1),)})
    assert not routes(world, "a.b:80").virtual_hosts
    assert set(hosts_read(world, "a.b")) == {"a.b", "c.d"}
