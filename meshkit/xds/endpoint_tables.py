"""Projection tables of envoy.config.endpoint.v3, shaped for speed: nested messages are lifted into the endpoint.

A `ClusterLoadAssignment` may hold tens of thousands of endpoints, so they are built straight from the wire, and a
`Memo` lets the unchanged ones of the next version be the same objects.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshkit.codec import Field, compile_schema, maker

from .resources import ClusterLoadAssignment, Endpoint, HealthStatus, Locality, LocalityEndpoints
from .tables import Invalid, table

__all__ = ["CLUSTER_LOAD_ASSIGNMENT", "INTERNAL_ADDRESS", "LB_ENDPOINT", "PIPE"]

_V3 = "envoy.config.endpoint.v3."
_CORE = "envoy.config.core.v3."

_endpoint = maker(Endpoint)
_localities = maker(LocalityEndpoints)


def build_endpoint(
    host: str,
    port: int | None,
    named_port: str | None,
    pipe: bytes | None,
    internal: bytes | None,
    health: HealthStatus | int,
    metadata: bytes | None,
    weight: int,
) -> Endpoint:
    """One endpoint from the fields of its table. Raises `Invalid`."""
    if not host:
        return _unusual(pipe, internal, weight)
    if port is None:
        raise Invalid(
            f"endpoint {host}: {'named ports are' if named_port else 'an address without a port is'} not supported"
        )
    if not weight:
        raise Invalid(f"endpoint {host}:{port}: load_balancing_weight is 0")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _endpoint(address, weight, health, metadata or b"")


def _unusual(pipe: bytes | None, internal: bytes | None, weight: int) -> Endpoint:
    if pipe is not None:
        return Endpoint(f"unix:{compile_schema(PIPE).decode(pipe).path}", weight)
    if internal is not None:
        name = compile_schema(INTERNAL_ADDRESS).decode(internal).server_listener_name
        return Endpoint(f"internal:{name}", weight, HealthStatus.UNHEALTHY)
    raise Invalid("an endpoint has no address")


def _health(number: int) -> HealthStatus:
    """A status that we do not know takes no traffic (gRFC A27: only HEALTHY and UNKNOWN do)."""
    return _HEALTH.get(number, HealthStatus.UNHEALTHY)


_HEALTH = {status.value: status for status in HealthStatus}

PIPE = table(_CORE + "Pipe", (Field("path", 1, "string"),), "2 mode")
INTERNAL_ADDRESS = table(_CORE + "EnvoyInternalAddress", (Field("server_listener_name", 1, "string"),), "2 endpoint_id")

_SOCKET_ADDRESS = table(
    _CORE + "SocketAddress",
    (
        Field("protocol", 1, "ignore"),
        Field("address", 2, "string"),
        Field("port_value", 3, "uint32", oneof="port_specifier"),
        Field("named_port", 4, "string", oneof="port_specifier"),
    ),
    "5 resolver_name 6 ipv4_compat 7 network_namespace_filepath",
)
_ADDRESS = table(
    _CORE + "Address",
    (
        Field("", 1, "inline", schema=_SOCKET_ADDRESS),
        Field("pipe", 2, "raw"),
        Field("envoy_internal_address", 3, "raw"),
    ),
)
_ENDPOINT = table(
    _V3 + "Endpoint",
    (Field("", 1, "inline", schema=_ADDRESS),),
    "2 health_check_config 3 hostname 4 additional_addresses",
)

LB_ENDPOINT = table(
    _V3 + "LbEndpoint",
    (
        Field("", 1, "inline", schema=_ENDPOINT),
        Field("health_status", 2, "enum", default=HealthStatus.UNKNOWN, convert=_health),
        Field("metadata", 3, "raw"),
        Field("load_balancing_weight", 4, "wrapper", value="uint32", default=1),
    ),
    "5 endpoint_name",
    build_endpoint,
)


def _build_locality(
    locality: Locality | None, endpoints: Sequence[Endpoint], weight: int | None, priority: int
) -> LocalityEndpoints:
    return _localities(endpoints, locality or Locality(), weight, priority)


_LOCALITY_ENDPOINTS = table(
    _V3 + "LocalityLbEndpoints",
    (
        Field(
            "locality",
            1,
            "message",
            schema=table(
                _CORE + "Locality",
                (Field("region", 1, "string"), Field("zone", 2, "string"), Field("sub_zone", 3, "string")),
                build=Locality,
            ),
        ),
        Field("lb_endpoints", 2, "message", schema=LB_ENDPOINT, repeated=True, bulk=True),
        Field("load_balancing_weight", 3, "wrapper", value="uint32"),
        Field("priority", 5, "uint32"),
    ),
    "6 proximity 7 load_balancer_endpoints 8 leds_cluster_locality_config 9 metadata",
    _build_locality,
)


def _build_assignment(name: str, localities: tuple[LocalityEndpoints, ...]) -> ClusterLoadAssignment:
    return ClusterLoadAssignment(name, localities)


CLUSTER_LOAD_ASSIGNMENT = table(
    _V3 + "ClusterLoadAssignment",
    (
        Field("cluster_name", 1, "string"),
        Field("endpoints", 2, "message", schema=_LOCALITY_ENDPOINTS, repeated=True),
    ),
    "4 policy 5 named_endpoints",
    _build_assignment,
)
