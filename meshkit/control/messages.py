"""The messages of the ADS service as tables for the codec: only what a server reads and writes
(envoy/service/discovery/v3/discovery.proto). Resources go in as the bytes that were encoded once for all clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from meshkit.codec import Field, Schema, compile_schema
from meshkit.codec.wellknown import Status
from meshkit.rpc import Method
from meshkit.xds.messages import DELTA_REQUEST, DISCOVERY_REQUEST, NodeMessage

from .delta import DeltaRequest, DeltaResponse
from .sotw import SotwRequest, SotwResponse

__all__ = ["DELTA", "SERVICE", "SOTW"]

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


def _reason(status: Status | None) -> str:
    """The text of a NACK; not empty if there is one at all."""
    return "" if status is None else status.message or "rejected without a reason"


def _sotw_request(
    version: str, node: NodeMessage | None, names: tuple[str, ...], type_url: str, nonce: str, status: Status | None
) -> SotwRequest:
    return SotwRequest(type_url, names, version, nonce, _reason(status), node)


def _delta_request(
    node: NodeMessage | None,
    type_url: str,
    subscribe: tuple[str, ...],
    unsubscribe: tuple[str, ...],
    initial_versions: Mapping[str, str],
    nonce: str,
    status: Status | None,
) -> DeltaRequest:
    return DeltaRequest(type_url, subscribe, unsubscribe, initial_versions, nonce, _reason(status), node)


_SOTW_REQUEST = replace(DISCOVERY_REQUEST, build=_sotw_request)
_DELTA_REQUEST = replace(DELTA_REQUEST, build=_delta_request)
_SOTW_RESPONSE = Schema(
    "envoy.service.discovery.v3.DiscoveryResponse",
    (
        Field("version", 1, "string"),
        Field("anys", 2, "bytes", repeated=True),  # messages on the wire: encoded before
        Field("type_url", 4, "string"),
        Field("nonce", 5, "string"),
    ),
)
_RESOURCE = Schema(
    "envoy.service.discovery.v3.Resource",
    (Field("version", 1, "string"), Field("any", 2, "bytes"), Field("name", 3, "string")),
)
_DELTA_RESPONSE = Schema(
    "envoy.service.discovery.v3.DeltaDiscoveryResponse",
    (
        Field("resources", 2, "message", repeated=True, schema=_RESOURCE),
        Field("type_url", 4, "string"),
        Field("nonce", 5, "string"),
        Field("removed", 6, "string", repeated=True),
    ),
)

SOTW = Method(
    f"/{SERVICE}/StreamAggregatedResources",
    SotwRequest,
    SotwResponse,
    True,
    True,
    name="stream_aggregated_resources",
    request_codec=compile_schema(_SOTW_REQUEST),
    reply_codec=compile_schema(_SOTW_RESPONSE),
)
"""State of the world, both ways."""

DELTA = Method(
    f"/{SERVICE}/DeltaAggregatedResources",
    DeltaRequest,
    DeltaResponse,
    True,
    True,
    name="delta_aggregated_resources",
    request_codec=compile_schema(_DELTA_REQUEST),
    reply_codec=compile_schema(_DELTA_RESPONSE),
)
"""Incremental, both ways."""
