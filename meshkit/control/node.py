"""The node that opens a stream: the bytes of envoy.config.core.v3.Node -> what we need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envoy_data_plane.envoy.config.core.v3 import Node as EnvoyNode
from envoy_data_plane.google.protobuf import Struct, Value

from meshkit.codec import DecodeError, codec_for
from meshkit.errors import InvalidArgument

from .naming import Proxy
from .registration import INTERFACES_LABEL, labels_of

__all__ = ["Node", "read_node"]

_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
_SUB_ZONE = "topology.istio.io/subzone"


@dataclass(frozen=True, slots=True)
class Node:
    """Who a client says it is. ``metadata`` is its Struct as plain values."""

    id: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    locality: tuple[str, str, str] = ("", "", "")
    agent: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the workload."""
        return labels_of(self.metadata)

    @property
    def namespace(self) -> str:
        """The namespace it belongs to: metadata, else the first part of the id's domain, else "default"."""
        given = self.metadata.get("NAMESPACE")
        if isinstance(given, str) and given:
            return given
        parts = self.id.split("~")
        return (parts[3].split(".")[0] if len(parts) == 4 else "") or "default"

    @property
    def name(self) -> str:
        """``pod.namespace`` of an Istio id, else the whole id."""
        parts = self.id.split("~")
        return parts[2] if len(parts) == 4 else self.id

    @property
    def proxy(self) -> Proxy:
        """What its configuration depends on."""
        labels = tuple(sorted((k, v) for k, v in self.labels.items() if k != INTERFACES_LABEL))
        return Proxy(self.metadata.get("GENERATOR") == "grpc", self.namespace, labels, self.locality)


def read_node(data: bytes | None) -> Node:
    """The node of a stream's first request. Raises InvalidArgument where there is none, as istiod does."""
    if data is None:
        raise InvalidArgument("missing node information: the first request of a stream must carry it")
    try:
        node: EnvoyNode = codec_for(EnvoyNode).decode(data)
    except DecodeError as error:
        raise InvalidArgument(f"the node cannot be read: {error}") from None
    metadata = _plain_struct(node.metadata) if node.metadata is not None else {}
    agent = f"{node.user_agent_name} {node.user_agent_version or ''}".strip()
    return Node(node.id, metadata, _locality(node, labels_of(metadata)), agent)


def _locality(node: EnvoyNode, labels: Mapping[str, str]) -> tuple[str, str, str]:
    """Labels of the workload go before the node's own locality (as in Istio)."""
    if _REGION in labels:
        return labels[_REGION], labels.get(_ZONE, ""), labels.get(_SUB_ZONE, "")
    if node.locality is None:
        return ("", "", "")
    return node.locality.region, node.locality.zone, node.locality.sub_zone


def _plain_struct(struct: Struct) -> dict[str, Any]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    if value.struct_value is not None:
        return _plain_struct(value.struct_value)
    if value.list_value is not None:
        return [_plain(item) for item in value.list_value.values]
    for scalar in (value.string_value, value.number_value, value.bool_value):
        if scalar is not None:
            return scalar
    return None
