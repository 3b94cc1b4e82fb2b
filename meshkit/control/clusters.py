"""A cluster's name -> Envoy's Cluster, in the shapes of Istio's default and grpc generators."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from envoy_data_plane.envoy.config.cluster import v3 as envoy
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
    HttpProtocolOptionsUseDownstreamHttpConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent

from meshkit.xds.naming import ClusterName

from .encoding import encode
from .endpoints import load_assignment
from .making import make
from .model import Port
from .naming import Proxy
from .policies import policy_for
from .traffic_policy import ConnectionPool, ConsistentHash, LoadBalancer, OutlierDetection, TrafficPolicy, Warmup
from .values import any_of, services_metadata
from .world import Service, World

__all__ = ["cluster", "cluster_names"]

_CONNECT_TIMEOUT = timedelta(seconds=10)  # Istio's default, where Envoy's is 5 s
_DNS_REFRESH = timedelta(seconds=60)
_UNLIMITED = 2**32 - 1
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP2 = frozenset({"GRPC", "HTTP2", "GRPC-WEB"})
_TCP = frozenset({"TCP", "TLS", "HTTPS", "MONGO"})

_TYPES = {
    "STATIC": envoy.ClusterDiscoveryType.EDS,
    "DNS": envoy.ClusterDiscoveryType.STRICT_DNS,
    "DNS_ROUND_ROBIN": envoy.ClusterDiscoveryType.LOGICAL_DNS,
    "NONE": envoy.ClusterDiscoveryType.ORIGINAL_DST,
}
_SIMPLE = {
    "ROUND_ROBIN": envoy.ClusterLbPolicy.ROUND_ROBIN,
    "RANDOM": envoy.ClusterLbPolicy.RANDOM,
    "LEAST_REQUEST": envoy.ClusterLbPolicy.LEAST_REQUEST,
    "LEAST_CONN": envoy.ClusterLbPolicy.LEAST_REQUEST,
}


def cluster_names(world: World) -> Iterator[ClusterName]:
    """Every cluster there is: services by ports by subsets."""
    for host, service in world.services.items():
        rule = world.destination_rule(host)
        for port in service.ports:
            yield ClusterName(port, "", host)
            for subset in rule.subsets if rule else ():
                yield ClusterName(port, subset.name, host)


def cluster(world: World, name: ClusterName, proxy: Proxy) -> envoy.Cluster | None:
    """The cluster of that name; None where its service, port or subset does not exist."""
    service = world.services.get(name.host)
    if service is None or name.port not in service.ports:
        return None
    if name.subset and world.subset(name.host, name.subset) is None:
        return None
    policy = policy_for(world, name)
    return _for_grpc(name, policy) if proxy.grpc else _for_envoy(world, name, service, policy, proxy)


# -- grpc generator ----------------------------------------------------------------------------------------------------


def _for_grpc(name: ClusterName, policy: TrafficPolicy) -> envoy.Cluster:
    """EDS always, round robin by default; of the policy only the balancer and the limit on calls in flight."""
    out = make(envoy.Cluster, name=str(name), type=envoy.ClusterDiscoveryType.EDS, alt_stat_name=f"{name};")
    source = make(core.ConfigSource, ads=make(core.AggregatedConfigSource))
    out.eds_cluster_config = make(envoy.ClusterEdsClusterConfig, eds_config=source, service_name=str(name))
    balancer = policy.load_balancer or LoadBalancer()
    if balancer.consistent_hash is not None:
        _apply_hash(out, balancer.consistent_hash)
    elif balancer.simple in ("LEAST_REQUEST", "LEAST_CONN"):
        out.lb_policy = envoy.ClusterLbPolicy.LEAST_REQUEST
    pool = policy.connection_pool
    if pool is not None and pool.http.max_requests:
        threshold = make(envoy.CircuitBreakersThresholds, max_requests=pool.http.max_requests)
        out.circuit_breakers = make(envoy.CircuitBreakers, thresholds=[threshold])
    return out


# -- default generator -------------------------------------------------------------------------------------------------


def _for_envoy(world: World, name: ClusterName, service: Service, policy: TrafficPolicy, proxy: Proxy) -> envoy.Cluster:
    rule = world.destination_rule(name.host)
    out = make(
        envoy.Cluster,
        name=str(name),
        type=_TYPES[service.resolution],
        alt_stat_name=f"{name};",
        connect_timeout=_CONNECT_TIMEOUT,
        common_lb_config=make(envoy.ClusterCommonLbConfig),
        metadata=services_metadata(name.host, service.namespace, rule.meta if rule else None, name.subset),
    )
    _apply_type(out, world, name, proxy)
    _apply_balancer(out, policy.load_balancer or LoadBalancer())
    _apply_pool(out, service.ports[name.port], policy.connection_pool or ConnectionPool())
    if policy.outlier_detection is not None:
        out.outlier_detection = _outlier_detection(policy.outlier_detection)
        panic = make(Percent, value=float(policy.outlier_detection.min_health_percent or 0))
        out.common_lb_config = make(envoy.ClusterCommonLbConfig, healthy_panic_threshold=panic)
    return out


def _apply_type(out: envoy.Cluster, world: World, name: ClusterName, proxy: Proxy) -> None:
    """Where the endpoints come from."""
    if out.type == envoy.ClusterDiscoveryType.EDS:
        source = make(
            core.ConfigSource,
            ads=make(core.AggregatedConfigSource),
            initial_fetch_timeout=timedelta(0),
            resource_api_version=core.ApiVersion.V3,
        )
        out.eds_cluster_config = make(envoy.ClusterEdsClusterConfig, eds_config=source, service_name=str(name))
    elif out.type == envoy.ClusterDiscoveryType.ORIGINAL_DST:
        out.lb_policy = envoy.ClusterLbPolicy.CLUSTER_PROVIDED
    else:
        out.dns_lookup_family = envoy.ClusterDnsLookupFamily.V4_ONLY
        out.dns_refresh_rate = _DNS_REFRESH
        out.respect_dns_ttl = True
        out.load_assignment = load_assignment(world, name, proxy)


def _apply_balancer(out: envoy.Cluster, balancer: LoadBalancer) -> None:
    if out.lb_policy == envoy.ClusterLbPolicy.CLUSTER_PROVIDED:
        return
    if balancer.consistent_hash is not None:
        _apply_hash(out, balancer.consistent_hash)
        return
    out.lb_policy = _SIMPLE.get(balancer.simple or "", envoy.ClusterLbPolicy.LEAST_REQUEST)
    if balancer.warmup is not None and out.lb_policy == envoy.ClusterLbPolicy.LEAST_REQUEST:
        slow = _slow_start(balancer.warmup)
        out.least_request_lb_config = make(envoy.ClusterLeastRequestLbConfig, slow_start_config=slow)
    elif balancer.warmup is not None and out.lb_policy == envoy.ClusterLbPolicy.ROUND_ROBIN:
        out.round_robin_lb_config = make(
            envoy.ClusterRoundRobinLbConfig, slow_start_config=_slow_start(balancer.warmup)
        )


def _apply_hash(out: envoy.Cluster, hashing: ConsistentHash) -> None:
    if hashing.maglev_table_size is not None:
        out.lb_policy = envoy.ClusterLbPolicy.MAGLEV
        out.maglev_lb_config = make(envoy.ClusterMaglevLbConfig, table_size=hashing.maglev_table_size)
    else:
        out.lb_policy = envoy.ClusterLbPolicy.RING_HASH
        out.ring_hash_lb_config = make(envoy.ClusterRingHashLbConfig, minimum_ring_size=hashing.minimum_ring_size)


def _slow_start(warmup: Warmup) -> envoy.ClusterSlowStartConfig:
    """Istio always writes both factors, with Envoy's defaults where nothing is set."""
    aggression = 1.0 if warmup.aggression is None else warmup.aggression
    return make(
        envoy.ClusterSlowStartConfig,
        slow_start_window=warmup.duration,
        aggression=make(core.RuntimeDouble, default_value=aggression, runtime_key="slow_start.aggression"),
        min_weight_percent=make(Percent, value=10.0 if warmup.minimum_percent is None else warmup.minimum_percent),
    )


