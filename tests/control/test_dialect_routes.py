"""Routes in the forms of dubbo-go 3.1: the same meaning, and nothing in them that it would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from meshkit.control.dialect_routes import route_configuration
from meshkit.control.encoding import encode, encoded
from meshkit.control.library import Library
from meshkit.control.naming import RDS, Proxy
from meshkit.control.world import Provider, World, join
from tests.support.ads_client import decoded
from tests.support.istio_captures import input_world

HOST = "greeter.default.svc.cluster.local"
ROUTES = f"{HOST}:80"
INTERFACE = {"api.greeter": (Provider(HOST, 80, 1),)}
TO_V1 = "route: [{destination: {host: greeter, subset: v1}}]"
V1, V2, BASE = (f"outbound|80|{subset}|{HOST}" for subset in ("v1", "v2", ""))
YAML = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: greeter, namespace: default}}
spec:
  hosts: [{HOST}]
  resolution: STATIC
  ports: [{{number: 80, name: tri, protocol: GRPC}}]
  endpoints: [ENDPOINTS]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: greeter, namespace: default}}
spec:
  host: greeter
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: greeter, namespace: default}}
spec:
  hosts: [greeter]
  http:
"""


def world(*rules: str, endpoints: str = "v1 v2") -> World:
    listed = ", ".join(f"{{address: 127.0.0.2, labels: {{version: {name}}}}}" for name in endpoints.split())
    text = YAML.replace("ENDPOINTS", listed) + "".join(f"  - {{{rule}}}\n" for rule in rules)
    library = Library()
    library.update({"rules.yaml": text.encode()})
    assert not [problem for problem in library.problems if "ServiceEntry" not in str(problem)], library.problems
    return join(library.resources.values(), providers=INTERFACE)


def routes(world: World, name: str = ROUTES) -> list[Any]:
    made = route_configuration(world, name, Proxy(dialect="dubbo-go"))
    hosts = decoded(encoded(RDS, name, encode(made))).virtual_hosts
    return [route for host in hosts for route in host.routes]


def route(match: str) -> list[Any]:
    """The routes of one rule with this match."""
    return [one.match for one in routes(world(f"match: [{{{match}}}], {TO_V1}")) if one.route.cluster == V1]


def only(match: str) -> Any:
    (found,) = route(match)
    return found


def test_a_host_without_rules_has_one_route():
    (found,) = routes(World(world(TO_V1).services))
    assert (found.match.prefix, found.route.cluster) == ("/", BASE)


def test_weights_have_their_sum():
    rule = "route: [{destination: {host: greeter, subset: v1}, weight: 4}, {destination: {host: greeter}, weight: 1}]"
    (found,) = routes(world(rule))
    weighted = found.route.weighted_clusters
    assert {one.name: one.weight.value for one in weighted.clusters} == {V1: 4, BASE: 1}
    assert weighted.total_weight.value == 5


@pytest.mark.parametrize(("alive", "shares"), [("v1 v2", {V1: 80, V2: 20}), ("v1", {V1: 80}), ("v9", {V1: 80, V2: 20})])
def test_a_cluster_without_endpoints_gets_no_share_if_another_has_some(alive, shares):
    parts = [
        f"{{destination: {{host: greeter, subset: {name}}}, weight: {weight}}}"
        for name, weight in (("v1", 80), ("v2", 20))
    ]
    (found,) = routes(world(f"route: [{', '.join(parts)}]", endpoints=alive))
    weighted = found.route.weighted_clusters
    assert {one.name: one.weight.value for one in weighted.clusters} == shares
    assert weighted.total_weight.value == sum(shares.values())


@pytest.mark.parametrize(
    ("written", "kind", "older"),
    [
        ("{exact: admin}", "exact_match", "admin"),
        ("{prefix: ad}", "prefix_match", "ad"),
        ("{}", "present_match", True),
    ],
)
def test_headers_are_compared_in_the_old_forms(written, kind, older):
    (header,) = only(f"headers: {{User: {written}}}").headers
    assert (header.name, header.WhichOneof("header_match_specifier")) == ("user", kind)
    assert getattr(header, kind) == older and not header.invert_match


def test_a_pattern_for_a_header():
    (header,) = only('headers: {user: {regex: "a|b"}}').headers
    assert header.safe_regex_match.regex == "a|b"


