"""The Istio resources as frozen values: what is left of the YAML after reading and checking.

Names and meanings are Istio's (https://istio.io/latest/docs/reference/config/networking/). None means "not set".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from .traffic_policy import TrafficPolicy

__all__ = [
    "Abort",
    "Delay",
    "Destination",
    "DestinationRule",
    "DirectResponse",
    "Fault",
    "HeaderOperations",
    "Headers",
    "HttpMatch",
    "HttpRoute",
    "Meta",
    "Mirror",
    "Percent",
    "Port",
    "Redirect",
    "RegexRewrite",
    "Resource",
    "Retries",
    "Rewrite",
    "RouteDestination",
    "ServiceEntry",
    "StringMatch",
    "Subset",
    "VirtualService",
    "WorkloadEntry",
]

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Meta:
    """What every resource has: its kind, name, namespace, and the file and line it came from."""

    kind: str
    name: str
    namespace: str
    file: str = ""
    line: int = 0

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, namespace and name: what makes two documents the same resource."""
        return (self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


# -- VirtualService ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StringMatch:
    """Exactly one of the three; all None matches any value that is present."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


@dataclass(frozen=True, slots=True)
class HttpMatch:
    """HTTPMatchRequest: all conditions hold. ``port``, ``source_*``, ``gateways`` are judged here, not by clients."""

    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = field(default_factory=dict[str, StringMatch])
    without_headers: Mapping[str, StringMatch] = field(default_factory=dict[str, StringMatch])
    query_params: Mapping[str, StringMatch] = field(default_factory=dict[str, StringMatch])
    port: int | None = None
    source_labels: Labels = field(default_factory=dict[str, str])
    source_namespace: str | None = None
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """A service, as the YAML names it, with an optional subset and port."""

    host: str
    subset: str = ""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class HeaderOperations:
    """Headers to set (replace), add (append) and remove."""

    set: Labels = field(default_factory=dict[str, str])
    add: Labels = field(default_factory=dict[str, str])
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """Operations on the request's and on the response's headers."""

    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


@dataclass(frozen=True, slots=True)
class RouteDestination:
    """One destination of a route with its share of the weights' sum."""

    destination: Destination
    weight: int = 0
    headers: Headers | None = None


@dataclass(frozen=True, slots=True)
class RegexRewrite:
    """Replace what ``match`` matches in the path by ``rewrite``."""

    match: str
    rewrite: str


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What becomes of the path and the authority."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    """HTTPRedirect."""

    uri: str = ""
    authority: str = ""
    port: int | None = None
    scheme: str = ""
    redirect_code: int = 301


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """HTTPDirectResponse."""

    status: int
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """HTTPRetry. ``attempts`` 0 switches retries off."""

    attempts: int = 2
    per_try_timeout: timedelta | None = None
    retry_on: str = ""
    backoff: timedelta | None = None
    ignore_previous_hosts: bool = True


@dataclass(frozen=True, slots=True)
class Percent:
    """0 to 100, fractions allowed."""

    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Delay:
    """Hold a share of the calls back for a time."""

    fixed_delay: timedelta
    percentage: Percent = Percent()


@dataclass(frozen=True, slots=True)
class Abort:
    """Fail a share of the calls; exactly one status is set, ``grpc_status`` by its name."""

    http_status: int | None = None
    grpc_status: str | None = None
    percentage: Percent = Percent()


@dataclass(frozen=True, slots=True)
class Fault:
    """Faults put into calls on purpose."""

    delay: Delay | None = None
    abort: Abort | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """Send a copy of a share of the calls to another destination."""

    destination: Destination
    percentage: Percent | None = None


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """One rule of a VirtualService."""

    name: str = ""
    match: tuple[HttpMatch, ...] = ()
    route: tuple[RouteDestination, ...] = ()
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    timeout: timedelta | None = None
    retries: Retries | None = None
    fault: Fault | None = None
    mirror: Destination | None = None
    mirror_percentage: Percent | None = None
    mirrors: tuple[Mirror, ...] = ()
    headers: Headers | None = None


@dataclass(frozen=True, slots=True)
class VirtualService:
    """Routing rules for hosts."""

    meta: Meta
    hosts: tuple[str, ...]
    http: tuple[HttpRoute, ...] = ()
    gateways: tuple[str, ...] = ()
    export_to: tuple[str, ...] = ()


# -- DestinationRule ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Subset:
    """Endpoints of a service that carry all of ``labels``, with a policy of their own."""

    name: str
    labels: Labels = field(default_factory=dict[str, str])
    policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """Policy and subsets of one host."""

    meta: Meta
    host: str
    policy: TrafficPolicy = TrafficPolicy()
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()


# -- ServiceEntry, WorkloadEntry ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Port:
    """ServicePort. ``protocol`` is upper case; "" where neither the protocol nor the port's name tells it."""

    number: int
    name: str
    protocol: str = ""
    target_port: int | None = None


@dataclass(frozen=True, slots=True)
class WorkloadEntry:
    """One workload: an address (an IP, a DNS name, or ``unix:///path``) and what is known about it."""

    meta: Meta
    address: str = ""
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    labels: Labels = field(default_factory=dict[str, str])
    locality: str = ""
    weight: int = 1


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service by its hosts: where its endpoints are, or which workloads they are."""

    meta: Meta
    hosts: tuple[str, ...]
    ports: tuple[Port, ...] = ()
    addresses: tuple[str, ...] = ()
    resolution: str = "NONE"
    location: str = "MESH_EXTERNAL"
    endpoints: tuple[WorkloadEntry, ...] = ()
    selector: Labels | None = None
    export_to: tuple[str, ...] = ()


Resource = VirtualService | DestinationRule | ServiceEntry | WorkloadEntry
