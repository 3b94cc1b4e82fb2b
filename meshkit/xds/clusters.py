"""Cluster: bytes to frozen value, checked (gRFC A27, A37, A42, A48, A52; Envoy's rules where Istio relies on them).

A control plane that serves sidecars sends every cluster of the mesh, most of which this process will never use, so what
only Envoy can do (original destinations, cluster types of its own, TLS by SDS) is taken and counted, not refused.
Refused: no name, EDS from anywhere but this stream, a logical DNS cluster without exactly one endpoint, an aggregate of
nothing, a balancing policy that is not known, percentages above 100, times between DNS lookups below a millisecond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from meshkit.codec import compile_schema

from .assignments import check_assignment
from .cluster_tables import AGGREGATE, CLUSTER, DNS_RESOLVER, HTTP_PROTOCOL_OPTIONS, LB_POLICIES
from .resources import (
    Aggregate,
    CircuitBreaker,
    Cluster,
    ClusterType,
    DnsFamily,
    DnsLookups,
    LbPolicy,
    OutlierDetection,
)
from .struct import decode_struct
from .tables import Invalid

__all__ = ["decode_cluster"]

Parameters = dict[str, int | float | str | bool]
Counts = dict[str, int]

_MAX_DEPTH = 16  # gRFC A52: policies inside policies
_TYPES = (
    ClusterType.STATIC,
    ClusterType.STRICT_DNS,
    ClusterType.LOGICAL_DNS,
    ClusterType.EDS,
    ClusterType.ORIGINAL_DST,
)
_AGGREGATE = "envoy.clusters.aggregate"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_DNS_TYPES = (ClusterType.STRICT_DNS, ClusterType.LOGICAL_DNS)
_DNS_REFRESH = 5.0  # Envoy's default dns_refresh_rate
_SHORTEST = 0.001  # Envoy refuses shorter times between lookups
_FAMILIES = {family.value: family for family in DnsFamily}
_UNLIMITED = 2**32 - 1  # how Istio says that a threshold is none

# Cluster.LbPolicy; 4 was ORIGINAL_DST_LB. CLUSTER_PROVIDED belongs to clusters that choose for themselves.
_ENUM: dict[int, tuple[str, str]] = {
    0: ("ROUND_ROBIN", "round_robin_lb_config"),
    1: ("LEAST_REQUEST", "least_request_lb_config"),
    2: ("RING_HASH", "ring_hash_lb_config"),
    3: ("RANDOM", ""),
    5: ("MAGLEV", "maglev_lb_config"),
    6: ("ROUND_ROBIN", ""),
    7: ("ROUND_ROBIN", ""),  # LOAD_BALANCING_POLICY_CONFIG: read from load_balancing_policy, which is then set
}
_EXTENSIONS = {
    "RoundRobin": "ROUND_ROBIN",
    "LeastRequest": "LEAST_REQUEST",
    "Random": "RANDOM",
    "RingHash": "RING_HASH",
    "Maglev": "MAGLEV",
    "ClientSideWeightedRoundRobin": "WEIGHTED_ROUND_ROBIN",
    "PickFirst": "PICK_FIRST",
    "ClusterProvided": "ROUND_ROBIN",
}
_ISTIO_SOCKETS = ("tlsMode-istio", "tlsMode-disabled")
_PLAIN_SOCKETS = ("envoy.transport_sockets.tls", "envoy.transport_sockets.raw_buffer")
_PARAMETERS = ("choice_count", "minimum_ring_size", "maximum_ring_size", "table_size")


def decode_cluster(data: bytes) -> Cluster:
    """The bytes of an envoy.config.cluster.v3.Cluster. Raises `Invalid` or DecodeError."""
    counts: Counts = {}
    raw = compile_schema(CLUSTER).decode(data, counts)
    if not raw.name:
        raise Invalid("name is not set")
    breaker, outliers = _breaker(raw.circuit_breakers), _outliers(raw.outlier_detection)
    _count_not_obeyed(raw, breaker, outliers, counts)
    kind, aggregate = _kind(raw, counts)
    if kind in _CHECKS:
        _CHECKS[kind](raw)
    lb, weighted = _balancing(raw, counts)
    common = raw.common_lb_config
    return Cluster(
        name=raw.name,
        type=kind,
        service_name=raw.eds_cluster_config.service_name if raw.eds_cluster_config is not None else "",
        lb=lb,
        connect_timeout=raw.connect_timeout,
        assignment=raw.load_assignment,
        circuit_breaker=breaker,
        outlier_detection=outliers,
        aggregate=aggregate,
        hosts=_hosts(raw.metadata),
        locality_weighted=weighted or (common is not None and common.locality_weighted_lb_config is not None),
        panic_threshold=_panic(common),
        dns=_dns(raw) if kind in _DNS_TYPES else None,
        unobeyed=dict(sorted(counts.items())),
    )


# -- kinds


def _kind(raw: Any, counts: Counts) -> tuple[ClusterType, Aggregate | None]:
    custom = raw.cluster_type
    if custom is None:
        number = raw.type or 0
        if not 0 <= number < len(_TYPES):
            raise Invalid(f"type {number} is not known")
        return _TYPES[number], None
    if custom.name != _AGGREGATE or custom.typed_config is None:
        counts[f"cluster_type[{custom.name}]"] = 1
        return ClusterType.OTHER, None
    names = compile_schema(AGGREGATE).decode(custom.typed_config.value).clusters
    if not names:
        raise Invalid("an aggregate of no clusters")
    return ClusterType.AGGREGATE, Aggregate(names)


def _check_eds(raw: Any) -> None:
    config = raw.eds_cluster_config
    source = config.eds_config if config is not None else None
    if source is None or (source.ads is None and source.self is None):
        raise Invalid("eds_cluster_config.eds_config is neither ads nor self")


def _check_logical_dns(raw: Any) -> None:
    localities = raw.load_assignment.localities if raw.load_assignment is not None else ()
    if [len(locality.endpoints) for locality in localities] != [1]:
        raise Invalid("LOGICAL_DNS needs a load_assignment of exactly one endpoint")


def _check_inline(raw: Any) -> None:
    if raw.load_assignment is not None:
        check_assignment(raw.load_assignment)


_CHECKS: Mapping[ClusterType, Callable[[Any], None]] = {
    ClusterType.EDS: _check_eds,
    ClusterType.LOGICAL_DNS: _check_logical_dns,
    ClusterType.STATIC: _check_inline,
    ClusterType.STRICT_DNS: _check_inline,
}


# -- balancing


def _balancing(raw: Any, counts: Counts) -> tuple[LbPolicy, bool]:
    """The policy, and whether it weighs localities. load_balancing_policy wins over the enum (gRFC A52)."""
    if raw.load_balancing_policy is not None:
        return _extension(raw.load_balancing_policy, counts, _MAX_DEPTH)
    if raw.lb_policy not in _ENUM:
        raise Invalid(f"lb_policy {raw.lb_policy} is not known")
    name, config = _ENUM[raw.lb_policy]
    return LbPolicy(name, _parameters(getattr(raw, config) if config else None)), False


def _extension(policies: Any, counts: Counts, depth: int) -> tuple[LbPolicy, bool]:
    if not depth:
        raise Invalid(f"load_balancing_policy: more than {_MAX_DEPTH} policies inside each other")
    asked: list[str] = []
    for policy in policies.policies:
        config = policy.typed_extension_config
        url, value = _typed(config)
        schema = LB_POLICIES.get(url.rpartition("/")[2])
        if schema is not None:
            inner: Counts = {}
            raw = compile_schema(schema).decode(value, inner)
            counts.update({f"load_balancing_policy.{path}": count for path, count in inner.items()})
            return _policy(schema.name.rpartition(".")[2], raw, counts, depth)
        asked.append(url or "one without a configuration")
    raise Invalid(f"load_balancing_policy: none of {', '.join(asked) or 'no policies'} is supported")


def _typed(config: Any) -> tuple[str, bytes]:
    if config is None or config.typed_config is None:
        return "", b""
    return config.typed_config.type_url, config.typed_config.value


def _policy(kind: str, raw: Any, counts: Counts, depth: int) -> tuple[LbPolicy, bool]:
    if kind == "WrrLocality":
        if raw.endpoint_picking_policy is None:
            raise Invalid("load_balancing_policy: WrrLocality without endpoint_picking_policy")
        return _extension(raw.endpoint_picking_policy, counts, depth - 1)[0], True
    locality = getattr(raw, "locality_lb_config", raw)
    weighted = getattr(locality, "locality_weighted_lb_config", None) is not None
    return LbPolicy(_EXTENSIONS[kind], _parameters(raw)), weighted


def _parameters(raw: Any) -> Parameters:
    found = {name: getattr(raw, name, None) for name in _PARAMETERS}
    if (choices := found["choice_count"]) is not None and choices < 2:
        raise Invalid(f"choice_count {choices} is below 2")  # gRFC A48
    bias = getattr(raw, "active_request_bias", None)
    found["active_request_bias"] = bias.default_value if bias is not None else None
    return {name: value for name, value in found.items() if value is not None}


# -- the rest


def _dns(raw: Any) -> DnsLookups:
    """A resolver of the operating system tells no TTLs: where they should be respected, names are asked for at least as
    often as by default. Without dns_failure_refresh_rate, Envoy waits the usual time after a failure; we ask sooner."""
    family, refresh, failure = raw.dns_lookup_family or 0, raw.dns_refresh_rate, raw.dns_failure_refresh_rate
    if family not in _FAMILIES:
        raise Invalid(f"dns_lookup_family {family} is not known")
    refresh = _DNS_REFRESH if refresh is None else refresh
    if raw.respect_dns_ttl:
        refresh = min(refresh, _DNS_REFRESH)
    base = failure.base_interval if failure is not None else min(1.0, refresh)
    longest = failure.max_interval if failure is not None else refresh
    longest = (base or 0) * 10 if longest is None else longest
    if refresh < _SHORTEST or base is None or base < _SHORTEST or longest < base:
        raise Invalid(f"DNS lookups every {refresh:g} s, after failures {base or 0:g} to {longest:g} s: not usable")
    return DnsLookups(_FAMILIES[family], refresh, raw.dns_jitter or 0.0, (base, longest))


def _panic(common: Any) -> float | None:
    threshold = common.healthy_panic_threshold if common is not None else None
    return None if threshold is None else float(threshold.value)


def _count_not_obeyed(
    raw: Any, breaker: CircuitBreaker | None, outliers: OutlierDetection | None, counts: Counts
) -> None:
    """What is decoded, but nothing in the runtime acts on yet, is counted like fields that are not decoded."""
    if breaker is not None:
        counts["circuit_breakers"] = 1
    if outliers is not None:
        counts["outlier_detection"] = 1
    _count_sockets(raw, counts)
    _count_resolver(raw.typed_dns_resolver_config, counts)
    for name, options in raw.typed_extension_protocol_options.items():
        if name != _HTTP_OPTIONS:
            counts[f"typed_extension_protocol_options[{name}]"] = 1
            continue
        inner: Counts = {}
        compile_schema(HTTP_PROTOCOL_OPTIONS).decode(options.value, inner)
        counts.update({f"typed_extension_protocol_options.{path}": count for path, count in inner.items()})


def _count_sockets(raw: Any, counts: Counts) -> None:
    for match in raw.transport_socket_matches:
        inside = match.transport_socket.name if match.transport_socket is not None else ""
        if match.name not in _ISTIO_SOCKETS:  # those are for the endpoints that ask for them
            counts[f"transport_socket_matches[{match.name}]"] = 1
        elif inside and inside not in _PLAIN_SOCKETS:  # such as the PROXY protocol around them
            counts[f"transport_socket_matches.transport_socket[{inside}]"] = 1


def _count_resolver(config: Any, counts: Counts) -> None:
    """Names are resolved by the operating system, whose servers are its own."""
    url, value = _typed(config)
    kind, inner = url.rpartition("/")[2], Counts()
    if kind == DNS_RESOLVER.name:
        compile_schema(DNS_RESOLVER).decode(value, inner)
        counts.update({f"typed_dns_resolver_config.{path}": count for path, count in inner.items()})
    elif kind:
        counts[f"typed_dns_resolver_config[{kind}]"] = 1


def _breaker(raw: Any) -> CircuitBreaker | None:
    """The first thresholds of priority DEFAULT (gRFC A32); None if they limit nothing."""
    found = next((t for t in raw.thresholds if t.priority == 0), None) if raw is not None else None
    if found is None:
        return None
    given = (found.max_connections, found.max_pending_requests, found.max_requests, found.max_retries)
    limits = [None if limit == _UNLIMITED else limit for limit in given]
    return CircuitBreaker(*limits) if any(limit is not None for limit in limits) else None


def _outliers(raw: Any) -> OutlierDetection | None:
    if raw is None:
        return None
    for name in ("max_ejection_percent", "enforcing_consecutive_5xx", "enforcing_consecutive_gateway_failure"):
        if (getattr(raw, name) or 0) > 100:
            raise Invalid(f"outlier_detection.{name} is above 100")
    return OutlierDetection(
        consecutive_5xx=raw.consecutive_5xx,
        consecutive_gateway_failure=raw.consecutive_gateway_failure,
        interval=raw.interval,
        base_ejection_time=raw.base_ejection_time,
        max_ejection_percent=raw.max_ejection_percent,
        enforcing_consecutive_5xx=raw.enforcing_consecutive_5xx,
        enforcing_consecutive_gateway_failure=raw.enforcing_consecutive_gateway_failure,
        max_ejection_time=raw.max_ejection_time,
    )


def _hosts(metadata: Any) -> tuple[str, ...]:
    istio = metadata.filter_metadata.get("istio") if metadata is not None else None
    if not istio:
        return ()
    services = decode_struct(istio).fields.get("services")
    listed = services.list_value.values if services is not None and services.list_value is not None else ()
    hosts = (value.struct_value.text("host") for value in listed if value.struct_value is not None)
    return tuple(host for host in hosts if host)
