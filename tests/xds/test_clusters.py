"""Cluster: what is taken, what is counted, what is refused (gRFC A27, A37, A42, A48, A52; Envoy)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.clusters.aggregate.v3 import cluster_pb2 as aggregate_pb2
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.load_balancing_policies.maglev.v3 import maglev_pb2
from envoy.extensions.load_balancing_policies.ring_hash.v3 import ring_hash_pb2
from envoy.extensions.load_balancing_policies.round_robin.v3 import round_robin_pb2
from envoy.extensions.load_balancing_policies.wrr_locality.v3 import wrr_locality_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from meshkit.xds.clusters import decode_cluster
from meshkit.xds.resources import (
    Aggregate,
    CircuitBreaker,
    Cluster,
    ClusterType,
    DnsFamily,
    DnsLookups,
    LbPolicy,
    OutlierDetection,
)
from meshkit.xds.tables import Invalid
from tests.support.ads_server import cluster, endpoints

Change = Callable[[Any], Any]
ENUM = cluster_pb2.Cluster


def decoded(change: Change = lambda message: None) -> Cluster:
    message = cluster("c")
    change(message)
    return decode_cluster(message.SerializeToString())


def policy(*configs: Any) -> Change:
    def change(message: Any) -> None:
        for config in configs:
            item = message.load_balancing_policy.policies.add()
            if config is not None:
                item.typed_extension_config.typed_config.Pack(config)

    return change


def test_kinds() -> None:
    assert decoded().type is ClusterType.EDS
    assert decoded(lambda m: setattr(m, "type", ENUM.STATIC)).type is ClusterType.STATIC
    assert decoded(lambda m: m.ClearField("type")).type is ClusterType.STATIC
    assert decoded(lambda m: setattr(m, "type", ENUM.STRICT_DNS)).type is ClusterType.STRICT_DNS
    assert decoded(lambda m: setattr(m, "type", ENUM.ORIGINAL_DST)).type is ClusterType.ORIGINAL_DST


def test_aggregates_and_kinds_of_others() -> None:
    def aggregate(message: Any) -> None:
        message.cluster_type.name = "envoy.clusters.aggregate"
        message.cluster_type.typed_config.Pack(aggregate_pb2.ClusterConfig(clusters=["a", "b"]))

    found = decoded(aggregate)
    assert (found.type, found.aggregate) == (ClusterType.AGGREGATE, Aggregate(("a", "b")))
    other = decoded(lambda m: setattr(m.cluster_type, "name", "envoy.clusters.dns"))
    assert other.type is ClusterType.OTHER
    assert other.unobeyed == {"cluster_type[envoy.clusters.dns]": 1}


def test_names() -> None:
    found = decoded(lambda m: setattr(m.eds_cluster_config, "service_name", "s"))
    assert (found.name, found.service_name) == ("c", "s")
    own = decoded(lambda m: m.eds_cluster_config.eds_config.self.SetInParent())
    assert own.type is ClusterType.EDS


def test_inline_endpoints() -> None:
    def change(message: Any) -> None:
        message.type = ENUM.LOGICAL_DNS
        message.load_assignment.CopyFrom(endpoints("c", "example.com:443"))

    found = decoded(change)
    assert found.assignment is not None
    assert found.assignment.localities[0].endpoints[0].address == "example.com:443"


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "ROUND_ROBIN"), (1, "LEAST_REQUEST"), (2, "RING_HASH"), (3, "RANDOM"), (5, "MAGLEV"), (6, "ROUND_ROBIN")],
)
def test_policies_by_enum(number: int, name: str) -> None:
    assert decoded(lambda m: setattr(m, "lb_policy", number)).lb == LbPolicy(name)


def test_parameters_of_policies() -> None:
    def least(message: Any) -> None:
        message.lb_policy = ENUM.LEAST_REQUEST
        message.least_request_lb_config.choice_count.value = 5
        message.least_request_lb_config.active_request_bias.default_value = 1.5
        message.least_request_lb_config.slow_start_config.SetInParent()

    found = decoded(least)
    assert found.lb == LbPolicy("LEAST_REQUEST", {"choice_count": 5, "active_request_bias": 1.5})
    assert found.unobeyed == {"least_request_lb_config.slow_start_config": 1}

    def ring(message: Any) -> None:
        message.lb_policy = ENUM.RING_HASH
        message.ring_hash_lb_config.minimum_ring_size.value = 1024

    assert decoded(ring).lb == LbPolicy("RING_HASH", {"minimum_ring_size": 1024})


def dns(change: Change = lambda message: None, kind: int = ENUM.STRICT_DNS) -> DnsLookups | None:
    def changes(message: Any) -> None:
        message.type = kind
        change(message)

    return decoded(changes).dns


def test_how_names_are_resolved() -> None:
    def all_of_it(message: Any) -> None:
        message.dns_lookup_family = ENUM.V4_ONLY
        message.dns_refresh_rate.seconds = 60
        message.dns_jitter.seconds = 2
        message.dns_failure_refresh_rate.base_interval.seconds = 3

    def with_ttls(message: Any) -> None:
        all_of_it(message)
        message.respect_dns_ttl = True

    assert dns() == DnsLookups(DnsFamily.AUTO, 5.0, 0.0, (1.0, 5.0))
    assert dns(all_of_it) == DnsLookups(DnsFamily.V4_ONLY, 60.0, 2.0, (3.0, 30.0))
    assert dns(with_ttls) == DnsLookups(DnsFamily.V4_ONLY, 5.0, 2.0, (3.0, 30.0))
    assert dns(kind=ENUM.STATIC) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m.dns_refresh_rate, "nanos", 1000),
        lambda m: setattr(m.dns_failure_refresh_rate.max_interval, "seconds", 1),
        lambda m: setattr(m, "dns_lookup_family", 9),
    ],
)
def test_unusable_lookups_are_refused(change: Change) -> None:
    with pytest.raises(Invalid, match="DNS lookups|dns_lookup_family 9"):
        dns(change)


def test_policies_by_extension_win_over_the_enum() -> None:
    least = least_request_pb2.LeastRequest()
    least.choice_count.value = 3
    least.locality_lb_config.locality_weighted_lb_config.SetInParent()
    found = decoded(policy(aggregate_pb2.ClusterConfig(), least, round_robin_pb2.RoundRobin()))
    assert found.lb == LbPolicy("LEAST_REQUEST", {"choice_count": 3})
    assert found.locality_weighted
    ring = ring_hash_pb2.RingHash(use_hostname_for_hashing=True)
    ring.maximum_ring_size.value = 9
    found = decoded(policy(ring))
    assert found.lb == LbPolicy("RING_HASH", {"maximum_ring_size": 9})
    assert found.unobeyed == {"load_balancing_policy.use_hostname_for_hashing": 1}
    assert decoded(policy(maglev_pb2.Maglev())).lb == LbPolicy("MAGLEV")


def wrapped(inner: Any, depth: int) -> Any:
    for _ in range(depth):
        outer = wrr_locality_pb2.WrrLocality()
        outer.endpoint_picking_policy.policies.add().typed_extension_config.typed_config.Pack(inner)
        inner = outer
    return inner


def test_locality_weights_by_policy() -> None:
    found = decoded(policy(wrapped(round_robin_pb2.RoundRobin(), 2)))
    assert found.lb == LbPolicy("ROUND_ROBIN")
    assert found.locality_weighted
    assert not decoded().locality_weighted


def test_common_settings() -> None:
    def change(message: Any) -> None:
        message.connect_timeout.FromMilliseconds(2500)
        message.common_lb_config.healthy_panic_threshold.SetInParent()
        message.common_lb_config.locality_weighted_lb_config.SetInParent()
        message.circuit_breakers.thresholds.add(priority=1).max_requests.value = 1
        message.circuit_breakers.thresholds.add().max_requests.value = 100
        message.outlier_detection.consecutive_5xx.value = 5
        message.outlier_detection.interval.FromSeconds(5)
        message.outlier_detection.enforcing_consecutive_5xx.value = 100

    found = decoded(change)
    assert found.connect_timeout == 2.5
    assert found.panic_threshold == 0.0
    assert found.locality_weighted
    assert found.circuit_breaker == CircuitBreaker(max_requests=100)
    assert found.outlier_detection == OutlierDetection(5, interval=5.0, enforcing_consecutive_5xx=100)
    plain = decoded()
    assert (plain.connect_timeout, plain.panic_threshold, plain.circuit_breaker) == (None, None, None)


def test_hosts_of_istio_metadata() -> None:
    def change(message: Any) -> None:
        istio = message.metadata.filter_metadata["istio"]
        services = istio.fields["services"].list_value
        services.values.add().struct_value.fields["host"].string_value = "a.ns"
        services.values.add().string_value = "noise"
        services.values.add().struct_value.fields["host"].number_value = 1
        services.values.add().struct_value.fields["host"].string_value = "b.ns"

    assert decoded(change).hosts == ("a.ns", "b.ns")
    assert decoded(lambda m: m.metadata.filter_metadata["istio"].fields["x"].SetInParent()).hosts == ()


def test_what_is_not_obeyed_is_counted_by_path() -> None:
    def change(message: Any) -> None:
        message.alt_stat_name = "only a name"
        message.filters.add(name="telemetry")
        message.transport_socket_matches.add(name="always")
        message.transport_socket_matches.add(name="tlsMode-istio")  # the endpoints say whether they want it
        message.typed_extension_protocol_options["envoy.http"].type_url = "t"
        http = http_protocol_options_pb2.HttpProtocolOptions()
        http.explicit_http_config.http2_protocol_options.SetInParent()  # what we do anyway
        http.common_http_protocol_options.idle_timeout.FromSeconds(90)
        message.typed_extension_protocol_options[http.DESCRIPTOR.full_name].Pack(http)
        message.dns_lookup_family = 1
        message.common_lb_config.update_merge_window.FromSeconds(1)

    assert decoded(change).unobeyed == {
        "common_lb_config.update_merge_window": 1,
        "transport_socket_matches[always]": 1,
        "typed_extension_protocol_options.common_http_protocol_options": 1,
        "typed_extension_protocol_options[envoy.http]": 1,
    }


def many_endpoints(message: Any) -> None:
    message.type = ENUM.LOGICAL_DNS
    message.load_assignment.CopyFrom(endpoints("c", "a:1", "b:1"))


def path_source(message: Any) -> None:
    message.eds_cluster_config.eds_config.path_config_source.path = "/x"


def empty_aggregate(message: Any) -> None:
    message.cluster_type.name = "envoy.clusters.aggregate"
    message.cluster_type.typed_config.Pack(aggregate_pb2.ClusterConfig())


def one_choice(message: Any) -> None:
    message.lb_policy = ENUM.LEAST_REQUEST
    message.least_request_lb_config.choice_count.value = 1


REFUSED: list[tuple[Change, str]] = [
    (lambda m: m.ClearField("name"), "name is not set"),
    (lambda m: setattr(m, "type", 9), "type 9"),
    (lambda m: m.ClearField("eds_cluster_config"), "neither ads nor self"),
    (path_source, "neither ads nor self"),
    (lambda m: setattr(m, "type", ENUM.LOGICAL_DNS), "exactly one endpoint"),
    (many_endpoints, "exactly one endpoint"),
    (empty_aggregate, "aggregate of no clusters"),
    (lambda m: setattr(m, "lb_policy", 99), "lb_policy 99"),
    (one_choice, "choice_count 1"),
    (policy(aggregate_pb2.ClusterConfig()), "none of type.googleapis.com/envoy.extensions.clusters.aggregate"),
    (policy(None), "none of one without a configuration"),
    (policy(wrr_locality_pb2.WrrLocality()), "without endpoint_picking_policy"),
    (policy(wrapped(round_robin_pb2.RoundRobin(), 17)), "more than 16"),
    (lambda m: setattr(m.outlier_detection.max_ejection_percent, "value", 101), "max_ejection_percent is above 100"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_refused(change: Change, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        decoded(change)


def test_what_wraps_istios_sockets_is_counted() -> None:
    def change(message: Any) -> None:
        for name, inside in (("tlsMode-istio", "tls"), ("tlsMode-disabled", "upstream_proxy_protocol")):
            match = message.transport_socket_matches.add(name=name)
            match.transport_socket.name = f"envoy.transport_sockets.{inside}"

    path = "transport_socket_matches.transport_socket[envoy.transport_sockets.upstream_proxy_protocol]"
    assert decoded(change).unobeyed == {path: 1}


@pytest.mark.parametrize(
    ("kind", "value", "counted"),
    [
        ("cares.v3.CaresDnsResolverConfig", b"\x2a\x02\x08\x64", ""),  # as Istio has it: udp_max_queries 100
        ("cares.v3.CaresDnsResolverConfig", b"\x0a\x00", ".resolvers"),
        (
            "apple.v3.AppleDnsResolverConfig",
            b"",
            "[envoy.extensions.network.dns_resolver.apple.v3.AppleDnsResolverConfig]",
        ),
    ],
)
def test_resolvers_of_envoy_count_where_they_name_servers(kind: str, value: bytes, counted: str) -> None:
    def change(message: Any) -> None:
        config = message.typed_dns_resolver_config.typed_config
        config.type_url, config.value = f"type.googleapis.com/envoy.extensions.network.dns_resolver.{kind}", value

    assert decoded(change).unobeyed == ({f"typed_dns_resolver_config{counted}": 1} if counted else {})