def _apply_pool(out: envoy.Cluster, port: Port, pool: ConnectionPool) -> None:
    """Limits; Envoy's defaults (1024, 3 retries) are lifted where nothing is set, as Istio does."""
    tcp, http = pool.tcp, pool.http
    threshold = make(
        envoy.CircuitBreakersThresholds,
        max_connections=tcp.max_connections or _UNLIMITED,
        max_pending_requests=http.max_pending_requests or _UNLIMITED,
        max_requests=http.max_requests or _UNLIMITED,
        max_retries=_UNLIMITED if http.max_retries is None else http.max_retries,
    )
    out.circuit_breakers = make(envoy.CircuitBreakers, thresholds=[threshold])
    if tcp.connect_timeout is not None:
        out.connect_timeout = tcp.connect_timeout
    options = _protocol_options(port, pool)
    if options is not None:
        out.typed_extension_protocol_options = {_OPTIONS: any_of(_OPTIONS, encode(options))}


def _protocol_options(port: Port, pool: ConnectionPool) -> HttpProtocolOptions | None:
    """HTTP/2 for ports that say so; what the caller speaks where the protocol is not told."""
    if port.protocol in _TCP:
        return None
    http2 = make(core.Http2ProtocolOptions)
    if pool.http.max_concurrent_streams:
        http2.max_concurrent_streams = pool.http.max_concurrent_streams
    out = make(HttpProtocolOptions)
    if port.protocol in _HTTP2:
        out.explicit_http_config = make(HttpProtocolOptionsExplicitHttpConfig, http2_protocol_options=http2)
    elif port.protocol:
        out.explicit_http_config = make(
            HttpProtocolOptionsExplicitHttpConfig, http_protocol_options=make(core.Http1ProtocolOptions)
        )
    else:
        out.use_downstream_protocol_config = make(
            HttpProtocolOptionsUseDownstreamHttpConfig,
            http_protocol_options=make(core.Http1ProtocolOptions),
            http2_protocol_options=http2,
        )
    if pool.http.idle_timeout or pool.http.max_requests_per_connection or pool.tcp.max_connection_duration:
        out.common_http_protocol_options = make(
            core.HttpProtocolOptions,
            idle_timeout=pool.http.idle_timeout,
            max_requests_per_connection=pool.http.max_requests_per_connection or None,
            max_connection_duration=pool.tcp.max_connection_duration,
        )
    return out


def _outlier_detection(rule: OutlierDetection) -> envoy.OutlierDetection:
    """Istio counts errors in a row and switches the statistical methods off."""
    out = make(envoy.OutlierDetection, enforcing_success_rate=0)
    out.interval, out.base_ejection_time = rule.interval, rule.base_ejection_time
    out.max_ejection_percent = rule.max_ejection_percent or None
    if rule.consecutive_5xx_errors is not None:
        out.consecutive_5xx = rule.consecutive_5xx_errors
        out.enforcing_consecutive_5xx = 100 if rule.consecutive_5xx_errors else 0
    if rule.consecutive_gateway_errors is not None:
        out.consecutive_gateway_failure = rule.consecutive_gateway_errors
        out.enforcing_consecutive_gateway_failure = 100 if rule.consecutive_gateway_errors else 0
    if rule.split_external_local_origin_errors:
        out.split_external_local_origin_errors = True
        out.enforcing_local_origin_success_rate = 0
        if rule.consecutive_local_origin_failures:
            out.consecutive_local_origin_failure = rule.consecutive_local_origin_failures
            out.enforcing_consecutive_local_origin_failure = 100
    return out
