"""The config resources as frozen values: what is left of Envoy's protos after decoding and checking.

Names are those of the xDS v3 protos (https://www.envoyproxy.io/docs/envoy/latest/api-v3/api). Durations are seconds,
fractions are parts of 1, headers are lower case. A field that is None was not set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from .endpoint_facts import tls_mode_of, workload_of

__all__ = [
    "Aggregate",
    "CircuitBreaker",
    "Cluster",
    "ClusterLoadAssignment",
    "ClusterType",
    "DirectResponse",
    "DnsFamily",
    "DnsLookups",
    "Endpoint",
    "Fraction",
    "HeaderMatch",
    "HealthStatus",
    "LbPolicy",
    "Locality",
    "LocalityEndpoints",
    "OutlierDetection",
    "PathMatch",
    "QueryParameterMatch",
    "Redirect",
    "RetryPolicy",
    "Route",
    "RouteAction",
    "RouteConfiguration",
    "StringMatch",
    "VirtualHost",
    "WeightedCluster",
]


# -- route.v3 --------------------------------------------------------------------------------------------------------


class StringMatch(Enum):
    """How text is compared (type.matcher.v3.StringMatcher)."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class PathMatch:
    """RouteMatch.path_specifier. ``kind`` is EXACT (path), PREFIX (prefix) or REGEX (safe_regex, full match).

    ``separated`` marks path_separated_prefix: the prefix must end at a ``/`` or at the end of the path.
    ``regex`` is the compiled pattern of a REGEX.
    """

    kind: StringMatch
    value: str
    case_sensitive: bool = True
    separated: bool = False
    regex: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """route.v3.HeaderMatcher. Exactly one of ``string``, ``present``, ``range`` is set.

    ``string`` compares ``value`` (or ``regex``) with all values of the header joined with ",";
    ``present`` is present_match; ``range`` is [start, end) over the header's integer value.
    ``name`` may be a pseudo-header: Istio sends ``:method``, ``:authority`` and ``:scheme`` (of a gRPC call: POST, the
    authority of the call, http or https).
    """

    name: str
    string: StringMatch | None = None
    value: str = ""
    regex: re.Pattern[str] | None = None
    ignore_case: bool = False
    present: bool | None = None
    range: tuple[int, int] | None = None
    invert: bool = False
    treat_missing_as_empty: bool = False


@dataclass(frozen=True, slots=True)
class QueryParameterMatch:
    """route.v3.QueryParameterMatcher; gRPC paths have no query, so such a route never applies to a call."""

    name: str


@dataclass(frozen=True, slots=True)
class Fraction:
    """core.v3.RuntimeFractionalPercent: ``numerator`` in parts per million (0 to 1,000,000)."""

    numerator: int


@dataclass(frozen=True, slots=True)
class WeightedCluster:
    """One entry of RouteAction.weighted_clusters; entries of weight 0 are left out when decoding."""

    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """route.v3.RetryPolicy. ``retry_on`` holds the words as Envoy and gRPC spell them; times in seconds.

    ``num_retries`` 0: no retries, whatever the virtual host says. ``other_hosts``: the predicate ``previous_hosts`` is
    set, so that a retry should go to an endpoint that was not tried yet where there is one.
    """

    retry_on: frozenset[str]
    num_retries: int = 1
    per_try_timeout: float | None = None
    base_interval: float = 0.025
    max_interval: float = 0.25
    retriable_status_codes: frozenset[int] = frozenset()
    other_hosts: bool = False


@dataclass(frozen=True, slots=True)
class RouteAction:
    """route.v3.RouteAction: where to send. ``clusters`` has one entry (weight 1) for a plain ``cluster``.

    ``timeout`` is the tighter of RouteAction.timeout and max_stream_duration; None or 0 means no limit.
    """

    clusters: tuple[WeightedCluster, ...]
    timeout: float | None = None
    retry: RetryPolicy | None = None


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """route.v3.DirectResponseAction: answer without a server. ``status`` is an HTTP status."""

    status: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """route.v3.RedirectAction: gRPC has no redirects, so a call that matches fails and says so."""


@dataclass(frozen=True, slots=True)
class Route:
    """route.v3.Route. ``action`` None: an action that is not a client's (non_forwarding_action) or is not known."""

    path: PathMatch
    action: RouteAction | DirectResponse | Redirect | None
    name: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryParameterMatch, ...] = ()
    fraction: Fraction | None = None


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """route.v3.VirtualHost. ``retry`` serves routes without a policy of their own."""

    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    retry: RetryPolicy | None = None


@dataclass(frozen=True, slots=True)
class RouteConfiguration:
    """route.v3.RouteConfiguration. ``unobeyed`` counts, by path, the fields on the wire that we do not obey yet.

    ``ignore_port``: domains have no ports, so a port of the authority does not take part in choosing a virtual host.
    """

    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    unobeyed: Mapping[str, int] = field(default_factory=dict[str, int])
    ignore_port: bool = False


# -- cluster.v3 ------------------------------------------------------------------------------------------------------


