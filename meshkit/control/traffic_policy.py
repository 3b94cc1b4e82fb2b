"""The traffic policy of a DestinationRule as frozen values
(https://istio.io/latest/docs/reference/config/networking/destination-rule/). None means "not set"."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = [
    "ConnectionPool",
    "ConsistentHash",
    "HttpPool",
    "LoadBalancer",
    "OutlierDetection",
    "PortPolicy",
    "TcpPool",
    "Tls",
    "TrafficPolicy",
    "Warmup",
]


@dataclass(frozen=True, slots=True)
class ConsistentHash:
    """Where the hash comes from, one of four; and how large a ring there is at least, or Maglev's table."""

    header: str | None = None
    cookie: tuple[str, str, timedelta | None] | None = None
    source_ip: bool = False
    query_parameter: str | None = None
    minimum_ring_size: int = 1024
    maglev_table_size: int | None = None


@dataclass(frozen=True, slots=True)
class Warmup:
    """How long a new endpoint gets less than its share."""

    duration: timedelta
    minimum_percent: float | None = None
    aggression: float | None = None


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """LoadBalancerSettings."""

    simple: str | None = None
    consistent_hash: ConsistentHash | None = None
    warmup: Warmup | None = None


@dataclass(frozen=True, slots=True)
class TcpPool:
    """ConnectionPoolSettings.TCPSettings."""

    max_connections: int | None = None
    connect_timeout: timedelta | None = None
    max_connection_duration: timedelta | None = None


@dataclass(frozen=True, slots=True)
class HttpPool:
    """ConnectionPoolSettings.HTTPSettings."""

    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_requests_per_connection: int | None = None
    max_retries: int | None = None
    idle_timeout: timedelta | None = None
    max_concurrent_streams: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectionPool:
    """ConnectionPoolSettings."""

    tcp: TcpPool = TcpPool()
    http: HttpPool = HttpPool()


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """When an endpoint is put aside."""

    consecutive_5xx_errors: int | None = None
    consecutive_gateway_errors: int | None = None
    consecutive_local_origin_failures: int | None = None
    split_external_local_origin_errors: bool = False
    interval: timedelta | None = None
    base_ejection_time: timedelta | None = None
    max_ejection_percent: int | None = None
    min_health_percent: int | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """ClientTLSSettings, of which only the mode is read."""

    mode: str = "DISABLE"


@dataclass(frozen=True, slots=True)
class PortPolicy:
    """A policy for one port; what it does not set is not taken from the policy around it (as in Istio)."""

    port: int
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    """How traffic is sent after routing."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: Tls | None = None
    port_levels: tuple[PortPolicy, ...] = ()
