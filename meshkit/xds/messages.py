"""The messages of an ADS stream as bytes: envoy.service.discovery.v3 in both variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from meshkit.codec import ANY, STATUS, Any, Field, Status, compile_schema

from .ads import AdsMachine, Named, Request, Response
from .delta import DeltaMachine
from .node import Node
from .resources import Locality
from .sotw import SotwMachine
from .struct import STRUCT, StructMessage, to_struct
from .tables import table

__all__ = ["DELTA", "SOTW", "Variant", "decode_delta", "decode_sotw", "encode_delta", "encode_sotw"]

_V3 = "envoy.service.discovery.v3."
_SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
_WRAPPER = _V3 + "Resource"
_INVALID_ARGUMENT = 3


class NodeMessage(NamedTuple):
    """core.v3.Node."""

    id: str
    cluster: str
    metadata: StructMessage | None
    locality: Locality | None
    user_agent_name: str
    user_agent_version: str | None
    client_features: tuple[str, ...]


class SotwRequest(NamedTuple):
    """DiscoveryRequest."""

    version_info: str
    node: NodeMessage | None
    resource_names: tuple[str, ...]
    type_url: str
    response_nonce: str
    error_detail: Status | None


class DeltaRequest(NamedTuple):
    """DeltaDiscoveryRequest."""

    node: NodeMessage | None
    type_url: str
    resource_names_subscribe: tuple[str, ...]
    resource_names_unsubscribe: tuple[str, ...]
    initial_resource_versions: Mapping[str, str]
    response_nonce: str
    error_detail: Status | None


NODE = table(
    "envoy.config.core.v3.Node",
    (
        Field("id", 1, "string"),
        Field("cluster", 2, "string"),
        Field("metadata", 3, "message", schema=STRUCT),
        Field(
            "locality",
            4,
            "message",
            schema=table(
                "envoy.config.core.v3.Locality",
                (Field("region", 1, "string"), Field("zone", 2, "string"), Field("sub_zone", 3, "string")),
                build=Locality,
            ),
        ),
        Field("user_agent_name", 6, "string"),
        Field("user_agent_version", 7, "string", oneof="user_agent_version_type"),
        Field("client_features", 10, "string", repeated=True),
    ),
    "8 user_agent_build_version 9 extensions 11 listening_addresses 12 dynamic_parameters",
    NodeMessage,
)

DISCOVERY_REQUEST = table(
    _V3 + "DiscoveryRequest",
    (
        Field("version_info", 1, "string"),
        Field("node", 2, "message", schema=NODE),
        Field("resource_names", 3, "string", repeated=True),
        Field("type_url", 4, "string"),
        Field("response_nonce", 5, "string"),
        Field("error_detail", 6, "message", schema=STATUS),
    ),
    "7 resource_locators",
    SotwRequest,
)

DELTA_REQUEST = table(
    _V3 + "DeltaDiscoveryRequest",
    (
        Field("node", 1, "message", schema=NODE),
        Field("type_url", 2, "string"),
        Field("resource_names_subscribe", 3, "string", repeated=True),
        Field("resource_names_unsubscribe", 4, "string", repeated=True),
        Field("initial_resource_versions", 5, "map", key="string", value="string"),
        Field("response_nonce", 6, "string"),
        Field("error_detail", 7, "message", schema=STATUS),
    ),
    "8 resource_locators_subscribe 9 resource_locators_unsubscribe",
    DeltaRequest,
)


def _named(version: str, resource: Any | None, name: str) -> Named:
    return (
        Named("", b"", name, version) if resource is None else Named(resource.type_url, resource.value, name, version)
    )


RESOURCE = table(
    _WRAPPER,
    (
        Field("version", 1, "string"),
        Field("resource", 2, "message", schema=ANY),
        Field("name", 3, "string"),
    ),
    "4 aliases 6 ttl 7 cache_control 8 resource_name 9 metadata",
    _named,
)


def _sotw_response(version: str, resources: tuple[Any, ...], type_url: str, nonce: str) -> Response:
    return Response(type_url, version, nonce, tuple(map(_unwrapped, resources)))


def _unwrapped(resource: Any) -> Named:
    """A resource as it is, or out of the wrapper that servers may put it in (xDS protocol, "Resource")."""
    if resource.type_url.rpartition("/")[2] == _WRAPPER:
        named: Named = compile_schema(RESOURCE).decode(resource.value)
        return named
    return Named(resource.type_url, resource.value)


DISCOVERY_RESPONSE = table(
    _V3 + "DiscoveryResponse",
    (
        Field("version_info", 1, "string"),
        Field("resources", 2, "message", schema=ANY, repeated=True),
        Field("type_url", 4, "string"),
        Field("nonce", 5, "string"),
    ),
    "3 canary 6 control_plane 7 resource_errors",
    _sotw_response,
)


def _delta_response(
    version: str, resources: tuple[Named, ...], type_url: str, nonce: str, removed: tuple[str, ...]
) -> Response:
    return Response(type_url, version, nonce, resources, removed)


DELTA_RESPONSE = table(
    _V3 + "DeltaDiscoveryResponse",
    (
        Field("system_version_info", 1, "string"),
        Field("resources", 2, "message", schema=RESOURCE, repeated=True),
        Field("type_url", 4, "string"),
        Field("nonce", 5, "string"),
        Field("removed_resources", 6, "string", repeated=True),
    ),
    "7 control_plane 8 removed_resource_names 9 resource_errors",
    _delta_response,
)


def _node(request: Request, node: Node) -> NodeMessage | None:
    if not request.first:
        return None
    metadata = to_struct(node.metadata) if node.metadata else None
    version = node.user_agent_version or None
    return NodeMessage(
        node.id, node.cluster, metadata, node.locality, node.user_agent_name, version, node.client_features
    )


def _error(request: Request) -> Status | None:
    return Status(_INVALID_ARGUMENT, request.error, ()) if request.error else None


def encode_sotw(request: Request, node: Node) -> bytes:
    """A request as the bytes of a DiscoveryRequest; ``node`` goes in where the request is the first of its stream."""
    message = SotwRequest(
        request.version, _node(request, node), request.names, request.type_url, request.nonce, _error(request)
    )
    return compile_schema(DISCOVERY_REQUEST).encode(message)


def encode_delta(request: Request, node: Node) -> bytes:
    """A request as the bytes of a DeltaDiscoveryRequest; ``node`` as in `encode_sotw`."""
    message = DeltaRequest(
        _node(request, node),
        request.type_url,
        request.subscribe,
        request.unsubscribe,
        request.initial_versions,
        request.nonce,
        _error(request),
    )
    return compile_schema(DELTA_REQUEST).encode(message)


def decode_sotw(data: bytes) -> Response:
    """The bytes of a DiscoveryResponse, resources still as bytes. Raises DecodeError."""
    response: Response = compile_schema(DISCOVERY_RESPONSE).decode(data)
    return response


def decode_delta(data: bytes) -> Response:
    """The bytes of a DeltaDiscoveryResponse, resources still as bytes. Raises DecodeError."""
    response: Response = compile_schema(DELTA_RESPONSE).decode(data)
    return response


@dataclass(frozen=True, slots=True)
class Variant:
    """All that differs between the two ADS methods."""

    name: str
    path: str
    machine: type[AdsMachine]
    encode: Callable[[Request, Node], bytes]
    decode: Callable[[bytes], Response]


SOTW = Variant("sotw", _SERVICE + "StreamAggregatedResources", SotwMachine, encode_sotw, decode_sotw)
DELTA = Variant("delta", _SERVICE + "DeltaAggregatedResources", DeltaMachine, encode_delta, decode_delta)
