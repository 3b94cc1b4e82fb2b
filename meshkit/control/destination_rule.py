"""The YAML of a DestinationRule, as tables of shapes
(https://istio.io/latest/docs/reference/config/networking/destination-rule/)."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from yaml.nodes import Node

from .model import DestinationRule, Meta, Subset
from .problems import Severity
from .shape import (
    Field,
    Place,
    Shape,
    boolean,
    checked,
    choice,
    duration,
    integer,
    list_of,
    number,
    record,
    text,
)
from .traffic_policy import (
    ConnectionPool,
    ConsistentHash,
    HttpPool,
    LoadBalancer,
    OutlierDetection,
    PortPolicy,
    TcpPool,
    Tls,
    TrafficPolicy,
    Warmup,
)
from .virtual_service import export_to, host_name, interval, labels, port_selector

__all__ = ["destination_rule"]

_count = integer(0, 2**31 - 1)


def _as_cookie(name: str, path: str = "", ttl: timedelta | None = None) -> tuple[str, str, timedelta | None]:
    return name, path, ttl


def _as_ring(size: int = 1024) -> int:
    return size


def _as_maglev(size: int = 65537) -> int:
    return size


_cookie = record(
    _as_cookie,
    {"name": Field("name", text, required=True), "path": Field("path", text), "ttl": Field("ttl", duration)},
)
_ring = record(_as_ring, {"minimumRingSize": Field("size", integer(1, 8_388_608))})
_maglev = record(_as_maglev, {"tableSize": Field("size", integer(2, 5_000_011))})
_consistent_hash = record(
    ConsistentHash,
    {
        "httpHeaderName": Field("header", text),
        "httpCookie": Field("cookie", _cookie),
        "useSourceIp": Field("source_ip", boolean),
        "httpQueryParameterName": Field("query_parameter", text),
        "ringHash": Field("minimum_ring_size", _ring),
        "minimumRingSize": Field("minimum_ring_size", integer(1, 8_388_608)),
        "maglev": Field("maglev_table_size", _maglev),
    },
    one_of=("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
)
_warmup = record(
    Warmup,
    {
        "duration": Field("duration", interval, required=True),
        "minimumPercent": Field("minimum_percent", number(0, 100)),
        "aggression": Field("aggression", number(0, 1e6)),
    },
)


def _warmup_seconds(node: Node, place: Place) -> Warmup:
    return Warmup(interval(node, place))


_SIMPLE = ("ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "UNSPECIFIED")


def _simple(node: Node, place: Place) -> str:
    value = choice(*_SIMPLE)(node, place)
    if value == "PASSTHROUGH":  # the address that the caller dialled: a client without a proxy has none
        words = "PASSTHROUGH is not supported by this control plane: the default balancer is used"
        place.report.add(node, place.path, words, Severity.UNSUPPORTED)
    return value


def _simple_or_hash(balancer: LoadBalancer) -> str:
    both = balancer.simple and balancer.consistent_hash
    return "expected at most one of simple, consistentHash" if both else ""


_load_balancer = checked(
    record(
        LoadBalancer,
        {
            "simple": Field("simple", _simple),
            "consistentHash": Field("consistent_hash", _consistent_hash),
            "warmup": Field("warmup", _warmup),
            "warmupDurationSecs": Field("warmup", _warmup_seconds),
        },
        unsupported=("localityLbSetting",),
    ),
    _simple_or_hash,
)
_tcp = record(
    TcpPool,
    {
        "maxConnections": Field("max_connections", _count),
        "connectTimeout": Field("connect_timeout", interval),
        "maxConnectionDuration": Field("max_connection_duration", duration),
    },
    unsupported=("tcpKeepalive", "idleTimeout"),
)
_http = record(
    HttpPool,
    {
        "http1MaxPendingRequests": Field("max_pending_requests", _count),
        "http2MaxRequests": Field("max_requests", _count),
        "maxRequestsPerConnection": Field("max_requests_per_connection", _count),
        "maxRetries": Field("max_retries", _count),
        "idleTimeout": Field("idle_timeout", duration),
        "maxConcurrentStreams": Field("max_concurrent_streams", _count),
    },
    unsupported=("h2UpgradePolicy", "useClientProtocol"),
)
_connection_pool = record(ConnectionPool, {"tcp": Field("tcp", _tcp), "http": Field("http", _http)})
_outlier_detection = record(
    OutlierDetection,
    {
        "consecutive5xxErrors": Field("consecutive_5xx_errors", _count),
        "consecutiveErrors": Field("consecutive_gateway_errors", _count),
        "consecutiveGatewayErrors": Field("consecutive_gateway_errors", _count),
        "consecutiveLocalOriginFailures": Field("consecutive_local_origin_failures", _count),
        "splitExternalLocalOriginErrors": Field("split_external_local_origin_errors", boolean),
        "interval": Field("interval", interval),
        "baseEjectionTime": Field("base_ejection_time", interval),
        "maxEjectionPercent": Field("max_ejection_percent", integer(0, 100)),
        "minHealthPercent": Field("min_health_percent", integer(0, 100)),
    },
)
_tls_fields = record(
    Tls,
    {"mode": Field("mode", choice("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"), required=True)},
    unsupported=(
        "clientCertificate",
        "privateKey",
        "caCertificates",
        "credentialName",
        "subjectAltNames",
        "sni",
        "insecureSkipVerify",
        "caCrl",
    ),
)


def _tls(node: Node, place: Place) -> Tls:
    value = _tls_fields(node, place)
    if value.mode != "DISABLE":
        words = f"TLS mode {value.mode} is not supported by this control plane: clients are told to use plain text"
        place.report.add(node, place.at("mode").path, words, Severity.UNSUPPORTED)
    return value


_POLICY: dict[str, Field] = {
    "loadBalancer": Field("load_balancer", _load_balancer),
    "connectionPool": Field("connection_pool", _connection_pool),
    "outlierDetection": Field("outlier_detection", _outlier_detection),
    "tls": Field("tls", _tls),
}
_port_policy = record(PortPolicy, {"port": Field("port", port_selector, required=True)} | _POLICY)
_traffic_policy = record(
    TrafficPolicy,
    _POLICY | {"portLevelSettings": Field("port_levels", list_of(_port_policy))},
    unsupported=("tunnel", "proxyProtocol", "retryBudget"),
)
_subset = record(
    Subset,
    {
        "name": Field("name", text, required=True),
        "labels": Field("labels", labels),
        "trafficPolicy": Field("policy", _traffic_policy),
    },
)


def _different_names(subsets: tuple[Subset, ...]) -> str:
    names = [subset.name for subset in subsets]
    twice = {name for name in names if names.count(name) > 1}
    return f"expected subsets of different names, found {', '.join(sorted(twice))} more than once" if twice else ""


_FIELDS = {
    "host": Field("host", host_name, required=True),
    "trafficPolicy": Field("policy", _traffic_policy),
    "subsets": Field("subsets", checked(list_of(_subset), _different_names)),
    "exportTo": Field("export_to", export_to),
}


def destination_rule(meta: Meta) -> Shape[DestinationRule]:
    """The shape of the ``spec`` of the DestinationRule that ``meta`` names."""
    return record(partial(DestinationRule, meta), _FIELDS, unsupported=("workloadSelector",))