def test_a_header_that_must_not_be_so_may_be_missing():
    missing, other = route("withoutHeaders: {user: {exact: admin}}")
    assert [(one.headers[0].present_match, one.headers[0].invert_match) for one in (missing,)] == [(True, True)]
    assert [(one.headers[0].exact_match, one.headers[0].invert_match) for one in (other,)] == [("admin", True)]
    assert len(route("withoutHeaders: {user: {exact: a}, team: {exact: b}}")) == 4
    (absent,) = only("withoutHeaders: {user: {}}").headers
    assert absent.present_match and absent.invert_match


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ("method: {exact: POST}", True),
        ("method: {exact: GET}", False),
        ("method: {prefix: P}", True),
        ('scheme: {regex: "https?"}', True),
        ("scheme: {exact: https}", False),
        ("authority: {exact: greeter}", False),
    ],
)
def test_what_every_call_has_is_decided_here(match, holds):
    assert [list(one.headers) for one in route(match)] == ([[]] if holds else [])


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("{exact: /api.Greeter/SayHello}", ("path", "/SayHello")),
        ("{exact: /api.Other/SayHello}", None),
        ("{exact: /SayHello}", None),
        ("{prefix: /}", ("prefix", "/")),
        ("{prefix: /api.Greeter/}", ("prefix", "/")),
        ("{prefix: /api.Greeter/Say}", ("prefix", "/Say")),
        ("{prefix: /api.Gr}", ("prefix", "/")),
        ("{prefix: /api.Other/}", None),
        ("{prefix: /other}", None),
        ('{regex: "^/api[.]Greeter/Say.*"}', ("safe_regex", "/Say.*")),
        ('{regex: "/[^/]+/Say.*"}', ("safe_regex", "/Say.*")),
        ('{regex: "/(api.Greeter|api/Other)/A"}', ("safe_regex", "/A")),
        ('{regex: "/api.Greeter/A|/api.Greeter/B"}', ("safe_regex", "/A|/api.Greeter/B")),
        ('{regex: "/a|/api.Greeter/B"}', ("safe_regex", "/a|/api.Greeter/B")),
        (r'{regex: "/(?P<all>.*)/B"}', ("safe_regex", "/B")),
        ('{regex: "/api.Greeter/Say.*"}', ("safe_regex", "/Say.*")),
        ('{regex: "/api.+/(A|B)"}', ("safe_regex", "/(A|B)")),
        ('{regex: "/other.*/A"}', None),
        ('{regex: ".*"}', ("safe_regex", ".*")),
    ],
)
def test_paths_are_compared_without_the_service(uri, path):
    found = route(f"uri: {uri}")
    if path is None:
        assert found == []
        return
    (match,) = found
    kind, text = path
    value = getattr(match, kind)
    assert match.WhichOneof("path_specifier") == kind
    assert (value.regex if kind == "safe_regex" else value) == text


def test_a_service_that_is_not_known_is_taken_for_any():
    unknown = World(world().services, world("match: [{uri: {exact: /a.B/C}}], " + TO_V1).rules, world().policies)
    assert routes(unknown)[0].match.path == "/C"


def test_case_and_query_parameters():
    assert only("uri: {exact: /api.greeter/SayHello}, ignoreUriCase: true").case_sensitive.value is False
    assert route("queryParams: {a: {exact: b}}") == []


@pytest.mark.parametrize("answer", ["redirect: {uri: /x}", "directResponse: {status: 503}"])
def test_what_is_answered_without_a_cluster_reaches_nobody(answer):
    (found,) = routes(world(answer))
    assert found.route.cluster == "BlackHoleCluster"


def test_nothing_is_in_it_that_it_would_refuse():
    """Faults, retries, mirrors, rewrites, header operations, hashing, timeouts: every host of istiod's own input."""
    full = input_world()
    seen = 0
    for host, service in full.services.items():
        for port in service.ports:
            for found in routes(full, f"{host}:{port}"):
                seen += 1
                assert not found.typed_per_filter_config and not found.metadata.filter_metadata
                allowed = {"cluster", "weighted_clusters"}
                assert {field.name for field, _ in found.route.ListFields()} <= allowed
                weighted = found.route.weighted_clusters
                assert weighted.total_weight.value == sum(one.weight.value for one in weighted.clusters)
                assert all(not header.HasField("string_match") for header in found.match.headers)
                assert found.match.WhichOneof("path_specifier") in ("prefix", "path", "safe_regex")
    assert seen > 5


def test_what_nobody_knows_has_no_virtual_host():
    for name in ("", "a.b:80", "greeter", "x:y:z"):
        assert not route_configuration(world(), name, Proxy(dialect="dubbo-go")).virtual_hosts, name
