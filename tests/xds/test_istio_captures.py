"""What a real istiod sent, decoded by us and by google.protobuf: the same facts (fixtures/istio/README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2
from envoy.service.discovery.v3 import discovery_pb2

from meshkit.codec import finish
from meshkit.xds import ASSIGNMENTS, CLUSTERS, ROUTES, WILDCARD, AdsMachine, Entry, SotwMachine, decode_updates
from meshkit.xds.messages import decode_sotw
from meshkit.xds.resources import (
    Cluster,
    ClusterLoadAssignment,
    DirectResponse,
    HeaderMatch,
    Redirect,
    RouteAction,
    RouteConfiguration,
    StringMatch,
    WeightedCluster,
)

FIXTURES = Path(__file__).parent.parent / "fixtures" / "istio"
GENERATORS = pytest.mark.parametrize("generator", ["grpc", "sidecar"])
_TYPES: dict[str, Any] = {
    "cds": (CLUSTERS, cluster_pb2.Cluster),
    "eds": (ASSIGNMENTS, endpoint_pb2.ClusterLoadAssignment),
    "rds": (ROUTES, route_pb2.RouteConfiguration),
}

THRESHOLDS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")


def load(generator: str, kind: str) -> tuple[AdsMachine, dict[str, Any]]:
    """A machine that took the capture in, and the same resources through google.protobuf."""
    data = (FIXTURES / f"{generator}_{kind}.bin").read_bytes()
    truth = discovery_pb2.DiscoveryResponse.FromString(data)
    resource_type, message = _TYPES[kind]
    resources = [message.FromString(resource.value) for resource in truth.resources]
    named = {getattr(r, "cluster_name", "") or r.name: r for r in resources}
    machine = SotwMachine()
    for name in named if kind != "cds" else [WILDCARD]:
        machine.subscribe(resource_type, name)
    machine.opened()
    machine.requests()
    response = decode_sotw(data)
    assert (response.nonce, response.version, response.type_url) == (truth.nonce, truth.version_info, truth.type_url)
    verdict = machine.receive(response, finish(decode_updates(response, machine)))
    assert verdict.reasons == ()
    assert set(verdict.changed) == set(named)
    (ack,) = machine.requests()
    assert (ack.nonce, ack.version, ack.error) == (truth.nonce, truth.version_info, "")
    return machine, named


def entries(machine: AdsMachine, kind: Any) -> list[Entry]:
    return list(machine.entries(kind))


@GENERATORS
def test_clusters(generator: str) -> None:
    machine, truth = load(generator, "cds")
    for entry in entries(machine, CLUSTERS):
        ours, theirs = entry.resource, truth[entry.name]
        assert isinstance(ours, Cluster)
        assert ours.type.value == theirs.DiscoveryType.Name(theirs.type)
        assert ours.service_name == theirs.eds_cluster_config.service_name
        expected = theirs.LbPolicy.Name(theirs.lb_policy)
        assert ours.lb.name == {"CLUSTER_PROVIDED": "ROUND_ROBIN"}.get(expected, expected)
        assert (ours.connect_timeout or 0) == theirs.connect_timeout.ToTimedelta().total_seconds()
        services = theirs.metadata.filter_metadata["istio"].fields["services"].list_value.values
        assert list(ours.hosts) == [value.struct_value.fields["host"].string_value for value in services]
        found = [getattr(limits, name).value for limits in theirs.circuit_breakers.thresholds for name in THRESHOLDS]
        assert (ours.circuit_breaker is not None) == any(limit < 2**32 - 1 for limit in found)
        if ours.circuit_breaker is not None:
            assert ours.circuit_breaker.max_requests == theirs.circuit_breakers.thresholds[0].max_requests.value
        assert (ours.outlier_detection is not None) == theirs.HasField("outlier_detection")
        assert not any(path.startswith("transport_socket_matches") for path in ours.unobeyed)


def test_what_the_rules_for_reviews_say() -> None:
    machine, _ = load("sidecar", "cds")
    entry = machine.entry(CLUSTERS, "outbound|9080|v2|reviews.demo.svc.cluster.local")
    assert entry is not None
    cluster = entry.resource
    assert isinstance(cluster, Cluster)
    assert (cluster.lb.name, cluster.lb.parameters["minimum_ring_size"]) == ("RING_HASH", 1024)
    assert cluster.connect_timeout == 2.0
    assert cluster.outlier_detection is not None
    assert cluster.outlier_detection.consecutive_5xx == 5
    assert cluster.panic_threshold == 0.0
    assert cluster.hosts == ("reviews.demo.svc.cluster.local",)
    assert {"outlier_detection", "circuit_breakers", "transport_socket"} <= set(cluster.unobeyed)
    assert all(not path.rpartition(".")[2].startswith("#") for path in cluster.unobeyed)


@GENERATORS
def test_endpoints(generator: str) -> None:
    machine, truth = load(generator, "eds")
    for entry in entries(machine, ASSIGNMENTS):
        ours, theirs = entry.resource, truth[entry.name]
        assert isinstance(ours, ClusterLoadAssignment)
        assert len(ours.localities) == len(theirs.endpoints)
        for locality, other in zip(ours.localities, theirs.endpoints, strict=True):
            assert (locality.weight, locality.priority) == (other.load_balancing_weight.value, other.priority)
            where = (locality.locality.region, locality.locality.zone, locality.locality.sub_zone)
            assert where == (other.locality.region, other.locality.zone, other.locality.sub_zone)
            for endpoint, item in zip(locality.endpoints, other.lb_endpoints, strict=True):
                socket = item.endpoint.address.socket_address
                assert endpoint.address == f"{socket.address}:{socket.port_value}"
                assert endpoint.weight == item.load_balancing_weight.value
                assert endpoint.usable
                metadata = item.metadata.filter_metadata
                assert endpoint.workload == metadata["istio"].fields["workload"].string_value
                assert endpoint.tls_mode == metadata["envoy.transport_socket_match"].fields["tlsMode"].string_value


@GENERATORS
def test_routes(generator: str) -> None:
    machine, truth = load(generator, "rds")
    for entry in entries(machine, ROUTES):
        ours, theirs = entry.resource, truth[entry.name]
        assert isinstance(ours, RouteConfiguration)
        assert ours.ignore_port == theirs.ignore_port_in_host_matching
        for host, other in zip(ours.virtual_hosts, theirs.virtual_hosts, strict=True):
            assert (host.name, list(host.domains)) == (other.name, list(other.domains))
            for route, item in zip(host.routes, other.routes, strict=True):
                assert route.name == item.name
                assert route.path.value == (item.match.prefix or item.match.path or item.match.safe_regex.regex)
                assert [header.name for header in route.headers] == [header.name for header in item.match.headers]
                check_action(route.action, item)


def check_action(ours: RouteAction | DirectResponse | Redirect | None, theirs: Any) -> None:
    kind = theirs.WhichOneof("action")
    if kind != "route":
        assert isinstance(ours, {"redirect": Redirect, "direct_response": DirectResponse}[kind])
        return
    assert isinstance(ours, RouteAction)
    if theirs.route.HasField("cluster"):
        assert ours.clusters == (WeightedCluster(theirs.route.cluster, 1),)
    else:
        weights = [(c.name, c.weight.value) for c in theirs.route.weighted_clusters.clusters]
        assert [(cluster.name, cluster.weight) for cluster in ours.clusters] == weights
    timeout = theirs.route.timeout.ToTimedelta().total_seconds()
    assert (ours.timeout or 0) == timeout
    assert (ours.retry is not None) == theirs.route.HasField("retry_policy")
    if ours.retry is not None:
        assert ours.retry.num_retries == theirs.route.retry_policy.num_retries.value
        assert ours.retry.retry_on == set(theirs.route.retry_policy.retry_on.split(","))


@GENERATORS
def test_what_the_virtual_service_says(generator: str) -> None:
    name = {"grpc": "outbound|9080||reviews.demo.svc.cluster.local", "sidecar": "9080"}[generator]
    machine, _ = load(generator, "rds")
    entry = machine.entry(ROUTES, name)
    assert entry is not None
    config = entry.resource
    assert isinstance(config, RouteConfiguration)
    host = next(h for h in config.virtual_hosts if h.name.startswith("reviews"))
    canary, rewrite, redirect, direct, main = host.routes
    by_name = {header.name: header for header in canary.headers}
    assert by_name["x-env"] == HeaderMatch("x-env", StringMatch.EXACT, "gray")
    assert by_name["x-any"] == HeaderMatch("x-any", present=True)
    assert by_name["x-not"].invert
    assert by_name["x-not"].treat_missing_as_empty
    assert by_name["x-re"].regex is not None
    assert by_name["x-re"].regex.fullmatch("axxb")
    assert by_name[":method"].value == "POST"
    assert canary.query[0].name == "q"
    assert isinstance(canary.action, RouteAction)
    assert canary.action.timeout == 3.0
    assert canary.action.retry is not None
    assert canary.action.retry.per_try_timeout == 1.0
    assert canary.action.retry.retriable_status_codes == {503}
    assert canary.action.retry.base_interval == 0.05
    assert rewrite.path.kind is StringMatch.EXACT
    assert isinstance(redirect.action, Redirect)
    assert direct.action == DirectResponse(503, "down")
    assert isinstance(main.action, RouteAction)
    assert [cluster.weight for cluster in main.action.clusters] == [90, 10]
    assert main.action.retry is not None
    assert main.action.retry.other_hosts
    faults = "virtual_hosts.routes.typed_per_filter_config[envoy.filters.http.fault]"
    assert config.unobeyed[faults] == 1
    assert config.unobeyed["virtual_hosts.routes.route.request_mirror_policies"] == 1
    assert not any("#" in path for path in config.unobeyed)


@pytest.mark.parametrize("name", ["grpc_lds", "sidecar_lds", "grpc_inbound_lds"])
def test_types_that_nobody_asked_for_are_passed_over(name: str) -> None:
    response = decode_sotw((FIXTURES / f"{name}.bin").read_bytes())
    machine = SotwMachine()
    machine.opened()
    assert machine.receive(response, finish(decode_updates(response, machine))).kind is None
    assert machine.requests() == []


@GENERATORS
@pytest.mark.parametrize("kind", ["cds", "eds", "rds"])
def test_identical_bytes_are_not_processed_twice(generator: str, kind: str) -> None:
    machine, _ = load(generator, kind)
    resource_type = _TYPES[kind][0]
    before = {entry.name: entry.resource for entry in machine.entries(resource_type)}
    response = decode_sotw((FIXTURES / f"{generator}_{kind}.bin").read_bytes())
    assert machine.receive(response, finish(decode_updates(response, machine))).changed == ()
    for entry in machine.entries(resource_type):
        assert entry.resource is before[entry.name]
        assert entry.updates == 1
