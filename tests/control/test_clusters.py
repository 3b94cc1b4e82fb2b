"""Clusters: what istiod makes of the same file, and the cases that its capture does not hold."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from meshkit.control.clusters import cluster, cluster_names
from meshkit.control.encoding import encode
from meshkit.control.library import Library
from meshkit.control.naming import Proxy
from meshkit.control.world import World, join
from meshkit.xds.naming import ClusterName
from tests.support.istio_captures import ENVOY, GRPC, captured, comparable, input_world

HOST = "a.demo.svc.cluster.local"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def made(world: World, name: str, proxy: Proxy = ENVOY) -> Any:
    parsed = ClusterName.parse(name)
    assert parsed is not None
    found = cluster(world, parsed, proxy)
    return None if found is None else cluster_pb2.Cluster.FromString(encode(found))


SIDECAR = [name for name in captured("sidecar_cds") if name.startswith("outbound|") and "api.example.com" not in name]


@pytest.mark.parametrize("name", SIDECAR)
def test_the_default_generator_is_istiods(name):
    assert comparable(made(input_world(), name)) == comparable(captured("sidecar_cds")[name])


@pytest.mark.parametrize("name", list(captured("grpc_cds")))
def test_the_grpc_generator_is_istiods(name):
    assert comparable(made(input_world(), name, GRPC)) == comparable(captured("grpc_cds")[name])


def test_every_cluster_of_istiod_is_there_and_no_other():
    theirs = {name for name in captured("sidecar_cds") if name.startswith("outbound|")}
    assert {str(name) for name in cluster_names(input_world())} == theirs


def test_a_service_by_dns_brings_its_endpoints_with_it():
    found = made(input_world(), "outbound|80||api.example.com")
    assert found.type == cluster_pb2.Cluster.STRICT_DNS
    (part,) = found.load_assignment.endpoints
    address = part.lb_endpoints[0].endpoint.address.socket_address
    assert (address.address, address.port_value) == ("api.example.com", 80)


@pytest.mark.parametrize(
    "name", ["outbound|81||com.example.order", "outbound|20880|v1|com.example.order", "outbound|80||no.where"]
)
def test_what_does_not_exist_is_no_cluster(name):
    assert made(input_world(), name) is None


def with_policy(policy: str, *, subset: str = "{}", protocol: str = "GRPC") -> World:
    text = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: a, namespace: demo}}
spec: {{hosts: [{HOST}], resolution: STATIC, ports: [{{number: 80, name: p, protocol: {protocol}}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: a, namespace: demo}}
spec: {{host: a, trafficPolicy: {policy}, subsets: [{{name: s, labels: {{v: x}}, trafficPolicy: {subset}}}]}}
"""
    library = Library()
    library.update({"a.yaml": text.encode()})
    assert library.problems == ()
    return join(library.resources.values())


@pytest.mark.parametrize(
    ("balancer", "envoy", "grpc"),
    [
        ("{}", "LEAST_REQUEST", "ROUND_ROBIN"),
        ("{simple: ROUND_ROBIN}", "ROUND_ROBIN", "ROUND_ROBIN"),
        ("{simple: RANDOM}", "RANDOM", "ROUND_ROBIN"),
        ("{simple: LEAST_CONN}", "LEAST_REQUEST", "LEAST_REQUEST"),
        ("{consistentHash: {useSourceIp: true}}", "RING_HASH", "RING_HASH"),
        ("{consistentHash: {httpHeaderName: x, maglev: {tableSize: 101}}}", "MAGLEV", "MAGLEV"),
    ],
)
def test_balancers(balancer, envoy, grpc):
    world = with_policy(f"{{loadBalancer: {balancer}}}")
    policy = cluster_pb2.Cluster.LbPolicy
    assert policy.Name(made(world, f"outbound|80||{HOST}").lb_policy) == envoy
    assert policy.Name(made(world, f"outbound|80||{HOST}", GRPC).lb_policy) == grpc


def test_a_subset_replaces_setting_by_setting_and_a_port_replaces_all():
    pool = "connectionPool: {tcp: {maxConnections: 7}}"
    world = with_policy(f"{{loadBalancer: {{simple: RANDOM}}, {pool}}}", subset="{loadBalancer: {simple: ROUND_ROBIN}}")
    found = made(world, f"outbound|80|s|{HOST}")
    assert found.lb_policy == cluster_pb2.Cluster.ROUND_ROBIN
    assert found.circuit_breakers.thresholds[0].max_connections.value == 7
    port = "portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]"
    found = made(with_policy(f"{{loadBalancer: {{simple: RANDOM}}, {pool}, {port}}}"), f"outbound|80||{HOST}")
    assert found.lb_policy == cluster_pb2.Cluster.ROUND_ROBIN
    assert found.circuit_breakers.thresholds[0].max_connections.value == 2**32 - 1


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [("GRPC", "explicit_http_config"), ("HTTP", "explicit_http_config"), ("HTTP2", "explicit_http_config")],
)
def test_the_protocol_decides_what_is_spoken(protocol, kind):
    found = made(with_policy("{}", protocol=protocol), f"outbound|80||{HOST}")
    options = http_protocol_options_pb2.HttpProtocolOptions.FromString(
        found.typed_extension_protocol_options[OPTIONS].value
    )
    assert options.HasField(kind)
    assert options.explicit_http_config.HasField("http2_protocol_options") == (protocol != "HTTP")


def test_raw_protocols_have_no_http_options():
    assert not made(with_policy("{}", protocol="TCP"), f"outbound|80||{HOST}").typed_extension_protocol_options