class ClusterType(Enum):
    """cluster.v3.Cluster.DiscoveryType; AGGREGATE for ``envoy.clusters.aggregate``, OTHER for another cluster_type."""

    STATIC = "STATIC"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    EDS = "EDS"
    ORIGINAL_DST = "ORIGINAL_DST"
    AGGREGATE = "AGGREGATE"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class LbPolicy:
    """A balancing policy by its registry name (``ROUND_ROBIN``, ``LEAST_REQUEST``...) and its parameters."""

    name: str = "ROUND_ROBIN"
    parameters: Mapping[str, int | float | str | bool] = field(default_factory=dict[str, "int | float | str | bool"])


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """cluster.v3.CircuitBreakers.Thresholds of priority DEFAULT; None where not set."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """cluster.v3.OutlierDetection; times in seconds, percentages 0 to 100; None where not set."""

    consecutive_5xx: int | None = None
    consecutive_gateway_failure: int | None = None
    interval: float | None = None
    base_ejection_time: float | None = None
    max_ejection_percent: int | None = None
    enforcing_consecutive_5xx: int | None = None
    enforcing_consecutive_gateway_failure: int | None = None
    max_ejection_time: float | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """extensions.clusters.aggregate.v3.ClusterConfig: clusters in order of priority."""

    clusters: tuple[str, ...]


class DnsFamily(Enum):
    """cluster.v3.Cluster.DnsLookupFamily: which addresses of a name are used. AUTO: the IPv6 ones, if any."""

    AUTO = 0
    V4_ONLY = 1
    V6_ONLY = 2
    V4_PREFERRED = 3
    ALL = 4


@dataclass(frozen=True, slots=True)
class DnsLookups:
    """How a cluster's host names are resolved; seconds.

    ``refresh``: dns_refresh_rate; ``jitter``: dns_jitter, the most that is added to it; ``failure``: after a failure,
    the first and the longest time to the next attempt (dns_failure_refresh_rate).
    """

    family: DnsFamily = DnsFamily.AUTO
    refresh: float = 5.0
    jitter: float = 0.0
    failure: tuple[float, float] = (1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Cluster:
    """cluster.v3.Cluster. ``service_name`` is the EDS resource to ask for (the cluster's own name where not set).

    ``assignment`` is an inline load_assignment (STATIC, *_DNS). ``hosts`` are the services that Istio's metadata
    names (``metadata.istio.services[].host``): on ``inbound|port||`` clusters, the services that select this workload.
    ``locality_weighted``: localities share traffic by their weights (common_lb_config.locality_weighted_lb_config, or a
    wrr_locality policy). ``panic_threshold``: the percentage of usable endpoints below which all are used, if set.
    ``dns`` is there where endpoints may be host names (STRICT_DNS, LOGICAL_DNS).
    """

    name: str
    type: ClusterType
    service_name: str = ""
    lb: LbPolicy = LbPolicy()
    connect_timeout: float | None = None
    assignment: ClusterLoadAssignment | None = None
    circuit_breaker: CircuitBreaker | None = None
    outlier_detection: OutlierDetection | None = None
    aggregate: Aggregate | None = None
    hosts: tuple[str, ...] = ()
    locality_weighted: bool = False
    panic_threshold: float | None = None
    dns: DnsLookups | None = None
    unobeyed: Mapping[str, int] = field(default_factory=dict[str, int])


# -- endpoint.v3 -----------------------------------------------------------------------------------------------------


class HealthStatus(Enum):
    """core.v3.HealthStatus. Only UNKNOWN and HEALTHY take traffic."""

    UNKNOWN = 0
    HEALTHY = 1
    UNHEALTHY = 2
    DRAINING = 3
    TIMEOUT = 4
    DEGRADED = 5


@dataclass(frozen=True, slots=True)
class Locality:
    """core.v3.Locality."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """endpoint.v3.LbEndpoint. ``address``: ``ip:port``, ``[ip6]:port``, ``host:port`` (DNS clusters), ``unix:path``, or
    ``internal:name`` (an Envoy internal listener; never usable from here).

    ``metadata`` is a core.v3.Metadata, still encoded: see `tls_mode` and `workload`.
    """

    address: str
    weight: int = 1
    health: HealthStatus = HealthStatus.UNKNOWN
    metadata: bytes = b""

    @property
    def usable(self) -> bool:
        """Whether it may take traffic (gRFC A27: HEALTHY and UNKNOWN)."""
        return self.health in _USABLE

    @property
    def tls_mode(self) -> str:
        """``istio`` where it speaks Istio's mutual TLS, ``disabled`` or "" where it does not."""
        return tls_mode_of(self.metadata)

    @property
    def workload(self) -> str:
        """Istio's ``name;namespace;canonical name;revision;cluster``."""
        return workload_of(self.metadata)


_USABLE = frozenset({HealthStatus.UNKNOWN, HealthStatus.HEALTHY})


@dataclass(frozen=True, slots=True)
class LocalityEndpoints:
    """endpoint.v3.LocalityLbEndpoints. ``weight`` None: not set; ``priority`` 0 is the highest. ``endpoints`` of big
    assignments are `meshkit.codec.Runs`, else a tuple; one is equal to the other."""

    endpoints: Sequence[Endpoint]
    locality: Locality = Locality()
    weight: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class ClusterLoadAssignment:
    """endpoint.v3.ClusterLoadAssignment."""

    cluster_name: str
    localities: tuple[LocalityEndpoints, ...] = ()
    unobeyed: Mapping[str, int] = field(default_factory=dict[str, int])
